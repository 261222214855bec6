//! What a document asks of its pods beside their containers, as far as the settings grant it.

use std::collections::BTreeMap;
use std::slice;

use flowforge_model::attempt::{Failure, WorkOrder};
use k8s_openapi::api::core::v1::{
    Affinity, HostAlias, LocalObjectReference, PodAffinityTerm, PodDNSConfig, PodSpec, Toleration,
    WeightedPodAffinityTerm,
};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{account, security};
use crate::placement::{Grants, Placement};
use crate::refusal::not_possible;

/// Taints by which a cluster says what its nodes are for or what is wrong with them. Who tolerates those runs beside
/// the cluster's own servers, or stays on a node that is lost.
const CLUSTERS_OWN: [&str; 3] =
    ["node-role.kubernetes.io/", "node.kubernetes.io/", "node.cloudprovider.kubernetes.io/"];
/// The scheduler that every cluster has.
const SCHEDULER: &str = "default-scheduler";
/// What patches say of these is taken out of them when a document is read.
const CONTAINERS: [&str; 2] = ["containers", "initContainers"];
/// Why some of it is still there.
const AS_A_WHOLE: &str = "which were not known when the workflow was submitted: write the patch into the document, with tags \
                          only in the values of requests and limits";
/// With another network than the pod's there is a fourth.
const DNS_POLICIES: [&str; 3] = ["ClusterFirst", "Default", "None"];

/// The fields that may be asked for. What is not in here is asked for in vain.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Asked {
    node_selector: Option<BTreeMap<String, String>>,
    affinity: Option<Affinity>,
    tolerations: Vec<Toleration>,
    scheduler_name: Option<String>,
    priority_class_name: Option<String>,
    host_aliases: Option<Vec<HostAlias>>,
    image_pull_secrets: Vec<LocalObjectReference>,
    dns_policy: Option<String>,
    dns_config: Option<PodDNSConfig>,
    security_context: Option<security::Asked>,
    service_account_name: Option<String>,
    automount_service_account_token: Option<bool>,
    runtime_class_name: Option<String>,
}

/// Adds what an order asks for to its pod.
pub(super) fn add(
    order: &WorkOrder,
    placement: &Placement,
    spec: &mut PodSpec,
) -> Result<(), Failure> {
    let wrong = |why: String| not_possible(format!("what is asked of its pod: {why}"));
    let mut asked = Value::Object(Map::new());
    if let Some(pod) = &order.pod {
        asked = serde_json::from_str(pod).map_err(|error| wrong(error.to_string()))?;
    }
    for patch in order.pod_patches.iter().filter(|patch| !patch.trim().is_empty()) {
        let patch = flowforge_spec::manifest(patch);
        let patch = patch.map_err(|why| wrong(format!("podSpecPatch: {why}")))?;
        if !patch.is_object() {
            return Err(wrong("podSpecPatch is no map".to_owned()));
        }
        if let Some(list) = CONTAINERS.into_iter().find(|list| patch.get(list).is_some()) {
            return Err(wrong(format!("podSpecPatch changes {list}, {AS_A_WHOLE}")));
        }
        merge(&mut asked, patch);
    }
    let asked: Asked = serde_json::from_value(asked).map_err(|error| wrong(error.to_string()))?;
    judge(&asked, &placement.grants)?;
    let account = (asked.service_account_name.as_deref(), asked.automount_service_account_token);
    account::add(account, &placement.grants, spec)?;
    if let Some(context) = asked.security_context {
        spec.security_context = Some(security::asked(context, placement.security)?);
    }
    spec.node_selector = confined(asked.node_selector, &placement.grants)?;
    spec.affinity = asked.affinity;
    spec.tolerations = (!asked.tolerations.is_empty()).then_some(asked.tolerations);
    spec.scheduler_name = asked.scheduler_name;
    spec.priority_class_name = asked.priority_class_name;
    spec.host_aliases = asked.host_aliases;
    spec.dns_policy = asked.dns_policy;
    spec.dns_config = asked.dns_config;
    spec.runtime_class_name = asked.runtime_class_name;
    if !asked.image_pull_secrets.is_empty() {
        spec.image_pull_secrets.get_or_insert_default().extend(asked.image_pull_secrets);
    }
    Ok(())
}

