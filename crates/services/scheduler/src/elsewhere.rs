//! Admission in another process: what is called here is told there.

use flowforge_model::attempt::AttemptKey;
use flowforge_model::id::{NodeIx, WorkflowId};
use flowforge_model::time::Timestamp;
use flowforge_ports::admission::{Admission, LockRequest, Ready};
use flowforge_ports::handover::Call;

/// Decides nothing. What is called becomes part of the controller's commit, and the scheduler that
/// leads reads it there.
#[derive(Clone, Debug, Default)]
pub struct Elsewhere {
    calls: Vec<Call>,
}

impl Admission for Elsewhere {
    fn offer(&mut self, ready: Ready) {
        self.calls.push(Call::Offer(ready));
    }

    fn withdraw(&mut self, key: AttemptKey) {
        self.calls.push(Call::Withdraw(key));
    }

    fn release(&mut self, key: AttemptKey) {
        self.calls.push(Call::Release(key));
    }

    /// The scheduler knows what it admitted.
    fn adopt(&mut self, _ready: Ready) {}

    fn gate(&mut self, workflow: WorkflowId, open: bool) {
        self.calls.push(Call::Gate { workflow, open });
    }

    fn admit(&mut self, _now: Timestamp) -> Vec<AttemptKey> {
        Vec::new()
    }

    fn want_locks(&mut self, request: LockRequest) {
        self.calls.push(Call::WantLocks(request));
    }

    /// The scheduler knows what it gave.
    fn adopt_locks(&mut self, _request: LockRequest) {}

    fn release_locks(&mut self, workflow: WorkflowId, node: NodeIx) {
        self.calls.push(Call::ReleaseLocks { workflow, node });
    }

    fn grant_locks(&mut self) -> Vec<(WorkflowId, NodeIx)> {
        Vec::new()
    }

    fn take_calls(&mut self) -> Vec<Call> {
        std::mem::take(&mut self.calls)
    }
}
