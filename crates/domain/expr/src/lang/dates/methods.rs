//! The methods of times and durations.

use jiff::{SignedDuration, Span, Zoned};

use super::layout::{MONTHS, day_name};
use super::{NANOS, format, go_duration, go_time};
use crate::lang::eval::{Outcome, Run};
use crate::lang::fault::fail;
use crate::lang::nature::Type;
use crate::lang::value::{Value, to_float};

/// What a method of a time or a duration gives; none if there is none of that name.
pub(in crate::lang) fn method_type(base: Type, name: &str) -> Option<Type> {
    if base.is_duration() {
        return Some(match name {
            "Hours" | "Minutes" | "Seconds" => Type::FLOAT,
            "Milliseconds" | "Microseconds" | "Nanoseconds" => Type::INT,
            "String" => Type::TEXT,
            "Round" | "Truncate" | "Abs" => Type::DURATION,
            _ => return None,
        });
    }
    Some(match name {
        "Year" | "Day" | "Hour" | "Minute" | "Second" | "Nanosecond" | "YearDay" | "Unix"
        | "UnixMilli" | "UnixMicro" | "UnixNano" => Type::INT,
        "Month" | "Weekday" => Type::NAMED,
        "Format" | "String" => Type::TEXT,
        "Add" | "AddDate" | "UTC" | "In" | "Truncate" | "Round" => Type::TIME,
        "Sub" => Type::DURATION,
        "Before" | "After" | "Equal" | "IsZero" => Type::BOOL,
        _ => return None,
    })
}

/// `.Seconds()` and the like.
pub(in crate::lang) fn duration_method<'e>(
    run: &mut Run<'e>,
    nanos: i64,
    name: &str,
    args: &[Value<'e>],
) -> Outcome<'e> {
    let float = to_float(nanos);
    Ok(match (name, args) {
        ("Hours", []) => Value::Float(float / 3.6e12),
        ("Minutes", []) => Value::Float(float / 6e10),
        ("Seconds", []) => Value::Float(float / 1e9),
        ("Milliseconds", []) => Value::Int(nanos / 1_000_000),
        ("Microseconds", []) => Value::Int(nanos / 1_000),
        ("Nanoseconds", []) => Value::Int(nanos),
        ("Abs", []) => Value::Duration(nanos.saturating_abs()),
        ("String", []) => return run.string(&go_duration(nanos)),
        ("Truncate", [Value::Duration(unit)]) if *unit > 0 => Value::Duration(nanos - nanos % unit),
        ("Round", [Value::Duration(unit)]) if *unit > 0 => {
            let rest = nanos % unit;
            let down = nanos - rest;
            let up = rest.unsigned_abs().saturating_mul(2) >= unit.unsigned_abs();
            let away = if nanos < 0 { -*unit } else { *unit };
            Value::Duration(if up { down.saturating_add(away) } else { down })
        }
        _ => return refuse("duration", name, args),
    })
}

/// `.Format()` and the like.
pub(in crate::lang) fn time_method<'e>(
    run: &mut Run<'e>,
    time: &Zoned,
    name: &str,
    args: &[Value<'e>],
) -> Outcome<'e> {
    let at = time.timestamp();
    Ok(match (name, args) {
        ("Year", []) => Value::Int(time.year().into()),
        ("Month", []) => {
            let number = i64::from(time.month());
            let name = MONTHS.get(usize::from(time.month().unsigned_abs()).saturating_sub(1));
            Value::Named(number, name.copied().unwrap_or(""))
        }
        ("Day", []) => Value::Int(time.day().into()),
        ("Hour", []) => Value::Int(time.hour().into()),
        ("Minute", []) => Value::Int(time.minute().into()),
        ("Second", []) => Value::Int(time.second().into()),
        ("Nanosecond", []) => Value::Int(time.subsec_nanosecond().into()),
        ("YearDay", []) => Value::Int(time.day_of_year().into()),
        ("Weekday", []) => {
            let (number, name) = day_name(time.weekday());
            Value::Named(number, name)
        }
        ("Unix", []) => Value::Int(at.as_second()),
        ("UnixMilli", []) => Value::Int(at.as_millisecond()),
        ("UnixMicro", []) => Value::Int(at.as_microsecond()),
        ("UnixNano", []) => match i64::try_from(at.as_nanosecond()) {
            Ok(nanos) => Value::Int(nanos),
            Err(_) => return fail("the time is out of range"),
        },
        ("String", []) => return run.string(&go_time(time)),
        ("Format", [Value::Text(layout)]) => {
            run.spend(layout.len())?;
            return run.string(&format(time, layout));
        }
        ("UTC", []) => Value::Time(at.to_zoned(jiff::tz::TimeZone::UTC).into()),
        ("In", [Value::Zone(zone)]) => Value::Time(at.to_zoned(zone.clone()).into()),
        ("IsZero", []) => Value::Bool(at.as_second() == -62_135_596_800),
        ("Add", [Value::Duration(nanos)]) => return super::moved(time, *nanos),
        ("Sub", [Value::Time(other)]) => {
            let nanos = at.duration_since(other.timestamp()).as_nanos();
            Value::Duration(i64::try_from(nanos).unwrap_or(i64::MAX))
        }
        ("Before", [Value::Time(other)]) => Value::Bool(at < other.timestamp()),
        ("After", [Value::Time(other)]) => Value::Bool(at > other.timestamp()),
        ("Equal", [Value::Time(other)]) => Value::Bool(at == other.timestamp()),
        ("AddDate", [Value::Int(years), Value::Int(months), Value::Int(days)]) => {
            return add_date(time, *years, *months, *days);
        }
        ("Truncate" | "Round", [Value::Duration(unit)]) if *unit > 0 => {
            let since = at.as_second().rem_euclid((unit / NANOS).max(1));
            let nanos = since.saturating_mul(NANOS).saturating_add(time.subsec_nanosecond().into());
            let rest = nanos % unit;
            let up = name == "Round" && rest.saturating_mul(2) >= *unit;
            return super::moved(time, if up { unit - rest } else { -rest });
        }
        _ => return refuse("time", name, args),
    })
}

/// A date moved; the 31st of a month without one is a day of the next month, as in Go.
fn add_date<'e>(time: &Zoned, years: i64, months: i64, days: i64) -> Outcome<'e> {
    let moved = || -> Option<Zoned> {
        let first = time.date().first_of_month();
        let span = Span::new().try_years(years).ok()?.try_months(months).ok()?;
        let first = first.checked_add(span).ok()?;
        let days = i64::from(time.day()).checked_sub(1)?.checked_add(days)?;
        let date = first.checked_add(SignedDuration::from_hours(days.checked_mul(24)?)).ok()?;
        date.to_datetime(time.time()).to_zoned(time.time_zone().clone()).ok()
    };
    match moved() {
        Some(time) => Ok(Value::Time(time.into())),
        None => fail("the time is out of range"),
    }
}

fn refuse<'e>(what: &str, name: &str, args: &[Value<'_>]) -> Outcome<'e> {
    let kinds: Vec<&str> = args.iter().map(Value::kind).collect();
    let name = crate::error::cut(name);
    fail(format!("a {what} has no function {name}({})", kinds.join(", ")))
}
