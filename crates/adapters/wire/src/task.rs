//! A task and its attempts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::time::Time;

/// A task as it is shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Task {
    /// Its id, a `UUIDv7`.
    pub id: String,
    /// Its place in the tree of the run, from 0 (the root).
    pub node: u32,
    /// Dotted path in the workflow, loop items as `a(0:x)`; empty for the root.
    pub name: String,
    /// `leaf`, `dag`, `steps`, `loop`, `retry` or `suspend`; expect more.
    pub kind: String,
    /// Name of its template.
    pub template: String,
    /// `node` of the group around it; none for the root and for exit handlers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<u32>,
    /// `PENDING`, `QUEUED`, `RUNNING`, `RETRYING`, `SUCCEEDED`, `FAILED`, `SKIPPED` or
    /// `CANCELLED`; expect more.
    pub status: String,
    /// Why it stands there: a stable code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why it stands there, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The number of its latest attempt; 0 before the first.
    pub attempt: u32,
    /// The exit code of its latest finished attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// All its attempts, by number.
    #[serde(default)]
    pub attempts: Vec<Attempt>,
    /// What it gave, by name; the end of its standard output as `result`.
    #[serde(default)]
    pub outputs: BTreeMap<String, String>,
    /// Artifacts it gave.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub artifacts: Vec<TaskArtifact>,
    /// When it became ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queued_at: Option<Time>,
    /// When its first attempt of this generation started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
}

/// A file or folder that a task gave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TaskArtifact {
    /// Its name.
    pub name: String,
    /// Where it is kept: `repository` (of the project), `s3`, `http` or `raw` (in the document);
    /// expect more.
    pub store: String,
    /// Where it is there: the key, `bucket/key`, or the URL; empty for `raw`.
    #[serde(default)]
    pub key: String,
    /// How it is packed there: `none`, `tar_gz` or `zip`; expect more.
    #[serde(default)]
    pub archive: String,
}

/// One try of a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Attempt {
    /// Its id, a `UUIDv7`.
    #[serde(default)]
    pub id: String,
    /// From 1, rising over all generations.
    pub number: u32,
    /// When it was let go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admitted_at: Option<Time>,
    /// When its process began.
    pub started_at: Option<Time>,
    /// When it ended.
    pub finished_at: Option<Time>,
    /// Its exit code; 128 + n for signal n.
    pub exit_code: Option<i32>,
    /// Why it failed: a stable code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why it failed, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The workflow that it started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow_id: Option<String>,
}
