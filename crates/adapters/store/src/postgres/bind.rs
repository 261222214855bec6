//! Values on their way into a statement, each with its PostgreSQL type.
//!
//! The types are said rather than asked for, so that a statement needs no round trip to be
//! described where it cannot be kept prepared (behind a pooler).

use std::borrow::Cow;
use std::fmt;

use flowforge_ports::store::StoreError;
use tokio_postgres::types::{ToSql, Type};
use uuid::Uuid;

/// One value.
pub(super) struct Bound<'a> {
    pub(super) value: Box<dyn ToSql + Sync + Send + 'a>,
    pub(super) of: Type,
}

impl fmt::Debug for Bound<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}::{}", self.value, self.of)
    }
}

impl<'a> Bound<'a> {
    pub(super) fn new<T: Typed + ToSql + Sync + Send + 'a>(value: T) -> Self {
        Self { value: Box::new(value), of: T::of() }
    }
}

/// The values of a statement, in the order of its parameters.
macro_rules! binds {
    ($($value:expr),* $(,)?) => { vec![$($crate::postgres::bind::Bound::new($value)),*] };
}
pub(super) use binds;

/// The PostgreSQL type of a Rust type.
pub(super) trait Typed {
    fn of() -> Type;
}

/// A type that arrays are made of.
pub(super) trait Element {
    fn array() -> Type;
}

macro_rules! typed {
    ($($rust:ty, $one:ident, $array:ident;)+) => { $(
        impl Typed for $rust {
            fn of() -> Type {
                Type::$one
            }
        }
        impl Element for $rust {
            fn array() -> Type {
                Type::$array
            }
        }
    )+ };
}
typed! {
    bool, BOOL, BOOL_ARRAY;
    i16, INT2, INT2_ARRAY;
    i32, INT4, INT4_ARRAY;
    i64, INT8, INT8_ARRAY;
    Uuid, UUID, UUID_ARRAY;
    &str, TEXT, TEXT_ARRAY;
    String, TEXT, TEXT_ARRAY;
    Cow<'_, str>, TEXT, TEXT_ARRAY;
}

impl Typed for &[u8] {
    fn of() -> Type {
        Type::BYTEA
    }
}

impl Element for Vec<u8> {
    fn array() -> Type {
        Type::BYTEA_ARRAY
    }
}

impl<T: Typed> Typed for Option<T> {
    fn of() -> Type {
        T::of()
    }
}

impl<T: Element> Element for Option<T> {
    fn array() -> Type {
        T::array()
    }
}

impl<T: Element> Typed for Vec<T> {
    fn of() -> Type {
        T::array()
    }
}

/// A number below 2^31. No node, attempt or generation comes near.
pub(super) fn int(value: u32) -> Result<i32, StoreError> {
    i32::try_from(value).map_err(|_| StoreError::Conflict(format!("{value} is too large")))
}

/// A record number or a version.
pub(super) fn long(value: u64) -> Result<i64, StoreError> {
    i64::try_from(value).map_err(|_| StoreError::Conflict(format!("{value} is too large")))
}

/// A text that PostgreSQL takes: it has no character U+0000, which a task may print all the same.
/// A task must not stop the commit of all others, so it becomes the replacement character.
pub(super) fn text(value: &str) -> Cow<'_, str> {
    if value.contains('\0') {
        Cow::Owned(value.replace('\0', "\u{fffd}"))
    } else {
        Cow::Borrowed(value)
    }
}

pub(super) fn optional_text(value: Option<&String>) -> Option<Cow<'_, str>> {
    value.map(|value| text(value))
}
