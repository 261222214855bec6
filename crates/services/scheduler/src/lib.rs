//! Admission: which ready attempt starts next.
//!
//! Joins the pure decisions of `flowforge-scheduler` to the seam the controller sees: in the same
//! process ([`LocalAdmission`]), or as a server of its own ([`Leader`]) that controllers tell through
//! their commits ([`Elsewhere`]).

mod elsewhere;
mod leader;
mod serve;

use flowforge_model::attempt::AttemptKey;
use flowforge_model::id::{EntityId, NodeIx, WorkflowId};
use flowforge_model::quota::{Amounts, Dimension};
use flowforge_model::time::Timestamp;
use flowforge_ports::admission::{Admission, LockRequest, Ready};
use flowforge_scheduler::{Candidate, Fifo, LockClaim, LockTable};

pub use elsewhere::Elsewhere;
pub use leader::{Decided, Leader};
pub use serve::Serve;

/// Admission inside the server's own process: a limit of running attempts, then priority and age.
#[derive(Clone, Debug)]
pub struct LocalAdmission {
    fifo: Fifo,
    locks: LockTable,
}

impl LocalAdmission {
    /// Runs at most `concurrency` attempts at a time.
    #[must_use]
    pub fn new(concurrency: u32) -> Self {
        Self { fifo: Fifo::new(concurrency), locks: LockTable::default() }
    }

    /// How many attempts wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.fifo.waiting()
    }

    /// From now on runs at most `concurrency` attempts at a time; what runs already goes on.
    pub fn resize(&mut self, concurrency: u32) {
        self.fifo.resize(concurrency);
    }
}

fn candidate(ready: &Ready) -> Candidate {
    Candidate {
        key: ready.key,
        priority: ready.priority,
        since: ready.since,
        parallelism: ready.parallelism,
        project: EntityId::DEFAULT_PROJECT,
        need: Amounts::ZERO.with(Dimension::Pods, 1),
        root: ready.key.workflow,
        storage: 0,
    }
}

fn claim(request: LockRequest) -> LockClaim {
    LockClaim {
        holder: (request.workflow, request.node),
        priority: request.priority,
        created_at: request.created_at,
        since: request.since,
        locks: request.locks,
    }
}

impl Admission for LocalAdmission {
    fn offer(&mut self, ready: Ready) {
        self.fifo.offer(candidate(&ready));
    }

    fn withdraw(&mut self, key: AttemptKey) {
        self.fifo.withdraw(key);
    }

    fn release(&mut self, key: AttemptKey) {
        self.fifo.release(key);
    }

    fn adopt(&mut self, ready: Ready) {
        self.fifo.adopt(candidate(&ready));
    }

    fn gate(&mut self, workflow: WorkflowId, open: bool) {
        self.fifo.gate(workflow, open);
        self.locks.gate(workflow, open);
    }

    fn admit(&mut self, _now: Timestamp, most: usize) -> Vec<AttemptKey> {
        self.fifo.admit(most)
    }

    fn want_locks(&mut self, request: LockRequest) {
        self.locks.want(claim(request));
    }

    fn adopt_locks(&mut self, request: LockRequest) {
        self.locks.adopt(claim(request));
    }

    fn release_locks(&mut self, workflow: WorkflowId, node: NodeIx) {
        self.locks.release((workflow, node));
    }

    fn grant_locks(&mut self) -> Vec<(WorkflowId, NodeIx)> {
        self.locks.grant()
    }
}
