//! Pods that run no more.

use flowforge_model::attempt::{Failure, FailureClass, Report, WorkOrder};
use flowforge_model::status::Reason;
use flowforge_model::time::Timestamp;
use k8s_openapi::api::core::v1::ContainerStateTerminated;

use super::end::{self, End};
use super::seen::{Seen, instant, state};
use super::word::{Word, shown};
use super::{Bounds, Memory, Next, failed, stopped};
use crate::refusal::{error, lost};

/// Exit codes that are known to pass: killed, terminated, and what shells and remote ends say of a lost
/// connection. As local processes have them.
const TRANSIENT: [i32; 3] = [137, 143, 255];

/// What the end of a pod means; nothing if it has not ended.
pub(super) fn look(
    order: &WorkOrder,
    seen: &Seen<'_>,
    memory: &mut Memory,
    bounds: &Bounds,
    now: Timestamp,
) -> Option<Next> {
    let Some(End { name, ended, word }) = end::of(order, seen) else {
        return never_ran(seen, *memory, now).map(|report| Next::Ended(Box::new(report)));
    };
    if word.is_none() {
        let ended_at = *memory.ended_at.get_or_insert(now);
        let due = ended_at.plus(bounds.silence);
        if now < due {
            return Some(Next::Wait(Some(due)));
        }
    }
    let outcome = match word {
        Some(Word::Refused(_)) if memory.stopped => Some(stopped()),
        Some(Word::Refused(why)) => {
            Some(lost(Reason::Lost, format!("its pod was not allowed to begin: {why}")))
        }
        Some(Word::Reported | Word::Beside { .. }) => by_code(ended, *memory),
        Some(Word::Unreported(why)) => by_status(order, seen, ended, *memory)
            .map(|failure| with(failure, &format!("its pod could not report: {why}"))),
        None => by_status(order, seen, ended, *memory),
    };
    let outcome = outcome.map(|failure| match name {
        Some(name) => failure.of_container(name),
        None => failure,
    });
    Some(Next::Ended(Box::new(report(order, seen, ended, outcome, now))))
}

fn report(
    order: &WorkOrder,
    seen: &Seen<'_>,
    ended: &ContainerStateTerminated,
    failure: Option<Failure>,
    now: Timestamp,
) -> Report {
    let defaults = order.outputs.iter();
    let defaults = defaults.filter_map(|o| Some((o.name.clone(), o.default.clone()?)));
    Report {
        started_at: seen.started_at(),
        finished_at: ended.finished_at.as_ref().map_or(now, instant),
        exit_code: Some(ended.exit_code),
        outputs: if failure.is_none() { defaults.collect() } else { Vec::new() },
        failure,
        artifacts: Vec::new(),
        result: None,
    }
}

fn with(mut failure: Failure, more: &str) -> Failure {
    failure.message = format!("{}; {more}", failure.message);
    failure
}

/// Why the container failed, from all that the cluster says.
fn by_status(
    order: &WorkOrder,
    seen: &Seen<'_>,
    ended: &ContainerStateTerminated,
    memory: Memory,
) -> Option<Failure> {
    if ended.exit_code == 0 {
        return unheard(order);
    }
    if memory.stopped {
        return Some(stopped());
    }
    if let Some(failure) = seen.disruption() {
        return Some(failure);
    }
    if seen.reason() == "DeadlineExceeded" {
        return Some(deadline());
    }
    // Somebody's delete ends a container by a signal.
    if seen.deletion.is_some() && [137, 143].contains(&ended.exit_code) {
        return Some(lost(Reason::PodDeleted, "its pod was deleted while it ran"));
    }
    by_code(ended, memory)
}

