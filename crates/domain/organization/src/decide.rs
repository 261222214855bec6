//! One edit, and what comes of it.

use std::collections::BTreeSet;

use flowforge_model::id::{EntityId, QuotaId};
use flowforge_model::limits::{ENTITIES, QUOTAS};
use flowforge_model::quota::{Level, Quota};
use flowforge_model::time::Timestamp;

use crate::edit::{Change, Decision, Edit, Subject};
use crate::exceeding;
use crate::find::is_name;
use crate::leaving;
use crate::placing;
use crate::refusal::Refusal;
use crate::tree::{NamedQuota, Node, Organization};

/// What changes. `busy` are those of [`Edit::concerns`] that have unfinished workflows.
///
/// # Errors
/// Everything that is wrong with it; nothing changes then.
pub fn decide(
    organization: &Organization,
    edit: &Edit,
    busy: &BTreeSet<EntityId>,
    at: Timestamp,
) -> Result<Decision, Refusal> {
    match edit {
        Edit::Create { .. } => create(organization, edit, at),
        Edit::Update { .. } => update(organization, edit),
        Edit::Delete { id, version, drain, cascade } => {
            let node = entity(organization, *id, *version)?;
            let changes = leaving::drain(organization, node, (*drain, *cascade), busy)?;
            let subject = Subject::Entity(*id);
            Ok(Decision { subject, changes, clamped: Vec::new() })
        }
        Edit::CreateQuota { id, tenant, name, quota } => {
            let of = entity(organization, *tenant, None)?;
            if of.level != Level::Tenant {
                return Err(Refusal::Missing("tenant"));
            }
            if !is_name(name) {
                return Err(Refusal::BadName(name.chars().take(64).collect()));
            }
            let row = new_quota(organization, (*id, of, name), quota, at)?;
            finish(organization, Subject::Quota(*id), vec![Change::Quota(row)], (of.id, None))
        }
        Edit::UpdateQuota { .. } => update_quota(organization, edit),
        Edit::DeleteQuota { id, version } => {
            let row = named(organization, *id, *version)?;
            let users: Vec<String> =
                organization.users(row.id).take(10).map(|node| organization.path(node)).collect();
            if !users.is_empty() {
                return Err(Refusal::InUse(users));
            }
            let changes = vec![Change::QuotaGone(*id)];
            Ok(Decision { subject: Subject::Quota(*id), changes, clamped: Vec::new() })
        }
        Edit::SetQuota { .. } => set_quota(organization, edit, at),
    }
}

fn create(organization: &Organization, edit: &Edit, at: Timestamp) -> Result<Decision, Refusal> {
    let Edit::Create { id, level, parent, name, quota, cluster } = edit else {
        return Err(Refusal::Missing("edit"));
    };
    if organization.nodes().count() >= ENTITIES {
        return Err(Refusal::TooMany);
    }
    let tenant = placing::tenant_below(organization, *level, *parent)?.unwrap_or(*id);
    placing::name_free(organization, (*id, *parent), name)?;
    if organization.node(*id).is_some() {
        return Err(Refusal::NameTaken(id.to_string()));
    }
    of_tenant(organization, *quota, tenant)?;
    placing::in_cluster(organization, *level, cluster.as_ref())?;
    let node = Node {
        id: *id,
        level: *level,
        parent: *parent,
        tenant,
        name: name.clone(),
        quota: *quota,
        cluster: cluster.clone(),
        draining: false,
        created_at: at,
        version: 1,
    };
    finish(organization, Subject::Entity(*id), vec![Change::Node(node)], (tenant, None))
}

fn update(organization: &Organization, edit: &Edit) -> Result<Decision, Refusal> {
    let Edit::Update { id, version, name, parent, quota, cluster, clamp } = edit else {
        return Err(Refusal::Missing("edit"));
    };
    let old = entity(organization, *id, *version)?;
    let mut new = old.clone();
    if old.draining && (name.is_some() || parent.is_some()) {
        return Err(Refusal::Draining(organization.path(old)));
    }
    if let Some(parent) = parent {
        if old.parent != Some(*parent) {
            placing::movable(organization, old, *parent)?;
        }
        new.parent = Some(*parent);
    }
    if let Some(name) = name {
        new.name.clone_from(name);
    }
    if new.name != old.name || new.parent != old.parent {
        placing::name_free(organization, (new.id, new.parent), &new.name)?;
    }
    if let Some(quota) = quota {
        of_tenant(organization, *quota, old.tenant)?;
        new.quota = *quota;
    }
    if let Some(cluster) = cluster {
        placing::in_cluster(organization, old.level, cluster.as_ref())?;
        new.cluster.clone_from(cluster);
    }
    let subject = Subject::Entity(*id);
    if new == *old {
        return Ok(Decision { subject, changes: Vec::new(), clamped: Vec::new() });
    }
    new.version += 1;
    let kept = clamp.then_some(new.quota);
    let tenant = new.tenant;
    finish(organization, subject, vec![Change::Node(new)], (tenant, kept))
}

