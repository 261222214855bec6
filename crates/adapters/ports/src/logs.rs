//! Where the output of tasks is kept.

use flowforge_model::id::{NodeIx, WorkflowId};
use flowforge_model::time::Timestamp;
use serde::{Deserialize, Serialize};

/// One line of output, without its newline; at most `limits::LOG_LINE_BYTES` of text. Bytes that
/// are not UTF-8 were replaced; control characters are kept as they came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// When it was read from the task.
    pub at: Timestamp,
    /// The task.
    pub node: NodeIx,
    /// The attempt, from 1.
    pub attempt: u32,
    /// Where it came from.
    pub stream: Stream,
    /// The text.
    pub text: String,
    /// It goes on in the next line: it was cut because of its length.
    pub cut: bool,
}

/// Where a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// A remark of FlowForge itself.
    System,
}

/// Which lines of one workflow are wanted. Empty fields want all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogQuery {
    /// Only these tasks; empty wants all.
    pub nodes: Vec<NodeIx>,
    /// Only this attempt.
    pub attempt: Option<u32>,
    /// Only lines that hold this text (bytes, case-sensitive).
    pub contains: Option<String>,
    /// Only this stream.
    pub stream: Option<Stream>,
    /// Not before.
    pub since: Option<Timestamp>,
    /// Not after.
    pub until: Option<Timestamp>,
}

/// A place in the log of one workflow: after the n-th line ever written to it. Lines are numbered
/// from 1 in the order they were written, without gaps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LogCursor(pub u64);

/// Some lines and the place behind the last one looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogPage {
    /// Matching lines with their numbers.
    pub lines: Vec<(LogCursor, LogLine)>,
    /// Where to go on; moves past lines that did not match as well.
    pub next: LogCursor,
    /// The end of what is written was reached.
    pub end: bool,
}

/// Append-only logs, one per workflow. May block on the disk: call from a blocking thread.
pub trait LogStore: Send + Sync + 'static {
    /// Appends lines in order. They are readable when this returns and survive the death of the
    /// process (not of the machine).
    ///
    /// # Errors
    /// The disk's own.
    fn append(&self, workflow: WorkflowId, lines: &[LogLine]) -> std::io::Result<()>;

    /// At most `limit` matching lines after `after`.
    ///
    /// # Errors
    /// The disk's own. A workflow without a log is an empty page.
    fn read(
        &self,
        workflow: WorkflowId,
        query: &LogQuery,
        after: LogCursor,
        limit: usize,
    ) -> std::io::Result<LogPage>;

    /// The workflow is over for now: compress, close files, sync.
    ///
    /// # Errors
    /// The disk's own.
    fn seal(&self, workflow: WorkflowId) -> std::io::Result<()>;

    /// Deletes the log.
    ///
    /// # Errors
    /// The disk's own.
    fn delete(&self, workflow: WorkflowId) -> std::io::Result<()>;
}
