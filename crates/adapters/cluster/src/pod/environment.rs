//! The variables of a container.

use std::collections::{BTreeMap, BTreeSet};

use flowforge_model::artifact::Given;
use flowforge_model::attempt::{Failure, Process, WorkOrder};
use flowforge_model::limits;
use flowforge_model::status::Reason;
use flowforge_model::time::Millis;
use k8s_openapi::api::core::v1::{
    EnvFromSource, EnvVar, EnvVarSource, ObjectFieldSelector, SecretEnvSource, SecretKeySelector,
};

use super::image;
use crate::placement::{Placement, Security};
use crate::refusal::{error, not_possible};

/// Seconds that are left to a runner when what it runs has ended.
const TO_REPORT: u64 = 5;

/// What Argo tells, then the user's, then ours: a user cannot pretend to be another task. Each name once,
/// at its last place.
pub(super) fn build(
    order: &WorkOrder,
    process: &Process,
    placement: &Placement,
) -> Result<Vec<EnvVar>, Failure> {
    let mut all = Vec::with_capacity(process.env.len().saturating_add(20));
    if placement.security == Security::Restricted {
        // The user has no line in most images' lists of users, and so no home.
        all.push(text("HOME", "/tmp".to_owned()));
    }
    all.extend(argos(order, process, placement));
    for (name, value) in &process.env {
        check_name(name)?;
        all.push(match value {
            Given::Text(value) => {
                check_value(name, value)?;
                // Only what asks for it is expanded; in other texts `$$` is how a cluster is told so.
                let literal = || value.replace('$', "$$");
                text(name, if process.variables { value.clone() } else { literal() })
            }
            Given::Secret(key) => {
                let selector = SecretKeySelector {
                    name: key.name.clone(),
                    key: key.key.clone(),
                    optional: key.optional.then_some(true),
                };
                let source =
                    EnvVarSource { secret_key_ref: Some(selector), ..EnvVarSource::default() };
                EnvVar { name: name.clone(), value: None, value_from: Some(source) }
            }
        });
    }
    check_size(&all)?;
    all.extend(ours(order, process, placement)?);
    Ok(each_once(all))
}

/// Secrets whose keys are variables. A cluster puts them before all other variables.
pub(super) fn secrets(process: &Process) -> Result<Option<Vec<EnvFromSource>>, Failure> {
    let mut all = Vec::with_capacity(process.secrets.len());
    for from in &process.secrets {
        if from.at > 0 {
            return Err(not_possible(format!(
                "the secret {} comes after other variables, which a pod reads last: name it first",
                from.name
            )));
        }
        all.push(EnvFromSource {
            prefix: Some(from.prefix.clone()).filter(|prefix| !prefix.is_empty()),
            secret_ref: Some(SecretEnvSource {
                name: from.name.clone(),
                optional: from.optional.then_some(true),
            }),
            config_map_ref: None,
        });
    }
    Ok((!all.is_empty()).then_some(all))
}

fn argos(order: &WorkOrder, process: &Process, placement: &Placement) -> [EnvVar; 5] {
    [
        ("ARGO_CONTAINER_NAME", process.name.clone()),
        ("ARGO_NODE_ID", order.task.to_string()),
        ("ARGO_POD_NAME", order.pod_name(placement.member)),
        ("ARGO_WORKFLOW_NAME", order.workflow_name.replace('$', "$$")),
        ("ARGO_WORKFLOW_UID", order.key.workflow.to_string()),
    ]
    .map(|(name, value)| text(name, value))
}

fn ours(
    order: &WorkOrder,
    process: &Process,
    placement: &Placement,
) -> Result<Vec<EnvVar>, Failure> {
    let endpoints = &placement.endpoints;
    let mut all: Vec<EnvVar> = [
        ("FLOWFORGE_TASK_ID", order.task.to_string()),
        ("FLOWFORGE_WORKFLOW_ID", order.key.workflow.to_string()),
        ("FLOWFORGE_TENANT_ID", placement.tenant.to_string()),
        ("FLOWFORGE_PROJECT_ID", order.project.to_string()),
        ("FLOWFORGE_API_ENDPOINT", endpoints.api.clone()),
        ("FLOWFORGE_REDIS_ENDPOINT", endpoints.redis.clone()),
        ("FLOWFORGE_LOG_ENDPOINT", endpoints.log.clone()),
        // The runner gets it when it begins, and gives it to what it starts.
        ("FLOWFORGE_AUTH_TOKEN", String::new()),
        ("FLOWFORGE_ATTEMPT", order.key.to_string()),
        ("FLOWFORGE_GRACE", grace(placement.grace).to_string()),
    ]
    .map(|(name, value)| text(name, value))
    .into();
    all.push(pod_uid());
    if let (Some(index), Some(size)) = (placement.member, order.gang()) {
        all.push(text("FLOWFORGE_GANG_INDEX", index.to_string()));
        all.push(text("FLOWFORGE_GANG_SIZE", size.to_string()));
    }
    all.extend(member(placement));
    if process.command.is_empty() {
        let Some(words) = image::entrypoint(&process.image, &placement.entrypoints) else {
            return Err(not_possible(format!(
                "no command, and nobody has said what the image {} starts: write a command",
                process.image
            )));
        };
        let words = serde_json::Value::from(words.clone()).to_string();
        all.push(text("FLOWFORGE_ENTRYPOINT", words.replace('$', "$$")));
    }
    Ok(all)
}

