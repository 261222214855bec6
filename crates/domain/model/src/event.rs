//! The vocabulary between deciding and doing: an [`Event`] goes into the engine, [`Effect`]s and
//! history [`Record`]s come out.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::artifact::Artifact;
use crate::attempt::Report;
use crate::id::NodeIx;
use crate::status::{Reason, TaskStatus, WorkflowStatus};
use crate::time::Timestamp;

/// A fact or a wish. May arrive twice, late, or out of order; the engine refuses what no longer
/// fits and changes nothing then.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The workflow was accepted; begin it.
    Submitted,
    /// An attempt's process runs.
    Started {
        /// The task.
        node: NodeIx,
        /// The attempt.
        number: u32,
        /// When.
        at: Timestamp,
    },
    /// An attempt of a daemon is ready: it serves.
    Ready {
        /// The task.
        node: NodeIx,
        /// The attempt.
        number: u32,
        /// When.
        at: Timestamp,
        /// Its address.
        ip: String,
    },
    /// An attempt ended.
    Finished {
        /// The task.
        node: NodeIx,
        /// The attempt.
        number: u32,
        /// How.
        report: Box<Report>,
    },
    /// A timer that an effect set is due.
    TimerDue {
        /// The task it belongs to; the root for those of the workflow.
        node: NodeIx,
        /// Which.
        timer: Timer,
    },
    /// A user asks for something.
    Asked(Command),
    /// All locks that [`Effect::Acquire`] asked for are held by the task now.
    Granted {
        /// The task.
        node: NodeIx,
    },
    /// The answer to [`Effect::Recall`].
    Recalled {
        /// The task.
        node: NodeIx,
        /// What an earlier task of the same key gave, if it is not too old.
        hit: Option<Box<Outputs>>,
    },
}

/// What a user may ask of a workflow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "command")]
pub enum Command {
    /// End it now; it ends `CANCELLED`, without exit handlers.
    Cancel,
    /// Start nothing more, stop what runs, then run the exit handlers; it ends `FAILED`.
    Stop,
    /// End it now; it ends `FAILED`, without exit handlers.
    Terminate,
    /// Start nothing more; what runs goes on.
    Pause,
    /// Undo a pause, and let waiting suspensions go on.
    Resume {
        /// Only this suspension; by dotted path.
        task: Option<String>,
        /// Values for its `supplied` outputs.
        outputs: Vec<(String, String)>,
    },
    /// Run again what did not succeed, as the next generation.
    Retry,
    /// Forget an ended workflow with everything kept for it, as its time to live would.
    Delete,
}

/// An order of the engine. Idempotent; carries its own key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Attempt `number` of the task may be admitted.
    Runnable {
        /// The task.
        node: NodeIx,
        /// The attempt.
        number: u32,
    },
    /// Attempt `number` is not wanted any more: take it off the queue, or stop it if it runs.
    Stop {
        /// The task.
        node: NodeIx,
        /// The attempt.
        number: u32,
    },
    /// Send [`Event::TimerDue`] at `at`; replaces a timer of the same node and kind.
    SetTimer {
        /// The task.
        node: NodeIx,
        /// Which.
        timer: Timer,
        /// When.
        at: Timestamp,
    },
    /// The task waits for its locks: send [`Event::Granted`] when it holds all of them. Which ones
    /// they are stands in the run. Asking again for locks that are held or waited for changes nothing.
    Acquire {
        /// The task.
        node: NodeIx,
    },
    /// The task neither holds nor waits for locks any more.
    Release {
        /// The task.
        node: NodeIx,
    },
    /// Look for the remembered outputs of the task's memo key and send [`Event::Recalled`] before
    /// anything is committed.
    Recall {
        /// The task.
        node: NodeIx,
    },
    /// Remember the task's outputs under its memo key.
    Memorize {
        /// The task.
        node: NodeIx,
    },
    /// Forget a timer.
    ClearTimer {
        /// The task.
        node: NodeIx,
        /// Which.
        timer: Timer,
    },
    /// No attempt of the workflow may be admitted until it is opened again.
    CloseGate,
    /// Attempts may be admitted again.
    OpenGate,
    /// The workflow and everything kept for it may be deleted.
    Delete,
}

/// Kinds of timers; a task has at most one of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Timer {
    /// A retry's backoff ends.
    Retry,
    /// A task's `timeout` passes.
    Timeout,
    /// A suspension ends by itself.
    Suspend,
    /// The workflow's `activeDeadlineSeconds` passes.
    Deadline,
    /// A finished workflow's time to live ends.
    Ttl,
}

impl Timer {
    /// All kinds.
    pub const ALL: [Self; 5] =
        [Self::Retry, Self::Timeout, Self::Suspend, Self::Deadline, Self::Ttl];

