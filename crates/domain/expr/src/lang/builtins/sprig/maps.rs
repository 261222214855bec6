//! Maps.

use std::collections::BTreeMap;

use super::{empty, function, shown, text_at};
use crate::lang::builtins::Builtin;
use crate::lang::builtins::maps::map_at;
use crate::lang::eval::{Outcome, Run};
use crate::lang::fault::{Fault, fail};
use crate::lang::value::{Key, Map, Value};

pub(super) static TABLE: [Builtin; 15] = [
    function("dict", dict),
    function("dig", dig),
    function("get", get),
    function("hasKey", has_key),
    function("keys", keys),
    function("merge", merge),
    function("mergeOverwrite", merge_overwrite),
    function("mustMerge", merge),
    function("mustMergeOverwrite", merge_overwrite),
    function("omit", omit),
    function("pick", pick),
    function("pluck", pluck),
    function("set", set),
    function("unset", unset),
    function("values", values),
];

type Entries<'e> = BTreeMap<Key, Value<'e>>;

fn dict<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    let mut entries = Entries::new();
    for pair in args.chunks(2) {
        if let Some(key) = pair.first() {
            let key = shown(key);
            run.allocate(key.len().saturating_add(size_of::<Value<'_>>()))?;
            let value = pair.get(1).cloned().unwrap_or_else(|| Value::text(""));
            entries.insert(Key::text(&key), value);
        }
    }
    Value::map(entries)
}

fn get<'e>(_: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    let found = map_at(args, 0)?.entries.get(&Key::text(text_at(args, 1)?));
    Ok(found.cloned().unwrap_or_else(|| Value::text("")))
}

fn has_key<'e>(_: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    Ok(Value::Bool(map_at(args, 0)?.entries.contains_key(&Key::text(text_at(args, 1)?))))
}

/// The entries of a map, copied within the budget.
fn copied<'e>(run: &mut Run<'e>, map: &Map<'e>) -> Result<Entries<'e>, Fault> {
    run.allocate(map.entries.len().saturating_mul(2 * size_of::<Value<'_>>()))?;
    Ok(map.entries.clone())
}

fn set<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    let mut entries = copied(run, map_at(args, 0)?)?;
    let Some(value) = args.get(2) else {
        return fail("needs a map, a key and a value");
    };
    entries.insert(Key::text(text_at(args, 1)?), value.clone());
    Value::map(entries)
}

fn unset<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    let mut entries = copied(run, map_at(args, 0)?)?;
    entries.remove(&Key::text(text_at(args, 1)?));
    Value::map(entries)
}

/// The keys given from the second argument on.
fn named(args: &[Value<'_>]) -> Result<Vec<Key>, Fault> {
    (1..args.len()).map(|at| text_at(args, at).map(Key::text)).collect()
}

fn pick<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    let keys = named(args)?;
    let mut entries = copied(run, map_at(args, 0)?)?;
    entries.retain(|key, _| keys.contains(key));
    Value::map(entries)
}

fn omit<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    let keys = named(args)?;
    let mut entries = copied(run, map_at(args, 0)?)?;
    entries.retain(|key, _| !keys.contains(key));
    Value::map(entries)
}

fn keys<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    let mut out = Vec::new();
    for at in 0..args.len() {
        out.extend(map_at(args, at)?.entries.keys().map(Key::value));
    }
    run.list(out)
}

fn values<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    run.list(map_at(args, 0)?.entries.values().cloned().collect())
}

fn pluck<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    let key = Key::text(text_at(args, 0)?);
    let mut out = Vec::new();
    for at in 1..args.len() {
        out.extend(map_at(args, at)?.entries.get(&key).cloned());
    }
    run.list(out)
}

fn dig<'e>(_: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    let [keys @ .., default, _] = args else {
        return fail("needs keys, a default and a map");
    };
    if keys.is_empty() {
        return fail("needs keys, a default and a map");
    }
    let mut map = map_at(args, args.len().saturating_sub(1))?;
    for at in 0..keys.len() {
        let Some(found) = map.entries.get(&Key::text(text_at(args, at)?)) else {
            return Ok(default.clone());
        };
        match found {
            Value::Map(inner) if at + 1 < keys.len() => map = inner,
            _ if at + 1 < keys.len() => return fail(format!("a {} is no map", found.kind())),
            _ => return Ok(found.clone()),
        }
    }
    Ok(default.clone())
}

/// Puts `more` into `entries`, maps in maps as well. What is there and not empty stays, unless
/// `over` lets the later one win.
fn merged<'e>(
    run: &mut Run<'e>,
    entries: &mut Entries<'e>,
    more: &Map<'e>,
    over: bool,
) -> Result<(), Fault> {
    for (key, value) in &more.entries {
        run.spend(1)?;
        run.allocate(2 * size_of::<Value<'_>>())?;
        match (entries.get(key), value) {
            (Some(Value::Map(old)), Value::Map(new)) => {
                let mut inner = copied(run, old)?;
                merged(run, &mut inner, new, over)?;
                entries.insert(key.clone(), Value::map(inner)?);
            }
            (Some(old), new) if (over && empty(new)) || (!over && !empty(old)) => {}
            _ => {
                entries.insert(key.clone(), value.clone());
            }
        }
    }
    Ok(())
}

fn all_merged<'e>(run: &mut Run<'e>, args: &[Value<'e>], over: bool) -> Outcome<'e> {
    let mut entries = copied(run, map_at(args, 0)?)?;
    for at in 1..args.len() {
        merged(run, &mut entries, map_at(args, at)?, over)?;
    }
    Value::map(entries)
}

fn merge<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    all_merged(run, args, false)
}

fn merge_overwrite<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    all_merged(run, args, true)
}
