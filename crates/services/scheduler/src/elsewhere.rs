//! Admission in another process: what is called here is told there.

use flowforge_model::attempt::{AttemptKey, Outcome};
use flowforge_model::id::{NodeIx, WorkflowId};
use flowforge_model::quota::Entity;
use flowforge_model::time::Timestamp;
use flowforge_ports::admission::{Admission, LockRequest, Ready, Slot, SlotChanges};
use flowforge_ports::handover::{Call, Released};

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

    fn release(&mut self, key: AttemptKey, outcome: Option<Outcome>) {
        self.calls.push(Call::Release(Released { key, outcome }));
    }

    /// The scheduler knows what it admitted.
    fn adopt(&mut self, _ready: Ready) {}

    /// The scheduler knows who holds slots, and who shares.
    fn adopt_workflow(&mut self, _slot: Slot) {}

    fn end_workflow(&mut self, workflow: WorkflowId) {
        self.calls.push(Call::EndWorkflow(workflow));
    }

    fn suspend(&mut self, workflow: WorkflowId, suspended: bool) {
        self.calls.push(Call::Suspend { workflow, suspended });
    }

    fn slot_changes(&mut self) -> SlotChanges {
        SlotChanges::new()
    }

    fn share_among(&mut self, _entities: &[Entity]) {}

    fn gate(&mut self, workflow: WorkflowId, open: bool) {
        self.calls.push(Call::Gate { workflow, open });
    }

    fn admit(&mut self, _now: Timestamp, _most: usize) -> Vec<AttemptKey> {
        Vec::new()
    }

    fn want_locks(&mut self, request: LockRequest) {
        self.calls.push(Call::WantLocks(request));
    }

    /// After giving some back. What was found held in the store the scheduler has found there, too.
    fn adopt_locks(&mut self, request: LockRequest) {
        self.calls.push(Call::HoldLocks(request));
    }

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

/// Calls where it is decided what was called elsewhere.
pub(crate) fn play(call: Call, admission: &mut impl Admission) {
    match call {
        Call::Offer(ready) => admission.offer(ready),
        Call::Withdraw(key) => admission.withdraw(key),
        Call::Release(Released { key, outcome }) => {
            admission.withdraw(key);
            admission.release(key, outcome);
        }
        Call::EndWorkflow(workflow) => admission.end_workflow(workflow),
        Call::Suspend { workflow, suspended } => admission.suspend(workflow, suspended),
        Call::Gate { workflow, open } => admission.gate(workflow, open),
        Call::WantLocks(request) => admission.want_locks(request),
        Call::HoldLocks(request) => admission.adopt_locks(request),
        Call::ReleaseLocks { workflow, node } => admission.release_locks(workflow, node),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flowforge_model::id::EntityId;
    use flowforge_model::quota::Level;
    use flowforge_model::resources::Bytes;

    use crate::{LocalAdmission, Rules};

    /// The root gives its template's lock back and keeps that of its workflow.
    #[test]
    fn a_lock_that_is_kept_is_not_given_to_others() {
        let root = |number: u8, locks: &[&str]| LockRequest {
            workflow: format!("01890a5d-ac96-774b-bcce-b302099a80{number:02x}").parse().unwrap(),
            node: NodeIx::ROOT,
            project: EntityId::DEFAULT_PROJECT,
            storage: Bytes(0),
            priority: 0,
            created_at: Timestamp(1),
            since: Timestamp(1),
            locks: locks.iter().map(|name| ((*name).to_owned(), 1)).collect(),
            called: false,
        };
        let mut here = LocalAdmission::new(1, Rules::default());
        let entity = |id, level, parent| Entity {
            id,
            level,
            parent,
            name: "default".to_owned(),
            quota: None,
            cluster: None,
        };
        here.share_among(&[
            entity(EntityId::DEFAULT_TENANT, Level::Tenant, None),
            entity(EntityId::DEFAULT_PROJECT, Level::Project, Some(EntityId::DEFAULT_TENANT)),
        ]);
        let first = root(1, &["own", "workflow"]);
        here.want_locks(first.clone());
        assert_eq!(here.grant_locks(), [(first.workflow, first.node)]);
        here.want_locks(root(2, &["workflow"]));
        here.want_locks(root(3, &["own"]));

        let mut there = Elsewhere::default();
        there.release_locks(first.workflow, first.node);
        there.adopt_locks(root(1, &["workflow"]));
        for call in there.take_calls() {
            play(call, &mut here);
        }
        assert_eq!(here.grant_locks(), [(root(3, &[]).workflow, NodeIx::ROOT)]);
    }
}
