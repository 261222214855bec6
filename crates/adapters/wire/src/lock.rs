//! Locks.

use serde::{Deserialize, Serialize};

use crate::time::Time;

/// A lock that somebody holds or waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Lock {
    /// Which: `mutex/PROJECT/NAME`, or where the limit of a semaphore stands before project and
    /// name.
    pub key: String,
    /// How many tasks may hold it at a time.
    pub limit: u32,
    /// How many hold it.
    pub holding: u64,
    /// How many wait for it.
    pub waiting: u64,
    /// Who holds it; the first hundred.
    pub holders: Vec<LockUser>,
    /// Who waits for it, in the order in which they will get it; the first hundred.
    pub waiters: Vec<LockUser>,
}

/// A task that holds a lock or waits for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LockUser {
    /// Its workflow.
    pub workflow_id: String,
    /// The name of its workflow.
    pub workflow_name: String,
    /// The task's dotted name; empty for the workflow as a whole.
    pub task: String,
    /// The task's place in the tree of the run.
    pub node: u32,
    /// When it began to wait.
    pub since: Time,
}
