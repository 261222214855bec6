//! A workflow.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::problem::Finding;
use crate::time::Time;

/// A workflow as it is shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Workflow {
    /// Its id, a `UUIDv7`.
    pub id: String,
    /// Its name; not unique.
    pub name: String,
    /// The id of its project.
    pub project_id: String,
    /// For people.
    #[serde(default)]
    pub description: String,
    /// `PENDING`, `RUNNING`, `PAUSED`, `SUCCEEDED`, `FAILED` or `CANCELLED`; expect more.
    pub status: String,
    /// Why it stands there: a stable code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why it stands there, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// From 1 (0 until it began); each retry by a user opens the next.
    pub generation: u32,
    /// Higher goes first.
    pub priority: i32,
    /// Labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Parameter values of the submission, over those of the document.
    #[serde(default)]
    pub parameters: BTreeMap<String, String>,
    /// Who sent it.
    pub submitted_by: String,
    /// The workflow this one repeats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resubmitted_from: Option<String>,
    /// The task that started it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<WorkflowParent>,
    /// When it was submitted.
    pub created_at: Time,
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    /// Leaves counted by status; statuses without a task are missing. Not in lists.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub task_counts: BTreeMap<String, u64>,
    /// What it gave, by name. Not in lists.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub outputs: BTreeMap<String, String>,
    /// What deserves a look in the document. Only in the answer to a submission.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Finding>,
    /// The number of its last event.
    #[serde(default)]
    pub seq: u64,
}

/// The task that started a workflow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WorkflowParent {
    /// The workflow of the task.
    pub workflow_id: String,
    /// The task.
    pub task_id: String,
    /// Its place in the tree of its run.
    pub node: u32,
    /// The number of the attempt.
    pub attempt: u32,
    /// The workflow in whose slot it runs, at the top of those that wait for one another. Missing if the
    /// task does not wait for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root_id: Option<String>,
    /// How many workflows are above it, from 1.
    pub depth: u32,
}

impl Workflow {
    /// The status is final (until a user retries it).
    #[must_use]
    pub fn is_finished(&self) -> bool {
        matches!(&*self.status, "SUCCEEDED" | "FAILED" | "CANCELLED")
    }
}
