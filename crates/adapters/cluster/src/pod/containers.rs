//! The containers of a pod that run what a user wrote.

use std::collections::BTreeSet;

use flowforge_model::attempt::{Failure, Main, Process, Program, WorkOrder};
use k8s_openapi::api::core::v1::{Container, EnvVar, VolumeMount};

use super::volumes::token_mount;
use super::{
    INIT, INPUTS, MAIN, SDK, SDK_PATH, environment, image, mount, mounts, probe, resources,
    security,
};
use crate::placement::Placement;
use crate::refusal::not_possible;

/// Containers of a pod, beside the one that brings the runner: their runners number them in a byte.
const MOST: usize = 255;
/// Tells a runner which of several containers it is in.
const CONTAINER: &str = "FLOWFORGE_CONTAINER";

/// What they are built from.
#[derive(Clone, Copy)]
pub(super) struct Builder<'a> {
    pub(super) order: &'a WorkOrder,
    pub(super) placement: &'a Placement,
    /// The volumes of the document with their names in the pod.
    pub(super) volumes: &'a [(&'a str, String)],
    /// The input artifacts, for the one container that they are of.
    pub(super) inputs: &'a [VolumeMount],
}

/// Those before the main ones and beside them, and the main ones.
pub(super) struct Containers {
    pub(super) init: Vec<Container>,
    pub(super) sidecars: Vec<Container>,
    pub(super) main: Vec<Container>,
}

impl Builder<'_> {
    pub(super) fn all(&self, program: &Program) -> Result<Containers, Failure> {
        if let (Main::One(process) | Main::Gang { process, .. }, true) =
            (&program.main, program.is_one())
        {
            let main = vec![self.asked(self.container(process, self.inputs)?)];
            return Ok(Containers { init: Vec::new(), sidecars: Vec::new(), main });
        }
        check(program)?;
        let named = |process| self.named(process);
        let init = program.init.iter().map(named).collect::<Result<Vec<_>, _>>()?;
        let sidecars = program.sidecars.iter().map(|process| self.sidecar(process));
        let sidecars = sidecars.collect::<Result<Vec<_>, _>>()?;
        let main = match &program.main {
            Main::One(process) => vec![self.asked(self.named(process)?)],
            Main::Gang { .. } => {
                return Err(not_possible("a member of a gang has no other containers beside it"));
            }
            Main::Set { members, .. } => {
                let members = members.iter().map(|member| self.named(&member.process));
                members.collect::<Result<_, _>>()?
            }
        };
        let all = init.iter().chain(&sidecars).chain(&main);
        let all = all.flat_map(|container| container.env.iter().flatten());
        environment::check_size(all)?;
        Ok(Containers { init, sidecars, main })
    }

    /// The main container, which is asked whether it is ready if it is a daemon.
    fn asked(&self, main: Container) -> Container {
        let probe = self.order.daemon.as_ref().and_then(|daemon| daemon.probe.as_ref());
        Container { readiness_probe: probe.map(probe::build), ..main }
    }

    /// The cluster ends it when the main containers have ended, and starts it again if it ends before: so
    /// its runner stays until it is told to end.
    fn sidecar(&self, process: &Process) -> Result<Container, Failure> {
        let mut container = self.named(process)?;
        container.command = Some(runner("sidecar"));
        container.restart_policy = Some("Always".to_owned());
        Ok(container)
    }

    /// One of several. What it asks for is its own.
    fn named(&self, process: &Process) -> Result<Container, Failure> {
        let inputs = if process.name == MAIN { self.inputs } else { &[] };
        let mut container = self.container(process, inputs)?;
        container.name.clone_from(&process.name);
        let env = container.env.get_or_insert_default();
        env.retain(|variable| variable.name != CONTAINER);
        let (name, value) = (CONTAINER.to_owned(), Some(process.name.clone()));
        env.push(EnvVar { name, value, value_from: None });
        if let Some(own) = &process.resources {
            container.resources = Some(resources::of(**own));
        }
        Ok(container)
    }

    fn container(&self, process: &Process, inputs: &[VolumeMount]) -> Result<Container, Failure> {
        let Self { order, placement, volumes, .. } = *self;
        image::check(&process.image, placement.grants.registries.as_deref())?;
        let mut mounts = mounts::build(process, volumes)?;
        mounts.extend_from_slice(inputs);
        mounts.extend([mount(SDK, SDK_PATH), token_mount()]);
        Ok(Container {
            name: MAIN.to_owned(),
            image: Some(process.image.clone()),
            image_pull_policy: placement.pull.policy(process.pull).map(str::to_owned),
            command: Some(runner("pod")),
            env: Some(environment::build(order, process, placement)?),
            env_from: environment::secrets(process)?,
            resources: Some(resources::of(order.resources)),
            security_context: security::users(process, placement.security)?,
            volume_mounts: Some(mounts),
            ..Container::default()
        })
    }
}

fn runner(mode: &str) -> Vec<String> {
    vec![format!("{SDK_PATH}/ff-run"), mode.to_owned()]
}

/// Whether a cluster takes the names.
fn check(program: &Program) -> Result<(), Failure> {
    let mut seen = BTreeSet::from([INIT, INPUTS]);
    for process in program.processes() {
        let name = process.name.as_str();
        let fault = |why: &str| not_possible(format!("the container {name:.80?}: {why}"));
        if !is_name(name) {
            return Err(fault("in a pod names have a-z, 0-9 and - inside, at most 63 characters"));
        }
        if !seen.insert(name) {
            return Err(fault("another one of its pod has this name"));
        }
    }
    let count = program.processes().count();
    if count > MOST {
        let message = format!("{count} containers: a pod has at most {MOST}");
        return Err(not_possible(message));
    }
    Ok(())
}

fn is_name(name: &str) -> bool {
    let inside = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    (1..=63).contains(&name.len())
        && name.bytes().all(inside)
        && !name.starts_with('-')
        && !name.ends_with('-')
}
