//! Random texts, derived from the seed of the evaluation.

use super::{function, int_at};
use crate::lang::builtins::Builtin;
use crate::lang::eval::{Outcome, Run};
use crate::lang::fault::fail;
use crate::lang::value::Value;

pub(super) static TABLE: [Builtin; 6] = [
    function("randAlpha", rand_alpha),
    function("randAlphaNum", rand_alpha_num),
    function("randAscii", rand_ascii),
    function("randInt", rand_int),
    function("randNumeric", rand_numeric),
    function("uuidv4", uuidv4),
];

const DIGITS: &str = "0123456789";
const LETTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

fn below(run: &mut Run<'_>, limit: usize) -> usize {
    let limit = u64::try_from(limit).unwrap_or(1).max(1);
    usize::try_from(run.draw() % limit).unwrap_or(0)
}

fn drawn<'e>(run: &mut Run<'e>, args: &[Value<'e>], from: &[u8]) -> Outcome<'e> {
    let Ok(length) = usize::try_from(int_at(args, 0)?) else {
        return fail("the length must not be negative");
    };
    run.spend(length)?;
    run.allocate(length)?;
    let mut out = String::with_capacity(length);
    for _ in 0..length {
        let at = below(run, from.len());
        out.push(char::from(from.get(at).copied().unwrap_or(b'0')));
    }
    Ok(Value::text(&out))
}

fn rand_alpha<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    drawn(run, args, LETTERS.as_bytes())
}

fn rand_numeric<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    drawn(run, args, DIGITS.as_bytes())
}

fn rand_alpha_num<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    drawn(run, args, format!("{LETTERS}{DIGITS}").as_bytes())
}

fn rand_ascii<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    let printable: Vec<u8> = (b' '..=b'~').collect();
    drawn(run, args, &printable)
}

fn rand_int<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    let (from, to) = (int_at(args, 0)?, int_at(args, 1)?);
    match to.checked_sub(from).and_then(|width| usize::try_from(width).ok()) {
        Some(width) if width > 0 => {
            let at = i64::try_from(below(run, width)).unwrap_or(0);
            Ok(Value::Int(from.saturating_add(at)))
        }
        _ => fail("the upper end must be above the lower one"),
    }
}

fn uuidv4<'e>(run: &mut Run<'e>, _: &[Value<'e>]) -> Outcome<'e> {
    let bits = (u128::from(run.draw()) << 64) | u128::from(run.draw());
    let id = uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid();
    run.string(&id.to_string())
}
