//! `@every SPAN`: a grid of instants from an anchor.

use flowforge_model::time::{Millis, Timestamp};

use crate::error::{CronError, cut};

const SECOND: u64 = 1000;

/// A span in Go's form, cut to whole seconds; below one second it is one.
pub(super) fn parse(span: &str) -> Result<Millis, CronError> {
    let refuse = || CronError::Every(cut(span));
    if span != "0" && span.ends_with(|last: char| last.is_ascii_digit() || last == '.') {
        return Err(refuse());
    }
    // Parts of a millisecond round up there; below the second they are cut here.
    let Millis(millis) = Millis::parse(span).map_err(|_| refuse())?;
    Ok(Millis((millis - millis % SECOND).max(SECOND)))
}

/// The first point of the grid after `after`. The anchor, cut to its second, is not one itself.
pub(super) fn next_after(
    Millis(delay): Millis,
    anchor: Timestamp,
    after: Timestamp,
) -> Option<Timestamp> {
    let delay = i64::try_from(delay).ok().filter(|delay| *delay > 0)?;
    let origin = anchor.0.checked_sub(anchor.0.rem_euclid(1000))?;
    let passed = after.0.checked_sub(origin)?;
    let steps = passed.div_euclid(delay).checked_add(1)?.max(1);
    let next = Timestamp(origin.checked_add(steps.checked_mul(delay)?)?);
    // What has no date is no time to fire at.
    jiff::Timestamp::from_millisecond(next.0).is_ok().then_some(next)
}
