//! Starts admitted attempts on a [`Runner`] and sees to it that their ends are not lost.
//!
//! A fact counts as delivered when the controller has committed it, not when it was sent:
//! until [`Executor::acknowledge`] names the attempt, its end is kept here and
//! [`Executor::resend`] sends it again. What is kept is bounded by the attempts that are open.

mod given_up;
mod ledger;
mod serve;
mod station;

use std::sync::Arc;

use flowforge_model::attempt::{AttemptKey, Fact, WorkOrder};
use flowforge_ports::clock::Clock;
use flowforge_ports::runner::{FactSink as _, Runner};

pub use ledger::Ledger;
pub use serve::{Buried, Serve};
pub use station::Station;

/// Runs attempts. All calls return at once, may come from any thread and may be repeated.
#[derive(Debug)]
pub struct Executor<R, C> {
    runner: R,
    ledger: Arc<Ledger>,
    clock: C,
}

impl<R: Runner, C: Clock> Executor<R, C> {
    /// Runs attempts on `runner`, which must report to `ledger`.
    #[must_use]
    pub fn new(runner: R, ledger: Arc<Ledger>, clock: C) -> Self {
        Self { runner, ledger, clock }
    }

    /// Begins an attempt. One that is known already is left alone: it runs, or its end waits to
    /// be acknowledged.
    pub fn start(&self, order: Arc<WorkOrder>) {
        let members = order.gang().unwrap_or(1);
        if self.ledger.begin(order.key, usize::try_from(members).unwrap_or(usize::MAX)) {
            self.runner.start(order);
        } else {
            tracing::debug!(key = ?order.key, "attempt is known already");
        }
    }

    /// Ends an attempt. One that nobody knows is reported as stopped, so that nothing waits for
    /// it for ever.
    pub fn stop(&self, key: AttemptKey) {
        if self.ledger.runs(key) {
            self.runner.stop(key.id());
        } else {
            self.ledger.stopped_before_start(key, self.clock.now());
        }
    }

    /// The controller has committed the end of this attempt: forget it.
    pub fn acknowledge(&self, key: AttemptKey) {
        self.ledger.forget(key);
        self.runner.settled(key.id());
    }

    /// Sends every end again that was not acknowledged, and which daemons are ready; for a controller that
    /// lost its memory.
    pub fn resend(&self) {
        self.ledger.resend();
    }

    /// Reports a fact that no runner knows of.
    fn deliver(&self, fact: Fact) {
        self.ledger.deliver(fact);
    }

    /// How many processes or pods are under way: of a gang each member.
    #[must_use]
    pub fn running(&self) -> usize {
        self.ledger.running()
    }

    /// How many attempts it may have at a time, of `slots`, as things are where it runs them.
    fn capacity(&self, slots: u32) -> u32 {
        if self.runner.takes_more() {
            return slots;
        }
        u32::try_from(self.running()).unwrap_or(u32::MAX).min(slots)
    }

    /// Ends everything now and waits until nothing runs any more.
    pub fn shut_down(&self) {
        self.runner.shut_down();
    }
}

#[cfg(test)]
mod tests;
