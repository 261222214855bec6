//! Arithmetic: everything is turned into an integer first, unless the name ends in `f`.

use super::{function, int_at, text_at, to_float, to_int};
use crate::lang::builtins::Builtin;
use crate::lang::eval::{Outcome, Run, overflow};
use crate::lang::fault::fail;
use crate::lang::value::Value;

pub(super) static TABLE: [Builtin; 25] = [
    function("add", add),
    function("add1", add1),
    function("add1f", add1f),
    function("addf", addf),
    function("atoi", atoi),
    function("biggest", max),
    function("ceil", ceil),
    function("div", div),
    function("divf", divf),
    function("float64", float),
    function("floor", floor),
    function("int", int),
    function("int64", int),
    function("max", max),
    function("maxf", maxf),
    function("min", min),
    function("minf", minf),
    function("mod", modulo),
    function("mul", mul),
    function("mulf", mulf),
    function("round", round),
    function("seq", seq),
    function("sub", sub),
    function("subf", subf),
    function("toDecimal", to_decimal),
];

fn folded<'e>(
    args: &[Value<'e>],
    count: std::ops::RangeInclusive<usize>,
    of: fn(i64, i64) -> Option<i64>,
) -> Outcome<'e> {
    if !count.contains(&args.len()) {
        return fail(format!("does not take {} arguments", args.len()));
    }
    let mut numbers = args.iter().map(to_int);
    let first = numbers.next().unwrap_or(0);
    numbers.try_fold(first, of).map_or_else(overflow, |n| Ok(Value::Int(n)))
}

const MANY: usize = usize::MAX;

fn add<'e>(_: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    folded(args, 0..=MANY, i64::checked_add)
}

fn add1<'e>(_: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    match args {
        [value] => to_int(value).checked_add(1).map_or_else(overflow, |n| Ok(Value::Int(n))),
        _ => fail("needs one number"),
    }
}

fn sub<'e>(_: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    folded(args, 2..=2, i64::checked_sub)
}

fn mul<'e>(_: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    folded(args, 1..=MANY, i64::checked_mul)
}

fn divided<'e>(args: &[Value<'e>], of: fn(i64, i64) -> Option<i64>) -> Outcome<'e> {
    if args.len() == 2 && args.get(1).is_some_and(|by| to_int(by) == 0) {
        return fail("integer divide by zero");
    }
    folded(args, 2..=2, of)
}

fn div<'e>(_: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    divided(args, i64::checked_div)
}

fn modulo<'e>(_: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    divided(args, i64::checked_rem)
}

fn max<'e>(_: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    folded(args, 1..=MANY, |a, b| Some(a.max(b)))
}

fn min<'e>(_: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    folded(args, 1..=MANY, |a, b| Some(a.min(b)))
}

fn floats<'e>(args: &[Value<'e>], of: fn(f64, f64) -> f64) -> Outcome<'e> {
    let mut numbers = args.iter().map(to_float);
    let Some(first) = numbers.next() else {
        return fail("a number is missing");
    };
    Ok(Value::Float(numbers.fold(first, of)))
}

/// Sums of decimals as people write them: 0.1 + 0.2 is 0.3.
fn decimal(value: f64) -> f64 {
    format!("{value:.15e}").parse::<f64>().ok().map_or(value, |exact| {
        let short: f64 = format!("{exact:.14e}").parse().unwrap_or(exact);
        if (short - exact).abs() <= exact.abs() * 1e-15 { short } else { exact }
    })
}

fn addf<'e>(_: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    match args {
        [] => Ok(Value::Float(0.0)),
        all => floats(all, |a, b| decimal(a + b)),
    }
}

fn add1f<'e>(_: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    match args {
        [value] => Ok(Value::Float(decimal(to_float(value) + 1.0))),
        _ => fail("needs one number"),
    }
}

fn subf<'e>(_: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    floats(args, |a, b| decimal(a - b))
}

fn mulf<'e>(_: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    floats(args, |a, b| decimal(a * b))
}

fn divf<'e>(_: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    if args.iter().skip(1).any(|by| to_float(by) == 0.0) {
        return fail("division by zero");
    }
    floats(args, |a, b| decimal(a / b))
}

fn maxf<'e>(_: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    floats(args, f64::max)
}

fn minf<'e>(_: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    floats(args, f64::min)
}

fn one<'e>(args: &[Value<'e>], of: fn(&Value<'e>) -> Value<'e>) -> Outcome<'e> {
    match args {
        [value] => Ok(of(value)),
        _ => fail(format!("does not take {} arguments", args.len())),
    }
}

fn int<'e>(_: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    one(args, |value| Value::Int(to_int(value)))
}

fn atoi<'e>(_: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    Ok(Value::Int(text_at(args, 0)?.parse().unwrap_or(0)))
}

fn float<'e>(_: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    one(args, |value| Value::Float(to_float(value)))
}

fn ceil<'e>(_: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    one(args, |value| Value::Float(to_float(value).ceil()))
}

fn floor<'e>(_: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    one(args, |value| Value::Float(to_float(value).floor()))
}

fn round<'e>(_: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    let (value, places, on) = match args {
        [value, Value::Int(places)] => (value, *places, 0.5),
        [value, Value::Int(places), Value::Float(on)] => (value, *places, *on),
        _ => return fail("needs a number and how many places to round to"),
    };
    let power = 10_f64.powf(crate::lang::value::to_float(places));
    let digit = power * to_float(value);
    let rounded = if digit.fract() >= on { digit.ceil() } else { digit.floor() };
    Ok(Value::Float(rounded / power))
}

/// The text read as an octal number.
fn to_decimal<'e>(_: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    one(args, |value| Value::Int(i64::from_str_radix(&super::shown(value), 8).unwrap_or(0)))
}

fn seq<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    let (start, end, step) = match args.len() {
        0 => return run.string(""),
        1 => (1, int_at(args, 0)?, 1),
        2 => (int_at(args, 0)?, int_at(args, 1)?, 1),
        3 => (int_at(args, 0)?, int_at(args, 2)?, int_at(args, 1)?),
        _ => return run.string(""),
    };
    let down = end < start;
    if (args.len() == 3 && down && step > 0) || step == 0 {
        return run.string("");
    }
    let step = if args.len() < 3 && down { -1 } else { step };
    let stop = end.saturating_add(if down { -1 } else { 1 });
    let numbers = super::lists::stepped(run, (start, stop, step))?;
    let texts: Vec<String> = numbers.iter().map(super::shown).collect();
    run.string(&texts.join(" "))
}
