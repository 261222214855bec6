//! What executes attempts: local processes, HTTP requests, pods of a cluster.

use std::sync::Arc;

use flowforge_model::attempt::{Fact, WorkOrder};
use flowforge_model::id::AttemptId;

/// Runs attempts and reports what becomes of them to the [`FactSink`] it was built with.
///
/// Guarantees: every attempt given to [`Runner::start`] is reported `Finished` exactly once while
/// the runner lives, `Started` comes before it if a process ran at all, and all output was
/// written to the log store before. A daemon that gets ready is reported `Ready` after its start, once
/// by each runner that looks after it.
pub trait Runner: Send + Sync + 'static {
    /// Begins the attempt. Returns at once; a failure to begin is a `Finished` fact.
    fn start(&self, order: Arc<WorkOrder>);

    /// Asks the attempt to end: a polite signal, then a hard one after the grace period.
    /// Unknown and finished attempts are ignored.
    fn stop(&self, attempt: AttemptId);

    /// The end of this attempt is durable: what was kept to tell it again may go. May be said of an
    /// attempt that this runner does not know.
    fn settled(&self, _attempt: AttemptId) {}

    /// More attempts would begin now, and not only wait where it runs them.
    fn takes_more(&self) -> bool {
        true
    }

    /// Leaves, waits until nothing runs any more that would not outlive this process: local processes
    /// are ended, pods go on and are somebody else's.
    fn shut_down(&self);
}

/// Where facts go. Must not block for longer than handing over a message takes.
pub trait FactSink: Send + Sync + 'static {
    /// Takes one fact.
    fn deliver(&self, fact: Fact);
}

impl<F: Fn(Fact) + Send + Sync + 'static> FactSink for F {
    fn deliver(&self, fact: Fact) {
        self(fact);
    }
}
