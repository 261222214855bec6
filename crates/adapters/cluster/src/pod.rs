//! A work order as a pod. Pure: what cannot be had is a failure that names it.
//!
//! A pod is built from the fields below and never merged with or patched by anything a user wrote, so it
//! can hold nothing that is not written here. The command is not in it: the runner inside asks for the
//! work order, and is told once ([`flowforge_ports::pods`]).

mod environment;
mod image;
mod labels;
mod mounts;
mod resources;
mod security;
mod volumes;

use std::collections::BTreeMap;

use flowforge_model::attempt::{Failure, Main, Process, Work, WorkOrder};
use flowforge_model::time::{Millis, Timestamp};
use k8s_openapi::api::core::v1::{
    Container, LocalObjectReference, Pod, PodSpec, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::placement::Placement;
use crate::refusal::not_possible;

/// The user's container.
pub const MAIN: &str = "main";
/// The container that brings the runner.
pub const INIT: &str = "flowforge-sdk-init";
/// The volume that the runner is in.
const SDK: &str = "flowforge-sdk";
/// Where the main container sees it.
const SDK_PATH: &str = "/flowforge";
/// Where the init container sees it: its own image has the runner at [`SDK_PATH`].
const SDK_TARGET: &str = "/flowforge-sdk";

/// The pod of an attempt, made at `now`.
///
/// # Errors
/// What the task asks for and cannot have, by name: `NotPossible`, `ImageInvalid`, `ArgumentTooLong`,
/// `SpawnFailed`.
pub fn build(order: &WorkOrder, placement: &Placement, now: Timestamp) -> Result<Pod, Failure> {
    let process = process(order)?;
    image::check(&process.image, &placement.registries)?;
    let content = volumes::build(order, process, &placement.workflow_claims)?;
    let mut mounts = mounts::build(process, &content.names)?;
    mounts.extend([mount(SDK, SDK_PATH), volumes::token_mount()]);
    let mut main = Container {
        name: MAIN.to_owned(),
        image: Some(process.image.clone()),
        image_pull_policy: placement.pull.as_policy().map(str::to_owned),
        command: Some(vec![format!("{SDK_PATH}/ff-run"), "pod".to_owned()]),
        env: Some(environment::build(order, process, placement)?),
        resources: Some(resources::of(order.resources)),
        security_context: security::container(placement.security),
        volume_mounts: Some(mounts),
        ..Container::default()
    };
    main.env_from = environment::secrets(process)?;
    let mut volumes = content.volumes;
    volumes.extend([volumes::sdk(), volumes::token()]);
    let mut annotations = labels::annotations(order, now);
    annotations.extend(content.annotations);
    Ok(Pod {
        metadata: metadata(order, placement, annotations),
        spec: Some(spec(order, placement, main, volumes)),
        status: None,
    })
}

/// The one process that a pod runs.
fn process(order: &WorkOrder) -> Result<&Process, Failure> {
    let program = match &order.work {
        Work::Run(program) => program,
        Work::Request(_) => {
            return Err(not_possible("an HTTP request is sent by a server, not by a pod"));
        }
    };
    if let Some(init) = program.init.first() {
        return Err(not_possible(format!(
            "the init container {}: pods of this version run one container; do its work in the task, \
             or in a task before it",
            init.name
        )));
    }
    match &program.main {
        Main::One(process) => Ok(process),
        Main::Set { .. } => Err(not_possible(
            "a container set: pods of this version run one container; make its members tasks",
        )),
    }
}

fn metadata(
    order: &WorkOrder,
    placement: &Placement,
    annotations: BTreeMap<String, String>,
) -> ObjectMeta {
    ObjectMeta {
        name: Some(order.attempt.pod_name(&order.task_name)),
        namespace: Some(placement.namespace.clone()),
        labels: Some(labels::labels(order, placement)),
        annotations: Some(annotations),
        ..ObjectMeta::default()
    }
}

fn spec(
    order: &WorkOrder,
    placement: &Placement,
    main: Container,
    volumes: Vec<Volume>,
) -> PodSpec {
    let secret = |name: &String| LocalObjectReference { name: name.clone() };
    let pull_secrets: Vec<_> = placement.pull_secrets.iter().map(secret).collect();
    PodSpec {
        active_deadline_seconds: order
            .deadline
            .map(|deadline| seconds(Millis(deadline.0.saturating_add(placement.slack.0))).max(1)),
        automount_service_account_token: Some(false),
        containers: vec![main],
        enable_service_links: Some(false),
        image_pull_secrets: (!pull_secrets.is_empty()).then_some(pull_secrets),
        init_containers: Some(vec![init(order, placement)]),
        restart_policy: Some("Never".to_owned()),
        security_context: Some(security::pod(placement.security)),
        service_account_name: Some(placement.service_account.clone()),
        termination_grace_period_seconds: Some(seconds(placement.grace)),
        volumes: Some(volumes),
        ..PodSpec::default()
    }
}

/// Copies the runner. It asks for what the main container asks for, which it precedes: so it adds nothing
/// to what the pod takes.
fn init(order: &WorkOrder, placement: &Placement) -> Container {
    let mut command = placement.sdk.command.clone();
    command.push(SDK_TARGET.to_owned());
    Container {
        name: INIT.to_owned(),
        image: Some(placement.sdk.image.clone()),
        image_pull_policy: placement.pull.as_policy().map(str::to_owned),
        command: Some(command),
        resources: Some(resources::without_devices(order.resources)),
        // It is ours, and does not need more where the project may have more.
        security_context: Some(security::ordinary_user()),
        volume_mounts: Some(vec![mount(SDK, SDK_TARGET)]),
        ..Container::default()
    }
}

fn mount(volume: &str, path: &str) -> VolumeMount {
    VolumeMount { name: volume.to_owned(), mount_path: path.to_owned(), ..VolumeMount::default() }
}

/// Rounded up.
fn seconds(span: Millis) -> i64 {
    i64::try_from(span.0.div_ceil(1000)).unwrap_or(i64::MAX)
}

#[cfg(test)]
pub(crate) mod tests;
