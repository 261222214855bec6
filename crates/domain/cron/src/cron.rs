//! One cron expression, as Argo understands it: the standard parser of robfig/cron v3.
//!
//! Five fields (minute, hour, day of month, month, day of week) of numbers, names, ranges, steps
//! and lists; `?` is `*`; descriptors from `@yearly` to `@hourly`; `@every SPAN`; `TZ=` or
//! `CRON_TZ=` before any of them. Fire times are those of robfig to the second, which the golden
//! rows of the tests hold it to:
//!
//! - A day has to match both day fields if one of them is `*`, `?` or `*/1`, and either one if
//!   not. `*/2` is no star.
//! - Times that a change of the clock skips do not exist and do not fire that day. Times that it
//!   repeats fire twice. A step such as `*/15` goes on through both.
//! - What does not come up within five years never comes up.
//!
//! Deviations: `@every` counts from the schedule's anchor instead of the start of the process, so
//! that a restart moves nothing; a field without any value (`,`) is refused, where robfig takes it
//! and never fires; there is no machine time zone, the default is UTC.

mod every;
mod field;
mod next;
mod zone;

use flowforge_model::limits::CRON_BYTES;
use flowforge_model::time::{Millis, Timestamp};

use crate::error::{CronError, cut};
use next::Fields;
pub use zone::Zone;

/// A parsed expression with its time zone.
#[derive(Clone, Debug)]
pub struct Cron {
    rule: Rule,
}

#[derive(Clone, Debug)]
enum Rule {
    Fields { fields: Fields, zone: Zone },
    Every(Millis),
}

impl Cron {
    /// Reads an expression. `zone` is the time zone of its schedule, UTC if it has none.
    ///
    /// # Errors
    /// [`CronError`]: not an expression, or a `TZ=` beside the `zone` of the schedule.
    pub fn parse(source: &str, zone: Option<&Zone>) -> Result<Self, CronError> {
        if source.len() > CRON_BYTES {
            return Err(CronError::TooLong);
        }
        let (own, source) = split_zone(source)?;
        let zone = match (own, zone) {
            (Some(_), Some(_)) => return Err(CronError::TwoZones),
            (Some(own), None) => own,
            (None, Some(zone)) => zone.clone(),
            (None, None) => Zone::utc(),
        };
        let rule = match source.strip_prefix('@') {
            Some(name) => descriptor(name, zone)?,
            None => Rule::Fields { fields: fields(source)?, zone },
        };
        Ok(Self { rule })
    }

    /// The first fire time after `after`, in whole seconds. `anchor` is where `@every` counts
    /// from. `None` if there is none within five years, or before the year 9999 ends.
    #[must_use]
    pub fn next_after(&self, anchor: Timestamp, after: Timestamp) -> Option<Timestamp> {
        let next = match &self.rule {
            Rule::Every(delay) => every::next_after(*delay, anchor, after)?,
            Rule::Fields { fields, zone } => {
                let next = next::next_after(fields, zone, after.0.div_euclid(1000))?;
                Timestamp(next.checked_mul(1000)?)
            }
        };
        (next > after).then_some(next)
    }
}

/// Splits `TZ=Zone` or `CRON_TZ=Zone` off the front.
fn split_zone(source: &str) -> Result<(Option<Zone>, &str), CronError> {
    let Some(rest) = source.strip_prefix("TZ=").or_else(|| source.strip_prefix("CRON_TZ=")) else {
        return Ok((None, source));
    };
    let (name, rest) = rest.split_once(' ').ok_or(CronError::Empty)?;
    Ok((Some(Zone::parse(name)?), rest.trim()))
}

fn descriptor(name: &str, zone: Zone) -> Result<Rule, CronError> {
    let source = match name {
        "yearly" | "annually" => "0 0 1 1 *",
        "monthly" => "0 0 1 * *",
        "weekly" => "0 0 * * 0",
        "daily" | "midnight" => "0 0 * * *",
        "hourly" => "0 * * * *",
        _ => {
            let span = name
                .strip_prefix("every ")
                .ok_or_else(|| CronError::Descriptor(cut(&format!("@{name}"))))?;
            return every::parse(span).map(Rule::Every);
        }
    };
    Ok(Rule::Fields { fields: fields(source)?, zone })
}

fn fields(source: &str) -> Result<Fields, CronError> {
    let parts: Vec<&str> = source.split_whitespace().collect();
    match *parts.as_slice() {
        [] => Err(CronError::Empty),
        [minute, hour, day, month, weekday] => Ok(Fields {
            minute: field::parse(minute, &field::MINUTE)?,
            hour: field::parse(hour, &field::HOUR)?,
            day: field::parse(day, &field::DAY)?,
            month: field::parse(month, &field::MONTH)?,
            weekday: field::parse(weekday, &field::WEEKDAY)?,
        }),
        [_, _, _, _, _, _] => Err(CronError::Seconds),
        _ => Err(CronError::FieldCount(parts.len())),
    }
}

#[cfg(test)]
mod tests;
