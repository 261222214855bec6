//! Pods that do not run yet.

use flowforge_model::attempt::Failure;
use flowforge_model::status::Reason;
use flowforge_model::time::Timestamp;
use k8s_openapi::api::core::v1::ContainerStateWaiting;

use super::seen::{Seen, ended, instant, state};
use super::word::shown;
use super::{Bounds, Memory, Next, Trouble, failed};
use crate::refusal::error;

/// Reasons to wait that are no trouble: it is others' turn, or it is being made.
const QUIET: [&str; 3] = ["ContainerCreating", "PodInitializing", ""];

/// What keeps a pod from starting, and how long it may; nothing if it runs.
pub(super) fn look(
    seen: &Seen<'_>,
    memory: &mut Memory,
    bounds: &Bounds,
    now: Timestamp,
) -> Option<Next> {
    // Of an unknown phase nothing follows.
    if !["Pending", ""].contains(&seen.phase()) {
        memory.trouble = None;
        return None;
    }
    // What comes before the main containers takes the time that it takes.
    let timed = || seen.inputs.into_iter().chain(seen.init.iter().copied());
    if timed().any(|one| state(one).is_some_and(|state| state.running.is_some())) {
        memory.trouble = None;
        return None;
    }
    let waiting: Vec<_> = seen.all().filter_map(|one| state(one)?.waiting.as_ref()).collect();
    let quiet = |waiting: &ContainerStateWaiting| {
        QUIET.contains(&waiting.reason.as_deref().unwrap_or_default())
    };
    let waiting = waiting.iter().find(|one| !quiet(one)).or(waiting.first());
    let reason = waiting.and_then(|waiting| waiting.reason.as_deref()).unwrap_or_default();
    let message = shown(waiting.and_then(|waiting| waiting.message.as_deref()).unwrap_or_default());
    let trouble = match reason {
        "InvalidImageName" => {
            let message = format!("its image has no name that a cluster takes: {message}");
            return Some(end(error(Reason::ImageInvalid, message), now));
        }
        "ErrImageNeverPull" => {
            let message =
                format!("its image is not on the node, and may not be fetched: {message}");
            return Some(end(error(Reason::ImagePull, message), now));
        }
        "ImagePullBackOff" | "ErrImagePull" | "RegistryUnavailable" | "ImageInspectError" => {
            Some(Trouble::Pull)
        }
        "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" => {
            Some(Trouble::Config)
        }
        // A pull that is tried again is in the same trouble as before.
        quiet if QUIET.contains(&quiet) => memory.trouble.map(|(kind, _)| kind),
        _ => None,
    };
    let done = timed().filter_map(|one| ended(one)?.finished_at.as_ref().map(instant));
    let since = seen.created.into_iter().chain(done).max();
    let start = since.map(|since| since.plus(bounds.start));
    let Some(trouble) = trouble else {
        memory.trouble = None;
        return bounded(start, now, || unscheduled(seen, reason, &message));
    };
    let since = match memory.trouble {
        Some((before, at)) if before == trouble => at,
        _ => now,
    };
    memory.trouble = Some((trouble, since));
    let bound = match trouble {
        Trouble::Pull => bounds.pull,
        Trouble::Config => bounds.config,
    };
    let due = since.plus(bound);
    let due = Some(start.map_or(due, |start| start.min(due)));
    bounded(due, now, || match trouble {
        Trouble::Pull => {
            error(Reason::ImagePull, format!("its image could not be fetched: {message}"))
        }
        Trouble::Config => {
            let secret = message.contains("secret");
            let reason = if secret { Reason::SecretMissing } else { Reason::PodConfig };
            error(reason, format!("its container could not be made: {message}"))
        }
    })
}

fn bounded(due: Option<Timestamp>, now: Timestamp, failure: impl Fn() -> Failure) -> Option<Next> {
    match due {
        Some(due) if now >= due => Some(end(failure(), now)),
        due => Some(Next::Wait(due)),
    }
}

fn end(failure: Failure, now: Timestamp) -> Next {
    Next::Ended(Box::new(failed(None, now, None, failure)))
}

/// It took too long to begin: why, in the scheduler's words if it is that.
fn unscheduled(seen: &Seen<'_>, reason: &str, message: &str) -> Failure {
    match seen.scheduled().filter(|condition| condition.status == "False") {
        Some(condition) => {
            let why = shown(condition.message.as_deref().unwrap_or_default());
            error(Reason::Unschedulable, format!("no node of the cluster took its pod: {why}"))
        }
        None => error(
            Reason::SpawnFailed,
            format!("its pod did not begin in time: {reason} {message}").trim_end().to_owned(),
        ),
    }
}
