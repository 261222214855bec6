//! Daemons: tasks that serve others while those run, and how it is found out that they are ready.

use serde::{Deserialize, Serialize};

use crate::time::Millis;

/// What makes a task a daemon. `T` is a text and `P` a port: as the document has them, or with all
/// values put in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Daemon<T, P> {
    /// How it is found out that it is ready. Without one it is ready once it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probe: Option<Probe<T, P>>,
}

/// A question that a daemon answers when it is ready, with Kubernetes' numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe<T, P> {
    /// The question.
    pub check: Check<T, P>,
    /// From its start to the first question.
    pub initial_delay: Millis,
    /// From one question to the next.
    pub period: Millis,
    /// How long an answer may take.
    pub timeout: Millis,
    /// Good answers in a row, from 1.
    pub successes: u32,
    /// Bad answers in a row after which a cluster calls it not ready again, from 1. That changes nothing
    /// for tasks that were let go on.
    pub failures: u32,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Check<T, P> {
    /// `GET`; a status from 200 to 399 is good.
    Http {
        /// Asked instead of the daemon's own address.
        host: Option<T>,
        /// The port.
        port: P,
        /// The path.
        path: T,
        /// By HTTPS, whatever certificate it shows.
        secure: bool,
        /// More headers, in order.
        headers: Vec<(String, T)>,
    },
    /// Somebody accepts connections.
    Tcp {
        /// Asked instead of the daemon's own address.
        host: Option<T>,
        /// The port.
        port: P,
    },
    /// A command inside its container ends with 0.
    Exec(Vec<T>),
}