    /// The storage form.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Timeout => "timeout",
            Self::Suspend => "suspend",
            Self::Deadline => "deadline",
            Self::Ttl => "ttl",
        }
    }

    /// Reads the storage form back.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|timer| timer.as_str() == text)
    }
}

/// One line of a workflow's history. Folding all records of a workflow, the last one of each task
/// winning, gives its stored rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Record {
    /// The workflow changed.
    Workflow {
        /// Its status now.
        status: WorkflowStatus,
        /// Why.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        reason: Option<Reason>,
        /// For people.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        message: Option<String>,
        /// Its generation now, from 1.
        generation: u32,
    },
    /// A task changed.
    Task {
        /// The task.
        node: NodeIx,
        /// Its status now.
        status: TaskStatus,
        /// Why.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        reason: Option<Reason>,
        /// For people.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        message: Option<String>,
        /// The number of its latest attempt; 0 before the first.
        attempt: u32,
        /// The exit code of its latest finished attempt.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        exit_code: Option<i32>,
    },
}

/// What of a task never changes: written once, when its node is created.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskShape {
    /// The group around it; none for the root and for exit handlers.
    pub parent: Option<NodeIx>,
    /// Its place in `parent`: the slot of a task, the index of a loop's item, the number of a try.
    pub slot: u32,
    /// What kind of node.
    pub kind: NodeKind,
    /// Dotted path in the workflow, loop items as `a(0:x)`; empty for the root.
    pub name: String,
    /// Name of its template.
    pub template: String,
    /// Its loop item, if it is one.
    pub item: Option<Value>,
}

/// What of a task changes: written whole, at most once per commit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TaskState {
    /// Status.
    pub status: TaskStatus,
    /// Why.
    pub reason: Option<Reason>,
    /// For people.
    pub message: Option<String>,
    /// Number of the latest attempt, from 1; 0 before the first.
    pub attempt: u32,
    /// Attempts of this generation that failed and count against the retry limit.
    pub failures: u32,
    /// Attempts of this generation lost to the infrastructure.
    pub losses: u32,
    /// Exit code of the latest finished attempt.
    pub exit_code: Option<i32>,
    /// What it gave.
    pub outputs: Option<Outputs>,
    /// When it became ready.
    pub queued_at: Option<Timestamp>,
    /// When its first attempt of this generation started.
    pub started_at: Option<Timestamp>,
    /// When it became terminal.
    pub finished_at: Option<Timestamp>,
}

/// A task as it is stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskRow {
    /// Its place in the tree.
    pub node: NodeIx,
    /// What never changes.
    pub shape: TaskShape,
    /// What changes.
    pub state: TaskState,
}

/// A task to write.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskWrite {
    /// Which.
    pub node: NodeIx,
    /// Present if the row is new.
    pub shape: Option<TaskShape>,
    /// The part that changes.
    pub state: TaskState,
}

/// A workflow as the engine keeps it: the part of its row that changes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WorkflowState {
    /// Status.
    pub status: WorkflowStatus,
    /// Why.
    pub reason: Option<Reason>,
    /// For people.
    pub message: Option<String>,
    /// From 1; each retry by a user opens the next.
    pub generation: u32,
    /// What a user asked for that is not complete yet: an end, never undone.
    pub ending: Option<Ending>,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When it became terminal.
    pub finished_at: Option<Timestamp>,
    /// Outputs exported by `globalName`, and those of the entrypoint.
    pub outputs: Option<Outputs>,
}

/// A wish to end a workflow early.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// Its deadline passed.
    Deadline,
    /// See [`Command::Stop`].
    Stop,
    /// See [`Command::Terminate`].
    Terminate,
    /// See [`Command::Cancel`].
    Cancel,
}

/// What a finished task gave.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outputs {
    /// Parameters by name.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub parameters: Vec<(String, String)>,
    /// Artifacts by name.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub artifacts: Vec<(String, Artifact)>,
    /// The end of standard output.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub result: Option<String>,
    /// Where a daemon was reached when it was ready last.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ip: Option<String>,
}

/// What a node of the run's tree is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeKind {
    /// Runs attempts.
    Leaf,
    /// A dag template.
    Dag,
    /// A steps template.
    Steps,
    /// The items of a loop.
    Loop,
    /// The tries of a dag or steps template.
    Retry,
    /// A suspension.
    Suspend,
}

impl NodeKind {
    /// All kinds.
    pub const ALL: [Self; 6] =
        [Self::Leaf, Self::Dag, Self::Steps, Self::Loop, Self::Retry, Self::Suspend];

    /// The wire and storage form.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Leaf => "leaf",
            Self::Dag => "dag",
            Self::Steps => "steps",
            Self::Loop => "loop",
            Self::Retry => "retry",
            Self::Suspend => "suspend",
        }
    }

    /// Reads the wire form back.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}
