//! Who goes first, as the settings say.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on fails; clippy exempts test functions but not what they call"
)]

use flowforge_model::attempt::AttemptKey;
use flowforge_model::id::{EntityId, NodeIx, WorkflowId};
use flowforge_model::quota::{Entity, Level};
use flowforge_model::resources::{Bytes, ResourceList};
use flowforge_model::time::Timestamp;
use flowforge_ports::admission::{Admission as _, Ready};
use flowforge_svc_scheduler::{LocalAdmission, Precedence, Rules};

fn entity_id(number: u8) -> EntityId {
    EntityId(format!("01890a5d-ac96-774b-bcce-b302099a81{number:02x}").parse().unwrap())
}

/// The tenth attempt of tenant 1 is number 10.
fn ready(tenant: u8, number: u8, priority: i32) -> Ready {
    let workflow: WorkflowId =
        format!("01890a5d-ac96-774b-bcce-b302099a80{number:02x}").parse().unwrap();
    Ready {
        key: AttemptKey { workflow, node: NodeIx(1), number: 1 },
        priority,
        since: Timestamp(i64::from(number)),
        project: entity_id(tenant + 10),
        requests: ResourceList::default(),
        limits: ResourceList::default(),
        pods: 1,
        storage: Bytes(0),
        parallelism: None,
        lasts: None,
        retry: false,
        template: None,
        called: false,
    }
}

/// What starts first of a tenant that uses five of six slots and asks for an urgent one, and one that uses none.
fn first(precedence: Precedence) -> u8 {
    let mut admission = LocalAdmission::new(6, Rules { precedence, ..Rules::default() });
    let entity = |id, level, parent| Entity {
        id,
        level,
        parent,
        name: "e".to_owned(),
        quota: None,
        cluster: None,
    };
    let both = [1, 2].map(|tenant| {
        let (own, project) = (entity_id(tenant), entity_id(tenant + 10));
        [entity(own, Level::Tenant, None), entity(project, Level::Project, Some(own))]
    });
    admission.share_among(&both.concat());
    for number in 0..5 {
        admission.offer(ready(1, number, 0));
    }
    assert_eq!(admission.admit(Timestamp(100), 9).len(), 5);
    let (urgent, other) = (ready(1, 10, 90), ready(2, 20, 0));
    admission.offer(urgent);
    admission.offer(other);
    let started = admission.admit(Timestamp(100), 9);
    assert_eq!(started.len(), 1);
    if started == [urgent.key] { 1 } else { 2 }
}

#[test]
fn a_share_counts_before_a_priority_unless_priorities_are_strict() {
    assert_eq!(first(Precedence::Share), 2);
    assert_eq!(first(Precedence::ShareWithBoost), 2);
    assert_eq!(first(Precedence::Priority), 1);
}
