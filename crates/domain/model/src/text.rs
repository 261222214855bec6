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

/// Before and after a marked value: private characters of Unicode, which no document has a use for.
const MARKS: (char, char) = ('\u{e000}', '\u{e001}');

/// A value as it may stand in a text that is still to be read as YAML, whatever it holds: nothing of it can be
/// taken for quotes, brackets or the end of a line. [`unmark`] undoes it in what was read.
#[must_use]
pub fn mark(value: &str) -> String {
    let mut out = String::with_capacity(value.len().saturating_mul(2).saturating_add(6));
    out.push(MARKS.0);
    for byte in value.bytes() {
        let digit = |bits: u8| char::from_digit(u32::from(bits & 15), 16);
        out.extend(digit(byte.wrapping_shr(4)));
        out.extend(digit(byte));
    }
    out.push(MARKS.1);
    out
}

/// A text with its marked values ([`mark`]) as they are. What only looks like one stays.
#[must_use]
pub fn unmark(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(MARKS.0) {
        let value = after.split_once(MARKS.1).and_then(|(hex, after)| Some((bytes(hex)?, after)));
        out.push_str(before);
        match value {
            Some((value, after)) => {
                out.push_str(&value);
                rest = after;
            }
            None => {
                out.push(MARKS.0);
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

/// The text whose bytes are these digits.
fn bytes(hex: &str) -> Option<String> {
    let digits: Option<Vec<u8>> =
        hex.chars().map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    let pair = |pair: &[u8]| pair.iter().fold(0_u8, |byte, digit| byte.wrapping_shl(4) | digit);
    String::from_utf8(digits.chunks(2).map(pair).collect()).ok()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marked_value_comes_back_whatever_it_holds() {
        for value in ["", "a", "a: b\n- \"c\" 'd' #", "\u{e000}61\u{e001}", "ü \u{0} 日本"] {
            let marked = mark(value);
            let inside = marked.trim_matches(['\u{e000}', '\u{e001}']);
            assert!(inside.bytes().all(|byte| byte.is_ascii_hexdigit()), "{marked}");
            assert_eq!(unmark(&format!("<{marked}{marked}>")), format!("<{value}{value}>"));
        }
        for odd in ["\u{e000}", "\u{e000}6", "\u{e000}6\u{e001}", "\u{e000}xy\u{e001}", "\u{e001}"]
        {
            assert_eq!(unmark(odd), odd);
        }
    }
}
