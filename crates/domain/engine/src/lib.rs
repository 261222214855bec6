//! The life of one workflow: `step(plan, run, event, now) -> changes`.
//!
//! Pure and deterministic: no clock, no I/O, no randomness. Live execution, recovery, simulation
//! and tests all call [`step`]; there is no second set of rules.

pub mod run;

use std::collections::BTreeMap;

use flowforge_model::attempt::{Failure, WorkOrder};
use flowforge_model::event::{Effect, Event, Record, TaskWrite};
use flowforge_model::id::NodeIx;
use flowforge_model::plan::Plan;
use flowforge_model::time::Timestamp;

pub use run::{Context, Run};

/// What one event changed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes {
    /// What is to be done, in order.
    pub effects: Vec<Effect>,
    /// New history, in order.
    pub records: Vec<Record>,
    /// Nodes whose stored state changed, each once, rising; `true` if the node is new.
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

/// Takes one workflow across one event.
///
/// Work is proportional to what the event touches (the out-degree of a finished task, the size of
/// a group that begins), not to the size of the workflow.
///
/// # Errors
/// `Stale` with `run` untouched; `Bug` with `run` in an unknown state: drop it.
pub fn step(
    plan: &Plan,
    run: &mut Run,
    event: &Event,
    now: Timestamp,
) -> Result<Changes, StepError> {
    let _unused = (plan, run, event, now);
    Err(StepError::Bug("not written"))
}

/// What an executor needs for the current attempt of a leaf.
///
/// # Errors
/// Why the attempt cannot be made (an argument too long, a value missing): to be reported as the
/// attempt's end.
pub fn work_order(
    plan: &Plan,
    run: &Run,
    node: NodeIx,
    now: Timestamp,
) -> Result<WorkOrder, Box<Failure>> {
    let _unused = (plan, run, node, now);
    Err(Box::new(Failure {
        class: flowforge_model::attempt::FailureClass::Error,
        reason: flowforge_model::status::Reason::Error,
        message: String::new(),
    }))
}

/// The row to store for a node that was touched; with its shape if it is new.
#[must_use]
pub fn task_write(plan: &Plan, run: &Run, node: NodeIx, new: bool) -> Option<TaskWrite> {
    let _unused = (plan, run, node, new);
    None
}
