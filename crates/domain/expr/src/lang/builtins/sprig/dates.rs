//! Dates in Go's layouts.

use super::{function, text_at};
use crate::lang::builtins::{Builtin, dates as builtin};
use crate::lang::dates;
use crate::lang::eval::{Outcome, Run};
use crate::lang::fault::fail;
use crate::lang::value::Value;

pub(super) static TABLE: [Builtin; 15] = [
    function("ago", ago),
    function("date", date),
    function("dateInZone", date_in_zone),
    function("dateModify", date_modify),
    function("date_in_zone", date_in_zone),
    function("date_modify", date_modify),
    function("duration", duration),
    function("htmlDate", html_date),
    function("htmlDateInZone", html_date_in_zone),
    function("mustDateModify", must_date_modify),
    function("mustToDate", must_to_date),
    function("must_date_modify", must_date_modify),
    function("now", builtin::now),
    function("toDate", to_date),
    function("unixEpoch", unix_epoch),
];

const HTML: &str = "2006-01-02";

/// A time, seconds since the epoch, or else now.
fn time_of<'e>(run: &Run<'e>, value: Option<&Value<'e>>) -> Value<'e> {
    match value {
        Some(time @ Value::Time(_)) => time.clone(),
        Some(Value::Int(seconds)) => dates::instant(seconds.saturating_mul(1000)),
        _ => dates::instant(run.ambient().now.0),
    }
}

fn shown<'e>(
    run: &mut Run<'e>,
    layout: &str,
    value: Option<&Value<'e>>,
    zone: &str,
) -> Outcome<'e> {
    let Value::Time(time) = time_of(run, value) else {
        return fail("needs a time");
    };
    run.spend(layout.len())?;
    let zone = dates::zone(zone).unwrap_or(jiff::tz::TimeZone::UTC);
    run.string(&dates::format(&time.with_time_zone(zone), layout))
}

fn date<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    shown(run, text_at(args, 0)?, args.get(1), "UTC")
}

fn date_in_zone<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    shown(run, text_at(args, 0)?, args.get(1), text_at(args, 2)?)
}

fn html_date<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    shown(run, HTML, args.first(), "UTC")
}

fn html_date_in_zone<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    shown(run, HTML, args.first(), text_at(args, 1)?)
}

fn modified<'e>(args: &[Value<'e>], strict: bool) -> Outcome<'e> {
    let by = dates::parse_duration(text_at(args, 0)?);
    match (args.get(1), by) {
        (Some(time @ Value::Time(_)), Some(nanos)) => {
            let by = Value::Duration(nanos);
            let added = dates::arithmetic(crate::lang::ast::Operator::Add, time, &by);
            added.unwrap_or_else(|| fail("the time is out of range"))
        }
        (Some(time @ Value::Time(_)), None) if !strict => Ok(time.clone()),
        _ => fail("needs a duration and a time"),
    }
}

fn date_modify<'e>(_: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    modified(args, false)
}

fn must_date_modify<'e>(_: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    modified(args, true)
}

fn to_date<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    match must_to_date(run, args) {
        // What is no date is the beginning of Go's time.
        Err(crate::lang::fault::Fault::Run(..)) if args.len() > 1 => {
            Ok(dates::instant(-62_135_596_800_000))
        }
        other => other,
    }
}

fn must_to_date<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    let (layout, text) = (text_at(args, 0)?, text_at(args, 1)?);
    run.spend(layout.len().saturating_add(text.len()))?;
    match dates::parse(layout, text, &jiff::tz::TimeZone::UTC) {
        Some(time) => Ok(Value::Time(time.into())),
        None => fail(format!("'{}' is no date in this layout", crate::error::cut(text))),
    }
}

fn unix_epoch<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    match args {
        [Value::Time(time)] => run.string(&time.timestamp().as_second().to_string()),
        _ => fail("needs a time"),
    }
}

/// Seconds as a duration.
fn duration<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    let seconds = match args {
        [Value::Text(text)] => text.parse().unwrap_or(0),
        [Value::Int(seconds)] => *seconds,
        _ => 0,
    };
    run.string(&dates::go_duration(seconds.saturating_mul(1_000_000_000)))
}

fn ago<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    let Value::Time(time) = time_of(run, args.first()) else {
        return fail("needs a time");
    };
    let now = run.ambient().now.0;
    let ago = now.saturating_sub(time.timestamp().as_millisecond());
    let seconds = ago.saturating_add(500).div_euclid(1000);
    run.string(&dates::go_duration(seconds.saturating_mul(1_000_000_000)))
}
