//! Values of expressions. Cheap to clone; nesting is bounded when a value is built.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::rc::Rc;

use serde_json::Value as Json;

use super::text::go_float;
use crate::error::EvalError;

/// Levels of lists and maps one value may have: serialising and dropping recurse.
const NESTING: u32 = 64;

#[derive(Clone, Debug)]
pub(super) enum Value<'e> {
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Rc<str>),
    List(Rc<List<'e>>),
    Map(Rc<Map<'e>>),
    /// Nanoseconds.
    Duration(i64),
    /// A list or map of the environment, not copied.
    Env(&'e Json),
}

#[derive(Debug)]
pub(super) struct List<'e> {
    pub(super) items: Vec<Value<'e>>,
    nesting: u32,
}

#[derive(Debug)]
pub(super) struct Map<'e> {
    pub(super) entries: BTreeMap<Rc<str>, Value<'e>>,
    nesting: u32,
}

impl<'e> Value<'e> {
    pub(super) fn text(text: &str) -> Self {
        Self::Text(text.into())
    }

    /// A list; refused if nested too deeply.
    pub(super) fn list(items: Vec<Value<'e>>) -> Result<Self, EvalError> {
        let nesting = nesting(items.iter())?;
        Ok(Self::List(Rc::new(List { items, nesting })))
    }

    /// A map; refused if nested too deeply.
    pub(super) fn map(entries: BTreeMap<Rc<str>, Value<'e>>) -> Result<Self, EvalError> {
        let nesting = nesting(entries.values())?;
        Ok(Self::Map(Rc::new(Map { entries, nesting })))
    }

    /// A value of the environment.
    pub(super) fn of_env(json: &'e Json) -> Self {
        match json {
            Json::Null => Self::Nil,
            Json::Bool(value) => Self::Bool(*value),
            Json::Number(number) => match number.as_i64() {
                Some(value) => Self::Int(value),
                None => Self::Float(number.as_f64().unwrap_or(f64::NAN)),
            },
            Json::String(text) => Self::text(text),
            Json::Array(_) | Json::Object(_) => Self::Env(json),
        }
    }

