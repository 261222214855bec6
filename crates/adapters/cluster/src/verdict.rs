//! What a pod's status means for its attempt. Pure and level-triggered: the same status gives the same
//! answer, however often it is looked at and whatever was missed before.
//!
//! The pod's own word comes first: a runner that has told the end says so in its termination message, and
//! what is found out here is then of no use to anybody but frees the place. Without a word the status of
//! the container decides, [`Bounds::silence`] after the end was first seen.

mod end;
mod ended;
mod seen;
mod waiting;
mod word;

use flowforge_model::attempt::{Failure, FailureClass, Report, WorkOrder};
use flowforge_model::status::Reason;
use flowforge_model::time::{Millis, Timestamp};

use crate::observed::Observed;
use crate::refusal::lost;
use seen::Seen;
pub(crate) use seen::scheduled;

/// How long things may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// From the pod's creation to its start, whatever it waits for.
    pub start: Millis,
    /// From when the pods of a gang are asked for to when all of them have a node.
    pub bind: Millis,
    /// Fetching an image again after the first failure.
    pub pull: Millis,
    /// A container that cannot be made as it is described.
    pub config: Millis,
    /// From the end of a container to when it is taken as it is, without the runner's word.
    pub silence: Millis,
    /// From when a pod should be gone to when its node counts as lost.
    pub node: Millis,
}

impl Default for Bounds {
    /// 10 minutes to start, 5 for a gang to have nodes, 5 for an image, 1 for a secret to appear; 10 s of silence; 1 minute for a node.
    fn default() -> Self {
        Self {
            start: Millis::from_secs(600),
            bind: Millis::from_secs(300),
            pull: Millis::from_secs(300),
            config: Millis::from_secs(60),
            silence: Millis::from_secs(10),
            node: Millis::from_secs(60),
        }
    }
}

impl Bounds {
    /// For somebody who lets others look first, for so long. Its silence is theirs, and over by then.
    pub(crate) fn later(self, by: Millis) -> Self {
        let later = |bound: Millis| Millis(bound.0.saturating_add(by.0));
        Self {
            start: later(self.start),
            bind: later(self.bind),
            pull: later(self.pull),
            config: later(self.config),
            silence: self.silence,
            node: later(self.node),
        }
    }
}

/// What is remembered of a pod between two looks, by this process's clock: those of nodes differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Somebody asked for its end.
    pub stopped: bool,
    /// When it was first seen in the trouble it is in.
    pub trouble: Option<(Trouble, Timestamp)>,
    /// When all of it was first seen ended.
    pub ended_at: Option<Timestamp>,
}

/// What keeps a pod from starting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Its image.
    Pull,
    /// Its description.
    Config,
}

/// What a look at a pod says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// It has no node yet: why, if the cluster's scheduler has said.
    pub no_node: Option<String>,
    /// When the first of the user's containers began, if one did.
    pub started_at: Option<Timestamp>,
    /// Its address, if all its containers are ready.
    pub ready: Option<String>,
    /// What comes next.
    pub next: Next,
}

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// It goes on. If nothing is heard until then, it is to be looked at again.
    Wait(Option<Timestamp>),
    /// The attempt has ended.
    Ended(Box<Report>),
}

/// Looks at a pod. `memory` is what is left of earlier looks, and is updated.
#[must_use]
pub fn look(
    order: &WorkOrder,
    pod: &Observed,
    memory: &mut Memory,
    bounds: &Bounds,
    now: Timestamp,
) -> Verdict {
    let seen = Seen::of(pod, order);
    let started_at = seen.started_at();
    let next = ended::look(order, &seen, memory, bounds, now)
        .or_else(|| waiting::look(&seen, memory, bounds, now))
        .unwrap_or(Next::Wait(None));
    let next = match next {
        Next::Wait(until) => forsaken(&seen, *memory, bounds, now, until),
        ended @ Next::Ended(_) => ended,
    };
    Verdict { no_node: seen.no_node(), started_at, ready: seen.ready(), next }
}

/// A pod that is not there any more, and whose end nobody saw.
#[must_use]
pub fn gone(order: &WorkOrder, last: Option<&Observed>, memory: Memory, now: Timestamp) -> Report {
    let seen = last.map(|pod| Seen::of(pod, order));
    let disrupted = seen.as_ref().and_then(Seen::disruption);
    let failure = match disrupted {
        _ if memory.stopped => stopped(),
        Some(failure) => failure,
        None => lost(Reason::PodDeleted, "its pod was deleted before it had ended"),
    };
    failed(seen.as_ref().and_then(Seen::started_at), now, None, failure)
}

/// The node of a pod that should be gone for long does not answer.
fn forsaken(
    seen: &Seen<'_>,
    memory: Memory,
    bounds: &Bounds,
    now: Timestamp,
    until: Option<Timestamp>,
) -> Next {
    // The time of deletion lies in the future by the grace period.
    let Some(due) = seen.deletion.map(|at| at.plus(bounds.node)) else {
        return Next::Wait(until);
    };
    if now < due {
        return Next::Wait(Some(until.map_or(due, |until| until.min(due))));
    }
    let failure = if memory.stopped {
        stopped()
    } else {
        lost(Reason::NodeLost, "its pod was to end, and its node does not answer")
    };
    Next::Ended(Box::new(failed(seen.started_at(), now, None, failure)))
}

fn stopped() -> Failure {
    let message = "stopped".to_owned();
    Failure { class: FailureClass::Stopped, reason: Reason::Stopped, message }
}

fn failed(
    started_at: Option<Timestamp>,
    finished_at: Timestamp,
    exit_code: Option<i32>,
    failure: Failure,
) -> Report {
    let Failure { class, reason, message } = failure;
    Report { started_at, exit_code, ..Report::failed(finished_at, class, reason, message) }
}

#[cfg(test)]
mod tests;
