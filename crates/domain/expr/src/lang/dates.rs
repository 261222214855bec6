//! Times and durations as Go has them.

mod layout;
mod methods;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Zoned};

use super::ast::Operator;
use super::eval::Outcome;
use super::fault::{Fault, fail};
use super::value::{Value, to_float, truncate};
pub(super) use layout::{format, parse};
pub(super) use methods::{duration_method, method_type, time_method};

const NANOS: i64 = 1_000_000_000;

/// The instant of milliseconds since the epoch, in UTC.
pub(super) fn instant<'e>(milliseconds: i64) -> Value<'e> {
    let at = jiff::Timestamp::from_millisecond(milliseconds).unwrap_or_default();
    Value::Time(at.to_zoned(TimeZone::UTC).into())
}

/// A zone by its name. `Local` is UTC: a server decides nothing by where it stands.
///
/// # Errors
/// There is no such zone, or it is not known here.
pub(super) fn zone(name: &str) -> Result<TimeZone, Fault> {
    if matches!(name, "" | "UTC" | "Local") {
        return Ok(TimeZone::UTC);
    }
    match TimeZone::get(name) {
        Ok(zone) => Ok(zone),
        Err(_) => fail(format!("unknown time zone {}", crate::error::cut(name))),
    }
}

/// `+`, `-` and `*` of times and durations; none if the operands are something else.
pub(super) fn arithmetic<'e>(
    operator: Operator,
    left: &Value<'e>,
    right: &Value<'e>,
) -> Option<Outcome<'e>> {
    use Operator as O;
    let duration = |nanos: Option<i64>| match nanos {
        Some(nanos) => Ok(Value::Duration(nanos)),
        None => fail("the duration is too long"),
    };
    Some(match (operator, left, right) {
        (O::Add, Value::Duration(a), Value::Duration(b)) => duration(a.checked_add(*b)),
        (O::Subtract, Value::Duration(a), Value::Duration(b)) => duration(a.checked_sub(*b)),
        (O::Multiply, Value::Duration(a), Value::Duration(b) | Value::Int(b))
        | (O::Multiply, Value::Int(a), Value::Duration(b)) => duration(a.checked_mul(*b)),
        (O::Multiply, Value::Duration(a), Value::Float(b))
        | (O::Multiply, Value::Float(b), Value::Duration(a)) => Ok(Value::Float(to_float(*a) * b)),
        (O::Add, Value::Time(time), Value::Duration(nanos))
        | (O::Add, Value::Duration(nanos), Value::Time(time)) => moved(time, *nanos),
        (O::Subtract, Value::Time(time), Value::Duration(nanos)) => {
            moved(time, nanos.saturating_neg())
        }
        (O::Subtract, Value::Time(a), Value::Time(b)) => {
            let nanos = a.timestamp().duration_since(b.timestamp()).as_nanos();
            duration(i64::try_from(nanos).ok())
        }
        _ => return None,
    })
}

fn moved<'e>(time: &Zoned, nanos: i64) -> Outcome<'e> {
    match time.checked_add(SignedDuration::from_nanos(nanos)) {
        Ok(time) => Ok(Value::Time(time.into())),
        Err(_) => fail("the time is out of range"),
    }
}

/// A duration as `time.ParseDuration` reads it, in nanoseconds.
pub(super) fn parse_duration(text: &str) -> Option<i64> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total = 0.0_f64;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(rest.len());
        let (number, tail) = rest.split_at_checked(end)?;
        let end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at_checked(end)?;
        let unit = match unit {
            "ns" => 1.0,
            "us" | "µs" | "μs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 6e10,
            "h" => 3.6e12,
            _ => return None,
        };
        total += number.parse::<f64>().ok()? * unit;
        rest = tail;
    }
    (total < 9.2e18).then(|| truncate(sign * total))
}

/// A duration as Go's `%v` writes it: `1h30m0s`, `1.5s`, `100ms`.
pub(super) fn go_duration(nanos: i64) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let size = nanos.unsigned_abs();
    let decimal = |unit: u64, name: &str| {
        let (whole, part) = (size / unit, size % unit);
        let width = usize::try_from(unit.ilog10()).unwrap_or(0);
        let digits = format!("{part:0width$}");
        let digits = digits.trim_end_matches('0');
        match part {
            0 => format!("{sign}{whole}{name}"),
            _ => format!("{sign}{whole}.{digits}{name}"),
        }
    };
    match size {
        0 => "0s".to_owned(),
        1..1_000 => format!("{sign}{size}ns"),
        1_000..1_000_000 => decimal(1_000, "µs"),
        1_000_000..1_000_000_000 => decimal(1_000_000, "ms"),
        _ => {
            let (minutes, rest) = (size / 60_000_000_000, size % 60_000_000_000);
            let (seconds, part) = (rest / 1_000_000_000, rest % 1_000_000_000);
            let digits = format!("{part:09}");
            let digits = digits.trim_end_matches('0');
            let dot = if digits.is_empty() { "" } else { "." };
            let tail = format!("{seconds}{dot}{digits}s");
            match (minutes / 60, minutes % 60) {
                (0, 0) => format!("{sign}{tail}"),
                (0, minutes) => format!("{sign}{minutes}m{tail}"),
                (hours, minutes) => format!("{sign}{hours}h{minutes}m{tail}"),
            }
        }
    }
}

/// A time as Go's `%v` writes it.
pub(super) fn go_time(time: &Zoned) -> String {
    format(time, "2006-01-02 15:04:05.999999999 -0700 MST")
}

/// A time as Go's JSON writes it.
pub(super) fn rfc3339(time: &Zoned) -> String {
    format(time, "2006-01-02T15:04:05.999999999Z07:00")
}
