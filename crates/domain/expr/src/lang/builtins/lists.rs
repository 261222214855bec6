//! Functions of lists.

use super::{int_at, items_at, one};
use crate::lang::eval::{Outcome, Run, descending};
use crate::lang::fault::{Fault, fail};
use crate::lang::nature::Type;
use crate::lang::value::Value;

pub(super) fn check_list(given: &[Type]) -> Result<Type, String> {
    let of = one(given)?;
    if of.is_list() || of.is_unknown() {
        return Ok(Type::LIST);
    }
    Err(format!("needs a list, not a {of}"))
}

pub(super) fn check_end(given: &[Type]) -> Result<Type, String> {
    let of = one(given)?;
    if of.is_unknown() {
        return Ok(Type::UNKNOWN);
    }
    // Go looks at the list's own type only: `[]any` or `[]string`.
    match of.is_list() {
        true if of.is_any_list() => Ok(Type::ANY),
        true => Ok(Type::TEXT),
        false => Err(format!("needs a list, not a {of}")),
    }
}

pub(super) fn check_take(given: &[Type]) -> Result<Type, String> {
    let [list, number] = given else {
        return Err(format!("expected 2 arguments, got {}", given.len()));
    };
    if !list.is_list() && !list.is_unknown() {
        return Err(format!("cannot take from a {list}"));
    }
    if !number.is_int() && !number.is_unknown() {
        return Err(format!("cannot take {number} items"));
    }
    Ok(if list.is_any_list() { Type::LIST } else { *list })
}

pub(super) fn check_concat(given: &[Type]) -> Result<Type, String> {
    if given.is_empty() {
        return Err("expected at least 1 argument".to_owned());
    }
    match given.iter().find(|of| !of.is_list() && !of.is_unknown()) {
        Some(of) => Err(format!("cannot concat a {of}")),
        None => Ok(Type::LIST),
    }
}

/// The item at an index, or nil.
fn end<'e>(run: &mut Run<'e>, args: &[Value<'e>], at: i64) -> Outcome<'e> {
    match args.first() {
        Some(list @ (Value::List(_) | Value::Text(_))) => {
            Ok(run.member(list, &Value::Int(at)).unwrap_or(Value::Nil))
        }
        _ => Ok(Value::Nil),
    }
}

pub(super) fn first<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    end(run, args, 0)
}

pub(super) fn last<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    end(run, args, -1)
}

pub(super) fn take<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    let items = items_at(args, 0)?;
    let Ok(count) = usize::try_from(int_at(args, 1)?) else {
        return fail("cannot take a negative number of items");
    };
    run.list(items.iter().take(count).cloned().collect())
}

pub(super) fn reverse<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    let items = items_at(args, 0)?;
    run.list(items.iter().rev().cloned().collect())
}

pub(super) fn concat<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    let mut out = Vec::new();
    for at in 0..args.len() {
        out.extend_from_slice(items_at(args, at)?);
    }
    run.list(out)
}

pub(super) fn uniq<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    unique(run, items_at(args, 0)?)
}

/// Every value once, in the order of their first appearance.
pub(super) fn unique<'e>(run: &mut Run<'e>, items: &[Value<'e>]) -> Outcome<'e> {
    let mut out: Vec<Value<'e>> = Vec::new();
    for item in items {
        run.spend(out.len().saturating_mul(item.weight()))?;
        if !out.iter().any(|seen| seen.equals(item)) {
            out.push(item.clone());
        }
    }
    run.list(out)
}

fn flat<'e>(run: &mut Run<'e>, items: &[Value<'e>], out: &mut Vec<Value<'e>>) -> Result<(), Fault> {
    for item in items {
        run.spend(1)?;
        match item.items() {
            Some(inner) => flat(run, inner, out)?,
            None => out.push(item.clone()),
        }
    }
    Ok(())
}

pub(super) fn flatten<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    let mut out = Vec::new();
    flat(run, items_at(args, 0)?, &mut out)?;
    run.list(out)
}

pub(super) fn sort<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    // What only now turns out to be no list is an empty one, as in Go.
    let items = args.first().and_then(Value::items).unwrap_or(&[]);
    let descending = descending(args.get(1))?;
    let keyed = items.iter().map(|item| (item.clone(), item.clone())).collect();
    run.sorted(keyed, descending)
}
