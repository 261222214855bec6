//! Remembered outputs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::task::TaskArtifact;
use crate::time::Time;

/// A cache of remembered outputs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Cache {
    /// Its name.
    pub name: String,
    /// The id of its project.
    pub project_id: String,
    /// How many outputs it remembers.
    pub memos: u64,
    /// When the newest of them were given.
    pub last_at: Time,
}

/// Outputs that are remembered under a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Memo {
    /// What makes two tasks the same.
    pub key: String,
    /// When they were given.
    pub at: Time,
    /// The workflow whose task gave them; it may be gone.
    pub workflow_id: String,
    /// Outputs by name.
    #[serde(default)]
    pub outputs: BTreeMap<String, String>,
    /// Artifacts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub artifacts: Vec<TaskArtifact>,
}

/// How much was forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Forgotten {
    /// Outputs that are not remembered any more.
    pub forgotten: u64,
}
