//! An object of a Kubernetes cluster as a task.

use serde::{Deserialize, Serialize};

use crate::object::Action;
use crate::text::Text;

/// One call of a cluster for one object, and what is waited for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Object {
    /// What is done with it.
    pub action: Action,
    /// The object, or what a patch says, as YAML or JSON once it is substituted.
    pub manifest: Option<Text>,
    /// Type and name of the object, where the manifest does not say them.
    pub target: Option<(Text, Text)>,
    /// It is waited until this holds of the object.
    pub success: Option<Text>,
    /// The task fails once this holds of it.
    pub failure: Option<Text>,
}
