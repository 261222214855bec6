//! What is deleted, and when.

use std::collections::BTreeSet;

use flowforge_model::id::EntityId;
use flowforge_model::quota::Level;

use crate::edit::Change;
use crate::refusal::Refusal;
use crate::tree::{Node, Organization};

/// Rows of what drains from now on. `busy` are the projects with unfinished workflows.
pub(crate) fn drain(
    organization: &Organization,
    node: &Node,
    (drain, cascade): (bool, bool),
    busy: &BTreeSet<EntityId>,
) -> Result<Vec<Change>, Refusal> {
    let all = organization.subtree(node.id);
    let always =
        |one: &&&Node| one.id == EntityId::DEFAULT_PROJECT || one.id == EntityId::DEFAULT_TENANT;
    if let Some(one) = all.iter().find(always) {
        return Err(Refusal::Default(one.level));
    }
    let below = all.len().saturating_sub(1);
    if below > 0 && !cascade {
        return Err(Refusal::NotEmpty(below));
    }
    let working: Vec<String> = all
        .iter()
        .filter(|one| busy.contains(&one.id))
        .take(10)
        .map(|one| organization.path(one))
        .collect();
    if !(working.is_empty() || drain || cascade) {
        return Err(Refusal::Busy(working));
    }
    let fresh = all.into_iter().filter(|one| !one.draining);
    let row = |one: &Node| Node { draining: true, version: one.version + 1, ..one.clone() };
    Ok(fresh.map(|one| Change::Node(row(one))).collect())
}

/// What has drained and goes now, from the bottom: projects without unfinished workflows, and what
/// has nothing below it any more. Quotas that only they named go with them if they are called by
/// their ids, which means that they were made for them alone, and all quotas of a tenant with it.
#[must_use]
pub fn finished(organization: &Organization, busy: &BTreeSet<EntityId>) -> Vec<Change> {
    let mut gone = BTreeSet::new();
    let mut changes = Vec::new();
    let all: Vec<&Node> =
        organization.children(None).flat_map(|tenant| organization.subtree(tenant.id)).collect();
    for node in all.into_iter().rev().filter(|node| node.draining) {
        let empty = organization.children(Some(node.id)).all(|below| gone.contains(&below.id));
        let idle = node.level != Level::Project || !busy.contains(&node.id);
        if !(empty && idle) {
            continue;
        }
        gone.insert(node.id);
        changes.push(Change::NodeGone(node.id, node.level));
        let own = organization.quota_of(node).filter(|quota| {
            quota.name == node.id.to_string()
                && organization.users(quota.id).all(|user| gone.contains(&user.id))
        });
        changes.extend(own.map(|quota| Change::QuotaGone(quota.id)));
        if node.level == Level::Tenant {
            let left = organization.quotas().filter(|quota| quota.tenant == node.id);
            changes.extend(left.map(|quota| Change::QuotaGone(quota.id)));
        }
    }
    changes
}
