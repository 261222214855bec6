//! What is wrong with a document, and where.

use std::fmt;

use flowforge_model::limits::REPORTED_ERRORS;

/// One thing that is wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problem {
    /// Stable code, for programs: `unknown_field`, `cycle`, `bad_quantity`, ...
    pub code: &'static str,
    /// JSON pointer (RFC 6901) to the place.
    pub pointer: String,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// What is wrong and why.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

/// Everything that is wrong with a document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems {
    /// In the order of their places.
    pub list: Vec<Problem>,
    /// How many more there were.
    pub omitted: usize,
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self { list: vec![problem], omitted: 0 }
    }
}

impl Problems {
    /// Adds those of another part of the text; [`Self::sort`] has to follow.
    pub(crate) fn add(&mut self, more: Self) {
        self.list.extend(more.list);
        self.omitted = self.omitted.saturating_add(more.omitted);
    }

    /// In the order of their places, each once, no more than are reported.
    pub(crate) fn sort(&mut self) {
        self.list.sort_by_key(|problem| (problem.line, problem.column));
        self.list.dedup();
        let more = self.list.len().saturating_sub(REPORTED_ERRORS);
        self.list.truncate(REPORTED_ERRORS);
        self.omitted = self.omitted.saturating_add(more);
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {} [{}]", self.line, self.column, self.message, self.code)
    }
}
