//! What a controller hands to the other roles with a commit, when they are servers of their own.
//!
//! It is written in the transaction of the commit and read by whoever it is for. A controller that
//! has a scheduler and an executor in its own process hands nothing over.

use flowforge_model::attempt::{AttemptKey, Fact, Outcome, Report, WorkOrder};
use flowforge_model::id::{NodeIx, WorkflowId};
use flowforge_model::shard::Shard;
use serde::{Deserialize, Serialize};

use crate::admission::{LockRequest, Ready};
use crate::leases::Lease;

/// What the scheduler has to know, in the order in which it happened. Repeating one is harmless.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Call {
    /// The attempt may start.
    Offer(Ready),
    /// The attempt is not wanted any more.
    Withdraw(AttemptKey),
    /// The attempt ended.
    Release(Released),
    /// Nothing of the workflow may start until it is opened again.
    Gate {
        /// Which.
        workflow: WorkflowId,
        /// Or it may.
        open: bool,
    },
    /// The workflow ended.
    EndWorkflow(WorkflowId),
    /// The workflow waits for something outside, or does so no more.
    Suspend {
        /// Which.
        workflow: WorkflowId,
        /// It does.
        suspended: bool,
    },
    /// A task waits for locks.
    WantLocks(LockRequest),
    /// A task holds these locks: those it kept when it gave others back.
    HoldLocks(LockRequest),
    /// A task neither holds nor waits for locks any more.
    ReleaseLocks {
        /// Its workflow.
        workflow: WorkflowId,
        /// The task.
        node: NodeIx,
    },
}

/// An attempt that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Released {
    /// Which.
    #[serde(flatten)]
    pub key: AttemptKey,
    /// How; none if it vanished. Controllers of earlier versions do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
}

/// What an attempt does once somebody claims it: its work order, or its end if none could be made.
pub type Order = Result<WorkOrder, Report>;

/// Part of a commit.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Handover {
    /// Leases of all shards that the commit writes in; they stand in for its epoch.
    pub leases: Vec<Lease>,
    /// For the scheduler.
    pub calls: Vec<Call>,
    /// For the executors: the orders of attempts that became runnable in this commit.
    pub orders: Vec<(AttemptKey, Order)>,
    /// For the executors: open attempts to end. One that nobody has claimed never will be; news of
    /// its end are there at once.
    pub stops: Vec<AttemptKey>,
    /// News that this commit has taken in.
    pub news_done: Vec<i64>,
}

impl Call {
    /// The workflow that it is about.
    #[must_use]
    pub fn workflow(&self) -> WorkflowId {
        match self {
            Self::Offer(ready) => ready.key.workflow,
            Self::Withdraw(key) | Self::Release(Released { key, .. }) => key.workflow,
            Self::WantLocks(request) | Self::HoldLocks(request) => request.workflow,
            Self::EndWorkflow(workflow)
            | Self::Suspend { workflow, .. }
            | Self::Gate { workflow, .. }
            | Self::ReleaseLocks { workflow, .. } => *workflow,
        }
    }
}

/// What another role tells the controller of a workflow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// Its own number; not in the order of time.
    pub id: i64,
    /// What it says.
    pub what: Tidings,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tidings {
    /// An executor reports.
    Fact(Fact),
    /// A task holds its locks now.
    Granted {
        /// Its workflow.
        workflow: WorkflowId,
        /// The task.
        node: NodeIx,
    },
    /// Somebody said something that this version cannot read. Never written.
    #[serde(skip)]
    Unread {
        /// Of which workflow.
        workflow: WorkflowId,
        /// Why not.
        why: String,
    },
}

impl Tidings {
    /// The workflow that it is about.
    #[must_use]
    pub fn workflow(&self) -> WorkflowId {
        match self {
            Self::Fact(fact) => fact.key.workflow,
            Self::Granted { workflow, .. } | Self::Unread { workflow, .. } => *workflow,
        }
    }
}

/// Calls of one commit, as the scheduler reads them.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Of which shard.
    pub shard: Shard,
    /// From 1, rising without a gap in a shard.
    pub seq: u64,
    /// What was called.
    pub calls: Vec<Call>,
}
