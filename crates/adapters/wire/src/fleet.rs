//! Servers, and work that none of them could do.

use serde::{Deserialize, Serialize};

use crate::time::Time;

/// A server that lives: one for each role of a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Server {
    /// New at every start.
    pub id: String,
    /// `api`, `controller`, `scheduler`, `executor`, `cron`, `logs`; words may become more.
    pub role: String,
    /// Its machine and process, for people.
    pub name: String,
    /// Its version.
    pub version: String,
    /// When it started, by its own clock; missing if it does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
}

/// A delivery that was given up: taken too often without an acknowledgement, or not to be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeadLetter {
    /// Its id in the queue.
    pub id: String,
    /// Why, for people.
    pub reason: String,
    /// When, by the queue's clock.
    pub buried_at: Time,
    /// What it carried; empty if that could not be read.
    pub attempts: Vec<DeadAttempt>,
}

/// An attempt of a dead letter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeadAttempt {
    /// Its workflow.
    pub workflow_id: String,
    /// The task's place in the tree of the run.
    pub node: u32,
    /// The number of the attempt.
    pub attempt: u32,
    /// When the scheduler sent it.
    pub sent_at: Time,
}

/// What became of the attempts of a dead letter that was taken away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Redriven {
    /// Each attempt; empty if somebody else took the letter at the same time.
    pub attempts: Vec<RedrivenAttempt>,
}

/// What became of one of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RedrivenAttempt {
    /// Its workflow.
    pub workflow_id: String,
    /// The task's place in the tree of the run.
    pub node: u32,
    /// The number of the attempt.
    pub attempt: u32,
    /// `retried`: its workflow had failed with it and is retried. `open`: the scheduler sends it again
    /// by itself. `superseded`: a later attempt followed. `over`: its workflow ended otherwise. `gone`:
    /// its workflow was deleted. `unknown`: the database did not answer; look at its workflow.
    pub outcome: String,
}
