//! The parts of a pod's status that something depends on. None of them need be there.

use flowforge_model::attempt::{Failure, Main, Process, Work, WorkOrder};
use flowforge_model::status::Reason;
use flowforge_model::time::Timestamp;
use k8s_openapi::api::core::v1::{
    ContainerState, ContainerStateTerminated, ContainerStatus, PodCondition, PodStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::word::shown;
use crate::observed::Observed;
use crate::pod::{INIT, INPUTS, MAIN};
use crate::refusal::lost;

pub(super) struct Seen<'p> {
    pub(super) status: Option<&'p PodStatus>,
    /// The container that brings the runner.
    pub(super) sdk: Option<&'p ContainerStatus>,
    /// The one that fetches artifacts.
    pub(super) inputs: Option<&'p ContainerStatus>,
    /// The user's before the main ones.
    pub(super) init: Vec<&'p ContainerStatus>,
    /// Those beside the main ones, which decide nothing; but without their images none begins.
    sidecars: Vec<&'p ContainerStatus>,
    /// The main ones that are known of; those that a cluster put beside them are not.
    pub(super) main: Vec<&'p ContainerStatus>,
    /// How many main ones there are.
    pub(super) mains: usize,
    pub(super) created: Option<Timestamp>,
    pub(super) deletion: Option<Timestamp>,
}

impl<'p> Seen<'p> {
    pub(super) fn of(pod: &'p Observed, order: &WorkOrder) -> Self {
        let status = pod.status.as_ref();
        let Names { init, sidecars, main } = names(order);
        let named = |all: Option<&'p Vec<ContainerStatus>>, names: &[&str]| {
            let all = all.into_iter().flatten();
            all.filter(|one| names.contains(&one.name.as_str())).collect::<Vec<_>>()
        };
        let before = status.and_then(|status| status.init_container_statuses.as_ref());
        Self {
            status,
            sdk: named(before, &[INIT]).into_iter().next(),
            inputs: named(before, &[INPUTS]).into_iter().next(),
            init: named(before, &init),
            sidecars: named(before, &sidecars),
            main: named(status.and_then(|status| status.container_statuses.as_ref()), &main),
            mains: main.len(),
            created: pod.metadata.creation_timestamp.as_ref().map(instant),
            deletion: pod.metadata.deletion_timestamp.as_ref().map(instant),
        }
    }

    pub(super) fn phase(&self) -> &str {
        self.status.and_then(|status| status.phase.as_deref()).unwrap_or_default()
    }

    pub(super) fn reason(&self) -> &str {
        self.status.and_then(|status| status.reason.as_deref()).unwrap_or_default()
    }

    pub(super) fn message(&self) -> &str {
        self.status.and_then(|status| status.message.as_deref()).unwrap_or_default()
    }

    /// All containers in the order in which they begin.
    pub(super) fn all(&self) -> impl Iterator<Item = &'p ContainerStatus> {
        let ours = self.sdk.into_iter().chain(self.inputs);
        let before = ours.chain(self.init.iter().copied());
        before.chain(self.sidecars.iter().copied()).chain(self.main.iter().copied())
    }

    /// Why no node has it yet, empty if nobody says; nothing if one has.
    pub(super) fn no_node(&self) -> Option<String> {
        let known = self.status.is_some_and(|status| status.start_time.is_some());
        if known || !["Pending", ""].contains(&self.phase()) {
            return None;
        }
        match self.scheduled() {
            Some(condition) if condition.status == "True" => None,
            Some(condition) => Some(shown(condition.message.as_deref().unwrap_or_default())),
            None => Some(String::new()),
        }
    }

    /// What the cluster's scheduler says.
    pub(super) fn scheduled(&self) -> Option<&'p PodCondition> {
        scheduled(self.status?)
    }

    /// When the first of the user's containers began.
    pub(super) fn started_at(&self) -> Option<Timestamp> {
        let users = self.init.iter().chain(&self.main);
        let started = |one: &&ContainerStatus| {
            let state = state(one)?;
            let running = state.running.as_ref().and_then(|running| running.started_at.as_ref());
            let ended = state.terminated.as_ref().and_then(|ended| ended.started_at.as_ref());
            running.or(ended).map(instant)
        };
        users.filter_map(started).min()
    }

    /// Its address, if it is ready.
    pub(super) fn ready(&self) -> Option<String> {
        let status = self.status?;
        let mut conditions = status.conditions.iter().flatten();
        let ready = conditions.any(|one| one.type_ == "Ready" && one.status == "True");
        status.pod_ip.clone().filter(|ip| ready && !ip.is_empty())
    }

    /// What the cluster did to the pod for reasons of its own.
    pub(super) fn disruption(&self) -> Option<Failure> {
        let conditions = self.status.and_then(|status| status.conditions.as_ref());
        let target = |condition: &&PodCondition| {
            condition.type_ == "DisruptionTarget" && condition.status == "True"
        };
        let condition = conditions.into_iter().flatten().find(target);
        if let Some(condition) = condition {
            let why = condition.reason.as_deref().unwrap_or("disrupted");
            let message = condition.message.as_deref().unwrap_or_default();
            let message = format!("the cluster took its pod away: {why}: {message}");
            // So it does with pods of nodes that are not there any more.
            let gone = why == "DeletionByPodGC";
            return Some(lost(if gone { Reason::NodeLost } else { Reason::Evicted }, message));
        }
        let by_node =
            ["Evicted", "Preempting", "NodeLost", "NodeShutdown", "Shutdown", "Terminated"];
        let message = || format!("its node gave its pod up: {}: {}", self.reason(), self.message());
        by_node.contains(&self.reason()).then(|| lost(Reason::Evicted, message()))
    }
}

/// What the cluster's scheduler says of a pod with this status.
pub(crate) fn scheduled(status: &PodStatus) -> Option<&PodCondition> {
    let mut all = status.conditions.iter().flatten();
    all.find(|condition| condition.type_ == "PodScheduled")
}

/// The names of the user's containers: those before the main ones, those beside them, and the main ones.
#[derive(Default)]
struct Names<'o> {
    init: Vec<&'o str>,
    sidecars: Vec<&'o str>,
    main: Vec<&'o str>,
}

fn names(order: &WorkOrder) -> Names<'_> {
    let Work::Run(program) = &order.work else {
        return Names { main: vec![MAIN], ..Names::default() };
    };
    fn all(processes: &[Process]) -> Vec<&str> {
        processes.iter().map(|process| &*process.name).collect()
    }
    let main = match &program.main {
        Main::One(_) | Main::Gang { .. } if program.is_one() => vec![MAIN],
        Main::One(process) | Main::Gang { process, .. } => vec![&*process.name],
        Main::Set { members, .. } => members.iter().map(|member| &*member.process.name).collect(),
    };
    Names { init: all(&program.init), sidecars: all(&program.sidecars), main }
}

pub(super) fn state(container: &ContainerStatus) -> Option<&ContainerState> {
    container.state.as_ref()
}

/// How a container ended, if its node knows.
pub(super) fn ended(container: &ContainerStatus) -> Option<&ContainerStateTerminated> {
    let ended = state(container)?.terminated.as_ref()?;
    // So a node speaks of containers that it never started, or lost sight of.
    (ended.reason.as_deref() != Some("ContainerStatusUnknown")).then_some(ended)
}

pub(super) fn instant(time: &Time) -> Timestamp {
    Timestamp(time.0.as_millisecond())
}