fn by_code(ended: &ContainerStateTerminated, memory: Memory) -> Option<Failure> {
    let code = ended.exit_code;
    if code == 0 {
        return None;
    }
    if memory.stopped {
        return Some(stopped());
    }
    let by = |class, reason, message: String| Failure { class, reason, message };
    let exit = format!("ended by exit code {code}");
    Some(match ended.reason.as_deref() {
        Some("OOMKilled") => by(
            FailureClass::User,
            Reason::OomKilled,
            format!("{exit}: it used more memory than its limit"),
        ),
        Some("StartError" | "ContainerCannotRun") => {
            let why = ended.message.as_deref().unwrap_or("the cluster does not say why");
            error(Reason::SpawnFailed, format!("its container could not start: {}", shown(why)))
        }
        _ if TRANSIENT.contains(&code) => by(FailureClass::Transient, Reason::ExitCode, exit),
        _ => by(FailureClass::User, Reason::ExitCode, exit),
    })
}

/// A success of which nobody heard: what it has made and nobody has is missing.
fn unheard(order: &WorkOrder) -> Option<Failure> {
    let output = order.outputs.iter().find(|output| output.default.is_none());
    let artifact = order.artifacts_out.iter().find(|artifact| !artifact.optional);
    let name =
        output.map(|output| &output.name).or_else(|| artifact.map(|artifact| &artifact.name))?;
    Some(Failure {
        class: FailureClass::Transient,
        reason: Reason::OutputMissing,
        message: format!(
            "it succeeded, but nobody heard from its pod: the output {name} is missing"
        ),
    })
}

fn deadline() -> Failure {
    Failure {
        class: FailureClass::User,
        reason: Reason::Deadline,
        message: "stopped: it ran longer than its deadline".to_owned(),
    }
}

/// The pod has ended and its main containers have not run, as far as anybody knows.
fn never_ran(seen: &Seen<'_>, memory: Memory, now: Timestamp) -> Option<Report> {
    let init = seen.sdk.and_then(state).and_then(|state| state.terminated.as_ref());
    let init = init.filter(|ended| ended.exit_code != 0);
    let inputs = seen.inputs.and_then(state).and_then(|state| state.terminated.as_ref());
    let inputs = inputs.filter(|ended| ended.exit_code != 0);
    if init.is_none() && inputs.is_none() && !["Failed", "Succeeded"].contains(&seen.phase()) {
        return None;
    }
    let failure = if memory.stopped {
        stopped()
    } else if let Some(failure) = seen.disruption() {
        failure
    } else if seen.reason() == "DeadlineExceeded" {
        deadline()
    } else if seen.deletion.is_some() {
        lost(Reason::PodDeleted, "its pod was deleted before it began")
    } else if let Some(inputs) = inputs {
        unfetched(inputs)
    } else if let Some(init) = init {
        let why = shown(init.message.as_deref().or(init.reason.as_deref()).unwrap_or_default());
        let code = init.exit_code;
        let message = format!("its runner could not be put in place: exit code {code}: {why}");
        error(Reason::InitFailed, message)
    } else {
        // A node refused it (OutOfcpu, NodeAffinity, UnexpectedAdmissionError...), or lost sight of it.
        let (reason, message) = (seen.reason(), shown(seen.message()));
        lost(Reason::Lost, format!("its node did not run its pod: {reason}: {message}"))
    };
    Some(failed(seen.started_at(), now, None, failure))
}

/// Its input artifacts could not be fetched. If the runner told why, that is known already.
fn unfetched(ended: &ContainerStateTerminated) -> Failure {
    let message = ended.message.as_deref().unwrap_or_default();
    match Word::parse(message) {
        Some(Word::Refused(why)) => {
            lost(Reason::Lost, format!("its pod was not allowed to begin: {why}"))
        }
        word => {
            let why = match word {
                Some(Word::Unreported(why)) => format!("; its pod could not report: {why}"),
                _ => String::new(),
            };
            let code = ended.exit_code;
            let message = format!("its input artifacts were not fetched: exit code {code}{why}");
            error(Reason::InitFailed, message)
        }
    }
}
