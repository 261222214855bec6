//! Failures before and around a pod.

use flowforge_model::attempt::{Failure, FailureClass};
use flowforge_model::status::Reason;

/// What a task asks for and cannot have.
pub(crate) fn not_possible(message: impl Into<String>) -> Failure {
    error(Reason::NotPossible, message)
}

/// The engine or the cluster could not do its part.
pub(crate) fn error(reason: Reason, message: impl Into<String>) -> Failure {
    Failure { class: FailureClass::Error, reason, message: message.into() }
}

/// It is stopped, and has no pod.
pub(crate) fn unmade() -> Failure {
    let message = "stopped before its pod was made".to_owned();
    Failure { class: FailureClass::Stopped, reason: Reason::Stopped, message }
}

/// The attempt vanished: it is repeated at no cost to the user.
pub(crate) fn lost(reason: Reason, message: impl Into<String>) -> Failure {
    Failure { class: FailureClass::Lost, reason, message: message.into() }
}
