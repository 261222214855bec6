//! Input artifacts: a container fetches them before the task's begins.
//!
//! As in Argo each is mounted at its very path, which hides nothing beside it and needs no place that the
//! task's user can write to. A mount of a file has to find one, so the file is there before the main
//! container is made. What is in a volume of the document is fetched into that.

use std::collections::BTreeSet;

use flowforge_model::artifact::StageIn;
use flowforge_model::attempt::{Failure, Process, WorkOrder};
use k8s_openapi::api::core::v1::{Container, EmptyDirVolumeSource, Volume, VolumeMount};

use super::{INPUTS, SDK, SDK_TARGET, environment, mount, mounts, resources, security, volumes};
use crate::placement::Placement;
use crate::refusal::not_possible;

/// Where the fetching container puts what is to be mounted.
const PLACE: &str = "/flowforge-inputs";

/// What of a pod is there for input artifacts.
#[derive(Default)]
pub(super) struct Inputs {
    /// Fetches.
    pub(super) container: Option<Container>,
    /// What it fetches into.
    pub(super) volume: Option<Volume>,
    /// Where the container sees that which the inputs are of.
    pub(super) mounts: Vec<VolumeMount>,
}

/// `names` are the volumes of the document with their names in the pod.
pub(super) fn build(
    order: &WorkOrder,
    names: &[(&str, String)],
    placement: &Placement,
) -> Result<Inputs, Failure> {
    let (Some(process), false) = (order.main(), order.artifacts_in.is_empty()) else {
        return Ok(Inputs::default());
    };
    let around = mounts::build(process, names)?;
    let mut into = vec![mount(SDK, SDK_TARGET), mount(INPUTS, PLACE), volumes::token_mount()];
    let mut seen: Vec<VolumeMount> = Vec::new();
    let mut paths = BTreeSet::new();
    for (number, input) in order.artifacts_in.iter().enumerate() {
        let path = plain(input).map_err(|why| fault(input, why))?;
        let below = |mount: &&VolumeMount| is_below(&path, &slashed(&mount.mount_path));
        if around.iter().any(|mount| path == slashed(&mount.mount_path)) {
            return Err(fault(input, "a volume is mounted there"));
        }
        if !paths.insert(path.clone()) {
            return Err(fault(input, "another artifact is put there"));
        }
        let volumes: Vec<VolumeMount> = around.iter().filter(below).cloned().collect();
        if !volumes.is_empty() {
            // Whatever the task may do there, the artifact has to get in.
            let writable = |mount| VolumeMount { read_only: None, ..mount };
            into.extend(volumes.into_iter().map(writable));
        } else if input.artifact.is_some() {
            let sub_path = Some(number.to_string());
            seen.push(VolumeMount { sub_path, ..mount(INPUTS, path.trim_end_matches('/')) });
        }
    }
    into.sort_by(|a, b| a.mount_path.cmp(&b.mount_path));
    into.dedup_by(|a, b| a.mount_path == b.mount_path);
    Ok(Inputs {
        container: Some(container((order, process), placement, into)),
        volume: Some(Volume {
            name: INPUTS.to_owned(),
            empty_dir: Some(EmptyDirVolumeSource::default()),
            ..Volume::default()
        }),
        mounts: seen,
    })
}

/// It asks for what the main container asks for, which it precedes: so it adds nothing to what the pod takes.
/// It is who the task is, so that the task may change what it gets and volumes let it in.
fn container(
    (order, process): (&WorkOrder, &Process),
    placement: &Placement,
    mounts: Vec<VolumeMount>,
) -> Container {
    Container {
        name: INPUTS.to_owned(),
        image: Some(placement.sdk.image.clone()),
        image_pull_policy: placement.pull.policy(None).map(str::to_owned),
        command: Some(vec![format!("{SDK_TARGET}/ff-run"), "fetch".to_owned()]),
        env: Some(environment::runners(order, placement)),
        resources: Some(resources::without_devices(order.resources)),
        security_context: Some(security::fetching(process, placement.security)),
        volume_mounts: Some(mounts),
        ..Container::default()
    }
}

/// The path with one slash before each part and one at its end, so that no other spelling gets by.
fn plain(input: &StageIn) -> Result<String, &'static str> {
    mounts::check_path(&input.path)?;
    let path = slashed(&input.path);
    // The fetching container has its own volumes there, or could not put anything there.
    if [PLACE, SDK_TARGET].iter().any(|kept| path.starts_with(&format!("{kept}/"))) {
        return Err("is kept for the system and the runner");
    }
    Ok(path)
}

fn slashed(path: &str) -> String {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    format!("/{}/", parts.join("/"))
}

fn is_below(path: &str, folder: &str) -> bool {
    path.len() > folder.len() && path.starts_with(folder)
}

fn fault(input: &StageIn, why: &str) -> Failure {
    not_possible(format!("the input artifact {} at {}: {why}", input.name, input.path))
}
