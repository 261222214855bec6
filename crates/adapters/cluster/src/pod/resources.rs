//! What containers ask for and may use, in Kubernetes' words.

use std::collections::BTreeMap;

use flowforge_model::resources::{ResourceList, Resources};
use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

const GPU: &str = "nvidia.com/gpu";

/// A limit below what is asked for is raised to it, which the cluster would refuse otherwise; none is no
/// limit.
pub(super) fn of(resources: Resources) -> ResourceRequirements {
    let Resources { requests, mut limits } = resources;
    let gpu = requests.gpu.max(limits.gpu);
    if limits.cpu.0 > 0 {
        limits.cpu = limits.cpu.max(requests.cpu);
    }
    if limits.memory.0 > 0 {
        limits.memory = limits.memory.max(requests.memory);
    }
    ResourceRequirements {
        requests: Some(list(ResourceList { gpu, ..requests })),
        limits: Some(list(ResourceList { gpu, ..limits })),
        claims: None,
    }
}

pub(super) fn without_devices(mut resources: Resources) -> ResourceRequirements {
    resources.requests.gpu = 0;
    resources.limits.gpu = 0;
    of(resources)
}

fn list(list: ResourceList) -> BTreeMap<String, Quantity> {
    let mut all = BTreeMap::new();
    if list.cpu.0 > 0 {
        all.insert("cpu".to_owned(), Quantity(format!("{}m", list.cpu.0)));
    }
    if list.memory.0 > 0 {
        all.insert("memory".to_owned(), Quantity(list.memory.0.to_string()));
    }
    if list.gpu > 0 {
        all.insert(GPU.to_owned(), Quantity(list.gpu.to_string()));
    }
    all
}
