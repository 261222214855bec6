//! Places between two effects of a role at which it can be made to die, stand still, or hear of a
//! failure. Only in builds with the feature `failpoints`, which no release has.
//!
//! All effects of a role go through ports, so the places are the calls of those: `controller.commit` is
//! before a commit, `controller.commit.done` after it. `FLOWFORGE_FAILPOINTS` names them, with what
//! happens and at which call, or at each third: `executor.claim.done=kill@2,executor.report=lost-answer%3`.

mod point;
mod queue;
mod runner;
mod store;

use std::sync::Arc;

pub(crate) use self::point::take;
use self::queue::FaultyQueue;
use self::runner::FaultyRunner;
use self::store::FaultyStore;

/// The store as a role sees it.
pub(crate) fn around_store<S>(role: &'static str, store: &Arc<S>) -> Arc<FaultyStore<S>> {
    Arc::new(FaultyStore { role, inner: Arc::clone(store) })
}

/// The queue as a role sees it.
pub(crate) fn around_queue<Q>(role: &'static str, queue: Q) -> FaultyQueue<Q> {
    FaultyQueue { role, inner: queue }
}

/// The runner of an executor.
pub(crate) fn around_runner<R>(runner: R) -> FaultyRunner<R> {
    FaultyRunner(runner)
}
