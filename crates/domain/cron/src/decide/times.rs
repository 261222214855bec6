//! Which fire times are to be decided at an instant.

use flowforge_model::limits::CRON_CATCH_UP;
use flowforge_model::time::{Millis, Timestamp};

use super::PUNCTUAL;
use crate::schedule::{CatchUp, Schedule};
use crate::state::ScheduleState;

/// The fire times to decide.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Due {
    /// Oldest first.
    pub(super) times: Vec<Timestamp>,
    /// The last of those that were missed and stay so.
    pub(super) missed: Option<Timestamp>,
}

/// Fire times in (`state.considered_to`, `now`]: the punctual ones, and of the older ones what
/// is to be caught up.
pub(super) fn due(schedule: &Schedule, state: &ScheduleState, now: Timestamp) -> Due {
    let anchor = state.anchor;
    let Some(first) = schedule.next_after(anchor, state.considered_to) else {
        return Due { times: Vec::new(), missed: None };
    };
    // Punctual: after `edge`.
    let edge = before(now, PUNCTUAL.0.saturating_add(1)).max(state.considered_to);
    let Due { mut times, missed } = if first > edge {
        Due { times: Vec::new(), missed: None }
    } else {
        late(schedule, state, edge, now)
    };
    let mut at = edge;
    while let Some(next) = schedule.next_after(anchor, at).filter(|next| *next <= now) {
        times.push(next);
        at = next;
    }
    Due { times, missed }
}

/// Of the fire times in (`state.considered_to`, `edge`] those that are caught up, newest first
/// searched and oldest first returned.
fn late(schedule: &Schedule, state: &ScheduleState, edge: Timestamp, now: Timestamp) -> Due {
    let limit = match schedule.catch_up {
        CatchUp::None => 0,
        CatchUp::Last => 1,
        CatchUp::All => CRON_CATCH_UP,
    };
    // In time: after `from`.
    let from = match schedule.starting_deadline {
        None => state.considered_to,
        Some(deadline) => before(now, deadline.0).max(state.considered_to),
    };
    let mut times = Vec::new();
    let mut until = edge;
    while times.len() < limit {
        let Some(at) = schedule.last_within(state.anchor, from, until) else {
            break;
        };
        times.push(at);
        until = before(at, 1);
    }
    times.reverse();
    let missed = schedule.last_within(state.anchor, state.considered_to, until);
    Due { times, missed }
}

fn before(at: Timestamp, millis: u64) -> Timestamp {
    let Millis(millis) = Millis(millis);
    Timestamp(at.0.saturating_sub(i64::try_from(millis).unwrap_or(i64::MAX)))
}