/// Whether it may be had.
fn judge(asked: &Asked, grants: &Grants) -> Result<(), Failure> {
    for toleration in &asked.tolerations {
        tolerable(toleration, grants)?;
    }
    let scheduler = asked.scheduler_name.as_deref().filter(|name| *name != SCHEDULER);
    let (priority, runtime) = (&asked.priority_class_name, &asked.runtime_class_name);
    for (setting, asked, all) in [
        (
            ("priorityClassName", "kubernetes.priority_classes"),
            priority.as_deref(),
            &grants.priority_classes,
        ),
        (("schedulerName", "kubernetes.schedulers"), scheduler, &grants.schedulers),
        (
            ("runtimeClassName", "kubernetes.runtime_classes"),
            runtime.as_deref(),
            &grants.runtime_classes,
        ),
    ] {
        granted(setting, asked, all)?;
    }
    asked.affinity.as_ref().map_or(Ok(()), at_home)?;
    if let Some(policy) = asked.dns_policy.as_deref().filter(|one| !DNS_POLICIES.contains(one)) {
        let known = DNS_POLICIES.join(", ");
        return Err(not_possible(format!("dnsPolicy {policy:?} is not one of {known}")));
    }
    Ok(())
}

/// A project's pods go to its nodes: what a document says chooses among those.
fn confined(
    asked: Option<BTreeMap<String, String>>,
    grants: &Grants,
) -> Result<Option<BTreeMap<String, String>>, Failure> {
    let mut all = asked.unwrap_or_default();
    for (label, value) in &grants.nodes {
        let found = all.entry(label.clone()).or_insert_with(|| value.clone());
        let what = format!("nodeSelector {label}:");
        granted((&what, "kubernetes.node_selector"), Some(found), slice::from_ref(value))?;
    }
    Ok((!all.is_empty()).then_some(all))
}

/// As RFC 7386 says: maps are merged, `null` takes away, all else takes the place of what was.
fn merge(into: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *into = patch;
        return;
    };
    if !into.is_object() {
        *into = Value::Object(Map::new());
    }
    let Value::Object(fields) = into else { return };
    for (key, value) in patch {
        if value.is_null() {
            fields.remove(&key);
        } else {
            merge(fields.entry(key).or_insert(Value::Null), value);
        }
    }
}

fn tolerable(toleration: &Toleration, grants: &Grants) -> Result<(), Failure> {
    let key = toleration.key.as_deref().unwrap_or_default();
    if key.is_empty() {
        let message = "a toleration without a key tolerates everything: name the taint";
        return Err(not_possible(message));
    }
    if CLUSTERS_OWN.iter().any(|own| key.starts_with(own)) {
        return Err(not_possible(format!(
            "tasks do not tolerate {key}, a taint of the cluster's own"
        )));
    }
    let Some(all) = &grants.tolerations else { return Ok(()) };
    granted(("tolerations", "kubernetes.tolerations"), Some(key), all)
}

/// What others would feel is for those to grant who run the cluster.
pub(super) fn granted(
    (what, setting): (&str, &str),
    asked: Option<&str>,
    granted: &[String],
) -> Result<(), Failure> {
    let Some(asked) = asked.filter(|asked| !granted.iter().any(|one| one == asked)) else {
        return Ok(());
    };
    let all = listed(granted);
    Err(not_possible(format!(
        "{what} {asked:?} is not granted: {setting} of the executor has {all} for this project"
    )))
}

pub(super) fn listed(granted: &[String]) -> String {
    if granted.is_empty() { "none".to_owned() } else { granted.join(", ") }
}

/// Rules look at no other namespace.
fn at_home(affinity: &Affinity) -> Result<(), Failure> {
    let near = affinity.pod_affinity.iter().flat_map(|near| {
        terms(
            &near.required_during_scheduling_ignored_during_execution,
            &near.preferred_during_scheduling_ignored_during_execution,
        )
    });
    let far = affinity.pod_anti_affinity.iter().flat_map(|far| {
        terms(
            &far.required_during_scheduling_ignored_during_execution,
            &far.preferred_during_scheduling_ignored_during_execution,
        )
    });
    let elsewhere = |term: &PodAffinityTerm| {
        term.namespace_selector.is_some() || term.namespaces.iter().flatten().next().is_some()
    };
    if near.chain(far).any(elsewhere) {
        return Err(not_possible("affinity looks at pods of the project's own namespace only"));
    }
    Ok(())
}

fn terms<'a>(
    required: &'a Option<Vec<PodAffinityTerm>>,
    preferred: &'a Option<Vec<WeightedPodAffinityTerm>>,
) -> impl Iterator<Item = &'a PodAffinityTerm> {
    let preferred = preferred.iter().flatten().map(|one| &one.pod_affinity_term);
    required.iter().flatten().chain(preferred)
}

#[cfg(test)]
mod tests;
