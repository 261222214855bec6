//! Functions from one type to another.

use serde_json::Value as Json;

use super::{one, text_at, wrong};
use crate::lang::eval::{Outcome, Run};
use crate::lang::fault::fail;
use crate::lang::nature::Type;
use crate::lang::value::{Layout, Value, go_json, go_text, truncate};

pub(super) fn check_len(given: &[Type]) -> Result<Type, String> {
    let of = one(given)?;
    if of.is_list() || of.is_map() || of.is_text() || of.is_unknown() {
        return Ok(Type::INT);
    }
    Err(format!("invalid argument for len (type {of})"))
}

fn check_number(given: &[Type], gives: Type) -> Result<Type, String> {
    let of = one(given)?;
    if of.is_number() || of.is_text() || of.is_unknown() || of == Type::NAMED || of.is_duration() {
        return Ok(gives);
    }
    Err(format!("a {of} is no {gives}"))
}

pub(super) fn check_int(given: &[Type]) -> Result<Type, String> {
    check_number(given, Type::INT)
}

pub(super) fn check_float(given: &[Type]) -> Result<Type, String> {
    check_number(given, Type::FLOAT)
}

pub(super) fn len<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    match args.first().and_then(|value| run.length(value)) {
        Some(length) => Ok(length),
        None => wrong("a string, a list or a map", args.first()),
    }
}

pub(super) fn kind<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    run.string(args.first().map_or("nil", Value::kind))
}

pub(super) fn string<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    match args.first() {
        Some(text @ Value::Text(_)) => Ok(text.clone()),
        other => {
            let mut out = String::new();
            go_text(other.unwrap_or(&Value::Nil), &mut out);
            run.string(&out)
        }
    }
}

pub(super) fn int<'e>(_: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    match args.first() {
        Some(Value::Int(n) | Value::Named(n, _) | Value::Duration(n)) => Ok(Value::Int(*n)),
        Some(Value::Float(n)) if n.is_finite() => Ok(Value::Int(truncate(*n))),
        Some(Value::Text(text)) => match text.parse() {
            Ok(n) => Ok(Value::Int(n)),
            Err(_) => fail(format!("'{}' is no integer", crate::error::cut(text))),
        },
        other => wrong("a number or a string", other),
    }
}

pub(super) fn float<'e>(_: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    match args.first() {
        Some(Value::Text(text)) => match text.replace('_', "?").parse() {
            Ok(n) => Ok(Value::Float(n)),
            Err(_) => fail(format!("'{}' is no number", crate::error::cut(text))),
        },
        other => match other.and_then(Value::number) {
            Some(n) => Ok(Value::Float(n)),
            None => wrong("a number or a string", other),
        },
    }
}

/// JSON text of a value, in a layout.
pub(super) fn json_text<'e>(run: &mut Run<'e>, value: &Value<'e>, layout: Layout) -> Outcome<'e> {
    let mut out = String::new();
    go_json(value, layout, &mut out)?;
    run.string(&out)
}

pub(super) fn to_json<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    let layout = Layout { indented: false, html: true };
    json_text(run, args.first().unwrap_or(&Value::Nil), layout)
}

pub(super) fn to_json_indented<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    let layout = Layout { indented: true, html: true };
    json_text(run, args.first().unwrap_or(&Value::Nil), layout)
}

pub(super) fn from_json<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    parsed(run, text_at(args, 0)?)
}

/// The value of a JSON text.
pub(super) fn parsed<'e>(run: &mut Run<'e>, text: &str) -> Outcome<'e> {
    // A value takes at most this many times the bytes of its text.
    run.allocate(text.len().saturating_mul(8))?;
    match serde_json::from_str::<Json>(text) {
        Ok(json) => Value::of_json(&json),
        Err(e) => fail(format!("not JSON: {e}")),
    }
}
