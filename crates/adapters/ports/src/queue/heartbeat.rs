//! Signs of life. A missing one is a question, never an answer: the database has the leases.

use std::future::Future;
use std::time::Duration;

use flowforge_model::id::InstanceId;

use super::QueueError;

/// What a process is. One process may be several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Serves the REST API.
    Api,
    /// Decides the life of workflows.
    Controller,
    /// Admits attempts.
    Scheduler,
    /// Starts what is due.
    Cron,
    /// Runs attempts.
    Executor,
    /// Keeps output.
    Logs,
    /// Watches pods beside their executors.
    Collector,
}

impl Role {
    /// Its name, as in keys and on screens.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Controller => "controller",
            Self::Scheduler => "scheduler",
            Self::Cron => "cron",
            Self::Executor => "executor",
            Self::Logs => "logs",
            Self::Collector => "collector",
        }
    }
}

/// A sign of life that has not expired.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Beat {
    /// Whose.
    pub id: InstanceId,
    /// What it said: free slots, version, cluster; a text of its role.
    pub body: String,
}

/// Who is there. For screens, and for asking sooner; never for deciding.
pub trait Heartbeats: Send + Sync + 'static {
    /// Says that an instance lives, for `ttl` (at least a millisecond). Replaces what it said
    /// before. Say it again after a third of that.
    ///
    /// # Errors
    /// See [`QueueError`]; `Refused` for a body of more than `limits::HEARTBEAT_BYTES`.
    fn beat(
        &self,
        role: Role,
        id: InstanceId,
        body: &str,
        ttl: Duration,
    ) -> impl Future<Output = Result<(), QueueError>> + Send;

    /// Who of a role lives, by id. Work grows with their number.
    ///
    /// # Errors
    /// See [`QueueError`].
    fn alive(&self, role: Role) -> impl Future<Output = Result<Vec<Beat>, QueueError>> + Send;
}
