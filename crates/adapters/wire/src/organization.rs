//! Tenants, departments, groups, projects, and their quotas.

use serde::{Deserialize, Serialize};

use crate::time::Time;

/// A tenant, department, group or project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Entity {
    /// Its id.
    pub id: String,
    /// `tenant`, `department`, `group` or `project`.
    pub level: String,
    /// Its name, unique below its parent.
    pub name: String,
    /// How it is called from the tenant down: `tenant/department/group/project`.
    pub path: String,
    /// Its tenant.
    pub tenant_id: String,
    /// What it stands below; none for a tenant.
    pub parent_id: Option<String>,
    /// The quota it names; without one it has no limits of its own.
    pub quota_id: Option<String>,
    /// Of a project, the cluster that its tasks run in; none: that of whoever schedules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// `ACTIVE`, or `DRAINING`: it takes nothing new, and is deleted when nothing below it is
    /// unfinished.
    pub status: String,
    /// When it was created.
    pub created_at: Time,
    /// Rises with each change; the `ETag`.
    pub version: u64,
}

/// An entity to create.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NewEntity {
    /// `[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?`, and nothing that reads like an id.
    pub name: String,
    /// What it stands below: an id, a path, or the name of a tenant; the default tenant if it is
    /// missing. A tenant has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<String>,
    /// A quota of its tenant, by id or `tenant/name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota_id: Option<String>,
    /// Of a project, the cluster that its tasks are to run in: `[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
}

/// What changes about an entity. What is missing stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EntityPatch {
    /// Its new name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Moves it, with all below it: an id, a path, or the name of a tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<String>,
    /// A quota of its tenant, by id or `tenant/name`; `null`: none from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub quota_id: Option<Option<String>>,
    /// Of a project, the cluster for all that starts from now on; `null`: that of whoever schedules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub cluster: Option<Option<String>>,
}

/// Limits. `null` is no limit at this level.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Quota {
    /// Its id; none if the entity has no quota.
    pub id: Option<String>,
    /// Its tenant.
    pub tenant_id: String,
    /// Its name, unique in its tenant; its entity's id if it is that entity's alone.
    pub name: String,
    /// Thousandths of a core at most, over all that runs.
    pub cpu_limit: Option<u64>,
    /// Requested thousandths of a core.
    pub cpu_request: Option<u64>,
    /// MiB of memory at most, over all that runs.
    pub memory_limit: Option<u64>,
    /// Requested MiB of memory.
    pub memory_request: Option<u64>,
    /// Devices.
    pub gpu_limit: Option<u64>,
    /// Tasks that run at a time.
    pub max_concurrent_pods: Option<u64>,
    /// Workflows at a time.
    pub max_concurrent_workflows: Option<u64>,
    /// GiB of volumes.
    pub storage_limit: Option<u64>,
    /// 1 to 1000: its part of what is contended, next to its siblings.
    pub priority_weight: u16,
    /// When it was created.
    pub created_at: Option<Time>,
    /// Rises with each change; the `ETag`. 0 if the entity has no quota.
    pub version: u64,
    /// Limits below that were lowered with this change.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clamped: Vec<Clamped>,
}

/// A limit that was lowered with that of an ancestor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Clamped {
    /// Whose.
    pub entity_id: String,
    /// Its path.
    pub path: String,
    /// Which field of its quota.
    pub field: String,
    /// What it was.
    pub from: u64,
    /// What it is.
    pub to: u64,
}

/// A quota to write. A number is in the unit of the field; a text is a Kubernetes quantity
/// (`4`, `4000m`, `8Gi`); `null` is no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct QuotaInput {
    /// Its name, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whose it is to be, by id or name; the default tenant if it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant_id: Option<String>,
    /// Thousandths of a core, 4000 if missing in a new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u64>))]
    pub cpu_limit: Option<serde_json::Value>,
    /// Thousandths of a core, 2000 if missing in a new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u64>))]
    pub cpu_request: Option<serde_json::Value>,
    /// MiB, 8192 if missing in a new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u64>))]
    pub memory_limit: Option<serde_json::Value>,
    /// MiB, 4096 if missing in a new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u64>))]
    pub memory_request: Option<serde_json::Value>,
    /// Devices, 0 if missing in a new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u64>))]
    pub gpu_limit: Option<serde_json::Value>,
    /// Tasks at a time, 10 if missing in a new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u64>))]
    pub max_concurrent_pods: Option<serde_json::Value>,
    /// Workflows at a time, 5 if missing in a new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u64>))]
    pub max_concurrent_workflows: Option<serde_json::Value>,
    /// GiB, 100 if missing in a new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u64>))]
    pub storage_limit: Option<serde_json::Value>,
    /// 1 to 1000, 100 if missing in a new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority_weight: Option<u16>,
}
