//! Values of expressions. Cheap to clone; nesting is bounded when a value is built.

mod key;
mod show;

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::Deref;
use std::rc::Rc;

use serde_json::Value as Json;

use super::fault::Fault;
use crate::error::EvalError;
pub(super) use key::Key;
pub(super) use show::{Layout, go_json, go_text};

/// Levels of lists and maps one value may have: serialising and dropping recurse.
const NESTING: u32 = 64;

#[derive(Clone, Debug)]
pub(super) enum Value<'e> {
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Str<'e>),
    List(Rc<List<'e>>),
    Map(Rc<Map<'e>>),
    /// A map of the environment, not read yet.
    Place(Rc<[Box<str>]>),
    /// Nanoseconds.
    Duration(i64),
    Time(Rc<jiff::Zoned>),
    Zone(jiff::tz::TimeZone),
    /// A month or a day of the week: its number and its name.
    Named(i64, &'static str),
}

/// A text of the source, of the environment, or a new one.
#[derive(Clone, Debug)]
pub(super) enum Str<'e> {
    Borrowed(&'e str),
    Shared(Rc<str>),
}

impl Deref for Str<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Borrowed(text) => text,
            Self::Shared(text) => text,
        }
    }
}

#[derive(Debug)]
pub(super) struct List<'e> {
    pub(super) items: Vec<Value<'e>>,
    nesting: u32,
}

#[derive(Debug)]
pub(super) struct Map<'e> {
    pub(super) entries: BTreeMap<Key, Value<'e>>,
    /// Its keys may be anything: it has no JSON, as in Go.
    pub(super) any_keys: bool,
    nesting: u32,
}

impl<'e> Value<'e> {
    pub(super) fn text(text: &str) -> Self {
        Self::Text(Str::Shared(text.into()))
    }

    /// A list; refused if nested too deeply.
    pub(super) fn list(items: Vec<Value<'e>>) -> Result<Self, Fault> {
        let nesting = nesting(items.iter())?;
        Ok(Self::List(Rc::new(List { items, nesting })))
    }

    /// A map whose keys are texts; refused if nested too deeply.
    pub(super) fn map(entries: BTreeMap<Key, Value<'e>>) -> Result<Self, Fault> {
        let nesting = nesting(entries.values())?;
        Ok(Self::Map(Rc::new(Map { entries, any_keys: false, nesting })))
    }

    /// A map whose keys may be anything; refused if nested too deeply.
    pub(super) fn any_map(entries: BTreeMap<Key, Value<'e>>) -> Result<Self, Fault> {
        let nesting = nesting(entries.values())?;
        Ok(Self::Map(Rc::new(Map { entries, any_keys: true, nesting })))
    }

    /// A value of the environment; its whole numbers are integers.
    pub(super) fn of_env(json: &'e Json) -> Result<Self, Fault> {
        match json {
            Json::String(text) => Ok(Self::Text(Str::Borrowed(text))),
            Json::Number(number) => Ok(match number.as_i64() {
                Some(number) => Self::Int(number),
                None => Self::Float(number.as_f64().unwrap_or(f64::NAN)),
            }),
            Json::Array(items) => {
                let items: Result<_, _> = items.iter().map(Self::of_env).collect();
                Self::list(items?)
            }
            other => Self::of_json(other),
        }
    }

    /// A parsed JSON document; numbers are floats, as in Go.
    pub(super) fn of_json(json: &Json) -> Result<Self, Fault> {
        Ok(match json {
            Json::Null => Self::Nil,
            Json::Bool(value) => Self::Bool(*value),
            Json::Number(number) => Self::Float(number.as_f64().unwrap_or(f64::NAN)),
            Json::String(text) => Self::text(text),
            Json::Array(items) => {
                let items: Result<_, _> = items.iter().map(Self::of_json).collect();
                Self::list(items?)?
            }
            Json::Object(fields) => {
                let fields = fields.iter();
                let entries: Result<_, Fault> = fields
                    .map(|(key, value)| Ok((Key::text(key), Self::of_json(value)?)))
                    .collect();
                Self::map(entries?)?
            }
        })
    }

