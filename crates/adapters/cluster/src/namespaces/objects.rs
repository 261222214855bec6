//! What is in the namespace of a project. Pure.

use std::collections::BTreeMap;

use flowforge_model::id::EntityId;
use k8s_openapi::api::core::v1::{
    LimitRange, LimitRangeItem, LimitRangeSpec, Namespace, ResourceQuota, ResourceQuotaSpec,
    ServiceAccount,
};
use k8s_openapi::api::networking::v1::{
    IPBlock, NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer,
    NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};

use super::SERVICE_ACCOUNT;
use crate::config::ClusterConfig;
use crate::labels::{CLUSTER, MANAGED_BY, PRODUCT, PROJECT, TENANT};
use crate::project::{Limits, Project};

/// The name of what there is one of.
pub(super) const NAME: &str = "flowforge";
/// Where clouds tell machines who they are, to whoever asks: link-local addresses, and those of some clouds.
const METADATA: [&str; 4] =
    ["169.254.0.0/16", "100.100.100.200/32", "168.63.129.16/32", "fd00:ec2::254/128"];

pub(super) fn namespace(id: EntityId, project: &Project, config: &ClusterConfig) -> Namespace {
    let standard = project.security.as_str().to_owned();
    let mut labels = ours(id);
    labels.insert(CLUSTER.to_owned(), config.name.clone());
    labels.insert(TENANT.to_owned(), project.tenant.to_string());
    for mode in ["enforce", "warn"] {
        labels.insert(format!("pod-security.kubernetes.io/{mode}"), standard.clone());
    }
    let (tenant, name) = &project.names;
    let annotations = [
        ("flowforge.io/tenant-name".to_owned(), tenant.clone()),
        ("flowforge.io/project-name".to_owned(), name.clone()),
    ];
    let metadata = ObjectMeta {
        name: Some(id.namespace()),
        labels: Some(labels),
        annotations: Some(annotations.into()),
        ..ObjectMeta::default()
    };
    Namespace { metadata, ..Namespace::default() }
}

/// Nobody binds a role to it, and its pods get no token for the cluster.
pub(super) fn service_account(id: EntityId) -> ServiceAccount {
    ServiceAccount {
        metadata: named(id, SERVICE_ACCOUNT),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}

/// Half as much again as our own limits, which hold first: pods that are ending still count here.
pub(super) fn resource_quota(id: EntityId, project: &Project) -> ResourceQuota {
    let more = |limit: u64| limit.saturating_add(limit.div_ceil(2));
    let Limits { cpu, memory, gpu, pods } = project.limits;
    let hard = [
        ("requests.cpu", cpu.map(|cpu| format!("{}m", more(cpu)))),
        ("requests.memory", memory.map(|bytes| more(bytes).to_string())),
        ("requests.nvidia.com/gpu", gpu.map(|gpu| more(gpu).to_string())),
        ("pods", pods.map(|pods| more(pods).to_string())),
    ];
    let hard = hard
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), Quantity(value?))))
        .collect();
    ResourceQuota {
        metadata: named(id, NAME),
        spec: Some(ResourceQuotaSpec { hard: Some(hard), ..ResourceQuotaSpec::default() }),
        status: None,
    }
}

/// For pods that say nothing, so that a quota does not refuse them: ours always say.
pub(super) fn limit_range(id: EntityId) -> LimitRange {
    let asked = [("cpu", "100m"), ("memory", "256Mi")]
        .map(|(name, value)| (name.to_owned(), Quantity(value.to_owned())));
    let item = LimitRangeItem {
        type_: "Container".to_owned(),
        // No limit: it could be below what a container asks for, and the cluster would refuse that.
        default_request: Some(asked.into()),
        ..LimitRangeItem::default()
    };
    LimitRange { metadata: named(id, NAME), spec: Some(LimitRangeSpec { limits: vec![item] }) }
}

/// In: from this namespace only. Out: everywhere, but to what would give a task power over others.
pub(super) fn network_policy(id: EntityId, config: &ClusterConfig) -> NetworkPolicy {
    let neighbours = NetworkPolicyPeer {
        pod_selector: Some(LabelSelector::default()),
        ..NetworkPolicyPeer::default()
    };
    let ingress = NetworkPolicyIngressRule { from: Some(vec![neighbours]), ports: None };
    let all = METADATA.iter().map(|network| (*network).to_owned()).chain(config.forbidden.clone());
    let (six, four): (Vec<String>, Vec<String>) = all.partition(|network| network.contains(':'));
    let block = |cidr: &str, except: Vec<String>| NetworkPolicyPeer {
        ip_block: Some(IPBlock { cidr: cidr.to_owned(), except: Some(except) }),
        ..NetworkPolicyPeer::default()
    };
    let to = vec![block("0.0.0.0/0", four), block("::/0", six)];
    let egress = NetworkPolicyEgressRule { to: Some(to), ports: None };
    let spec = NetworkPolicySpec {
        pod_selector: Some(LabelSelector::default()),
        policy_types: Some(vec!["Ingress".to_owned(), "Egress".to_owned()]),
        ingress: Some(vec![ingress]),
        egress: Some(vec![egress]),
    };
    NetworkPolicy { metadata: named(id, NAME), spec: Some(spec) }
}

fn named(id: EntityId, name: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some(id.namespace()),
        labels: Some(ours(id)),
        ..ObjectMeta::default()
    }
}

fn ours(id: EntityId) -> BTreeMap<String, String> {
    [(MANAGED_BY, PRODUCT.to_owned()), (PROJECT, id.to_string())]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
}

#[cfg(test)]
mod tests;
