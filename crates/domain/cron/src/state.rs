//! What is known of a schedule beside its document: kept in the store, changed by decisions only.

use std::collections::{BTreeMap, BTreeSet};

use flowforge_model::id::WorkflowId;
use flowforge_model::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::condition::Seen;
use crate::schedule::Schedule;

/// Whether a schedule goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// It does.
    #[default]
    Active,
    /// Its stop condition came true.
    Stopped,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It succeeded.
    Succeeded,
    /// It failed or was cancelled.
    Failed,
    /// It was deleted before anybody saw its end; it is not counted.
    Deleted,
}

/// The state of a schedule. A fire time up to `considered_to` is decided for ever.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleState {
    /// Where `@every` counts from.
    pub anchor: Timestamp,
    /// Every fire time up to this instant has been decided.
    pub considered_to: Timestamp,
    /// The fire time of the last run that was started.
    pub last_scheduled_at: Option<Timestamp>,
    /// A run that `Forbid` left out and that may still start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<Timestamp>,
    /// Runs that are not over.
    pub active: BTreeSet<WorkflowId>,
    /// Runs that succeeded.
    pub succeeded: u64,
    /// Runs that failed, and fire times whose conditions could not be decided.
    pub failed: u64,
    /// Whether it goes on.
    pub phase: Phase,
    /// What a later version keeps in here: of no matter to this one, and left as it is.
    #[serde(flatten)]
    pub later: BTreeMap<String, Value>,
}

impl ScheduleState {
    /// The state of a schedule that was created at `now`: only later fire times count.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self {
            anchor: now,
            considered_to: now,
            last_scheduled_at: None,
            held: None,
            active: BTreeSet::new(),
            succeeded: 0,
            failed: 0,
            phase: Phase::Active,
            later: BTreeMap::new(),
        }
    }

    /// The state after the document was replaced at `now`. As with Argo, a new set of schedules
    /// owes nothing from before; a schedule that had stopped is looked at afresh if its stop
    /// condition is another one. An old document that cannot be read any more is another one.
    #[must_use]
    pub fn replaced(&self, old: Option<&Schedule>, new: &Schedule, now: Timestamp) -> Self {
        let mut state = self.clone();
        let old = old.map(|old| &old.definition);
        let same = old.is_some_and(|old| {
            old.schedules == new.definition.schedules && old.timezone == new.definition.timezone
        });
        if !same {
            state.anchor = now;
            state.considered_to = state.considered_to.max(now);
            state.held = None;
        }
        if old.is_none_or(|old| old.stop != new.definition.stop) {
            state.phase = Phase::Active;
        }
        state
    }

    /// The state after suspension ended at `now`: what came due meanwhile was suspended too.
    #[must_use]
    pub fn resumed(&self, now: Timestamp) -> Self {
        let mut state = self.clone();
        state.considered_to = state.considered_to.max(now);
        state.held = None;
        state
    }

    /// The state after `run` was found at `now` to have ended. One that is not active changes nothing, so that hearing of an
    /// end twice counts it once.
    #[must_use]
    pub fn ended(
        &self,
        schedule: &Schedule,
        (run, how): (WorkflowId, Ended),
        now: Timestamp,
    ) -> Self {
        let mut state = self.clone();
        if !state.active.remove(&run) {
            return state;
        }
        match how {
            Ended::Succeeded => state.succeeded = state.succeeded.saturating_add(1),
            Ended::Failed => state.failed = state.failed.saturating_add(1),
            Ended::Deleted => {}
        }
        // One that cannot be decided is told at the next fire time.
        let seen = Seen { definition: &schedule.definition, state: &state, now };
        if state.phase == Phase::Active
            && schedule.stop.as_ref().is_some_and(|stop| stop.decide(&seen).unwrap_or(false))
        {
            state.phase = Phase::Stopped;
        }
        state
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_later_version_keeps_in_a_state_stays() {
        let state = ScheduleState::new(Timestamp(7));
        let mut json = serde_json::to_value(&state).unwrap();
        assert_eq!(serde_json::from_value::<ScheduleState>(json.clone()).unwrap(), state);
        json["jitter"] = serde_json::json!({"seed": [1, 2]});
        let read: ScheduleState = serde_json::from_value(json.clone()).unwrap();
        let moved = read.resumed(Timestamp(9));
        json["considered_to"] = 9.into();
        assert_eq!(serde_json::to_value(&moved).unwrap(), json);
    }
}
