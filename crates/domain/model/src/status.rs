//! What can happen to a task and to a workflow: the one legal-transition table of each.
//!
//! A terminal status absorbs every event but [`TaskChange::Reopen`] and
//! [`WorkflowChange::Reopen`], by which a user's retry opens the next generation; what succeeded
//! is never reopened.

use serde::{Deserialize, Serialize};

/// Where a task (or a group of tasks) stands.
///
/// ```text
/// PENDING --Ready--> QUEUED --Start--> RUNNING --Succeed--> SUCCEEDED
///    |                  ^                 |------Fail-----> FAILED
///    |--Begin--> RUNNING|                 |------Retry----> RETRYING --Ready--> QUEUED
///    |--Skip---> SKIPPED '---Ready (lost)-'
/// ```
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TaskStatus {
    /// Waits for its dependencies.
    #[default]
    Pending,
    /// Ready; waits for the scheduler, a quota or a slot.
    Queued,
    /// An attempt runs, or the group has begun.
    Running,
    /// An attempt failed; the next one waits for its backoff.
    Retrying,
    /// Final: it did what was asked.
    Succeeded,
    /// Final: it did not. The reason tells user failures from errors.
    Failed,
    /// Final: it never ran: `when` was false, or its dependencies could no longer be met.
    Skipped,
    /// Final: a cancel, stop or terminate ended it.
    Cancelled,
}

/// What may happen to a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskChange {
    /// It may run as soon as the scheduler admits it.
    Ready,
    /// A group or a suspension begins; nothing is scheduled for it.
    Begin,
    /// An attempt has started.
    Start,
    /// It succeeded.
    Succeed,
    /// It failed for good.
    Fail,
    /// An attempt failed and another one will follow.
    Retry,
    /// It will not run.
    Skip,
    /// Somebody ended it.
    Cancel,
    /// A user's retry of the workflow gives it another chance.
    Reopen,
}

/// All changes, for tables and tests.
pub const TASK_CHANGES: [TaskChange; 9] = [
    TaskChange::Ready,
    TaskChange::Begin,
    TaskChange::Start,
    TaskChange::Succeed,
    TaskChange::Fail,
    TaskChange::Retry,
    TaskChange::Skip,
    TaskChange::Cancel,
    TaskChange::Reopen,
];

impl TaskStatus {
    /// All statuses, in the order of a life.
    pub const ALL: [Self; 8] = [
        Self::Pending,
        Self::Queued,
        Self::Running,
        Self::Retrying,
        Self::Succeeded,
        Self::Failed,
        Self::Skipped,
        Self::Cancelled,
    ];

    /// The legal-transition table: the status after `change`, or `None` if it does not fit.
    #[must_use]
    pub fn after(self, change: TaskChange) -> Option<Self> {
        use TaskChange as C;
        use TaskStatus as S;
        match (self, change) {
            (S::Pending | S::Retrying | S::Running | S::Queued, C::Ready) => Some(S::Queued),
            (S::Pending, C::Begin) | (S::Queued, C::Start) => Some(S::Running),
            (S::Pending | S::Running, C::Succeed) => Some(S::Succeeded),
            (S::Pending | S::Queued | S::Running | S::Retrying, C::Fail) => Some(S::Failed),
            (S::Queued | S::Running, C::Retry) => Some(S::Retrying),
            (S::Pending, C::Skip) => Some(S::Skipped),
            (S::Pending | S::Queued | S::Running | S::Retrying, C::Cancel) => Some(S::Cancelled),
            (S::Failed | S::Skipped | S::Cancelled, C::Reopen) => Some(S::Pending),
            _ => None,
        }
    }

    /// Nothing more will happen in this generation.
    #[must_use]
    pub fn terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Skipped | Self::Cancelled)
    }

    /// The wire and storage form.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Queued => "QUEUED",
            Self::Running => "RUNNING",
            Self::Retrying => "RETRYING",
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
            Self::Skipped => "SKIPPED",
            Self::Cancelled => "CANCELLED",
        }
    }

    /// Reads the wire form back.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

/// Where a workflow stands.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum WorkflowStatus {
    /// Accepted; no controller has begun it.
    #[default]
    Pending,
    /// Under way.
    Running,
    /// A user holds it: running tasks go on, none starts.
    Paused,
    /// Final.
    Succeeded,
    /// Final; also after stop and terminate.
    Failed,
    /// Final; after a cancel.
    Cancelled,
}

/// What may happen to a workflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkflowChange {
    /// A controller begins it.
    Start,
    /// A user holds it.
    Pause,
    /// A user lets it go on.
    Resume,
    /// Everything is done.
    Succeed,
    /// Something failed, or it was stopped.
    Fail,
    /// A user's cancel is complete.
    Cancel,
    /// A user's retry opens the next generation.
    Reopen,
}

/// All changes, for tables and tests.
pub const WORKFLOW_CHANGES: [WorkflowChange; 7] = [
    WorkflowChange::Start,
    WorkflowChange::Pause,
    WorkflowChange::Resume,
    WorkflowChange::Succeed,
    WorkflowChange::Fail,
    WorkflowChange::Cancel,
    WorkflowChange::Reopen,
];

