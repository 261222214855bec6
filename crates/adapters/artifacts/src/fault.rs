//! What goes wrong, and how it travels through readers and writers.

use std::io;

#[cfg(feature = "places")]
use flowforge_http::HttpError;
use flowforge_model::status::Reason;
use flowforge_ports::artifacts::ArtifactError;

/// The artifact breaks a rule or a limit; trying again does not help.
pub(crate) fn invalid(message: impl Into<String>) -> ArtifactError {
    ArtifactError { reason: Reason::ArtifactInvalid, transient: false, message: message.into() }
}

/// There is no such artifact.
pub(crate) fn missing(message: impl Into<String>) -> ArtifactError {
    ArtifactError { reason: Reason::ArtifactMissing, transient: false, message: message.into() }
}

/// A store or the disk refused.
pub(crate) fn store(message: impl Into<String>) -> ArtifactError {
    ArtifactError { reason: Reason::ArtifactStore, transient: false, message: message.into() }
}

/// A server did not answer.
#[cfg(feature = "places")]
pub(crate) fn unreachable(place: &str, error: &HttpError) -> ArtifactError {
    let mut fault = store(format!("{place}: {error}"));
    fault.transient = error.transient();
    fault
}

/// A secret, or its key, is not there.
#[cfg(feature = "places")]
pub(crate) fn secret_missing(message: String) -> ArtifactError {
    ArtifactError { reason: Reason::SecretMissing, transient: false, message }
}

/// The caller wanted no more.
pub(crate) fn stopped() -> ArtifactError {
    ArtifactError {
        reason: Reason::Stopped,
        transient: false,
        message: "stopped while an artifact was moved".to_owned(),
    }
}

/// Hands a fault through a `Read` or `Write`; [`disk`] and [`damaged`] take it out again.
pub(crate) fn through(error: ArtifactError) -> io::Error {
    io::Error::other(error)
}

/// A fault of the local disk, or the one that was handed through.
pub(crate) fn disk(what: &str, error: &io::Error) -> ArtifactError {
    inner(error).unwrap_or_else(|| store(format!("{what}: {error}")))
}

/// Packed bytes that cannot be read, or the fault that was handed through.
pub(crate) fn damaged(what: &str, error: &io::Error) -> ArtifactError {
    inner(error).unwrap_or_else(|| invalid(format!("the {what} is damaged: {error}")))
}

fn inner(error: &io::Error) -> Option<ArtifactError> {
    error.get_ref()?.downcast_ref::<ArtifactError>().cloned()
}