/// What a runner needs to know, whatever it does in the pod.
pub(super) fn runners(order: &WorkOrder, placement: &Placement) -> Vec<EnvVar> {
    let all = [
        text("FLOWFORGE_API_ENDPOINT", placement.endpoints.api.clone()),
        text("FLOWFORGE_ATTEMPT", order.key.to_string()),
        text("FLOWFORGE_GRACE", grace(placement.grace).to_string()),
        pod_uid(),
    ];
    all.into_iter().chain(member(placement)).collect()
}

/// Which member its runner asks as.
fn member(placement: &Placement) -> Option<EnvVar> {
    placement.member.map(|index| text("FLOWFORGE_MEMBER", index.to_string()))
}

fn pod_uid() -> EnvVar {
    let field = ObjectFieldSelector { api_version: None, field_path: "metadata.uid".to_owned() };
    let source = EnvVarSource { field_ref: Some(field), ..EnvVarSource::default() };
    let name = "FLOWFORGE_POD_UID".to_owned();
    EnvVar { name, value: None, value_from: Some(source) }
}

/// Seconds that the runner gives to what it runs: after that it needs some to tell the end.
fn grace(grace: Millis) -> u64 {
    (grace.0 / 1000).saturating_sub(TO_REPORT).max(1)
}

fn text(name: &str, value: String) -> EnvVar {
    EnvVar { name: name.to_owned(), value: Some(value), value_from: None }
}

/// As Kubernetes takes names.
fn check_name(name: &str) -> Result<(), Failure> {
    let fine = |c: char| c.is_ascii_graphic() && c != '=';
    if name.is_empty() || !name.chars().all(fine) {
        let message = format!("the environment variable {name:?} holds a character it may not");
        return Err(error(Reason::SpawnFailed, message));
    }
    Ok(())
}

fn check_value(name: &str, value: &str) -> Result<(), Failure> {
    if value.contains('\0') {
        let message = format!("the environment variable {name:?} holds a NUL byte");
        return Err(error(Reason::SpawnFailed, message));
    }
    let bytes = name.len().saturating_add(value.len()).saturating_add(1);
    if bytes > limits::ARGUMENT_BYTES {
        let message = format!(
            "the environment variable {name} has {bytes} bytes, Linux takes {}: pass it in a file",
            limits::ARGUMENT_BYTES
        );
        return Err(error(Reason::ArgumentTooLong, message));
    }
    Ok(())
}

/// Substituted values are larger than the document's; a pod has to fit into the cluster's database.
pub(super) fn check_size<'a>(all: impl IntoIterator<Item = &'a EnvVar>) -> Result<(), Failure> {
    let bytes: usize =
        all.into_iter().map(|var| var.name.len() + var.value.as_ref().map_or(0, String::len)).sum();
    if bytes > MOST_BYTES {
        let message = format!(
            "its environment variables have {bytes} bytes together, a pod takes {MOST_BYTES}: pass them \
             in a file"
        );
        return Err(error(Reason::ArgumentTooLong, message));
    }
    Ok(())
}

/// Clusters keep at most 1.5 MiB of an object, and our own part is small.
const MOST_BYTES: usize = 1024 * 1024;

fn each_once(all: Vec<EnvVar>) -> Vec<EnvVar> {
    let mut last: BTreeMap<&str, usize> = BTreeMap::new();
    for (at, var) in all.iter().enumerate() {
        last.insert(&var.name, at);
    }
    let kept: BTreeSet<usize> = last.into_values().collect();
    let mut all: Vec<(usize, EnvVar)> = all.into_iter().enumerate().collect();
    all.retain(|(at, _)| kept.contains(at));
    all.into_iter().map(|(_, var)| var).collect()
}
