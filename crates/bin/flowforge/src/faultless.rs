//! What `failpoints` is in every build without that feature: nothing.

use std::sync::Arc;

/// Leaves the variable where it is: the configuration refuses what it does not know.
#[expect(clippy::unnecessary_wraps, reason = "the other one may fail")]
pub(crate) fn take(_: &mut Vec<(String, String)>) -> anyhow::Result<()> {
    Ok(())
}

/// The store itself.
pub(crate) fn around_store<S>(_role: &'static str, store: &Arc<S>) -> Arc<S> {
    Arc::clone(store)
}

/// The queue itself.
pub(crate) fn around_queue<Q>(_role: &'static str, queue: Q) -> Q {
    queue
}

/// The runner itself.
pub(crate) fn around_runner<R>(runner: R) -> R {
    runner
}
