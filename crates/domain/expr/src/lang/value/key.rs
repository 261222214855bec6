//! Keys of maps.

use std::rc::Rc;

use super::{Str, Value};

/// A key. Maps of JSON have texts; those that `groupBy` and `fromPairs` make may have any scalar.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::lang) enum Key {
    Nil,
    Bool(bool),
    Int(i64),
    /// The bits of a float.
    Float(u64),
    Text(Rc<str>),
}

impl Key {
    pub(in crate::lang) fn text(text: &str) -> Self {
        Self::Text(text.into())
    }

    /// The key a value is; none if it can be none.
    pub(in crate::lang) fn of(value: &Value<'_>) -> Option<Self> {
        Some(match value {
            Value::Nil => Self::Nil,
            Value::Bool(value) => Self::Bool(*value),
            Value::Int(value) => Self::Int(*value),
            Value::Float(value) => Self::Float(value.to_bits()),
            Value::Text(Str::Shared(text)) => Self::Text(Rc::clone(text)),
            Value::Text(Str::Borrowed(text)) => Self::text(text),
            _ => return None,
        })
    }

    pub(in crate::lang) fn value<'e>(&self) -> Value<'e> {
        match self {
            Self::Nil => Value::Nil,
            Self::Bool(value) => Value::Bool(*value),
            Self::Int(value) => Value::Int(*value),
            Self::Float(bits) => Value::Float(f64::from_bits(*bits)),
            Self::Text(text) => Value::Text(Str::Shared(Rc::clone(text))),
        }
    }
}
