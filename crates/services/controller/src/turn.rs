//! What goes into a turn, what comes out, and what lies between.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use flowforge_model::attempt::{AttemptKey, Fact, WorkOrder};
use flowforge_model::event::Outputs;
use flowforge_model::id::{NodeIx, WorkflowId};
use flowforge_model::quota::Entity;
use flowforge_model::shard::ShardSet;
use flowforge_model::time::Timestamp;
use flowforge_ports::explain::Asked;
use flowforge_ports::leases::Lease;
use flowforge_ports::nudge::Nudge;
use flowforge_ports::store::RunChanges;

use crate::answers::MemoKey;
use crate::pending::Pending;

/// News for a controller. Timers need none: every turn looks at them.
#[derive(Clone, Debug)]
pub enum Message {
    /// An intent was committed.
    Nudge(Nudge),
    /// An executor reports.
    Fact(Fact),
    /// Look for intents and news whose nudge was lost.
    Sweep,
    /// These are all the leases that it holds now.
    Leases(Vec<Lease>),
    /// These share what there is, each after its parent, and nobody else.
    Shares(Arc<[Entity]>),
    /// Somebody asks why things wait. Answered before anything of the turn is done.
    Asked(Asked),
}

/// What leaves the database after a turn is committed, in this order: stops, dispatches,
/// acknowledgements, news.
#[derive(Clone, Debug, Default)]
pub struct Turned {
    /// Attempts to end. Repeating one is harmless.
    pub stops: Vec<AttemptKey>,
    /// Attempts to begin. Repeating one is harmless.
    pub dispatches: Vec<Arc<WorkOrder>>,
    /// Attempts whose ends are durable: their executor may forget them.
    pub acknowledged: Vec<AttemptKey>,
    /// Workflows with new records, and the number of the last one.
    pub changed: Vec<(WorkflowId, u64)>,
    /// Workflows that reached a terminal status.
    pub ended: Vec<WorkflowId>,
    /// Workflows that are gone.
    pub deleted: Vec<WorkflowId>,
    /// When the next timer is due.
    pub next_timer: Option<Timestamp>,
    /// Workflows that have a new intent: those that tasks started, or that are to end with them.
    pub begun: Vec<WorkflowId>,
    /// Workflows of other controllers that have news.
    pub told: Vec<WorkflowId>,
    /// Shards whose scheduler has something to read.
    pub called: ShardSet,
    /// There is more to do: call again without waiting.
    pub again: bool,
}

/// A turn under way.
#[derive(Debug)]
pub(crate) struct Turn {
    pub(crate) now: Timestamp,
    /// Changes of every workflow that was looked at.
    pub(crate) changes: BTreeMap<WorkflowId, Pending>,
    /// Changes of workflows that are set aside and have no run in memory.
    pub(crate) aside: Vec<RunChanges>,
    /// Intents that are done and belong to no run in memory.
    pub(crate) intents: Vec<i64>,
    /// News that are done and belong to no run in memory.
    pub(crate) news: Vec<i64>,
    pub(crate) admissions: Vec<AttemptKey>,
    /// Nodes that ask for remembered outputs.
    pub(crate) recalls: VecDeque<(WorkflowId, NodeIx)>,
    /// Outputs that are remembered once this is committed.
    pub(crate) memos: BTreeMap<MemoKey, Outputs>,
    /// Somebody asked for locks or released some.
    pub(crate) locks_moved: bool,
    /// Attempts taken off the queue, whose engine has not been told that they ended.
    pub(crate) withdrawn: Vec<AttemptKey>,
    /// Attempts that were admitted and start workflows.
    pub(crate) spawns: VecDeque<AttemptKey>,
    /// Those of them that are not wanted any more before they have.
    pub(crate) unbegun: Vec<AttemptKey>,
    /// What others are told of workflows that are set aside.
    pub(crate) told: Vec<Fact>,
    pub(crate) turned: Turned,
}

impl Turn {
    pub(crate) fn new(now: Timestamp) -> Self {
        Self {
            now,
            changes: BTreeMap::new(),
            aside: Vec::new(),
            intents: Vec::new(),
            news: Vec::new(),
            admissions: Vec::new(),
            recalls: VecDeque::new(),
            memos: BTreeMap::new(),
            locks_moved: false,
            withdrawn: Vec::new(),
            spawns: VecDeque::new(),
            unbegun: Vec::new(),
            told: Vec::new(),
            turned: Turned::default(),
        }
    }

    /// The changes of one workflow; from now on it counts as looked at.
    pub(crate) fn pending(&mut self, id: WorkflowId) -> &mut Pending {
        self.changes.entry(id).or_default()
    }

    /// Forgets that anything of this workflow starts.
    pub(crate) fn start_nothing_of(&mut self, id: WorkflowId) {
        self.admissions.retain(|key| key.workflow != id);
        self.turned.dispatches.retain(|order| order.key.workflow != id);
    }
}
