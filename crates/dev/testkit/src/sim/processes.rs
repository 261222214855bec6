//! Processes that exist only in the world: they begin when they are told to, and end when the
//! world says so.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flowforge_model::attempt::{AttemptKey, Fact, WorkOrder};
use flowforge_model::id::AttemptId;
use flowforge_model::time::Timestamp;
use flowforge_ports::clock::Clock;
use flowforge_ports::runner::{FactSink, Runner};

/// What the executor did since the world looked last.
#[derive(Debug, Default)]
pub(crate) struct Bench {
    /// Attempts told to begin.
    pub(crate) begun: Vec<AttemptKey>,
    /// Attempts told to end.
    pub(crate) stops: Vec<AttemptId>,
    /// Facts on their way to the controller.
    pub(crate) posted: Vec<Fact>,
    /// What runs.
    pub(crate) running: BTreeMap<AttemptId, AttemptKey>,
    /// The present.
    pub(crate) now: Timestamp,
}

/// A [`Bench`] shared by the world and the executor.
#[derive(Clone, Debug, Default)]
pub(crate) struct Processes(Arc<Mutex<Bench>>);

impl Processes {
    pub(crate) fn look(&self) -> MutexGuard<'_, Bench> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Runner for Processes {
    fn start(&self, order: Arc<WorkOrder>) {
        let mut bench = self.look();
        bench.begun.push(order.key);
        bench.running.insert(order.attempt, order.key);
    }

    fn stop(&self, attempt: AttemptId) {
        self.look().stops.push(attempt);
    }

    fn shut_down(&self) {
        self.look().running.clear();
    }
}

impl FactSink for Processes {
    fn deliver(&self, fact: Fact) {
        self.look().posted.push(fact);
    }
}

impl Clock for Processes {
    fn now(&self) -> Timestamp {
        self.look().now
    }
}