    /// A parsed JSON document; numbers are floats, as in Go.
    pub(super) fn of_json(json: &Json) -> Result<Self, EvalError> {
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
                let entries: Result<_, EvalError> = fields
                    .map(|(key, value)| Ok((key.as_str().into(), Self::of_json(value)?)))
                    .collect();
                Self::map(entries?)?
            }
        })
    }

    /// As JSON; whole floats become integers, as Go prints them.
    pub(super) fn to_json(&self, depth: u32) -> Result<Json, EvalError> {
        if depth > NESTING {
            return Err(EvalError::TOO_DEEP);
        }
        let below = depth.saturating_add(1);
        Ok(match self {
            Self::Nil => Json::Null,
            Self::Bool(value) => Json::Bool(*value),
            Self::Int(value) | Self::Duration(value) => Json::from(*value),
            Self::Float(value) => match whole(*value) {
                Some(whole) => Json::from(whole),
                None => {
                    serde_json::Number::from_f64(*value).map(Json::Number).ok_or_else(|| {
                        EvalError::Value(format!("{} is no number", go_float(*value)))
                    })?
                }
            },
            Self::Text(text) => Json::String(text.to_string()),
            Self::List(list) => {
                let items: Result<_, _> = list.items.iter().map(|v| v.to_json(below)).collect();
                Json::Array(items?)
            }
            Self::Map(map) => {
                let entries = map.entries.iter();
                let fields: Result<_, EvalError> = entries
                    .map(|(key, value)| Ok((key.to_string(), value.to_json(below)?)))
                    .collect();
                Json::Object(fields?)
            }
            Self::Env(json) => (*json).clone(),
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
            Self::Duration(_) => "duration",
            Self::List(_) | Self::Env(Json::Array(_)) => "array",
            Self::Map(_) | Self::Env(_) => "map",
        }
    }

    /// The items of a list.
    pub(super) fn items(&self) -> Option<Vec<Value<'e>>> {
        match self {
            Self::List(list) => Some(list.items.clone()),
            Self::Env(Json::Array(items)) => Some(items.iter().map(Self::of_env).collect()),
            _ => None,
        }
    }

    /// The number of items, keys or characters.
    pub(super) fn length(&self) -> Option<usize> {
        match self {
            Self::Text(text) => Some(text.chars().count()),
            Self::List(list) => Some(list.items.len()),
            Self::Map(map) => Some(map.entries.len()),
            Self::Env(Json::Array(items)) => Some(items.len()),
            Self::Env(Json::Object(fields)) => Some(fields.len()),
            _ => None,
        }
    }

    /// The keys and values of a map.
    pub(super) fn entries(&self) -> Option<BTreeMap<Rc<str>, Value<'e>>> {
        match self {
            Self::Map(map) => Some(map.entries.clone()),
            Self::Env(Json::Object(fields)) => {
                let fields = fields.iter();
                Some(fields.map(|(k, v)| (k.as_str().into(), Self::of_env(v))).collect())
            }
            _ => None,
        }
    }

    /// The value of a key; missing ones are nil. `None` if this is no map.
    pub(super) fn field(&self, key: &str) -> Option<Value<'e>> {
        match self {
            Self::Map(map) => Some(map.entries.get(key).cloned().unwrap_or(Self::Nil)),
            Self::Env(Json::Object(fields)) => {
                Some(fields.get(key).map_or(Self::Nil, Self::of_env))
            }
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

    /// Equality of expr-lang: numbers by value, anything else by type and value.
    pub(super) fn equals(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Nil, Self::Nil) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Int(a), Self::Int(b)) | (Self::Duration(a), Self::Duration(b)) => a == b,
            (Self::Text(a), Self::Text(b)) => a == b,
            (Self::Int(_) | Self::Float(_), Self::Int(_) | Self::Float(_)) => {
                self.number() == other.number()
            }
            _ => match (self.items(), other.items(), self.entries(), other.entries()) {
                (Some(a), Some(b), _, _) => {
                    a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| a.equals(b))
                }
                (_, _, Some(a), Some(b)) => {
                    a.len() == b.len()
                        && a.iter().zip(&b).all(|((k, a), (l, b))| k == l && a.equals(b))
                }
                _ => false,
            },
        }
    }

    /// Order of two numbers or two strings.
    pub(super) fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Text(a), Self::Text(b)) => Some(a.cmp(b)),
            (Self::Int(a), Self::Int(b)) | (Self::Duration(a), Self::Duration(b)) => Some(a.cmp(b)),
            _ => self.number()?.partial_cmp(&other.number()?),
        }
    }

    /// How many values a comparison may touch: its price.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::List(list) => list.items.iter().map(Self::weight).sum::<usize>() + 1,
            Self::Map(map) => map.entries.values().map(Self::weight).sum::<usize>() + 1,
            Self::Env(json) => weight(json),
            Self::Text(text) => text.len() / 64 + 1,
            _ => 1,
        }
    }
}

fn weight(json: &Json) -> usize {
    match json {
        Json::Array(items) => items.iter().map(weight).sum::<usize>() + 1,
        Json::Object(fields) => fields.values().map(weight).sum::<usize>() + 1,
        Json::String(text) => text.len() / 64 + 1,
        Json::Null | Json::Bool(_) | Json::Number(_) => 1,
    }
}

fn nesting<'v, 'e: 'v>(items: impl Iterator<Item = &'v Value<'e>>) -> Result<u32, EvalError> {
    let inside = items
        .map(|item| match item {
            Value::List(list) => list.nesting,
            Value::Map(map) => map.nesting,
            _ => 0,
        })
        .max();
    let nesting = inside.unwrap_or(0).saturating_add(1);
    if nesting > NESTING {
        return Err(EvalError::TOO_DEEP);
    }
    Ok(nesting)
}

#[expect(clippy::cast_precision_loss, reason = "Go rounds the same way")]
pub(super) fn to_float(value: i64) -> f64 {
    value as f64
}

/// The integer a float is, if it is one that prints without an exponent and loses nothing.
pub(super) fn whole(value: f64) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    (value.fract() == 0.0 && value.abs() < EXACT).then(|| truncate(value))
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "rounds towards zero on purpose; out of range it stops at the ends"
)]
pub(super) fn truncate(value: f64) -> i64 {
    value as i64
}
