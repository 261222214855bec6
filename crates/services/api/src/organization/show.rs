//! The organization as JSON.

use flowforge_model::quota::{Dimension, Quota as Limits};
use flowforge_organization::{Clamped, NamedQuota, Node, Offender, Organization, unit};
use flowforge_wire::{Clamped as WireClamped, Entity, Quota, Time};

/// A dimension as the API calls its limit.
pub(crate) fn field(dimension: Dimension) -> &'static str {
    match dimension {
        Dimension::CpuRequest => "cpu_request",
        Dimension::CpuLimit => "cpu_limit",
        Dimension::MemoryRequest => "memory_request",
        Dimension::MemoryLimit => "memory_limit",
        Dimension::Gpu => "gpu_limit",
        Dimension::Pods => "max_concurrent_pods",
        Dimension::Workflows => "max_concurrent_workflows",
        Dimension::Storage => "storage_limit",
    }
}

/// What the numbers of a field count.
pub(super) fn counts(dimension: Dimension) -> &'static str {
    match dimension {
        Dimension::CpuRequest | Dimension::CpuLimit => " thousandths of a core",
        Dimension::MemoryRequest | Dimension::MemoryLimit => " MiB",
        Dimension::Storage => " GiB",
        Dimension::Gpu | Dimension::Pods | Dimension::Workflows => "",
    }
}

pub(super) fn entity(organization: &Organization, node: &Node) -> Entity {
    Entity {
        id: node.id.to_string(),
        level: node.level.to_string(),
        name: node.name.clone(),
        path: organization.path(node),
        tenant_id: node.tenant.to_string(),
        parent_id: node.parent.map(|id| id.to_string()),
        quota_id: node.quota.map(|id| id.to_string()),
        cluster: node.cluster.as_ref().map(ToString::to_string),
        status: if node.draining { "DRAINING" } else { "ACTIVE" }.to_owned(),
        created_at: Time(node.created_at),
        version: node.version,
    }
}

pub(super) fn quota(named: &NamedQuota, clamped: &[Clamped]) -> Quota {
    Quota {
        id: Some(named.id.to_string()),
        tenant_id: named.tenant.to_string(),
        name: named.name.clone(),
        created_at: Some(Time(named.created_at)),
        version: named.version,
        clamped: clamped.iter().map(lowered).collect(),
        ..limits(&named.quota)
    }
}

/// What an entity may use that has no quota: no limits of its own.
pub(super) fn unlimited(node: &Node) -> Quota {
    Quota { tenant_id: node.tenant.to_string(), ..limits(&Limits::default()) }
}

fn limits(quota: &Limits) -> Quota {
    let of = |dimension| quota.limit(dimension).map(|limit| limit / unit(dimension));
    Quota {
        cpu_limit: of(Dimension::CpuLimit),
        cpu_request: of(Dimension::CpuRequest),
        memory_limit: of(Dimension::MemoryLimit),
        memory_request: of(Dimension::MemoryRequest),
        gpu_limit: of(Dimension::Gpu),
        max_concurrent_pods: of(Dimension::Pods),
        max_concurrent_workflows: of(Dimension::Workflows),
        storage_limit: of(Dimension::Storage),
        priority_weight: quota.weight.get(),
        ..Quota::default()
    }
}

fn lowered(one: &Clamped) -> WireClamped {
    let unit = unit(one.dimension);
    WireClamped {
        entity_id: one.entity.to_string(),
        path: one.path.clone(),
        field: field(one.dimension).to_owned(),
        from: one.from / unit,
        to: one.to / unit,
    }
}

/// A limit above that of an ancestor, for people.
pub(super) fn offender(one: &Offender) -> String {
    let Offender { path, dimension, limit, ancestor_path, allowed, .. } = one;
    let (unit, what) = (unit(*dimension), counts(*dimension));
    let (field, limit, allowed) = (field(*dimension), limit / unit, allowed / unit);
    format!(
        "`{field}` of {path} is {limit}{what}, more than the {allowed}{what} of {ancestor_path}"
    )
}
