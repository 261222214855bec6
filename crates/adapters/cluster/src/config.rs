//! How a cluster is used.

use flowforge_model::labels::is_label_value;
use flowforge_model::time::Millis;

use crate::ClusterError;
use crate::placement::{Endpoints, Pull, Sdk};
use crate::verdict::Bounds;

/// What a [`crate::ClusterRunner`] needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterConfig {
    /// The cluster's name: all its executors share it, nobody else may have it in the same cluster. At
    /// most 63 letters, digits, `-`, `_`, `.`, letters or digits at both ends.
    pub name: String,
    /// As [`crate::Placement::sdk`].
    pub sdk: Sdk,
    /// As [`crate::Placement::endpoints`].
    pub endpoints: Endpoints,
    /// As [`crate::Placement::pull`].
    pub pull: Pull,
    /// As [`crate::Placement::entrypoints`].
    pub entrypoints: Vec<(String, Vec<String>)>,
    /// From the polite signal to the hard one.
    pub grace: Millis,
    /// How long things may take.
    pub bounds: Bounds,
    /// Pods made and deleted a second, on the average. At least 1.
    pub requests_per_second: u32,
    /// And at once. At least 1.
    pub burst: u32,
    /// Networks that tasks must not reach, in CIDR: the cluster's API servers, our databases. The
    /// address of cloud metadata is always one of them.
    pub forbidden: Vec<String>,
}

/// Whether a text may be a label's value, and is not empty.
pub(crate) fn is_label(text: &str) -> bool {
    !text.is_empty() && is_label_value(text)
}

/// The name of a cluster that [`is_label`] refuses.
pub(crate) fn no_label(name: &str) -> ClusterError {
    ClusterError::Config {
        what: "the name of the cluster",
        value: name.to_owned(),
        why: "must have 1 to 63 letters, digits, -, _ or ., letters or digits at both ends",
    }
}
