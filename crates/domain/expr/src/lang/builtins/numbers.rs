//! Functions of numbers.

use super::{one, wrong};
use crate::lang::eval::{Outcome, Run, overflow};
use crate::lang::fault::{Fault, fail};
use crate::lang::nature::Type;
use crate::lang::value::Value;

/// Go's kinds of numbers: a duration is one as well, though most functions refuse it when they
/// run.
fn numeric(of: Type) -> bool {
    of.is_number() || of.is_duration() || of == Type::NAMED
}

pub(super) fn check_abs(given: &[Type]) -> Result<Type, String> {
    let of = one(given)?;
    if numeric(of) || of.is_unknown() {
        return Ok(of);
    }
    Err(format!("invalid argument for abs (type {of})"))
}

pub(super) fn check_round(given: &[Type]) -> Result<Type, String> {
    let of = one(given)?;
    if numeric(of) || of.is_unknown() {
        return Ok(Type::FLOAT);
    }
    Err(format!("only a number can be rounded, not a {of}"))
}

pub(super) fn check_aggregate(given: &[Type]) -> Result<Type, String> {
    let Some(first) = given.first() else {
        return Err("not enough arguments".to_owned());
    };
    for of in given {
        if of.is_unknown() || of.is_list() {
            return Ok(Type::UNKNOWN);
        }
        if !numeric(*of) {
            return Err(format!("takes numbers and lists of numbers, not a {of}"));
        }
    }
    Ok(*first)
}

pub(super) fn abs<'e>(_: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    match args.first() {
        Some(Value::Int(n)) => n.checked_abs().map_or_else(overflow, |n| Ok(Value::Int(n))),
        Some(Value::Float(n)) => Ok(Value::Float(n.abs())),
        other => wrong("a number", other),
    }
}

fn rounded<'e>(args: &[Value<'e>], round: fn(f64) -> f64) -> Outcome<'e> {
    match args.first().and_then(Value::number) {
        Some(number) => Ok(Value::Float(round(number))),
        None => wrong("a number", args.first()),
    }
}

pub(super) fn ceil<'e>(_: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    rounded(args, f64::ceil)
}

pub(super) fn floor<'e>(_: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    rounded(args, f64::floor)
}

pub(super) fn round<'e>(_: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    rounded(args, f64::round)
}

/// All numbers of values, lists opened.
fn numbers<'v, 'e>(args: &'v [Value<'e>], out: &mut Vec<&'v Value<'e>>) -> Result<(), Fault> {
    for value in args {
        match value {
            Value::Int(_) | Value::Float(_) => out.push(value),
            Value::List(list) => numbers(&list.items, out)?,
            other => return wrong("numbers and lists of numbers", Some(other)),
        }
    }
    Ok(())
}

fn extreme<'e>(args: &[Value<'e>], better: std::cmp::Ordering) -> Outcome<'e> {
    // A single value that is no list is the result, whatever it is.
    if let [only] = args
        && !matches!(only, Value::List(_))
    {
        return Ok(only.clone());
    }
    let mut all = Vec::new();
    numbers(args, &mut all)?;
    let best = all.into_iter().reduce(|best, next| match next.compare(best) {
        Some(order) if order == better => next,
        _ => best,
    });
    Ok(best.cloned().unwrap_or(Value::Nil))
}

pub(super) fn max<'e>(_: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    extreme(args, std::cmp::Ordering::Greater)
}

pub(super) fn min<'e>(_: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    extreme(args, std::cmp::Ordering::Less)
}

fn floats(args: &[Value<'_>]) -> Result<Vec<f64>, Fault> {
    let mut all = Vec::new();
    numbers(args, &mut all)?;
    Ok(all.into_iter().filter_map(Value::number).collect())
}

#[expect(clippy::cast_precision_loss, reason = "a list has fewer items than a float can count")]
pub(super) fn mean<'e>(_: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    let all = floats(args)?;
    let count = all.len().max(1) as f64;
    Ok(Value::Float(all.iter().fold(0.0, |sum, n| sum + n) / count))
}

pub(super) fn median<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    let mut all = floats(args)?;
    run.spend(all.len().saturating_mul(8))?;
    all.sort_by(f64::total_cmp);
    let half = all.len() / 2;
    let at = |place: usize| all.get(place).copied().unwrap_or(0.0);
    Ok(Value::Float(match (all.len(), all.len() % 2) {
        (0, _) => 0.0,
        (_, 1) => at(half),
        _ => f64::midpoint(at(half.saturating_sub(1)), at(half)),
    }))
}

fn bits<'e>(args: &[Value<'e>], of: fn(i64, i64) -> i64) -> Outcome<'e> {
    match args {
        [Value::Int(a), Value::Int(b)] => Ok(Value::Int(of(*a, *b))),
        _ => fail("needs two integers"),
    }
}

/// A shift; by 64 places or more nothing is left.
fn shifted<'e>(args: &[Value<'e>], of: fn(i64, u32) -> Option<i64>, gone: i64) -> Outcome<'e> {
    match args {
        [Value::Int(_), Value::Int(places)] if *places < 0 => {
            fail(format!("negative shift count {places}"))
        }
        [Value::Int(value), Value::Int(places)] => {
            let gone = if *value < 0 { gone } else { 0 };
            let places = u32::try_from(*places).unwrap_or(u32::MAX);
            Ok(Value::Int(of(*value, places).unwrap_or(gone)))
        }
        _ => fail("needs two integers"),
    }
}

pub(super) fn bitand<'e>(_: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    bits(args, |a, b| a & b)
}

pub(super) fn bitor<'e>(_: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    bits(args, |a, b| a | b)
}

pub(super) fn bitxor<'e>(_: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    bits(args, |a, b| a ^ b)
}

pub(super) fn bitnand<'e>(_: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    bits(args, |a, b| a & !b)
}

pub(super) fn bitnot<'e>(_: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    match args {
        [Value::Int(a)] => Ok(Value::Int(!a)),
        _ => fail("needs an integer"),
    }
}

pub(super) fn bitshl<'e>(_: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    shifted(args, i64::checked_shl, 0)
}

pub(super) fn bitshr<'e>(_: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    shifted(args, i64::checked_shr, -1)
}

pub(super) fn bitushr<'e>(_: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    shifted(args, |a, n| a.cast_unsigned().checked_shr(n).map(u64::cast_signed), 0)
}
