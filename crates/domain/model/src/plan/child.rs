//! Workflows that tasks start.

use serde::{Deserialize, Serialize};

use crate::text::Text;

/// A task that starts another workflow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Child {
    /// The document of the workflow, as YAML. What tags put into it stays within the value they stand in.
    pub manifest: Text,
    /// Once the workflow has ended, the task succeeds if this holds of it.
    pub success: Option<Text>,
    /// Once it has ended, the task fails if this holds of it.
    pub failure: Option<Text>,
}

impl Child {
    /// The task waits for the end of the workflow. Without any condition it has succeeded as soon as the
    /// workflow is there.
    #[must_use]
    pub fn awaited(&self) -> bool {
        self.success.is_some() || self.failure.is_some()
    }
}
