//! What a cluster's answer means when the project's own account asked. Pure.

use std::time::Duration;

use flowforge_model::attempt::Failure;
use flowforge_model::status::Reason;
use kube::core::Status;

use super::{refused, user};
use crate::access::told;
use crate::answer::Again;
use crate::refusal::error;

/// Why there is no object in the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum No {
    /// There is one of that name.
    Exists,
    /// It is not there, or its kind is not; in the words of the cluster.
    Missing(String),
    /// Its namespace is not there: it is made again.
    Nowhere(String),
    /// Later, perhaps.
    Again(Again),
    /// Never.
    Never(Failure),
}

/// Reads an error of the client.
pub(super) fn read(error: &kube::Error) -> No {
    match error {
        kube::Error::Api(status) => of_status(status),
        other => No::Again(Again { why: told(other), pause: None, unknown: true, ill: true }),
    }
}

pub(super) fn of_status(status: &Status) -> No {
    let message: String = status.message.chars().take(1000).collect();
    let again = |unknown| {
        let seconds = status.details.as_ref().map_or(0, |details| details.retry_after_seconds);
        let pause = (seconds > 0).then(|| Duration::from_secs(u64::from(seconds)));
        No::Again(Again { why: message.clone(), pause, unknown, ill: false })
    };
    let of_namespace = || status.details.as_ref().is_some_and(|d| d.kind == "namespaces");
    match (status.code, status.reason.as_str()) {
        (409, "AlreadyExists") => No::Exists,
        // Somebody else changed it at the same time.
        (409, _) => again(false),
        (404, _) if of_namespace() => No::Nowhere(message),
        (404, _) => No::Missing(message),
        (403, _) if message.contains("exceeded quota") => again(false),
        (403, _) if message.contains("because it is being terminated") => {
            let what = format!("the project's namespace is going away: {message}");
            No::Never(error(Reason::NamespaceUnavailable, what))
        }
        // Ours, and not the project's.
        (403, _) if message.contains(" cannot impersonate ") => {
            let what = format!(
                "the executor may not act as the project's account, apply \
                 deploy/kubernetes/rbac.yaml: {message}"
            );
            No::Never(error(Reason::Forbidden, what))
        }
        (403, _) if message.contains(" cannot ") => {
            let what = "ask whoever runs the cluster to bind a role to the project's account";
            No::Never(user(Reason::Forbidden, format!("{message}: {what}")))
        }
        (403, _) => No::Never(user(Reason::Forbidden, message)),
        (401 | 408 | 429, _) => again(false),
        (400..=499, _) => No::Never(refused(format!("the cluster refused it: {message}"))),
        _ => again(true),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(code: u16, reason: &str, message: &str, details: &serde_json::Value) -> String {
        let status = json!({
            "code": code, "reason": reason, "message": message, "details": details,
            "status": "Failure", "metadata": {},
        });
        match of_status(&serde_json::from_value(status).expect("a status")) {
            No::Never(Failure { class, reason, .. }) => format!("{class:?} {}", reason.as_str()),
            No::Again(Again { unknown, pause, .. }) => format!("again {unknown} {pause:?}"),
            No::Missing(_) => "missing".to_owned(),
            No::Nowhere(_) => "no namespace".to_owned(),
            No::Exists => "exists".to_owned(),
        }
    }

    #[test]
    fn answers_to_the_account_of_a_project_are_told_apart() {
        let right = "jobs.batch is forbidden: User \"system:serviceaccount:n:flowforge-task\" cannot create resource \"jobs\"";
        let ours = "serviceaccounts \"flowforge-task\" is forbidden: User \"e\" cannot impersonate resource \"serviceaccounts\"";
        let rows = [
            (409, "AlreadyExists", "jobs \"a\" already exists", json!({}), "exists"),
            (409, "Conflict", "the object has been modified", json!({}), "again false None"),
            (404, "NotFound", "jobs \"a\" not found", json!({ "kind": "jobs" }), "missing"),
            (404, "NotFound", "namespaces", json!({ "kind": "namespaces" }), "no namespace"),
            (403, "Forbidden", right, json!({}), "User forbidden"),
            (403, "Forbidden", ours, json!({}), "Error forbidden"),
            (403, "Forbidden", "exceeded quota: flowforge", json!({}), "again false None"),
            (
                403,
                "Forbidden",
                "unable to create new content in namespace n because it is being terminated",
                json!({}),
                "Error namespace_unavailable",
            ),
            (403, "Forbidden", "violates PodSecurity", json!({}), "User forbidden"),
            (422, "Invalid", "Job \"a\" is invalid", json!({}), "User object_refused"),
            (400, "BadRequest", "admission webhook denied", json!({}), "User object_refused"),
            (405, "MethodNotAllowed", "", json!({}), "User object_refused"),
            (429, "", "", json!({ "retryAfterSeconds": 3 }), "again false Some(3s)"),
            (500, "InternalError", "", json!({}), "again true None"),
            (504, "Timeout", "", json!({}), "again true None"),
        ];
        for (code, reason, message, details, wanted) in rows {
            assert_eq!(told(code, reason, message, &details), wanted, "{code} {message}");
        }
    }
}