impl WorkflowStatus {
    /// All statuses, in the order of a life.
    pub const ALL: [Self; 6] = [
        Self::Pending,
        Self::Running,
        Self::Paused,
        Self::Succeeded,
        Self::Failed,
        Self::Cancelled,
    ];

    /// The legal-transition table: the status after `change`, or `None` if it does not fit.
    #[must_use]
    pub fn after(self, change: WorkflowChange) -> Option<Self> {
        use WorkflowChange as C;
        use WorkflowStatus as S;
        match (self, change) {
            (S::Pending, C::Start) | (S::Paused, C::Resume) => Some(S::Running),
            (S::Pending | S::Running, C::Pause) => Some(S::Paused),
            (S::Running | S::Paused, C::Succeed) => Some(S::Succeeded),
            (S::Pending | S::Running | S::Paused, C::Fail) => Some(S::Failed),
            (S::Pending | S::Running | S::Paused, C::Cancel) => Some(S::Cancelled),
            (S::Failed | S::Cancelled, C::Reopen) => Some(S::Running),
            _ => None,
        }
    }

    /// Nothing more will happen in this generation.
    #[must_use]
    pub fn terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }

    /// The wire and storage form.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Running => "RUNNING",
            Self::Paused => "PAUSED",
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
            Self::Cancelled => "CANCELLED",
        }
    }

    /// Reads the wire form back.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $code:literal,)+) => {
        /// Why a task or workflow stands where it stands. The codes are stable: people and
        /// programs match on them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Reason { $($(#[$doc])* $name,)+ }

        impl Reason {
            /// All reasons.
            pub const ALL: &[Self] = &[$(Self::$name,)+];
            /// The stable code.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code,)+ }
            }
            /// Reads the code back.
            #[must_use]
            pub fn parse(code: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|reason| reason.as_str() == code)
            }
        }
    };
}

