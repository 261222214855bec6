//! Functions that make times and durations.

use super::text_at;
use crate::lang::dates;
use crate::lang::eval::{Outcome, Run};
use crate::lang::fault::fail;
use crate::lang::nature::Type;
use crate::lang::value::Value;

pub(super) fn check_now(given: &[Type]) -> Result<Type, String> {
    match given {
        [] => Ok(Type::TIME),
        [zone] if *zone == Type::ZONE => Ok(Type::TIME),
        _ => Err(format!("expected 0 arguments, got {}", given.len())),
    }
}

pub(super) fn check_date(given: &[Type]) -> Result<Type, String> {
    let rest = match given {
        [] => return Err("expected at least 1 argument".to_owned()),
        [zone, rest @ ..] if *zone == Type::ZONE => rest,
        all => all,
    };
    match rest.len() {
        0..=3 => Ok(Type::TIME),
        more => Err(format!("expected at most 3 arguments, got {more}")),
    }
}

pub(super) fn now<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    let now = dates::instant(run.ambient().now.0);
    match (now, args.first()) {
        (Value::Time(now), Some(Value::Zone(zone))) => {
            Ok(Value::Time(now.with_time_zone(zone.clone()).into()))
        }
        (now, _) => Ok(now),
    }
}

pub(super) fn duration<'e>(_: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    let text = text_at(args, 0)?;
    match dates::parse_duration(text) {
        Some(nanos) => Ok(Value::Duration(nanos)),
        None => fail(format!("'{}' is no duration", crate::error::cut(text))),
    }
}

pub(super) fn timezone<'e>(_: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    Ok(Value::Zone(dates::zone(text_at(args, 0)?)?))
}

/// The layouts that are tried if none is given.
const LAYOUTS: [&str; 7] = [
    "2006-01-02",
    "15:04:05",
    "2006-01-02 15:04:05",
    "2006-01-02T15:04:05Z07:00",
    "02 Jan 06 15:04 MST",
    "Monday, 02-Jan-06 15:04:05 MST",
    "Mon, 02 Jan 2006 15:04:05 MST",
];

pub(super) fn date<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    let (zone, args) = match args {
        [Value::Zone(zone), rest @ ..] => (zone.clone(), rest),
        all => (jiff::tz::TimeZone::UTC, all),
    };
    let text = text_at(args, 0)?;
    run.spend(text.len())?;
    let zone = if args.len() > 2 { dates::zone(text_at(args, 2)?)? } else { zone };
    let found = match args.len() {
        1 => LAYOUTS.iter().find_map(|layout| dates::parse(layout, text, &zone)),
        _ => dates::parse(text_at(args, 1)?, text, &zone),
    };
    match found {
        Some(time) => Ok(Value::Time(time.into())),
        None => fail(format!("invalid date '{}'", crate::error::cut(text))),
    }
}
