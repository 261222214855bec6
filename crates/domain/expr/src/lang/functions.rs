//! Builtins that take values.

use std::rc::Rc;

use serde_json::Value as Json;

use super::eval::{Run, fail, member, overflow};
use super::sprig;
use super::text::go_float;
use super::value::{Value, truncate, whole};
use crate::error::EvalError;

/// Calls a builtin.
///
/// # Errors
/// There is no such function, or it does not take these values.
pub(super) fn call<'e>(
    run: &mut Run<'e>,
    name: &str,
    args: &[Value<'e>],
) -> Result<Value<'e>, EvalError> {
    let weight: usize = args.iter().map(Value::weight).sum();
    run.spend(weight)?;
    if let Some(name) = name.strip_prefix("sprig.") {
        return sprig::call(run, name, args);
    }
    let known = match args {
        [one] => unary(run, name, one),
        [one, two] => binary(run, name, one, two),
        [one, two, three] => ternary(run, name, (one, two, three)),
        _ => None,
    };
    if let Some(result) = known.or_else(|| many(run, name, args)) {
        return result;
    }
    let kinds: Vec<&str> = args.iter().map(Value::kind).collect();
    let name = crate::error::cut(name);
    fail(format!("there is no function {name}({})", kinds.join(", ")))
}

type Outcome<'e> = Option<Result<Value<'e>, EvalError>>;

fn unary<'e>(run: &mut Run<'e>, name: &str, value: &Value<'e>) -> Outcome<'e> {
    Some(match (name, value) {
        ("len", _) => Ok(count(value.length()?)),
        ("type", _) => run.string(value.kind()),
        ("string", _) => string(run, value),
        ("int" | "asInt", _) => int(value),
        ("float" | "asFloat", _) => float(value),
        ("trim", Value::Text(text)) => run.string(text.trim()),
        ("upper", Value::Text(text)) => run.string(&text.to_uppercase()),
        ("lower", Value::Text(text)) => run.string(&text.to_lowercase()),
        ("toJSON", _) => json_text(run, value, true),
        ("toJson", _) => json_text(run, value, false),
        ("fromJSON" | "fromJson", Value::Text(text)) => from_json(run, text),
        ("toBase64", Value::Text(text)) => run.string(&super::text::base64(text.as_bytes())),
        ("fromBase64", Value::Text(text)) => match super::text::unbase64(text) {
            Some(text) => run.string(&text),
            None => fail("not the base64 of a text"),
        },
        ("abs", Value::Int(n)) => n.checked_abs().map_or(overflow(), |n| Ok(Value::Int(n))),
        ("abs", Value::Float(n)) => Ok(Value::Float(n.abs())),
        ("ceil", _) => Ok(Value::Float(value.number()?.ceil())),
        ("floor", _) => Ok(Value::Float(value.number()?.floor())),
        ("round", _) => Ok(Value::Float(value.number()?.round())),
        ("duration", Value::Text(text)) => duration(text),
        ("keys", _) => {
            let keys = value.entries()?.into_keys().map(Value::Text).collect();
            run.list(keys)
        }
        ("values", _) => {
            let values = value.entries()?.into_values().collect();
            run.list(values)
        }
        ("first", _) => Ok(value.items()?.first().cloned().unwrap_or(Value::Nil)),
        ("last", _) => Ok(value.items()?.last().cloned().unwrap_or(Value::Nil)),
        ("reverse", _) => {
            let items = value.items()?.into_iter().rev().collect();
            run.list(items)
        }
        ("sort", _) => sort(run, value.items()?, None),
        ("uniq", _) => uniq(run, value.items()?),
        ("flatten", _) => {
            let flat = value.items()?.into_iter().flat_map(|item| match item.items() {
                Some(items) => items,
                None => vec![item],
            });
            run.list(flat.collect())
        }
        ("min" | "max" | "mean" | "median", _) if value.kind() == "array" => {
            aggregate(name, &value.items()?)
        }
        ("join", _) => join(run, &value.items()?, ""),
        ("split", _) => return None,
        _ => return None,
    })
}

