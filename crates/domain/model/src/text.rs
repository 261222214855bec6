//! A string of a document with its `{{...}}` tags taken apart, once, when the document is read.
//!
//! Substitution is a single pass over these segments: a value that is put in is data and is
//! never scanned for tags again.

use serde::{Deserialize, Serialize};

/// A string that may hold tags.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Text {
    /// No tag inside.
    Plain(Box<str>),
    /// At least one tag inside.
    Parts(Box<[Segment]>),
}

/// A piece of a [`Text`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Segment {
    /// Literal text.
    Literal(Box<str>),
    /// `{{a.b.c}}`, resolved to what it names.
    Reference(Reference),
    /// `{{=source}}`: the source of an expression, checked when the document was read.
    Expression(Box<str>),
}

/// What a plain tag names. Siblings are resolved to their slot in the enclosing template.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reference {
    /// `workflow.parameters.NAME`
    WorkflowParameter(Box<str>),
    /// `workflow.parameters`: all of them, as a JSON list of `{name, value}`.
    WorkflowParameters,
    /// `workflow.name`, `workflow.uid`, ...
    Workflow(WorkflowField),
    /// `workflow.creationTimestamp.F`: one of Argo's letters (strftime), or `s` for seconds.
    CreationTime(char),
    /// `workflow.labels` as a JSON map.
    WorkflowLabels,
    /// `workflow.annotations.NAME`
    WorkflowAnnotation(Box<str>),
    /// `workflow.annotations` as a JSON map.
    WorkflowAnnotations,
    /// `workflow.labels.NAME`
    WorkflowLabel(Box<str>),
    /// `workflow.outputs.parameters.NAME`: exported by a `globalName`.
    WorkflowOutput(Box<str>),
    /// `inputs.parameters.NAME` of the template that holds the text.
    Input(Box<str>),
    /// `inputs.parameters`: all of them, as a JSON list of `{name, value}`.
    Inputs,
    /// `item`: the current item of a loop.
    Item,
    /// `item.KEY` of an item that is a map.
    ItemKey(Box<str>),
    /// `tasks.NAME.FIELD` or `steps.NAME.FIELD`; `slot` is the place in the enclosing template.
    Sibling {
        /// Place among the tasks of the dag, or among all steps of a steps template in order.
        slot: u32,
        /// What of it.
        field: SiblingField,
    },
    /// `outputs.parameters.NAME.path`: where a container is to write that output.
    OutputPath(Box<str>),
    /// `inputs.artifacts.NAME.path`: where a container finds that artifact.
    InputArtifactPath(Box<str>),
    /// `outputs.artifacts.NAME.path`: where a container is to write that artifact.
    OutputArtifactPath(Box<str>),
    /// `steps.name` and `tasks.name`: the name of the step or task that runs the template.
    CallName,
    /// `node.name`: the dotted path of the task in its workflow.
    NodeName,
    /// `pod.name`
    PodName,
    /// `retries`: attempts made before this one that count against the limit, from 0.
    Retries,
    /// `lastRetry.exitCode`, `.status`, `.duration`, `.message`
    LastRetry(LastRetryField),
}

/// Fields of the workflow itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WorkflowField {
    /// The name it was submitted under.
    Name,
    /// Its id.
    Uid,
    /// The name of its project.
    Namespace,
    /// The name of the entrypoint template.
    MainEntrypoint,
    /// Its priority.
    Priority,
    /// Time of submission, RFC 3339.
    CreationTimestamp,
    /// Only in exit handlers: `Succeeded`, `Failed` or `Error`, as Argo writes them.
    Status,
    /// Only in exit handlers: a JSON list of the failed tasks.
    Failures,
    /// Seconds since it started.
    Duration,
    /// The service account the document names.
    ServiceAccountName,
    /// When a schedule fired, RFC 3339; only in workflows of a schedule.
    ScheduledTime,
}

/// Fields of a sibling task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SiblingField {
    /// `.outputs.parameters.NAME` (native also `.outputs.NAME`)
    Output(Box<str>),
    /// `.outputs.parameters` of a loop: the JSON list of all items' outputs.
    Outputs,
    /// `.outputs.result`: the end of standard output.
    Result,
    /// `.exitCode` or `.outputs.exitCode`
    ExitCode,
    /// `.status`, in Argo's words.
    Status,
    /// `.id`
    Id,
    /// `.startedAt`, RFC 3339
    StartedAt,
    /// `.finishedAt`, RFC 3339
    FinishedAt,
    /// `.message`
    Message,
    /// `.ip`: where a daemon listens.
    Ip,
    /// `.hostNodeName`: the machine it ran on.
    HostNodeName,
}

/// Fields of the attempt before this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LastRetryField {
    /// Its exit code.
    ExitCode,
    /// `Failed` or `Error`.
    Status,
    /// Whole seconds.
    Duration,
    /// Its message.
    Message,
}

impl Text {
    /// Text without tags.
    #[must_use]
    pub fn plain(text: &str) -> Self {
        Self::Plain(text.into())
    }

    /// The text itself if it holds no tag.
    #[must_use]
    pub fn as_plain(&self) -> Option<&str> {
        match self {
            Self::Plain(text) => Some(text),
            Self::Parts(_) => None,
        }
    }

    /// The reference, if the whole text is exactly one plain tag.
    #[must_use]
    pub fn as_reference(&self) -> Option<&Reference> {
        match self {
            Self::Parts(parts) => match &**parts {
                [Segment::Reference(reference)] => Some(reference),
                _ => None,
            },
            Self::Plain(_) => None,
        }
    }
}
