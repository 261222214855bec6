//! The functions of `sprig` 3.3 that documents use. What Argo's sprig has beyond them (keys,
//! certificates, passwords, the network, files) is unknown here.

mod cases;
mod chance;
mod dates;
mod lists;
mod maps;
mod numbers;
mod patterns;
mod texts;
mod values;

use super::Builtin;
use super::Check::AtRun;
use crate::lang::fault::Fault;
use crate::lang::value::{Value, go_text, truncate};

/// Each is sorted by name.
pub(super) static TABLES: [&[Builtin]; 8] = [
    &chance::TABLE,
    &dates::TABLE,
    &lists::TABLE,
    &maps::TABLE,
    &numbers::TABLE,
    &patterns::TABLE,
    &texts::TABLE,
    &values::TABLE,
];

const fn function(name: &'static str, call: super::Call) -> Builtin {
    super::builtin(name, AtRun, call)
}

/// The text given at `at`; nil is the empty one.
fn text_at<'v>(args: &'v [Value<'_>], at: usize) -> Result<&'v str, Fault> {
    match args.get(at) {
        Some(Value::Nil) => Ok(""),
        _ => super::text_at(args, at),
    }
}

/// The number given at `at`; nil is 0.
fn int_at(args: &[Value<'_>], at: usize) -> Result<i64, Fault> {
    match args.get(at) {
        Some(Value::Nil) => Ok(0),
        _ => super::int_at(args, at),
    }
}

/// The value as a text: Go's `strval`.
fn shown(value: &Value<'_>) -> String {
    let mut out = String::new();
    go_text(value, &mut out);
    out
}

/// Go's `cast.ToInt64`: what is no number is 0.
fn to_int(value: &Value<'_>) -> i64 {
    match value {
        Value::Int(n) | Value::Duration(n) | Value::Named(n, _) => *n,
        Value::Float(n) => truncate(*n),
        Value::Bool(b) => i64::from(*b),
        Value::Text(text) => int_text(text),
        _ => 0,
    }
}

fn int_text(text: &str) -> i64 {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let digits = match digits.split_once('.') {
        Some((whole, part)) if part.bytes().all(|b| b.is_ascii_digit()) => whole,
        _ => digits,
    };
    let (radix, digits) = match digits.get(..2) {
        Some("0x" | "0X") => (16, digits.get(2..).unwrap_or("")),
        Some("0b" | "0B") => (2, digits.get(2..).unwrap_or("")),
        Some("0o" | "0O") => (8, digits.get(2..).unwrap_or("")),
        Some(two) if two.starts_with('0') => (8, digits.get(1..).unwrap_or("")),
        _ => (10, digits),
    };
    i64::from_str_radix(&format!("{sign}{digits}"), radix).unwrap_or(0)
}

/// Go's `cast.ToFloat64`: what is no number is 0.
fn to_float(value: &Value<'_>) -> f64 {
    match value {
        Value::Text(text) => text.parse().unwrap_or(0.0),
        Value::Bool(b) => f64::from(u8::from(*b)),
        Value::Duration(n) | Value::Named(n, _) => crate::lang::value::to_float(*n),
        other => other.number().unwrap_or(0.0),
    }
}

/// What sprig takes for empty.
fn empty(value: &Value<'_>) -> bool {
    match value {
        Value::Nil | Value::Bool(false) | Value::Int(0) | Value::Duration(0) => true,
        Value::Float(n) => *n == 0.0,
        Value::Text(text) => text.is_empty(),
        Value::List(list) => list.items.is_empty(),
        Value::Map(map) => map.entries.is_empty(),
        _ => false,
    }
}