fn update_quota(organization: &Organization, edit: &Edit) -> Result<Decision, Refusal> {
    let Edit::UpdateQuota { id, version, name, quota, clamp } = edit else {
        return Err(Refusal::Missing("edit"));
    };
    let old = named(organization, *id, *version)?;
    let mut new = old.clone();
    if let Some(name) = name.as_ref().filter(|name| **name != old.name) {
        if !is_name(name) {
            return Err(Refusal::BadName(name.chars().take(64).collect()));
        }
        if organization.quota_named(old.tenant, name).is_some() {
            return Err(Refusal::NameTaken(name.clone()));
        }
        new.name.clone_from(name);
    }
    if let Some(quota) = quota {
        exceeding::sound(quota)?;
        new.quota = *quota;
    }
    let subject = Subject::Quota(*id);
    if new == *old {
        return Ok(Decision { subject, changes: Vec::new(), clamped: Vec::new() });
    }
    new.version += 1;
    let around = (new.tenant, clamp.then_some(Some(*id)));
    finish(organization, subject, vec![Change::Quota(new)], around)
}

fn set_quota(organization: &Organization, edit: &Edit, at: Timestamp) -> Result<Decision, Refusal> {
    let Edit::SetQuota { entity: of, version, id, quota, clamp } = edit else {
        return Err(Refusal::Missing("edit"));
    };
    exceeding::sound(quota)?;
    let node = entity(organization, *of, None)?;
    let old = organization.quota_of(node);
    fresh(*version, old.map_or(0, |old| old.version))?;
    let own = old.filter(|old| organization.users(old.id).count() == 1);
    let (id, mut changes) = match own {
        Some(old) if old.quota == *quota => (old.id, Vec::new()),
        Some(old) => {
            let row = NamedQuota { quota: *quota, version: old.version + 1, ..old.clone() };
            (old.id, vec![Change::Quota(row)])
        }
        None => {
            let tenant = entity(organization, node.tenant, None)?;
            let row = new_quota(organization, (*id, tenant, &of.to_string()), quota, at)?;
            let node = Node { quota: Some(*id), version: node.version + 1, ..node.clone() };
            (*id, vec![Change::Quota(row), Change::Node(node)])
        }
    };
    // One that was made for it before, and that it has left since, is in the way of the name.
    let earlier = organization.quota_named(node.tenant, &of.to_string());
    if let Some(earlier) = earlier.filter(|earlier| earlier.id != id) {
        if organization.users(earlier.id).next().is_some() {
            return Err(Refusal::NameTaken(earlier.name.clone()));
        }
        changes.insert(0, Change::QuotaGone(earlier.id));
    }
    let kept = clamp.then_some(Some(id));
    finish(organization, Subject::Entity(*of), changes, (node.tenant, kept))
}

/// Nothing is above its ancestors afterwards. With `kept`, what is not kept is lowered for that.
fn finish(
    organization: &Organization,
    subject: Subject,
    mut changes: Vec<Change>,
    (tenant, kept): (EntityId, Option<Option<QuotaId>>),
) -> Result<Decision, Refusal> {
    let mut after = organization.clone();
    after.apply(&changes);
    let clamped = match kept {
        None => {
            let offenders = exceeding::offenders(&after, tenant);
            if !offenders.is_empty() {
                return Err(Refusal::Exceeding(offenders));
            }
            Vec::new()
        }
        Some(kept) => {
            let (rows, clamped) = exceeding::clamp(&mut after, tenant, kept)?;
            changes.extend(rows);
            clamped
        }
    };
    Ok(Decision { subject, changes, clamped })
}

fn new_quota(
    organization: &Organization,
    (id, tenant, name): (QuotaId, &Node, &str),
    quota: &Quota,
    at: Timestamp,
) -> Result<NamedQuota, Refusal> {
    exceeding::sound(quota)?;
    if organization.quotas().count() >= QUOTAS {
        return Err(Refusal::TooMany);
    }
    if tenant.draining {
        return Err(Refusal::Draining(tenant.name.clone()));
    }
    let own = organization.quota_named(tenant.id, name);
    let in_the_way = own.is_some_and(|own| organization.users(own.id).next().is_some());
    if organization.quota(id).is_some() || in_the_way || (own.is_some() && is_name(name)) {
        return Err(Refusal::NameTaken(name.to_owned()));
    }
    let name = name.to_owned();
    Ok(NamedQuota { id, tenant: tenant.id, name, quota: *quota, created_at: at, version: 1 })
}

fn entity(
    organization: &Organization,
    id: EntityId,
    version: Option<u64>,
) -> Result<&Node, Refusal> {
    let found = organization.node(id).ok_or(Refusal::Missing("entity"))?;
    fresh(version, found.version)?;
    Ok(found)
}

fn named(
    organization: &Organization,
    id: QuotaId,
    version: Option<u64>,
) -> Result<&NamedQuota, Refusal> {
    let found = organization.quota(id).ok_or(Refusal::Missing("quota"))?;
    fresh(version, found.version)?;
    Ok(found)
}

fn fresh(wanted: Option<u64>, found: u64) -> Result<(), Refusal> {
    match wanted {
        Some(wanted) if wanted != found => Err(Refusal::Stale { wanted, found }),
        _ => Ok(()),
    }
}

/// A quota of the same tenant, or none.
fn of_tenant(
    organization: &Organization,
    quota: Option<QuotaId>,
    tenant: EntityId,
) -> Result<(), Refusal> {
    let Some(id) = quota else {
        return Ok(());
    };
    match named(organization, id, None)? {
        row if row.tenant == tenant => Ok(()),
        _ => Err(Refusal::OtherTenant),
    }
}
