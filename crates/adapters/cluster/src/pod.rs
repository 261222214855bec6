//! A work order as a pod. Pure: what cannot be had is a failure that names it.
//!
//! A pod is built from the fields below and never merged with or patched by anything a user wrote, so it
//! can hold nothing that is not written here. The command is not in it: the runner inside asks for the
//! work order, and is told once ([`flowforge_ports::pods`]).

mod account;
mod asked;
mod containers;
mod environment;
mod image;
mod inputs;
mod labels;
mod metadata;
mod mounts;
mod probe;
mod resources;
pub(crate) mod security;
mod volumes;

use flowforge_model::attempt::{Failure, Process, Work, WorkOrder};
use flowforge_model::time::{Millis, Timestamp};
use k8s_openapi::api::core::v1::{
    Container, LocalObjectReference, Pod, PodSpec, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use self::containers::{Builder, Containers};
use crate::placement::Placement;
use crate::refusal::not_possible;

/// The user's container, where there is one.
pub const MAIN: &str = "main";
/// The container that brings the runner.
pub const INIT: &str = "flowforge-sdk-init";
/// The container that fetches input artifacts, if there are any.
pub const INPUTS: &str = "flowforge-inputs";
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
    let program = match &order.work {
        Work::Run(program) => program,
        Work::Request(_) => {
            return Err(not_possible("an HTTP request is sent by a server, not by a pod"));
        }
        Work::Object(_) => {
            return Err(not_possible("objects are asked for by a server, not by a pod"));
        }
    };
    let processes: Vec<&Process> = program.processes().collect();
    let content = volumes::build(order, &processes, &placement.workflow_claims)?;
    let inputs = inputs::build(order, &content.names, placement)?;
    let seen = &*inputs.mounts;
    let containers =
        Builder { order, placement, volumes: &content.names, inputs: seen }.all(program)?;
    let mut volumes = content.volumes;
    volumes.extend([volumes::sdk(), volumes::token()]);
    volumes.extend(inputs.volume);
    let mut metadata = metadata::asked(order)?;
    metadata.annotations.extend(labels::annotations(order, now));
    metadata.annotations.extend(content.annotations);
    metadata.labels.extend(labels::labels(order, placement));
    let mut spec = spec(order, placement, (inputs.container, containers), volumes);
    asked::add(order, placement, &mut spec)?;
    Ok(Pod { metadata: named(order, placement, metadata), spec: Some(spec), status: None })
}

fn named(order: &WorkOrder, placement: &Placement, metadata: metadata::Asked) -> ObjectMeta {
    ObjectMeta {
        name: Some(order.pod_name(placement.member)),
        namespace: Some(placement.namespace.clone()),
        labels: Some(metadata.labels),
        annotations: Some(metadata.annotations),
        ..ObjectMeta::default()
    }
}

/// When the cluster ends the pod if nobody else does. How long artifacts are under way nobody knows, and that is
/// not the task's time.
fn last_moment(order: &WorkOrder, placement: &Placement) -> Option<i64> {
    if !(order.artifacts_in.is_empty() && order.artifacts_out.is_empty()) {
        return None;
    }
    let deadline = order.deadline?;
    Some(seconds(Millis(deadline.0.saturating_add(placement.slack.0))).max(1))
}

fn spec(
    order: &WorkOrder,
    placement: &Placement,
    (fetch, containers): (Option<Container>, Containers),
    volumes: Vec<Volume>,
) -> PodSpec {
    let mut init = vec![init(order, placement)];
    init.extend(fetch);
    init.extend(containers.init);
    // Behind those that come before the task: they wait for nobody, and nobody waits for them.
    init.extend(containers.sidecars);
    let secret = |name: &String| LocalObjectReference { name: name.clone() };
    let pull_secrets: Vec<_> = placement.pull_secrets.iter().map(secret).collect();
    PodSpec {
        active_deadline_seconds: last_moment(order, placement),
        automount_service_account_token: Some(false),
        containers: containers.main,
        enable_service_links: Some(false),
        image_pull_secrets: (!pull_secrets.is_empty()).then_some(pull_secrets),
        init_containers: Some(init),
        restart_policy: Some("Never".to_owned()),
        security_context: Some(security::pod(placement.security)),
        service_account_name: Some(placement.service_account.clone()),
        termination_grace_period_seconds: Some(seconds(placement.grace)),
        volumes: Some(volumes),
        ..PodSpec::default()
    }
}

/// Copies the runner. It asks for what the main containers ask for, which it precedes: so it adds nothing
/// to what the pod takes.
fn init(order: &WorkOrder, placement: &Placement) -> Container {
    let mut command = placement.sdk.command.clone();
    command.push(SDK_TARGET.to_owned());
    Container {
        name: INIT.to_owned(),
        image: Some(placement.sdk.image.clone()),
        image_pull_policy: placement.pull.policy(None).map(str::to_owned),
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