reasons! {
    /// The command ended with another exit code than 0, or by a signal.
    ExitCode = "exit_code",
    /// It took more memory than its limit, and the system ended it.
    OomKilled = "oom_killed",
    /// The engine or the executor could not do its part (Argo's `Error`).
    Error = "error",
    /// A dependency can no longer be met (Argo's `Omitted`).
    Omitted = "omitted",
    /// Its `when` was false.
    When = "when",
    /// `when` could not be evaluated to true or false.
    ConditionError = "condition_error",
    /// A task inside the group failed.
    Children = "children",
    /// A deadline passed: the workflow's, or that of a single attempt.
    Deadline = "deadline",
    /// The task's `timeout` passed: waiting and retries included.
    Timeout = "timeout",
    /// A user cancelled the workflow.
    Cancelled = "cancelled",
    /// A user stopped the workflow.
    Stopped = "stopped",
    /// A user terminated the workflow.
    Terminated = "terminated",
    /// The attempt vanished with its executor; it is repeated outside the user's retry limit.
    Lost = "lost",
    /// Executors took the attempt again and again without ever starting it; it is repeated as one that
    /// was lost.
    DispatchPoisoned = "dispatch_poisoned",
    /// A reference had no value when it was needed.
    Unresolved = "unresolved",
    /// An expression failed or returned the wrong type.
    ExpressionError = "expression_error",
    /// A value is not in the `enum` of its parameter.
    NotInEnum = "not_in_enum",
    /// A substituted argument or variable is longer than Linux takes.
    ArgumentTooLong = "argument_too_long",
    /// A parameter value is larger than its limit.
    ParameterTooLarge = "parameter_too_large",
    /// A declared output file was not written.
    OutputMissing = "output_missing",
    /// An output is larger than its limit.
    OutputTooLarge = "output_too_large",
    /// An output is not UTF-8 text, or not a regular file inside the task's directory.
    OutputInvalid = "output_invalid",
    /// The program does not exist or cannot be executed.
    CommandNotFound = "command_not_found",
    /// The process could not be started.
    SpawnFailed = "spawn_failed",
    /// A loop has more items than a workflow may have tasks, or its list is not a list.
    FanoutLimit = "fanout_limit",
    /// Templates are nested deeper than allowed.
    DepthLimit = "depth_limit",
    /// Waits for a user to resume it.
    Suspended = "suspended",
    /// A daemon that serves, so that what waits for it goes on; or that was ended with the tasks it
    /// served.
    Daemoned = "daemoned",
    /// The exit handler failed.
    ExitHandler = "exit_handler",
    /// The stored workflow cannot be read or breaks an invariant; it is set aside for a person.
    Quarantined = "quarantined",
    /// A retry waits for its backoff.
    Backoff = "backoff",
    /// Waits for a mutex or semaphore that others hold.
    Lock = "lock",
    /// Its outputs were remembered from an earlier task; nothing ran.
    Memoized = "memoized",
    /// An input artifact is not there, or an output artifact was not written.
    ArtifactMissing = "artifact_missing",
    /// An artifact breaks a limit, or its archive holds what may not be unpacked.
    ArtifactInvalid = "artifact_invalid",
    /// The artifact store refused or did not answer.
    ArtifactStore = "artifact_store",
    /// A secret or one of its keys is not there.
    SecretMissing = "secret_missing",
    /// An HTTP request was refused by the allow-list, got no answer, or not the wanted one.
    HttpFailed = "http_failed",
    /// The workflow that the task started did not succeed.
    ChildFailed = "child_failed",
    /// What the task was to start as a workflow is none, or has faults.
    ChildInvalid = "child_invalid",
    /// The task asks for an object of a Kubernetes cluster, and its executor has none.
    NoKubernetes = "no_kubernetes",
    /// The project's account in the cluster may not do that with the object.
    Forbidden = "forbidden",
    /// The object is not there, or the cluster or a rule of ours refuses it.
    ObjectRefused = "object_refused",
    /// The object came to be as the task's `failureCondition` says, or is gone.
    ObjectFailed = "object_failed",
    /// The executor has no way to do what the task needs (a mount, a volume).
    NotPossible = "not_possible",
    /// The name of an image is none, or its registry may not be used.
    ImageInvalid = "image_invalid",
    /// An image could not be fetched.
    ImagePull = "image_pull",
    /// No node of the cluster took the pod in time.
    Unschedulable = "unschedulable",
    /// Not all members of a gang had a node of the cluster in time.
    GangNotBound = "gang_not_bound",
    /// The cluster would not start the pod's container as it is described.
    PodConfig = "pod_config",
    /// The cluster refused to make the pod, by a rule or a webhook of its own.
    PodRefused = "pod_refused",
    /// A pod of somebody else has the name of the attempt's.
    NameConflict = "name_conflict",
    /// The project's namespace is not there and could not be made, or is going away.
    NamespaceUnavailable = "namespace_unavailable",
    /// What has to run before the task's container failed.
    InitFailed = "init_failed",
    /// The cluster took the pod off its node: too little room, a drain, something more important.
    Evicted = "evicted",
    /// Somebody deleted the pod.
    PodDeleted = "pod_deleted",
    /// The pod's node does not answer any more.
    NodeLost = "node_lost",
    /// Something else of the same group failed first (`failFast`).
    FailFast = "fail_fast",
    /// It failed and would be tried again, but its workflow has made all retries that it may
    /// (`maxRetries`).
    RetriesSpent = "retries_spent",
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The whole table as text: a change to a single cell is seen in review.
    #[test]
    fn the_task_table_is_as_documented() {
        let cell = |s: TaskStatus, c| s.after(c).map_or("-", TaskStatus::as_str);
        let rows: Vec<String> = TaskStatus::ALL
            .into_iter()
            .map(|s| format!("{}: {}", s.as_str(), TASK_CHANGES.map(|c| cell(s, c)).join(" ")))
            .collect();
        assert_eq!(
            rows,
            [
                // Ready Begin Start Succeed Fail Retry Skip Cancel Reopen
                "PENDING: QUEUED RUNNING - SUCCEEDED FAILED - SKIPPED CANCELLED -",
                "QUEUED: QUEUED - RUNNING - FAILED RETRYING - CANCELLED -",
                "RUNNING: QUEUED - - SUCCEEDED FAILED RETRYING - CANCELLED -",
                "RETRYING: QUEUED - - - FAILED - - CANCELLED -",
                "SUCCEEDED: - - - - - - - - -",
                "FAILED: - - - - - - - - PENDING",
                "SKIPPED: - - - - - - - - PENDING",
                "CANCELLED: - - - - - - - - PENDING",
            ]
        );
    }

    #[test]
    fn the_workflow_table_is_as_documented() {
        let cell = |s: WorkflowStatus, c| s.after(c).map_or("-", WorkflowStatus::as_str);
        let rows: Vec<String> = WorkflowStatus::ALL
            .into_iter()
            .map(|s| format!("{}: {}", s.as_str(), WORKFLOW_CHANGES.map(|c| cell(s, c)).join(" ")))
            .collect();
        assert_eq!(
            rows,
            [
                // Start Pause Resume Succeed Fail Cancel Reopen
                "PENDING: RUNNING PAUSED - - FAILED CANCELLED -",
                "RUNNING: - PAUSED - SUCCEEDED FAILED CANCELLED -",
                "PAUSED: - - RUNNING SUCCEEDED FAILED CANCELLED -",
                "SUCCEEDED: - - - - - - -",
                "FAILED: - - - - - - RUNNING",
                "CANCELLED: - - - - - - RUNNING",
            ]
        );
    }

    #[test]
    fn words_read_back() {
        for status in TaskStatus::ALL {
            assert_eq!(TaskStatus::parse(status.as_str()), Some(status));
        }
        for status in WorkflowStatus::ALL {
            assert_eq!(WorkflowStatus::parse(status.as_str()), Some(status));
        }
        for &reason in Reason::ALL {
            assert_eq!(Reason::parse(reason.as_str()), Some(reason));
        }
    }
}