fn binary<'e>(run: &mut Run<'e>, name: &str, one: &Value<'e>, two: &Value<'e>) -> Outcome<'e> {
    Some(match (name, one, two) {
        ("split", Value::Text(text), Value::Text(by)) => split(run, text, by),
        ("join", list, Value::Text(by)) => join(run, &list.items()?, by),
        ("hasPrefix", Value::Text(text), Value::Text(part)) => {
            Ok(Value::Bool(text.starts_with(&**part)))
        }
        ("hasSuffix", Value::Text(text), Value::Text(part)) => {
            Ok(Value::Bool(text.ends_with(&**part)))
        }
        ("trimPrefix", Value::Text(text), Value::Text(part)) => {
            run.string(text.strip_prefix(&**part).unwrap_or(text))
        }
        ("trimSuffix", Value::Text(text), Value::Text(part)) => {
            run.string(text.strip_suffix(&**part).unwrap_or(text))
        }
        ("trim", Value::Text(text), Value::Text(set)) => {
            run.string(text.trim_matches(|c| set.contains(c)))
        }
        ("indexOf", Value::Text(text), Value::Text(part)) => Ok(index(text.find(&**part))),
        ("lastIndexOf", Value::Text(text), Value::Text(part)) => Ok(index(text.rfind(&**part))),
        ("repeat", Value::Text(text), Value::Int(times)) => {
            let times = usize::try_from(*times).unwrap_or(0);
            // Asked for before it is made.
            match run.allocate(text.len().saturating_mul(times)) {
                Ok(()) => Ok(Value::Text(text.repeat(times).into())),
                Err(e) => Err(e),
            }
        }
        ("get", value, key) => match member(value, key) {
            Ok(value) => Ok(value),
            Err(_) => Ok(Value::Nil),
        },
        ("take", list, Value::Int(n)) => {
            let n = usize::try_from(*n).unwrap_or(0);
            let items = list.items()?.into_iter().take(n).collect();
            run.list(items)
        }
        ("sort", list, order) => sort(run, list.items()?, Some(order)),
        ("jsonpath", Value::Text(text), Value::Text(path)) => jsonpath(run, text, path),
        _ => return None,
    })
}

fn ternary<'e>(
    run: &mut Run<'e>,
    name: &str,
    args: (&Value<'e>, &Value<'e>, &Value<'e>),
) -> Outcome<'e> {
    match (name, args) {
        ("replace", (Value::Text(text), Value::Text(from), Value::Text(to))) => {
            let hits = text.matches(&**from).count();
            let bytes = text.len().saturating_add(hits.saturating_mul(to.len()));
            Some(match run.allocate(bytes) {
                Ok(()) => Ok(Value::Text(text.replace(&**from, to).into())),
                Err(e) => Err(e),
            })
        }
        ("split", (Value::Text(text), Value::Text(by), Value::Int(n))) => {
            let n = usize::try_from(*n).unwrap_or(usize::MAX);
            let parts: Result<Vec<_>, _> = text.splitn(n, &**by).map(|p| run.string(p)).collect();
            Some(parts.and_then(|parts| run.list(parts)))
        }
        _ => None,
    }
}

/// Functions of any number of values.
fn many<'e>(run: &mut Run<'e>, name: &str, args: &[Value<'e>]) -> Outcome<'e> {
    match name {
        "min" | "max" | "mean" | "median" => Some(aggregate(name, args)),
        "concat" => {
            let lists: Option<Vec<_>> = args.iter().map(Value::items).collect();
            Some(run.list(lists?.into_iter().flatten().collect()))
        }
        _ => None,
    }
}

pub(super) fn count<'e>(count: usize) -> Value<'e> {
    Value::Int(i64::try_from(count).unwrap_or(i64::MAX))
}

fn index<'e>(at: Option<usize>) -> Value<'e> {
    at.map_or(Value::Int(-1), count)
}

/// A scalar as text, as Go prints it.
pub(super) fn scalar_text(value: &Value<'_>) -> Option<Rc<str>> {
    Some(match value {
        Value::Text(text) => Rc::clone(text),
        Value::Int(n) => n.to_string().into(),
        Value::Float(n) => go_float(*n).into(),
        Value::Bool(b) => b.to_string().into(),
        _ => return None,
    })
}

fn string<'e>(run: &mut Run<'e>, value: &Value<'e>) -> Result<Value<'e>, EvalError> {
    match scalar_text(value) {
        Some(text) => run.string(&text),
        None => json_text(run, value, false),
    }
}

pub(super) fn int<'e>(value: &Value<'e>) -> Result<Value<'e>, EvalError> {
    match value {
        Value::Int(n) => Ok(Value::Int(*n)),
        Value::Float(n) if n.is_finite() => Ok(Value::Int(truncate(*n))),
        Value::Text(text) => match text.parse() {
            Ok(n) => Ok(Value::Int(n)),
            Err(_) => fail(format!("'{}' is no integer", crate::error::cut(text))),
        },
        other => fail(format!("a {} is no integer", other.kind())),
    }
}

