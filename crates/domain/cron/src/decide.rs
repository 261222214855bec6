//! What is to be done about a schedule at an instant.

mod times;

use flowforge_model::id::{ScheduleId, WorkflowId};
use flowforge_model::limits::CRON_ACTIVE;
use flowforge_model::time::{Millis, Timestamp};

use crate::condition::Seen;
use crate::schedule::{Concurrency, Schedule};
use crate::state::{Phase, ScheduleState};

/// What to do now. `state` and the runs belong into one transaction: either both are kept, and
/// the fire times are decided for ever, or neither, and they are decided again, the same way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The state to keep.
    pub state: ScheduleState,
    /// Runs to start, oldest first, each with its fire time. The id of a run is derived from
    /// schedule and fire time: starting it twice is the same run.
    pub fires: Vec<(Timestamp, WorkflowId)>,
    /// Runs to stop before.
    pub stop: Vec<WorkflowId>,
    /// Fire times that start nothing.
    pub skipped: Vec<Skip>,
    /// When to decide again; `None`: not before something changes.
    pub next_at: Option<Timestamp>,
}

/// A fire time, or several, that start nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skip {
    /// The fire time, or the last of several.
    pub at: Timestamp,
    /// Why.
    pub reason: SkipReason,
}

/// Why a fire time starts nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SkipReason {
    /// Nobody looked when it came due, and it is not to be caught up. Earlier ones may be missed
    /// as well.
    #[error("it was missed")]
    Missed,
    /// `Forbid`, and an earlier run is not over.
    #[error("an earlier run is not over, and concurrencyPolicy is Forbid")]
    Forbidden,
    /// `Replace`, and a later one came due at the same moment.
    #[error("a later one replaces it, and concurrencyPolicy is Replace")]
    Replaced,
    /// Too many runs are not over.
    #[error("{CRON_ACTIVE} earlier runs are not over")]
    TooMany,
    /// `when` is false.
    #[error("its when is false")]
    When,
    /// A condition cannot be decided.
    #[error("{0}")]
    Undecided(String),
}

/// What is to be done about the schedule `id` at `now`. Work and result are bounded, however long
/// nobody looked. A clock that went back decides nothing until it has caught up.
///
/// Fire times at most ten seconds old are punctual: a restart or a slow moment loses none of them.
#[must_use]
pub fn due(id: ScheduleId, schedule: &Schedule, state: &ScheduleState, now: Timestamp) -> Decision {
    let mut work = Work {
        id,
        schedule,
        now,
        decision: Decision {
            state: state.clone(),
            fires: Vec::new(),
            stop: Vec::new(),
            skipped: Vec::new(),
            next_at: None,
        },
    };
    if now > state.considered_to {
        work.decision.state.considered_to = now;
    }
    if schedule.suspend || state.phase == Phase::Stopped {
        work.decision.state.held = None;
        return work.decision;
    }
    work.decide(times::due(schedule, state, now));
    let state = &work.decision.state;
    if state.phase == Phase::Active {
        work.decision.next_at = schedule.next_after(state.anchor, state.considered_to);
    }
    work.decision
}

struct Work<'a> {
    id: ScheduleId,
    schedule: &'a Schedule,
    now: Timestamp,
    decision: Decision,
}

impl Work<'_> {
    fn decide(&mut self, due: times::Due) {
        if let Some(at) = due.missed {
            self.skip(at, SkipReason::Missed);
        }
        let held = self.decision.state.held.take();
        let mut times = due.times;
        match held.filter(|_| times.is_empty()) {
            Some(held) if !self.decision.state.active.is_empty() => {
                self.decision.state.held = Some(held);
            }
            Some(held) if self.within_deadline(held) => times.push(held),
            Some(_) | None => {}
        }
        let last = times.last().copied();
        for at in times {
            if self.decision.state.phase == Phase::Stopped {
                break;
            }
            self.decide_one(at, Some(at) == last);
        }
    }

    fn within_deadline(&self, at: Timestamp) -> bool {
        self.schedule.starting_deadline.is_some_and(|deadline| self.now < at.plus(deadline))
    }

    /// In the order of Argo: the stop condition, `when`, then the other runs.
    fn decide_one(&mut self, at: Timestamp, last: bool) {
        let schedule = self.schedule;
        let (definition, now) = (&schedule.definition, self.now);
        let seen = Seen { definition, state: &self.decision.state.clone(), now };
        if let Some(stop) = &schedule.stop {
            match stop.decide(&seen) {
                Ok(true) => {
                    self.decision.state.phase = Phase::Stopped;
                    return;
                }
                Ok(false) => {}
                Err(why) => return self.undecided(at, format!("stopStrategy.expression: {why}")),
            }
        }
        if let Some(when) = &schedule.when {
            match when.decide(&seen) {
                Ok(true) => {}
                Ok(false) => return self.skip(at, SkipReason::When),
                Err(why) => return self.undecided(at, format!("when: {why}")),
            }
        }
        let active = self.decision.state.active.len();
        match schedule.concurrency {
            Concurrency::Allow if active >= CRON_ACTIVE => {
                return self.skip(at, SkipReason::TooMany);
            }
            Concurrency::Forbid if active > 0 => {
                if schedule.starting_deadline.is_some() {
                    self.decision.state.held = Some(at);
                }
                return self.skip(at, SkipReason::Forbidden);
            }
            Concurrency::Replace if !last => return self.skip(at, SkipReason::Replaced),
            Concurrency::Replace => self.decision.stop.extend(&self.decision.state.active),
            Concurrency::Allow | Concurrency::Forbid => {}
        }
        let run = self.id.run(at);
        self.decision.state.active.insert(run);
        self.decision.state.last_scheduled_at = Some(at);
        self.decision.fires.push((at, run));
    }

    fn skip(&mut self, at: Timestamp, reason: SkipReason) {
        self.decision.skipped.push(Skip { at, reason });
    }

    /// Argo counts these as failed runs, so that a stop condition can end them.
    fn undecided(&mut self, at: Timestamp, why: String) {
        self.decision.state.failed = self.decision.state.failed.saturating_add(1);
        self.skip(at, SkipReason::Undecided(why));
    }
}

/// How late a fire time may be and still be punctual. Argo looks every ten seconds.
pub(crate) const PUNCTUAL: Millis = Millis::from_secs(10);

#[cfg(test)]
mod tests;
