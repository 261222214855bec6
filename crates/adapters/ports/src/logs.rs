//! Where the output of tasks is kept.

use flowforge_model::id::{InstanceId, NodeIx, WorkflowId};
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Appends lines in order. They survive the death of the process (not of the machine) when this
    /// returns, and are readable: at once where they are kept here, soon where they are shipped.
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

    /// Whether it can be asked at present. Made for looking now and then: cheap.
    ///
    /// # Errors
    /// Why not.
    fn ready(&self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Lines of one workflow as they are shipped from where they were written.
///
/// Their source numbers all its lines, of all workflows, from 1 on; `seq` is the number of the first
/// of these and they follow each other without a gap. From one shipment of a workflow to its next
/// numbers may be left out, they never go back. Fields of later versions are passed over: executors and
/// their aggregator need not be replaced at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shipment {
    /// Whose lines these are.
    pub workflow: WorkflowId,
    /// The source's number of the first line.
    pub seq: u64,
    /// The lines, in the order they were written.
    pub lines: Vec<LogLine>,
}

/// A log store that takes in what others ship, each line once however often it comes.
pub trait Intake: LogStore {
    /// Appends the lines that this source did not ship before. What was taken in, and that it was,
    /// survive the death of the process together.
    ///
    /// # Errors
    /// The disk's own. Some lines may have been taken in: ship the same again.
    fn take_in(&self, source: InstanceId, shipment: &Shipment) -> std::io::Result<()>;
}

/// What a source sends to an [`Intake`] elsewhere at once, in the order it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shipments {
    /// Whose numbers these are.
    pub source: InstanceId,
    /// At most [`SHIPPED_LINES`] lines.
    pub shipments: Vec<Shipment>,
}

/// Lines shipped at once, and read at once from elsewhere.
pub const SHIPPED_LINES: usize = 1000;

/// A question for lines that are kept elsewhere: what [`LogStore::read`] is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogRead {
    /// Which lines.
    pub query: LogQuery,
    /// Only those behind this place.
    pub after: LogCursor,
    /// At most so many; more than [`SHIPPED_LINES`] are not given at once.
    pub limit: usize,
}