pub(super) fn float<'e>(value: &Value<'e>) -> Result<Value<'e>, EvalError> {
    match value {
        Value::Text(text) => match text.parse() {
            Ok(n) => Ok(Value::Float(n)),
            Err(_) => fail(format!("'{}' is no number", crate::error::cut(text))),
        },
        other => match other.number() {
            Some(n) => Ok(Value::Float(n)),
            None => fail(format!("a {} is no number", other.kind())),
        },
    }
}

pub(super) fn json_text<'e>(
    run: &mut Run<'e>,
    value: &Value<'e>,
    indented: bool,
) -> Result<Value<'e>, EvalError> {
    let json = value.to_json(0)?;
    let text =
        if indented { serde_json::to_string_pretty(&json) } else { serde_json::to_string(&json) };
    match text {
        Ok(text) => run.string(&text),
        Err(e) => fail(e.to_string()),
    }
}

pub(super) fn from_json<'e>(run: &mut Run<'e>, text: &str) -> Result<Value<'e>, EvalError> {
    // A value takes at most this many times the bytes of its text.
    run.allocate(text.len().saturating_mul(8))?;
    match serde_json::from_str::<Json>(text) {
        Ok(json) => Value::of_json(&json),
        Err(e) => fail(format!("not JSON: {e}")),
    }
}

/// A path of names and indices: `$.a.b[0]['c']`, or the same in braces.
fn jsonpath<'e>(run: &mut Run<'e>, text: &str, path: &str) -> Result<Value<'e>, EvalError> {
    let mut value = from_json(run, text)?;
    let path = path.trim().trim_start_matches('{').trim_end_matches('}');
    let Some(mut rest) = path.strip_prefix('$') else {
        return fail("a path begins with $");
    };
    while !rest.is_empty() {
        let (key, after) = if let Some(tail) = rest.strip_prefix('[') {
            let Some((key, after)) = tail.split_once(']') else {
                return fail("[ of the path is not closed");
            };
            (key, after)
        } else {
            let Some(tail) = rest.strip_prefix('.') else {
                return fail("expected . or [ in the path");
            };
            tail.split_at(tail.find(['.', '[']).unwrap_or(tail.len()))
        };
        let name = key.trim_matches(['\'', '"']);
        if name.is_empty() || name.starts_with(['*', '?', ':']) {
            return fail("only names and indices are supported in paths");
        }
        let key = match name.parse() {
            Ok(at) if name.len() == key.len() && value.kind() == "array" => Value::Int(at),
            _ => Value::text(name),
        };
        value = member(&value, &key)?;
        rest = after;
    }
    Ok(value)
}

fn duration<'e>(text: &str) -> Result<Value<'e>, EvalError> {
    let mut rest = text;
    let mut total = 0.0_f64;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(rest.len());
        let (number, tail) = rest.split_at(end);
        let end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(end);
        let unit = match unit {
            "ns" => 1.0,
            "us" | "µs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 6e10,
            "h" => 3.6e12,
            _ => return fail("not a duration"),
        };
        let Ok(number) = number.parse::<f64>() else {
            return fail("not a duration");
        };
        total += number * unit;
        rest = tail;
    }
    Ok(Value::Duration(truncate(total)))
}

/// `.Seconds()` and the like.
pub(super) fn duration_method<'e>(nanos: i64, name: &str) -> Result<Value<'e>, EvalError> {
    let nanos_float = super::value::to_float(nanos);
    Ok(match name {
        "Hours" => Value::Float(nanos_float / 3.6e12),
        "Minutes" => Value::Float(nanos_float / 6e10),
        "Seconds" => Value::Float(nanos_float / 1e9),
        "Milliseconds" => Value::Int(nanos / 1_000_000),
        "Microseconds" => Value::Int(nanos / 1_000),
        "Nanoseconds" => Value::Int(nanos),
        _ => return fail(format!("a duration has no function {}", crate::error::cut(name))),
    })
}

pub(super) fn split<'e>(run: &mut Run<'e>, text: &str, by: &str) -> Result<Value<'e>, EvalError> {
    let mut parts = Vec::new();
    if by.is_empty() {
        for c in text.chars() {
            parts.push(run.string(c.encode_utf8(&mut [0; 4]))?);
        }
    } else {
        for part in text.split(by) {
            run.allocate(size_of::<Value<'_>>())?;
            parts.push(run.string(part)?);
        }
    }
    run.list(parts)
}

pub(super) fn join<'e>(
    run: &mut Run<'e>,
    items: &[Value<'e>],
    by: &str,
) -> Result<Value<'e>, EvalError> {
    let mut out = String::new();
    for (at, item) in items.iter().enumerate() {
        let Value::Text(text) = item else {
            return fail(format!("join needs strings, not a {}", item.kind()));
        };
        run.allocate(text.len().saturating_add(by.len()))?;
        if at > 0 {
            out.push_str(by);
        }
        out.push_str(text);
    }
    Ok(Value::Text(out.into()))
}

