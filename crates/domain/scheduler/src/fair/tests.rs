mod acceptance;
mod circuits;
mod claims;
mod clusters;
mod machine;
mod metrics;
mod preview;
mod retries;
mod what_if;
mod why;

use flowforge_model::id::NodeIx;
use flowforge_model::quota::{Amounts, Entity, Level, Quota, Weight};

use flowforge_quota::Place;

use super::*;

fn entity_id(number: u32) -> EntityId {
    format!("01890a5d-ac96-774b-bcce-b3020{number:07x}").parse().unwrap()
}

fn workflow(number: u32) -> WorkflowId {
    format!("01890a5d-ac96-774b-bcce-c3020{number:07x}").parse().unwrap()
}

fn key(of: u32, node: u32) -> AttemptKey {
    AttemptKey { workflow: workflow(of), node: NodeIx(node), number: 1 }
}

fn pods(count: u64) -> Amounts {
    Amounts::ZERO.with(Dimension::Pods, count)
}

/// A project `number` without limits below `parent`.
fn entity(number: u32, parent: Option<u32>, weight: u16) -> Entity {
    let quota = Quota { weight: Weight::new(weight).unwrap(), ..Quota::default() };
    let level = if parent.is_some() { Level::Project } else { Level::Tenant };
    let (name, parent) = (number.to_string(), parent.map(entity_id));
    Entity { id: entity_id(number), level, parent, name, quota: Some(quota), cluster: None }
}

fn limit(mut entity: Entity, dimension: Dimension, most: u64) -> Entity {
    let quota = entity.quota.as_mut().unwrap();
    quota.limits[dimension as usize] = Some(most);
    entity
}

fn candidate(of: u32, node: u32, project: u32) -> Candidate {
    Candidate {
        key: key(of, node),
        priority: 50,
        since: Timestamp(1_000_000),
        parallelism: None,
        project: entity_id(project),
        need: pods(1),
        root: workflow(of),
        storage: 0,
        called: false,
        lasts: None,
        retry: false,
        template: None,
    }
}

fn sound(fair: &FairShare) {
    assert_eq!(fair.audit(), Vec::<String>::new());
}
