//! The common functions of sprig, as `sprig.NAME(...)`. Arguments stand as in its templates: what
//! a template would pipe in comes last.

use super::eval::{Run, fail, overflow};
use super::functions::{from_json, int, join, json_text, scalar_text, split, to_int};
use super::value::Value;
use crate::error::EvalError;

/// Calls one of them.
///
/// # Errors
/// There is no such function here, or it does not take these values.
pub(super) fn call<'e>(
    run: &mut Run<'e>,
    name: &str,
    args: &[Value<'e>],
) -> Result<Value<'e>, EvalError> {
    match (name, args) {
        ("trim", [Value::Text(text)]) => run.string(text.trim()),
        ("trimAll", [Value::Text(set), Value::Text(text)]) => {
            run.string(text.trim_matches(|c| set.contains(c)))
        }
        ("trimPrefix", [Value::Text(part), Value::Text(text)]) => {
            run.string(text.strip_prefix(&**part).unwrap_or(text))
        }
        ("trimSuffix", [Value::Text(part), Value::Text(text)]) => {
            run.string(text.strip_suffix(&**part).unwrap_or(text))
        }
        ("upper", [Value::Text(text)]) => run.string(&text.to_uppercase()),
        ("lower", [Value::Text(text)]) => run.string(&text.to_lowercase()),
        ("trunc", [n, Value::Text(text)]) => {
            let n = usize::try_from(to_int(n)).unwrap_or(0);
            let short: String = text.chars().take(n).collect();
            run.string(&short)
        }
        ("replace", [Value::Text(from), Value::Text(to), Value::Text(text)]) => {
            let hits = text.matches(&**from).count();
            run.allocate(text.len().saturating_add(hits.saturating_mul(to.len())))?;
            Ok(Value::Text(text.replace(&**from, to).into()))
        }
        ("contains", [Value::Text(part), Value::Text(text)]) => {
            Ok(Value::Bool(text.contains(&**part)))
        }
        ("hasPrefix", [Value::Text(part), Value::Text(text)]) => {
            Ok(Value::Bool(text.starts_with(&**part)))
        }
        ("hasSuffix", [Value::Text(part), Value::Text(text)]) => {
            Ok(Value::Bool(text.ends_with(&**part)))
        }
        ("splitList", [Value::Text(by), Value::Text(text)]) => split(run, text, by),
        ("join", [Value::Text(by), list]) => match list.items() {
            Some(items) => join(run, &items, by),
            None => fail("join needs an array"),
        },
        ("quote", [value]) => json_text(run, value, false),
        ("toString", [value]) => match scalar_text(value) {
            Some(text) => run.string(&text),
            None => json_text(run, value, false),
        },
        ("toJson", [value]) => json_text(run, value, false),
        ("fromJson", [Value::Text(text)]) => from_json(run, text),
        ("b64enc", [Value::Text(text)]) => run.string(&super::text::base64(text.as_bytes())),
        ("b64dec", [Value::Text(text)]) => match super::text::unbase64(text) {
            Some(text) => run.string(&text),
            None => fail("not the base64 of a text"),
        },
        ("int" | "int64" | "atoi", [Value::Text(text)]) => {
            int(&Value::text(text)).or(Ok(Value::Int(0)))
        }
        ("int" | "int64", [value]) => Ok(Value::Int(to_int(value))),
        ("default", [default, value]) => Ok(if empty(value) { default } else { value }.clone()),
        ("empty", [value]) => Ok(Value::Bool(empty(value))),
        ("ternary", [yes, no, Value::Bool(which)]) => Ok(if *which { yes } else { no }.clone()),
        ("list", items) => run.list(items.to_vec()),
        _ => arithmetic(name, args),
    }
}

/// Integer arithmetic.
fn arithmetic<'e>(name: &str, args: &[Value<'e>]) -> Result<Value<'e>, EvalError> {
    let numbers: Vec<i64> = args.iter().map(to_int).collect();
    let result = match (name, numbers.as_slice()) {
        ("add1", [a]) => a.checked_add(1),
        ("add", all) => all.iter().try_fold(0_i64, |sum, n| sum.checked_add(*n)),
        ("mul", all) => all.iter().try_fold(1_i64, |product, n| product.checked_mul(*n)),
        ("sub", [a, b]) => a.checked_sub(*b),
        ("div" | "mod", [_, 0]) => return fail("division by zero"),
        ("div", [a, b]) => a.checked_div(*b),
        ("mod", [a, b]) => a.checked_rem(*b),
        ("max", [first, rest @ ..]) => Some(rest.iter().fold(*first, |a, b| a.max(*b))),
        ("min", [first, rest @ ..]) => Some(rest.iter().fold(*first, |a, b| a.min(*b))),
        _ => {
            let name = crate::error::cut(name);
            return fail(format!("there is no function sprig.{name} for these arguments"));
        }
    };
    result.map_or(overflow(), |value| Ok(Value::Int(value)))
}

/// What sprig takes for empty.
fn empty(value: &Value<'_>) -> bool {
    match value {
        Value::Nil | Value::Bool(false) | Value::Int(0) => true,
        Value::Float(n) => *n == 0.0,
        other => other.length() == Some(0),
    }
}
