//! What pods are found by.

use flowforge_model::attempt::AttemptKey;

use crate::book::Place;
use crate::observed::Observed;

/// Who made it; with [`CLUSTER`] what is watched.
pub(crate) const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// The value of [`MANAGED_BY`].
pub(crate) const PRODUCT: &str = "flowforge";
/// By the executors of which cluster.
pub(crate) const CLUSTER: &str = "flowforge.io/cluster";
/// For which attempt: what tells a pod of ours from another's with its name.
pub(crate) const ATTEMPT: &str = "flowforge.io/attempt-id";
/// Which member of a gang it is, where the attempt has several pods.
pub(crate) const MEMBER: &str = "flowforge.io/member";
/// The annotation with the attempt in the words of the engine, `<workflow>/<node>/<number>`.
pub(crate) const ATTEMPT_KEY: &str = "flowforge.io/attempt";
/// Of which workflow.
pub(crate) const WORKFLOW: &str = "flowforge.io/workflow-id";
/// Of which project.
pub(crate) const PROJECT: &str = "flowforge.io/project-id";
/// Of which tenant.
pub(crate) const TENANT: &str = "flowforge.io/tenant-id";

/// Selects all pods of a cluster; its name is a label's value.
pub(crate) fn selector(cluster: &str) -> String {
    format!("{MANAGED_BY}={PRODUCT},{CLUSTER}={cluster}")
}

/// What a pod says it is for. Anybody may write labels: it is ours only if its UID is known.
pub(crate) fn place(pod: &Observed) -> Option<Place> {
    let labels = pod.metadata.labels.as_ref()?;
    let attempt = labels.get(ATTEMPT)?.parse().ok()?;
    let member = labels.get(MEMBER).map(|index| index.parse()).transpose().ok()?;
    Some(Place { attempt, member })
}

/// The attempt that a pod says it is for.
pub(crate) fn key(pod: &Observed) -> Option<AttemptKey> {
    pod.metadata.annotations.as_ref()?.get(ATTEMPT_KEY)?.parse().ok()
}