fn uniq<'e>(run: &mut Run<'e>, items: Vec<Value<'e>>) -> Result<Value<'e>, EvalError> {
    let mut out: Vec<Value<'e>> = Vec::new();
    for item in items {
        run.spend(out.len().saturating_mul(item.weight()))?;
        if !out.iter().any(|seen| seen.equals(&item)) {
            out.push(item);
        }
    }
    run.list(out)
}

fn sort<'e>(
    run: &mut Run<'e>,
    items: Vec<Value<'e>>,
    order: Option<&Value<'e>>,
) -> Result<Value<'e>, EvalError> {
    let sorted = sorted(run, items.into_iter().map(|item| (item.clone(), item)), order)?;
    run.list(sorted)
}

/// Items in the order of their keys; `order` may be `desc`.
pub(super) fn sorted<'e>(
    run: &mut Run<'e>,
    keyed: impl Iterator<Item = (Value<'e>, Value<'e>)>,
    order: Option<&Value<'e>>,
) -> Result<Vec<Value<'e>>, EvalError> {
    let mut keyed: Vec<_> = keyed.collect();
    run.spend(keyed.len().saturating_mul(8))?;
    let mut comparable = true;
    keyed.sort_by(|(a, _), (b, _)| {
        a.compare(b).unwrap_or_else(|| {
            comparable = false;
            std::cmp::Ordering::Equal
        })
    });
    if !comparable {
        return fail("sort needs only numbers or only strings");
    }
    let mut items: Vec<_> = keyed.into_iter().map(|(_, item)| item).collect();
    if matches!(order, Some(Value::Text(order)) if **order == *"desc") {
        items.reverse();
    }
    Ok(items)
}

/// The sum of numbers; of integers an integer.
pub(super) fn sum<'e>(items: &[Value<'e>]) -> Result<Value<'e>, EvalError> {
    let mut total = 0_i64;
    let mut float = 0.0_f64;
    let mut whole = true;
    for item in items {
        match item {
            Value::Int(n) => {
                let Some(next) = total.checked_add(*n) else {
                    return overflow();
                };
                total = next;
            }
            Value::Float(n) => {
                float += n;
                whole = false;
            }
            other => return fail(format!("sum needs numbers, not a {}", other.kind())),
        }
    }
    Ok(if whole { Value::Int(total) } else { Value::Float(super::value::to_float(total) + float) })
}

fn aggregate<'e>(name: &str, items: &[Value<'e>]) -> Result<Value<'e>, EvalError> {
    let flat: Vec<Value<'e>> =
        items.iter().flat_map(|item| item.items().unwrap_or_else(|| vec![item.clone()])).collect();
    let mut numbers = Vec::with_capacity(flat.len());
    for item in &flat {
        match item.number() {
            Some(number) => numbers.push(number),
            None => return fail(format!("{name} needs numbers, not a {}", item.kind())),
        }
    }
    let order = |a: &Value<'e>, b: &Value<'e>| a.compare(b).unwrap_or(std::cmp::Ordering::Equal);
    let result = match name {
        "min" => flat.into_iter().min_by(order),
        "max" => flat.into_iter().max_by(order),
        "mean" => {
            let count = super::value::to_float(i64::try_from(numbers.len()).unwrap_or(i64::MAX));
            (!numbers.is_empty()).then(|| Value::Float(numbers.iter().sum::<f64>() / count))
        }
        _ => median(numbers),
    };
    match result {
        Some(value) => Ok(value),
        None => fail(format!("{name} of nothing")),
    }
}

fn median<'e>(mut numbers: Vec<f64>) -> Option<Value<'e>> {
    numbers.sort_by(f64::total_cmp);
    let middle = numbers.len() / 2;
    let upper = numbers.get(middle).copied()?;
    if numbers.len() % 2 == 1 {
        return Some(Value::Float(upper));
    }
    let lower = numbers.get(middle.checked_sub(1)?).copied()?;
    Some(Value::Float(f64::midpoint(lower, upper)))
}

/// A number that is whole as an integer, as sprig's arithmetic wants it.
pub(super) fn to_int(value: &Value<'_>) -> i64 {
    match value {
        Value::Int(n) => *n,
        Value::Float(n) => whole(*n).unwrap_or_else(|| truncate(*n)),
        Value::Text(text) => text.parse().unwrap_or(0),
        Value::Bool(b) => i64::from(*b),
        _ => 0,
    }
}
