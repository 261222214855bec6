//! Functions of maps.

use std::collections::BTreeMap;

use super::{items_at, one, wrong};
use crate::lang::eval::{Outcome, Run};
use crate::lang::fault::{Fault, fail};
use crate::lang::nature::Type;
use crate::lang::value::{Key, Map, Value};

pub(super) fn check_map(given: &[Type]) -> Result<Type, String> {
    let of = one(given)?;
    if of.is_map() || of.is_unknown() {
        return Ok(Type::LIST);
    }
    Err(format!("needs a map, not a {of}"))
}

pub(super) fn check_from_pairs(given: &[Type]) -> Result<Type, String> {
    let of = one(given)?;
    if of.is_list() || of.is_unknown() {
        return Ok(Type::ANY_MAP);
    }
    Err(format!("needs a list of pairs, not a {of}"))
}

pub(super) fn check_get(given: &[Type]) -> Result<Type, String> {
    let [base, key] = given else {
        return Err(format!("expected 2 arguments, got {}", given.len()));
    };
    if base.is_unknown() {
        return Ok(Type::UNKNOWN);
    }
    if base.is_list() && !key.is_int() && !key.is_unknown() {
        return Err(format!("a {key} is no index of a list"));
    }
    if base.is_map() && !key.assignable_to(base.key()) && !key.is_unknown() {
        return Err(format!("cannot use {key} to get an element from a map"));
    }
    if base.is_list() || base.is_map() {
        return Ok(base.elem());
    }
    Err(format!("type {base} does not support indexing"))
}

/// The map given first.
pub(super) fn map_at<'v, 'e>(args: &'v [Value<'e>], at: usize) -> Result<&'v Map<'e>, Fault> {
    match args.get(at) {
        Some(Value::Map(map)) => Ok(map),
        other => wrong("a map", other),
    }
}

pub(super) fn get<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    match args {
        [Value::Nil, _] => Ok(Value::Nil),
        [Value::Map(map), key] if !map.any_keys && !matches!(key, Value::Text(_)) => {
            fail(format!("cannot fetch a {} from a map", key.kind()))
        }
        [Value::List(_) | Value::Text(_), key] if key.number().is_none() => {
            fail(format!("a {} is no index", key.kind()))
        }
        [base, key] => match run.member(base, key) {
            Ok(value) => Ok(value),
            Err(Fault::Limit(limit)) => Err(Fault::Limit(limit)),
            Err(_) => Ok(Value::Nil),
        },
        _ => fail("needs a value and a key"),
    }
}

pub(super) fn keys<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    let keys = map_at(args, 0)?.entries.keys().map(Key::value).collect();
    run.list(keys)
}

pub(super) fn values<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    let values = map_at(args, 0)?.entries.values().cloned().collect();
    run.list(values)
}

pub(super) fn to_pairs<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    let entries = &map_at(args, 0)?.entries;
    let mut pairs = Vec::with_capacity(entries.len());
    for (key, value) in entries {
        pairs.push(run.list(vec![key.value(), value.clone()])?);
    }
    run.list(pairs)
}

pub(super) fn from_pairs<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    let mut entries = BTreeMap::new();
    for pair in items_at(args, 0)? {
        let Some([key, value]) = pair.items() else {
            return fail("a pair must be a list of two values");
        };
        let Some(key) = Key::of(key) else {
            return fail(format!("a {} is no key of a map", key.kind()));
        };
        run.allocate(2 * size_of::<Value<'_>>())?;
        entries.insert(key, value.clone());
    }
    Value::any_map(entries)
}