    /// The name of its type, as expr-lang's `type` says it.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Nil => "nil",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float",
            Self::Text(_) => "string",
            Self::Duration(_) => "time.Duration",
            Self::Time(_) => "time.Time",
            Self::Zone(_) => "time.Location",
            Self::Named(..) => "int",
            Self::List(_) => "array",
            Self::Map(_) | Self::Place(_) => "map",
        }
    }

    /// The items of a list.
    pub(super) fn items(&self) -> Option<&[Value<'e>]> {
        match self {
            Self::List(list) => Some(&list.items),
            _ => None,
        }
    }

    /// As a float, if it is a number.
    pub(super) fn number(&self) -> Option<f64> {
        match self {
            Self::Int(value) => Some(to_float(*value)),
            Self::Float(value) => Some(*value),
            _ => None,
        }
    }

    /// Equality of expr-lang: numbers by value, anything else by type and value. Maps of the
    /// environment are equal to themselves only.
    pub(super) fn equals(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Nil, Self::Nil) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Int(a), Self::Int(b)) | (Self::Duration(a), Self::Duration(b)) => a == b,
            (Self::Text(a), Self::Text(b)) => **a == **b,
            (Self::Int(_) | Self::Float(_), Self::Int(_) | Self::Float(_)) => {
                self.number() == other.number()
            }
            (Self::Time(a), Self::Time(b)) => a.timestamp() == b.timestamp(),
            (Self::Named(a, n), Self::Named(b, m)) => a == b && n == m,
            (Self::List(a), Self::List(b)) => {
                a.items.len() == b.items.len()
                    && a.items.iter().zip(&b.items).all(|(a, b)| a.equals(b))
            }
            (Self::Map(a), Self::Map(b)) => {
                a.entries.len() == b.entries.len()
                    && a.entries
                        .iter()
                        .zip(&b.entries)
                        .all(|((k, a), (l, b))| k == l && a.equals(b))
            }
            (Self::Place(a), Self::Place(b)) => a == b,
            _ => false,
        }
    }

    /// Order of two numbers, two strings, two times or two durations.
    pub(super) fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Text(a), Self::Text(b)) => Some((**a).cmp(&**b)),
            (Self::Int(a), Self::Int(b)) | (Self::Duration(a), Self::Duration(b)) => Some(a.cmp(b)),
            (Self::Time(a), Self::Time(b)) => Some(a.timestamp().cmp(&b.timestamp())),
            _ => self.number()?.partial_cmp(&other.number()?),
        }
    }

    /// Whether the two can be compared at all; NaN can, and is never less.
    pub(super) fn comparable(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Text(_), Self::Text(_))
            | (Self::Duration(_), Self::Duration(_))
            | (Self::Time(_), Self::Time(_)) => true,
            _ => self.number().is_some() && other.number().is_some(),
        }
    }

    /// How many values a walk over it may touch: its price.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::List(list) => list.items.iter().map(Self::weight).sum::<usize>() + 1,
            Self::Map(map) => map.entries.values().map(Self::weight).sum::<usize>() + 1,
            Self::Text(text) => text.len() / 64 + 1,
            _ => 1,
        }
    }
}

fn nesting<'v, 'e: 'v>(items: impl Iterator<Item = &'v Value<'e>>) -> Result<u32, Fault> {
    let inside = items
        .map(|item| match item {
            Value::List(list) => list.nesting,
            Value::Map(map) => map.nesting,
            _ => 0,
        })
        .max();
    let nesting = inside.unwrap_or(0).saturating_add(1);
    if nesting > NESTING {
        return Err(EvalError::TOO_NESTED.into());
    }
    Ok(nesting)
}

#[expect(clippy::cast_precision_loss, reason = "Go rounds the same way")]
pub(super) fn to_float(value: i64) -> f64 {
    value as f64
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "rounds towards zero on purpose; out of range it stops at the ends"
)]
pub(super) fn truncate(value: f64) -> i64 {
    value as i64
}

pub(super) fn count<'e>(count: usize) -> Value<'e> {
    Value::Int(i64::try_from(count).unwrap_or(i64::MAX))
}
