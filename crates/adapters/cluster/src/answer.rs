//! What a cluster's answer to a request means. Pure.

use std::time::Duration;

use flowforge_model::attempt::Failure;
use flowforge_model::status::Reason;
use kube::core::Status;

use crate::access::told;
use crate::refusal::error;

/// Why a pod was not made, or not deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// There is one of that name.
    Exists,
    /// It is not there.
    Missing,
    /// Its namespace is not there.
    NoNamespace,
    /// There is one, and it is not the one that was meant.
    Another,
    /// Later, perhaps: how long to wait at least.
    Again(Again),
    /// Never: it is not asked again.
    Never(Failure),
}

/// A request that may be made again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Again {
    /// What was said.
    pub(crate) why: String,
    /// The cluster wants this pause.
    pub(crate) pause: Option<Duration>,
    /// It may have been done all the same.
    pub(crate) unknown: bool,
    /// The cluster as a whole does not answer as it should: others wait as well.
    pub(crate) ill: bool,
}

/// Reads an error of the client.
pub(crate) fn read(error: &kube::Error) -> Answer {
    match error {
        kube::Error::Api(status) => of_status(status),
        other => Answer::Again(Again { why: told(other), pause: None, unknown: true, ill: true }),
    }
}

/// There was no answer in time.
pub(crate) fn silence() -> Answer {
    let why = "the cluster did not answer in time".to_owned();
    Answer::Again(Again { why, pause: None, unknown: true, ill: true })
}

fn of_status(status: &Status) -> Answer {
    let message: String = status.message.chars().take(1000).collect();
    let again = |unknown, ill| {
        let seconds = status.details.as_ref().map_or(0, |details| details.retry_after_seconds);
        let pause = (seconds > 0).then(|| Duration::from_secs(u64::from(seconds)));
        Answer::Again(Again { why: message.clone(), pause, unknown, ill })
    };
    let refused = |reason, what: &str| Answer::Never(error(reason, format!("{what}: {message}")));
    match (status.code, status.reason.as_str()) {
        (409, "AlreadyExists") => Answer::Exists,
        // Of a precondition; otherwise of the quota of a namespace under load.
        (409, _) if message.contains("Precondition") => Answer::Another,
        (409, _) => again(false, false),
        (404, _) if status.details.as_ref().is_some_and(|d| d.kind == "namespaces") => {
            Answer::NoNamespace
        }
        (404, _) => Answer::Missing,
        (403, _) if is_terminating(status) => {
            refused(Reason::NamespaceUnavailable, "the project's namespace is going away")
        }
        (403, _) if message.contains("exceeded quota") => again(false, false),
        // Somebody took our rights, and may give them back.
        (403, _) if lacks_a_right(message.as_str()) => again(false, true),
        (401, _) => again(false, true),
        (429, _) => again(false, true),
        (400..=499, _) => refused(Reason::PodRefused, "the cluster refused its pod"),
        _ => again(true, true),
    }
}

/// `User "..." cannot VERB resource "..."`
fn lacks_a_right(message: &str) -> bool {
    message
        .split(" cannot ")
        .skip(1)
        .any(|rest| rest.split_once(' ').is_some_and(|(_, what)| what.starts_with("resource ")))
}

fn is_terminating(status: &Status) -> bool {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    causes.into_iter().any(|cause| cause.reason == "NamespaceTerminating")
        || status.message.contains("because it is being terminated")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn status(code: u16, reason: &str, message: &str) -> Status {
        Status {
            status: None,
            code,
            message: message.to_owned(),
            metadata: None,
            reason: reason.to_owned(),
            details: None,
        }
    }

    fn told(status: &Status) -> String {
        match of_status(status) {
            Answer::Never(failure) => format!("never {}", failure.reason.as_str()),
            Answer::Again(Again { unknown, ill, pause, .. }) => {
                format!("again unknown={unknown} ill={ill} {pause:?}")
            }
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn answers_are_told_apart() {
        let with = |mut status: Status, details: serde_json::Value| {
            status.details = serde_json::from_value(details).expect("details");
            status
        };
        let busy = with(status(429, "TooManyRequests", "later"), json!({ "retryAfterSeconds": 7 }));
        let causes = json!({ "causes": [{ "reason": "NamespaceTerminating" }] });
        let going = with(status(403, "Forbidden", "unable to create new content"), causes);
        let nowhere = status(404, "NotFound", "namespaces \"x\" not found");
        let nowhere = with(nowhere, json!({ "kind": "namespaces" }));
        let quota = "pods \"a\" is forbidden: exceeded quota: flowforge, requested: pods=1";
        let object = "Operation cannot be fulfilled on resourcequotas \"flowforge\"";
        let uid = "Precondition failed: UID in precondition: a, UID in object meta: b";
        let rights = "User \"x\" cannot create resource \"pods\" in API group \"\"";
        let patch = "User \"x\" cannot patch resource \"namespaces\" in API group \"\"";
        let webhook = "admission webhook \"w\" denied the request: no";
        let rows = [
            (status(409, "AlreadyExists", "pods \"a\" already exists"), "Exists"),
            (status(409, "Conflict", object), "again unknown=false ill=false None"),
            (status(409, "Conflict", uid), "Another"),
            (status(404, "NotFound", "pods \"a\" not found"), "Missing"),
            (nowhere, "NoNamespace"),
            (going, "never namespace_unavailable"),
            (status(403, "Forbidden", quota), "again unknown=false ill=false None"),
            (status(403, "Forbidden", rights), "again unknown=false ill=true None"),
            (status(403, "Forbidden", patch), "again unknown=false ill=true None"),
            (status(403, "Forbidden", "violates PodSecurity"), "never pod_refused"),
            (status(400, "BadRequest", webhook), "never pod_refused"),
            (status(422, "Invalid", "Pod \"a\" is invalid"), "never pod_refused"),
            (status(401, "Unauthorized", ""), "again unknown=false ill=true None"),
            (busy, "again unknown=false ill=true Some(7s)"),
            (
                status(500, "InternalError", "failed calling webhook"),
                "again unknown=true ill=true None",
            ),
            (status(504, "Timeout", ""), "again unknown=true ill=true None"),
        ];
        for (status, wanted) in rows {
            assert_eq!(told(&status), wanted, "{status:?}");
        }
    }
}
