//! One field: a comma-separated list of numbers, names, ranges and steps, as a set of bits.

use crate::error::{CronError, cut};

/// The values a field names, and whether it says so by a star.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Set {
    bits: u64,
    /// `*` or `?` without a step: this field says nothing about the day.
    pub(super) star: bool,
}

impl Set {
    pub(super) fn has(self, value: i8) -> bool {
        u32::try_from(value).is_ok_and(|value| self.bits & bit(value) != 0)
    }
}

/// What may stand in a field.
#[derive(Debug)]
pub(super) struct Bounds {
    name: &'static str,
    min: u32,
    max: u32,
    /// Names of the values from `min` on.
    names: &'static [&'static str],
    above: &'static str,
}

pub(super) const MINUTE: Bounds =
    Bounds { name: "minute", min: 0, max: 59, names: &[], above: "is above 59" };
pub(super) const HOUR: Bounds =
    Bounds { name: "hour", min: 0, max: 23, names: &[], above: "is above 23" };
pub(super) const DAY: Bounds =
    Bounds { name: "day of month", min: 1, max: 31, names: &[], above: "is above 31" };
pub(super) const MONTH: Bounds = Bounds {
    name: "month",
    min: 1,
    max: 12,
    names: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
    above: "is above 12",
};
pub(super) const WEEKDAY: Bounds = Bounds {
    name: "day of week",
    min: 0,
    max: 6,
    names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
    above: "is above 6; Sunday is 0",
};

const NO_NUMBER: &str = "is not a number or a name";

/// Reads a field.
pub(super) fn parse(text: &str, bounds: &Bounds) -> Result<Set, CronError> {
    let mut set = Set { bits: 0, star: false };
    for part in text.split(',').filter(|part| !part.is_empty()) {
        let (bits, star) = range(part, bounds).map_err(|cause| CronError::Field {
            field: bounds.name,
            part: cut(part),
            cause,
        })?;
        set.bits |= bits;
        set.star |= star;
    }
    if set.bits == 0 {
        let cause = "names no value, it would never fire";
        return Err(CronError::Field { field: bounds.name, part: cut(text), cause });
    }
    Ok(set)
}

/// `number | name | number-number`, each perhaps with `/step`; what follows `*-` is ignored.
fn range(part: &str, bounds: &Bounds) -> Result<(u64, bool), &'static str> {
    let mut halves = part.split('/');
    let (span, step, rest) = (halves.next().unwrap_or(""), halves.next(), halves.next());
    if rest.is_some() {
        return Err("has more than one '/'");
    }
    let mut ends = span.split('-');
    let (low, high, rest) = (ends.next().unwrap_or(""), ends.next(), ends.next());
    let everything = low == "*" || low == "?";
    let (start, mut end) = if everything {
        (bounds.min, bounds.max)
    } else {
        let start = number_or_name(low, bounds)?;
        if rest.is_some() {
            return Err("has more than one '-'");
        }
        (start, high.map_or(Ok(start), |high| number_or_name(high, bounds))?)
    };
    let step = match step {
        None => 1,
        Some(step) => {
            if high.is_none() {
                end = bounds.max;
            }
            number(step).ok_or("the step is not a number")?
        }
    };
    if start < bounds.min {
        return Err("is below 1");
    }
    if end > bounds.max {
        return Err(bounds.above);
    }
    if start > end {
        return Err("ends before it begins");
    }
    if step == 0 {
        return Err("a step is at least 1");
    }
    let step_by = usize::try_from(step).unwrap_or(usize::MAX);
    let bits = (start..=end).step_by(step_by).fold(0, |bits, value| bits | bit(value));
    Ok((bits, everything && step == 1))
}

fn number_or_name(text: &str, bounds: &Bounds) -> Result<u32, &'static str> {
    let named = bounds.names.iter().position(|name| name.eq_ignore_ascii_case(text));
    let value = match named {
        Some(at) => u32::try_from(at).ok().map(|at| at.saturating_add(bounds.min)),
        None => number(text),
    };
    value.ok_or(NO_NUMBER)
}

/// As Go's `Atoi`: digits of 63 bits, perhaps with a plus. Beyond 32 bits all are the same here.
fn number(text: &str) -> Option<u32> {
    let digits = text.strip_prefix('+').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let value: i64 = digits.parse().ok()?;
    Some(u32::try_from(value).unwrap_or(u32::MAX))
}

fn bit(value: u32) -> u64 {
    1_u64.checked_shl(value).unwrap_or(0)
}
