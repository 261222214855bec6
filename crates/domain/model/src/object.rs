//! Objects of a Kubernetes cluster that tasks ask for: what is done, when it counts as done, what is read of them.

mod condition;
mod path;
mod subject;

use serde::{Deserialize, Serialize};

pub use condition::{BadCondition, Condition};
pub use path::{BadPath, Reading};
pub use subject::{BadManifest, Subject, is_name, may_be, may_say};

/// What is done with an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// It is read.
    Get,
    /// It is made; one that is there is a failure.
    Create,
    /// It is made, or what the manifest says of it is put in order: server-side apply.
    Apply,
    /// One that is there gets the manifest in place of all that it says.
    Replace,
    /// One that is there is changed.
    Patch(PatchKind),
    /// It is deleted; one that is not there is no failure.
    Delete,
}

/// How a patch is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PatchKind {
    /// Lists are merged by the keys that the cluster knows of them; not for custom resources.
    Strategic,
    /// JSON merge patch (RFC 7386): lists are replaced.
    Merge,
    /// JSON patch (RFC 6902): a list of operations.
    Json,
}

impl Action {
    /// Its name in documents.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Create => "create",
            Self::Apply => "apply",
            Self::Replace => "replace",
            Self::Patch(_) => "patch",
            Self::Delete => "delete",
        }
    }
}
