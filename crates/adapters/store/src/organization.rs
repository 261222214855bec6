//! What the stores of SQL share about the organization: statements, columns, the copy in memory.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use flowforge_model::cluster::ClusterName;
use flowforge_model::id::EntityId;
use flowforge_model::quota::{Dimension, Level, Quota, Weight};
use flowforge_organization::{Change, NamedQuota, Organization, unit};
use flowforge_ports::store::StoreError;
use uuid::Uuid;

use crate::codec::corrupt;

pub(crate) const VERSION: &str = "SELECT version FROM organization";

/// Level, id, parent, tenant, name, quota, draining, creation, version, cluster.
pub(crate) const NODES: &str = "SELECT 'tenant', t.uid, NULL, t.uid, t.name, q.uid, t.draining, \
     t.created_at, t.version, NULL FROM tenant t LEFT JOIN quota q ON q.id = t.quota \
     WHERE t.deleted_at IS NULL \
     UNION ALL SELECT 'department', d.uid, coalesce(p.uid, t.uid), t.uid, d.name, q.uid, d.draining, \
     d.created_at, d.version, NULL FROM department d JOIN tenant t ON t.id = d.tenant \
     LEFT JOIN department p ON p.id = d.parent LEFT JOIN quota q ON q.id = d.quota \
     WHERE d.deleted_at IS NULL \
     UNION ALL SELECT 'group', g.uid, coalesce(p.uid, t.uid), t.uid, g.name, q.uid, g.draining, \
     g.created_at, g.version, NULL FROM grp g JOIN tenant t ON t.id = g.tenant \
     LEFT JOIN department p ON p.id = g.department LEFT JOIN quota q ON q.id = g.quota \
     WHERE g.deleted_at IS NULL \
     UNION ALL SELECT 'project', j.uid, coalesce(p.uid, t.uid), t.uid, j.name, q.uid, j.draining, \
     j.created_at, j.version, j.cluster FROM project j JOIN tenant t ON t.id = j.tenant \
     LEFT JOIN grp p ON p.id = j.grp LEFT JOIN quota q ON q.id = j.quota \
     WHERE j.deleted_at IS NULL";

/// Id, tenant, name, limits in the order of [`Dimension::ALL`], weight, creation, version.
pub(crate) const QUOTAS: &str = "SELECT q.uid, t.uid, q.name, q.cpu_request_millis, \
     q.cpu_limit_millis, q.memory_request_mib, q.memory_limit_mib, q.gpu_limit, \
     q.max_concurrent_pods, q.max_concurrent_workflows, q.storage_limit_gib, q.priority_weight, \
     q.created_at, q.version FROM quota q JOIN tenant t ON t.id = q.tenant \
     WHERE q.deleted_at IS NULL";

/// Projects with unfinished workflows.
pub(crate) const BUSY: &str =
    "SELECT uid FROM project WHERE id IN (SELECT project FROM workflow WHERE finished_at IS NULL)";

/// Parameters as of [`QUOTAS`]; each appears first in its order, so that both databases count alike.
pub(crate) const PUT_QUOTA: &str = "INSERT INTO quota (uid, tenant, name, cpu_request_millis, \
     cpu_limit_millis, memory_request_mib, memory_limit_mib, gpu_limit, max_concurrent_pods, \
     max_concurrent_workflows, storage_limit_gib, priority_weight, created_at, version) \
     VALUES ($1, (SELECT id FROM tenant WHERE uid = $2), $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, \
     $13, $14) ON CONFLICT (uid) DO UPDATE SET name = excluded.name, \
     cpu_request_millis = excluded.cpu_request_millis, \
     cpu_limit_millis = excluded.cpu_limit_millis, \
     memory_request_mib = excluded.memory_request_mib, \
     memory_limit_mib = excluded.memory_limit_mib, gpu_limit = excluded.gpu_limit, \
     max_concurrent_pods = excluded.max_concurrent_pods, \
     max_concurrent_workflows = excluded.max_concurrent_workflows, \
     storage_limit_gib = excluded.storage_limit_gib, \
     priority_weight = excluded.priority_weight, version = excluded.version";

pub(crate) const QUOTA_GONE: &str = "UPDATE quota SET deleted_at = $1 WHERE uid = $2";

macro_rules! put {
    ($table:literal, $column:literal, $parent:literal) => {
        concat!(
            "INSERT INTO ", $table, " (uid, name, quota, draining, created_at, version, tenant, ",
            $column,
            ") VALUES ($1, $2, (SELECT id FROM quota WHERE uid = $3), $4, $5, $6, \
             (SELECT id FROM tenant WHERE uid = $7), (SELECT id FROM ", $parent,
            " WHERE uid = $8)) ON CONFLICT (uid) DO UPDATE SET name = excluded.name, \
             quota = excluded.quota, draining = excluded.draining, version = excluded.version, ",
            $column, " = excluded.", $column
        )
    };
}

