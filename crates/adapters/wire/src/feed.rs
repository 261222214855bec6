//! Lists: pages of things, and feeds that grow.

use serde::{Deserialize, Serialize};

use crate::time::Time;

/// A part of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Page<T> {
    /// This part.
    pub items: Vec<T>,
    /// Give it as `cursor`, with the same filter, for the next part; missing at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// A part of something that grows: events or log lines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Feed<T> {
    /// This part.
    pub items: Vec<T>,
    /// Give it as `after` to go on; also at the end, where more may follow.
    pub next: u64,
    /// Everything there is by now was given.
    pub end: bool,
}

/// One line of a workflow's history: a status as it became.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Event {
    /// From 1, without gaps.
    pub seq: u64,
    /// When it was committed.
    pub at: Time,
    /// `workflow` or `task`; expect more.
    pub r#type: String,
    /// The status it has now.
    pub status: String,
    /// Why: a stable code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Of a workflow: its generation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u32>,
    /// Of a task: its dotted name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// Of a task: its place in the tree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<u32>,
    /// Of a task: the number of its latest attempt; 0 before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// Of a task: the exit code of its latest finished attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
}

/// One line of output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LogLine {
    /// Its number in the workflow's log, from 1, in the order of writing.
    pub cursor: u64,
    /// When it was read from the task.
    pub at: Time,
    /// The dotted name of its task.
    pub task: String,
    /// The attempt, from 1.
    pub attempt: u32,
    /// `stdout`, `stderr` or `system`; expect more.
    pub stream: String,
    /// The text, without its newline; control characters as they came.
    pub text: String,
    /// It was cut because of its length and goes on in the next line.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
}
