//! One node of a run, kept small: a workflow may have a million of them.

use flowforge_model::event::{NodeKind, Outputs};
use flowforge_model::id::NodeIx;
use flowforge_model::plan::TemplateIx;
use flowforge_model::status::{Reason, TaskStatus};
use flowforge_model::time::Timestamp;

use crate::loops::Items;

/// One node of a run.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    /// The group around it; none for the root and for exit handlers.
    pub(crate) parent: Option<NodeIx>,
    /// Its place in `parent`.
    pub(crate) slot: u32,
    pub(crate) template: TemplateIx,
    pub(crate) kind: NodeKind,
    pub(crate) status: TaskStatus,
    pub(crate) reason: Option<Reason>,
    /// Of a pending dag task: dependencies that have not ended. Of a group: children that have
    /// not ended (of a steps template: of the current step group only).
    pub(crate) waiting: u32,
    /// Of a group: its first child; children stand in a row. Of tries: the latest one.
    pub(crate) first_child: u32,
    /// Of a group: how many children.
    pub(crate) children: u32,
    /// Of a steps template: the first slot of the current step group.
    pub(crate) group: u32,
    /// It is one of the children under way that a `parallelism` around it counts.
    pub(crate) counted: bool,
    /// It or its task has hooks.
    pub(crate) hooked: bool,
    /// One of its hooks may be due because something else changed.
    pub(crate) watches: bool,
    /// Its end was told to its hooks.
    pub(crate) over: bool,
    /// Of a dag task: its end, or the end of what it needed, is not good for the dag.
    pub(crate) bad: bool,
    /// Of a group: nothing more begins in it, because something failed.
    pub(crate) failing: bool,
    /// It asks for remembered outputs. Answered before anything is stored.
    pub(crate) recalling: bool,
    /// Number of the latest attempt, from 1 over all generations.
    pub(crate) attempt: u32,
    pub(crate) failures: u32,
    pub(crate) losses: u32,
    pub(crate) exit_code: Option<i32>,
    pub(crate) queued_at: Option<Timestamp>,
    pub(crate) started_at: Option<Timestamp>,
    pub(crate) finished_at: Option<Timestamp>,
    /// What few nodes have.
    pub(crate) extra: Option<Box<Extra>>,
}

/// What few nodes have.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Extra {
    pub(crate) message: Option<String>,
    pub(crate) outputs: Option<Outputs>,
    /// Of a loop that has begun.
    pub(crate) items: Items,
    /// Its hooks that have begun, over all generations.
    pub(crate) hooks: Vec<NodeIx>,
    /// Hooks whose end it waits for.
    pub(crate) open_hooks: u32,
    /// Of a running dag or steps template: its input parameters.
    pub(crate) inputs: Box<[(Box<str>, Box<str>)]>,
    /// Of a running dag or steps template with `parallelism`: children under way.
    pub(crate) active: u32,
    /// ... and children that wait for one of them to end, first come first served.
    pub(crate) held: std::collections::VecDeque<NodeIx>,
}

impl Node {
    /// A suspension that lasts.
    pub(crate) fn suspended(&self) -> bool {
        self.kind == NodeKind::Suspend && self.status == TaskStatus::Running
    }

    pub(crate) fn new(
        parent: Option<NodeIx>,
        slot: u32,
        template: TemplateIx,
        kind: NodeKind,
    ) -> Self {
        Self {
            parent,
            slot,
            template,
            kind,
            status: TaskStatus::Pending,
            reason: None,
            waiting: 0,
            first_child: 0,
            children: 0,
            group: 0,
            counted: false,
            hooked: false,
            watches: false,
            over: false,
            bad: false,
            failing: false,
            recalling: false,
            attempt: 0,
            failures: 0,
            losses: 0,
            exit_code: None,
            queued_at: None,
            started_at: None,
            finished_at: None,
            extra: None,
        }
    }

    /// Tries that followed a failure: one each, but none the failure that ended it.
    pub(crate) fn retries(&self) -> u32 {
        self.failures.saturating_sub(u32::from(self.status == TaskStatus::Failed))
    }

    pub(crate) fn extra(&mut self) -> &mut Extra {
        self.extra.get_or_insert_default()
    }

    pub(crate) fn outputs(&self) -> Option<&Outputs> {
        self.extra.as_ref().and_then(|extra| extra.outputs.as_ref())
    }

    pub(crate) fn message(&self) -> Option<&str> {
        self.extra.as_ref().and_then(|extra| extra.message.as_deref())
    }

    pub(crate) fn inputs(&self) -> &[(Box<str>, Box<str>)] {
        self.extra.as_ref().map_or(&[], |extra| &extra.inputs)
    }

    /// Its children, in order.
    pub(crate) fn child_ixs(&self) -> impl Iterator<Item = NodeIx> + use<> {
        (self.first_child..self.first_child.saturating_add(self.children)).map(NodeIx)
    }

    /// It is ready, but others hold its locks.
    pub(crate) fn waits_for_locks(&self) -> bool {
        self.status == TaskStatus::Queued && self.reason == Some(Reason::Lock)
    }

    /// It failed by the engine or executor, not by the user's code (Argo's `Error`).
    pub(crate) fn errored(&self) -> bool {
        self.status == TaskStatus::Failed && self.reason.is_some_and(is_error)
    }
}

/// Whether Argo would call a failure with this reason `Error` rather than `Failed`.
pub(crate) fn is_error(reason: Reason) -> bool {
    !matches!(
        reason,
        Reason::ExitCode
            | Reason::Children
            | Reason::Deadline
            | Reason::Timeout
            | Reason::Stopped
            | Reason::Terminated
            | Reason::RetriesSpent
            | Reason::Forbidden
            | Reason::ObjectRefused
            | Reason::ObjectFailed
    )
}
