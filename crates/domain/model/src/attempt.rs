//! One try of a task: what an executor is told, and what it reports.

use serde::{Deserialize, Serialize};

use crate::id::{AttemptId, NodeIx, TaskId, WorkflowId};
use crate::resources::Resources;
use crate::status::Reason;
use crate::time::{Millis, Timestamp};

/// Names one attempt inside the engine: the task and the number of the try, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AttemptKey {
    /// The workflow.
    pub workflow: WorkflowId,
    /// The task.
    pub node: NodeIx,
    /// The number of the try, from 1, rising over all generations.
    pub number: u32,
}

impl AttemptKey {
    /// The attempt's public id.
    #[must_use]
    pub fn id(self) -> AttemptId {
        self.workflow.attempt(self.node, self.number)
    }
}

/// Everything an executor needs to run one attempt: all text substituted, nothing to look up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkOrder {
    /// Which attempt.
    pub key: AttemptKey,
    /// Its public id, `key.id()`.
    pub attempt: AttemptId,
    /// The task's public id.
    pub task: TaskId,
    /// Dotted path of the task in its workflow.
    pub task_name: String,
    /// Name of its template.
    pub template: String,
    /// The image; a local process ignores it.
    pub image: String,
    /// Program and arguments; empty means the image's entrypoint, then `args`.
    pub command: Vec<String>,
    /// More arguments.
    pub args: Vec<String>,
    /// A script's source: staged as an executable file whose path ends the command.
    pub script: Option<String>,
    /// The user's environment.
    pub env: Vec<(String, String)>,
    /// Where it starts.
    pub working_dir: Option<String>,
    /// Needs and bounds.
    pub resources: Resources,
    /// Output files to collect after success.
    pub outputs: Vec<OutputFile>,
    /// The attempt is stopped when it has run for this long.
    pub deadline: Option<Millis>,
}

/// One output file to collect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputFile {
    /// Name of the output parameter.
    pub name: String,
    /// Where the task writes it.
    pub path: String,
    /// Value if the file is missing; without one a missing file fails the task.
    pub default: Option<String>,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// When the process began, by the executor's clock.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Timestamp,
    /// The exit code; 128 + n for signal n; none if no process ran to its end.
    pub exit_code: Option<i32>,
    /// Why it failed; none means success.
    pub failure: Option<Failure>,
    /// Collected output parameters.
    pub outputs: Vec<(String, String)>,
    /// The end of standard output, one trailing newline trimmed.
    pub result: Option<String>,
}

/// Why an attempt failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Whose fault: decides the retry.
    pub class: FailureClass,
    /// Stable code.
    pub reason: Reason,
    /// For people: what happened and what to do.
    pub message: String,
}

/// Whose fault a failure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// The user's code ended badly (Argo's Failed).
    User,
    /// As `User`, but known to pass: exit codes 137, 143, 255 and known messages.
    Transient,
    /// The engine or executor could not do its part (Argo's Error).
    Error,
    /// The attempt vanished; it does not count against the user's retries.
    Lost,
    /// It was told to stop and did.
    Stopped,
}

/// What an executor tells the controller. May arrive twice, late or out of order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    /// About which attempt.
    pub key: AttemptKey,
    /// What happened.
    pub kind: FactKind,
}

/// What happened to an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FactKind {
    /// Its process runs.
    Started(Timestamp),
    /// It ended.
    Finished(Box<Report>),
}

impl Report {
    /// A report of an attempt that ended without its process having its say.
    #[must_use]
    pub fn failed(at: Timestamp, class: FailureClass, reason: Reason, message: String) -> Self {
        Self {
            started_at: None,
            finished_at: at,
            exit_code: None,
            failure: Some(Failure { class, reason, message }),
            outputs: Vec::new(),
            result: None,
        }
    }
}
