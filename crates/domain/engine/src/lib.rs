//! The life of one workflow: `step(plan, run, event, now) -> changes`.
//!
//! Pure and deterministic: no clock, no I/O, no randomness. Live execution, recovery, simulation
//! and tests all call [`step`]; there is no second set of rules.
//!
//! A run is a tree of nodes: leaves (containers and scripts) and suspensions under groups (dags,
//! steps, loops, tries). Groups create their children when they begin. Start reading at
//! [`step`], then `flow.rs` (how one end leads to the next beginning).

#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::wildcard_enum_match_arm, clippy::expect_used)
)]

mod artifacts;
mod asked;
mod attempts;
mod begin;
mod call;
mod child;
mod daemons;
mod dag;
mod ending;
mod flow;
mod groups;
mod hooks;
mod locks;
mod loops;
mod memo;
mod node;
mod order;
mod release;
mod retry;
mod rows;
pub mod run;
mod scope;
mod settings;
mod steps;
#[cfg(test)]
mod tests;
mod values;

use std::collections::BTreeMap;

use flowforge_model::event::{Effect, Event, Record, Timer};
use flowforge_model::id::NodeIx;
use flowforge_model::plan::Plan;
use flowforge_model::time::Timestamp;

use crate::flow::Step;
pub use child::{ChildOrder, child_order, child_report};
pub use locks::{LockRequest, kept_locks, lock_requests};
pub use memo::{Memo, memo};
pub use order::work_order;
pub use rows::task_write;
pub use run::{Context, Run};

/// What one event changed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes {
    /// What is to be done, in order.
    pub effects: Vec<Effect>,
    /// New history, in order.
    pub records: Vec<Record>,
    /// Nodes whose stored state changed, rising; `true` if the node is new.
    pub touched: BTreeMap<NodeIx, bool>,
    /// The workflow's own stored state changed.
    pub workflow: bool,
}

/// Why an event changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StepError {
    /// It does not fit any more: a duplicate, a late report, a wish that is moot. Harmless.
    #[error("stale event: {0}")]
    Stale(&'static str),
    /// An invariant is broken: set this one workflow aside and tell a person.
    #[error("broken invariant: {0}")]
    Bug(&'static str),
}

pub(crate) type Result<T = (), E = StepError> = std::result::Result<T, E>;

/// Takes one workflow across one event.
///
/// Work is proportional to what the event touches (the out-degree of a finished task, the size of
/// a group that begins or ends), not to the size of the workflow.
///
/// # Errors
/// `Stale` with `run` untouched; `Bug` with `run` in an unknown state: drop it.
pub fn step(plan: &Plan, run: &mut Run, event: &Event, now: Timestamp) -> Result<Changes> {
    let mut step = Step::new(plan, run, now);
    match event {
        Event::Submitted => step.submitted()?,
        Event::Started { node, number, at } => step.started(*node, *number, *at)?,
        Event::Ready { node, number, at, ip } => step.ready(*node, *number, *at, ip)?,
        Event::Finished { node, number, report } => step.finished(*node, *number, report)?,
        Event::TimerDue { node, timer } => step.timer_due(*node, *timer)?,
        Event::Asked(command) => step.asked(command)?,
        Event::Granted { node } => step.granted(*node)?,
        Event::Recalled { node, hit } => step.recalled(*node, hit.as_deref())?,
    }
    step.settle()
}

impl Step<'_> {
    fn timer_due(&mut self, node: NodeIx, timer: Timer) -> Result {
        match timer {
            Timer::Retry => self.retry_due(node),
            Timer::Timeout => self.timed_out(node),
            Timer::Suspend => self.suspension_over(node),
            Timer::Deadline => self.deadline_passed(),
            Timer::Ttl => self.time_to_live_over(),
        }
    }
}