const PUT_PROJECT: &str = "INSERT INTO project (uid, name, quota, draining, created_at, version, tenant, grp, \
     cluster) VALUES ($1, $2, (SELECT id FROM quota WHERE uid = $3), $4, $5, $6, \
     (SELECT id FROM tenant WHERE uid = $7), (SELECT id FROM grp WHERE uid = $8), $9) \
     ON CONFLICT (uid) DO UPDATE SET name = excluded.name, quota = excluded.quota, \
     draining = excluded.draining, version = excluded.version, grp = excluded.grp, \
     cluster = excluded.cluster";

/// Id, name, quota, draining, creation, version, and except for tenants tenant and parent; of projects the
/// cluster.
pub(crate) fn put(level: Level) -> &'static str {
    match level {
        Level::Tenant => {
            "INSERT INTO tenant (uid, name, quota, draining, created_at, version) \
             VALUES ($1, $2, (SELECT id FROM quota WHERE uid = $3), $4, $5, $6) \
             ON CONFLICT (uid) DO UPDATE SET name = excluded.name, quota = excluded.quota, \
             draining = excluded.draining, version = excluded.version"
        }
        Level::Department => put!("department", "parent", "department"),
        Level::Group => put!("grp", "department", "department"),
        Level::Project => PUT_PROJECT,
    }
}

/// Time and id.
pub(crate) fn gone(level: Level) -> &'static str {
    match level {
        Level::Tenant => "UPDATE tenant SET deleted_at = $1 WHERE uid = $2",
        Level::Department => "UPDATE department SET deleted_at = $1 WHERE uid = $2",
        Level::Group => "UPDATE grp SET deleted_at = $1 WHERE uid = $2",
        Level::Project => "UPDATE project SET deleted_at = $1 WHERE uid = $2",
    }
}

/// Schedules of a project that takes nothing new: they would be refused for ever.
pub(crate) const SCHEDULES_GONE: &str =
    "DELETE FROM schedule WHERE project IN (SELECT id FROM project WHERE uid = $1)";

pub(crate) const RUNS_GONE: &str = "DELETE FROM schedule_run WHERE schedule IN \
     (SELECT s.id FROM schedule s JOIN project p ON p.id = s.project WHERE p.uid = $1)";

/// Limits as columns, in the order of [`Dimension::ALL`].
pub(crate) fn columns(quota: &NamedQuota) -> Result<[Option<i64>; Dimension::COUNT], StoreError> {
    let mut columns = [None; Dimension::COUNT];
    for (dimension, column) in Dimension::ALL.into_iter().zip(&mut columns) {
        let units = quota.quota.limit(dimension).map(|limit| limit / unit(dimension));
        let number = units.map(i64::try_from).transpose();
        *column = number.map_err(|_| StoreError::Conflict("a limit is too large".to_owned()))?;
    }
    Ok(columns)
}

/// Limits and weight from columns.
pub(crate) fn quota(
    columns: [Option<i64>; Dimension::COUNT],
    weight: i64,
) -> Result<Quota, StoreError> {
    let mut limits = [None; Dimension::COUNT];
    for ((dimension, column), limit) in Dimension::ALL.into_iter().zip(columns).zip(&mut limits) {
        let bytes = |units: i64| u64::try_from(units).ok()?.checked_mul(unit(dimension));
        *limit = match column {
            None => None,
            Some(units) => Some(bytes(units).ok_or_else(|| corrupt("a limit"))?),
        };
    }
    let weight = u16::try_from(weight).ok().and_then(Weight::new);
    Ok(Quota { limits, weight: weight.ok_or_else(|| corrupt("a weight"))? })
}

/// The parent of an entity where rows have it: none directly below a tenant.
pub(crate) fn parent_row(node: &flowforge_organization::Node) -> Option<Uuid> {
    node.parent.filter(|parent| *parent != node.tenant).map(|parent| parent.0)
}

/// Who is gone by these changes.
pub(crate) fn gone_of(changes: &[Change]) -> Vec<EntityId> {
    let gone = changes.iter().filter_map(|change| match change {
        Change::NodeGone(id, _) => Some(*id),
        _ => None,
    });
    gone.collect()
}

pub(crate) fn drains(organization: &Organization) -> bool {
    organization.nodes().any(|node| node.draining)
}

pub(crate) fn level(word: &str) -> Option<Level> {
    word.parse().ok()
}

/// The name of a cluster from a column.
pub(crate) fn cluster(column: Option<String>) -> Result<Option<ClusterName>, StoreError> {
    let name = column.map(|name| ClusterName::parse(&name)).transpose();
    name.map_err(|_| corrupt("the name of a cluster"))
}

pub(crate) type Busy = BTreeSet<EntityId>;

/// The newest copy that was read. Whoever uses it has compared its version with the database.
#[derive(Debug, Default)]
pub(crate) struct Copied(Mutex<Option<Arc<Organization>>>);

impl Copied {
    pub(crate) fn of(&self, version: u64) -> Option<Arc<Organization>> {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.as_ref().filter(|one| one.version == version).cloned()
    }

    pub(crate) fn keep(&self, organization: &Arc<Organization>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(organization));
    }
}
