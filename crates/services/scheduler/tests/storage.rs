//! What claims of workflows ask for is held with their slots, whatever they began with.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on fails; clippy exempts test functions but not what they call"
)]

use flowforge_model::attempt::AttemptKey;
use flowforge_model::id::{EntityId, NodeIx, WorkflowId};
use flowforge_model::quota::{Dimension, Entity, Level, Quota};
use flowforge_model::resources::{Bytes, ResourceList};
use flowforge_model::time::Timestamp;
use flowforge_ports::admission::{Admission as _, LockRequest, Ready, Slot};
use flowforge_svc_scheduler::{LocalAdmission, Rules};

fn workflow(number: u8) -> WorkflowId {
    format!("01890a5d-ac96-774b-bcce-b302099a80{number:02x}").parse().unwrap()
}

fn key(number: u8) -> AttemptKey {
    AttemptKey { workflow: workflow(number), node: NodeIx(1), number: 1 }
}

fn ready(number: u8, storage: u64) -> Ready {
    Ready {
        key: key(number),
        priority: 0,
        since: Timestamp(i64::from(number)),
        project: EntityId::DEFAULT_PROJECT,
        requests: ResourceList::default(),
        limits: ResourceList::default(),
        pods: 1,
        storage: Bytes(storage),
        parallelism: None,
        lasts: None,
        retry: false,
        template: None,
        called: false,
    }
}

fn wants(number: u8, storage: u64) -> LockRequest {
    LockRequest {
        workflow: workflow(number),
        node: NodeIx(1),
        project: EntityId::DEFAULT_PROJECT,
        storage: Bytes(storage),
        priority: 0,
        created_at: Timestamp(0),
        since: Timestamp(i64::from(number)),
        locks: vec![(number.to_string(), 1)],
        called: false,
    }
}

/// The default project may use so much storage.
fn admission(most: u64) -> LocalAdmission {
    let mut quota = Quota::default();
    quota.limits[Dimension::Storage as usize] = Some(most);
    let entity = |id, level, parent, quota| {
        let name = "default".to_owned();
        Entity { id, level, parent, name, quota, cluster: None }
    };
    let mut admission = LocalAdmission::new(9, Rules::default());
    admission.share_among(&[
        entity(EntityId::DEFAULT_TENANT, Level::Tenant, None, None),
        entity(
            EntityId::DEFAULT_PROJECT,
            Level::Project,
            Some(EntityId::DEFAULT_TENANT),
            Some(quota),
        ),
    ]);
    admission
}

#[test]
fn one_that_is_paused_keeps_its_storage_until_it_ends() {
    let mut admission = admission(10);
    admission.offer(ready(1, 6));
    admission.offer(ready(2, 5));
    let now = Timestamp(100);
    assert_eq!(admission.admit(now, 9), [key(1)]);
    admission.gate(workflow(1), false);
    admission.release(key(1), None);
    assert_eq!(admission.admit(now, 9), []);
    admission.end_workflow(workflow(1));
    assert_eq!(admission.admit(now, 9), [key(2)]);
}

#[test]
fn one_that_begins_with_a_lock_or_was_found_holding_its_slot_holds_its_storage() {
    let mut admission = admission(10);
    let slot = Slot {
        workflow: workflow(1),
        project: EntityId::DEFAULT_PROJECT,
        storage: Bytes(3),
        suspended: true,
        called: false,
    };
    admission.adopt_workflow(slot);
    admission.want_locks(wants(2, 4));
    admission.want_locks(wants(3, 4));
    assert_eq!(admission.grant_locks(), [(workflow(2), NodeIx(1))]);
    admission.adopt_locks(wants(4, 2));
    admission.offer(ready(5, 2));
    assert_eq!(admission.admit(Timestamp(100), 9), []);
    admission.end_workflow(workflow(1));
    assert_eq!(admission.admit(Timestamp(100), 9), [key(5)]);
    assert_eq!(admission.grant_locks(), [], "8 of 10 are used");
}
