//! How a command ends: the exit codes, and the error that carries one.

use std::io;

use flowforge_wire::Problem;

use crate::bundle::Document;

/// The exit codes. Scripts depend on them: change nothing here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It did what was asked.
    Ok,
    /// The run did not succeed, or the answer is no.
    Negative,
    /// Wrong usage, or an invalid workflow file.
    Usage,
    /// There is no such thing.
    NotFound,
    /// Not let in.
    Auth,
    /// It does not fit the present state.
    Conflict,
    /// A rate or a quota.
    Limited,
    /// The server or the network.
    Server,
    /// `--timeout` passed.
    Timeout,
    /// Ended by this signal.
    Signal(i32),
}

impl Exit {
    /// The number.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Negative => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::Auth => 4,
            Self::Conflict => 5,
            Self::Limited => 7,
            Self::Server => 8,
            Self::Timeout => 124,
            Self::Signal(number) => u8::try_from(number.saturating_add(128)).unwrap_or(u8::MAX),
        }
    }

    /// The one table from an error answer of a server to an exit code.
    pub(crate) fn of_answer(status: u16, code: &str) -> Self {
        match status {
            _ if code == "idempotency_key_reused" => Self::Conflict,
            401 | 403 => Self::Auth,
            404 | 410 => Self::NotFound,
            409 | 412 => Self::Conflict,
            429 => Self::Limited,
            400..=499 => Self::Usage,
            _ => Self::Server,
        }
    }

    /// Of a workflow that has ended, or stands where it stands.
    pub(crate) fn of_workflow(status: &str) -> Self {
        if status == "SUCCEEDED" { Self::Ok } else { Self::Negative }
    }
}

/// Why a command did not do what was asked.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Whoever read our output went away: nothing to say, and no fault.
    Closed,
    /// A text for people, and perhaps what to do.
    Told { exit: Exit, message: String, hint: Option<String> },
    /// Nothing listens at this URL.
    Absent { url: String },
    /// A server's error answer, and the document it is about.
    Refused { problem: Box<Problem>, document: Option<Box<Document>> },
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self::Told { exit, message: message.into(), hint: None }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// The same with what to do.
    pub(crate) fn hint(self, text: impl Into<String>) -> Self {
        match self {
            Self::Told { exit, message, .. } => {
                Self::Told { exit, message, hint: Some(text.into()) }
            }
            other => other,
        }
    }

    /// The same, about a document, if it is about one: its places are shown then.
    pub(crate) fn about(self, document: &Document) -> Self {
        match self {
            Self::Refused { problem, .. } if problem.code == "invalid_workflow" => {
                Self::Refused { problem, document: Some(Box::new(document.clone())) }
            }
            other => other,
        }
    }

    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Closed => Exit::Ok,
            Self::Told { exit, .. } => *exit,
            Self::Absent { .. } => Exit::Server,
            Self::Refused { problem, .. } => Exit::of_answer(problem.status, &problem.code),
        }
    }

    /// Nothing listens there.
    pub(crate) fn refused_connection(&self) -> bool {
        matches!(self, Self::Absent { .. })
    }

    /// Asking again may help: the server or the network failed, not the request.
    pub(crate) fn passing(&self) -> bool {
        matches!(self.exit(), Exit::Server | Exit::Limited)
    }
}

/// Of writing output.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Self::Closed
        } else {
            Self::new(Exit::Negative, format!("write output: {error}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_become_the_documented_codes() {
        for (status, code, exit) in [
            (400, "bad_request", 2),
            (401, "unauthorized", 4),
            (403, "forbidden", 4),
            (404, "not_found", 3),
            (409, "refused", 5),
            (412, "precondition", 5),
            (413, "too_large", 2),
            (422, "invalid_workflow", 2),
            (422, "idempotency_key_reused", 5),
            (429, "too_many_streams", 7),
            (500, "internal", 8),
            (503, "unavailable", 8),
            (302, "", 8),
        ] {
            assert_eq!(Exit::of_answer(status, code).code(), exit, "{status}");
        }
        assert_eq!(Exit::Signal(2).code(), 130);
        assert_eq!(Exit::Timeout.code(), 124);
        assert_eq!(Failure::from(io::Error::from(io::ErrorKind::BrokenPipe)).exit(), Exit::Ok);
    }
}
