//! An executor that is a server of its own: what was admitted in, facts out, all through the store.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use flowforge_model::attempt::{AttemptKey, Fact, FactKind, FailureClass, Report, Work, WorkOrder};
use flowforge_model::id::InstanceId;
use flowforge_model::shard::ShardSet;
use flowforge_model::status::Reason;
use flowforge_model::time::Timestamp;
use flowforge_ports::claims::{Claimed, Claims};
use flowforge_ports::clock::Clock;
use flowforge_ports::runner::Runner;
use flowforge_ports::store::StoreError;

use crate::Executor;

/// Joins an [`Executor`] to the rows it shares with controllers. It waits for nothing but the store.
///
/// Every call may be repeated: an attempt that was claimed twice begins once. `Fenced` means that this
/// executor is buried: what it runs is lost already, and everything must end ([`Executor::shut_down`]).
#[derive(Debug)]
pub struct Station<S, R, C> {
    store: Arc<S>,
    executor: Arc<Executor<R, C>>,
    instance: InstanceId,
    /// Claims without an answer. They may be ours: then nobody else is sent them.
    unknown: Mutex<BTreeSet<AttemptKey>>,
}

impl<S: Claims, R: Runner, C: Clock> Station<S, R, C> {
    /// The station of an executor that attends as `instance`.
    #[must_use]
    pub fn new(store: Arc<S>, executor: Arc<Executor<R, C>>, instance: InstanceId) -> Self {
        Self { store, executor, instance, unknown: Mutex::default() }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.executor.clock.now()
    }

    /// Claims attempts, and those of earlier calls that got no answer, and begins those that it gets.
    /// Returns the ends of those that have no work order; they are to be reported.
    ///
    /// What is here already is not asked for: its end may be reported and forgotten before the answer
    /// comes, and it would begin again.
    ///
    /// # Errors
    /// The store's. What was claimed is unknown then, and the next call finds out: it must come,
    /// because an attempt that was claimed is sent to nobody any more. After `Corrupt` it is for the
    /// caller to find out which one that is, and to [`Self::pass_over`] it.
    pub async fn take(&self, keys: &[AttemptKey]) -> Result<Vec<Fact>, StoreError> {
        let all: Vec<AttemptKey> = {
            let mut unknown = self.unknown.lock().unwrap_or_else(PoisonError::into_inner);
            unknown.extend(self.not_here(keys));
            unknown.iter().copied().collect()
        };
        if all.is_empty() {
            return Ok(Vec::new());
        }
        let now = self.executor.clock.now();
        let claimed = self.store.claim(self.instance, now, &all).await?;
        let ends = claimed.into_iter().filter_map(|one| self.begin(one, now)).collect();
        // Only now: a stop that is found meanwhile is for what has begun.
        self.unknown.lock().unwrap_or_else(PoisonError::into_inner).clear();
        Ok(ends)
    }

    /// Begins an attempt, or says how it ends because it cannot.
    fn begin(&self, claimed: Claimed, now: Timestamp) -> Option<Fact> {
        let Claimed { key, order, outlived } = claimed;
        let report = match order {
            // Nothing tells a second request from the first: that one may have been answered.
            Ok(WorkOrder { work: Work::Request(_), .. }) if outlived => {
                let message = "the executor that sent the request is gone".to_owned();
                Report::failed(now, FailureClass::Lost, Reason::Lost, message)
            }
            Ok(order) => {
                self.executor.start(Arc::new(order));
                return None;
            }
            Err(report) => report,
        };
        Some(Fact { key, kind: FactKind::Finished(Box::new(report)) })
    }

    fn not_here(&self, keys: &[AttemptKey]) -> Vec<AttemptKey> {
        keys.iter().copied().filter(|key| !self.executor.ledger.knows(*key)).collect()
    }

    /// Does not ask for these again.
    pub(crate) fn pass_over(&self, keys: &[AttemptKey]) {
        let mut unknown = self.unknown.lock().unwrap_or_else(PoisonError::into_inner);
        unknown.retain(|key| !keys.contains(key));
    }

    /// Claims attempts whose delivery was given up, and ends those that it gets and that nobody has started.
    /// They are tried again as lost ones are. What outlives a dead executor is carried on.
    ///
    /// # Errors
    /// The store's.
    pub async fn give_up(&self, keys: &[AttemptKey]) -> Result<(), StoreError> {
        let now = self.executor.clock.now();
        let keys = self.not_here(keys);
        for claimed in self.store.claim(self.instance, now, &keys).await? {
            let key = claimed.key;
            if claimed.outlived {
                if let Some(end) = self.begin(claimed, now) {
                    self.executor.deliver(end);
                }
                continue;
            }
            // One that came another way meanwhile runs here.
            if self.executor.ledger.begin(key, 1) {
                let message = "executors took it again and again without starting it".to_owned();
                let (class, reason) = (FailureClass::Lost, Reason::DispatchPoisoned);
                let report = Box::new(Report::failed(now, class, reason, message));
                self.executor.deliver(Fact { key, kind: FactKind::Finished(report) });
            }
        }
        Ok(())
    }

    /// Makes facts durable; the executor forgets ends then. Returns the shards whose controllers have
    /// something to read.
    ///
    /// # Errors
    /// The store's. The facts are to be reported again.
    pub async fn report(&self, facts: &[Fact]) -> Result<ShardSet, StoreError> {
        self.store.report(self.instance, facts).await?;
        for fact in facts {
            if matches!(fact.kind, FactKind::Finished(_)) {
                self.executor.acknowledge(fact.key);
            }
        }
        Ok(facts.iter().map(|fact| fact.key.workflow.shard()).collect())
    }

    /// Ends what somebody wants stopped.
    ///
    /// # Errors
    /// The store's.
    pub async fn look_for_stops(&self) -> Result<(), StoreError> {
        let stops = self.store.stops(self.instance).await?;
        // What is being claimed may run already, and is looked at again when it is known.
        let unknown = self.unknown.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for key in stops.into_iter().filter(|key| !unknown.contains(key)) {
            self.executor.stop(key);
        }
        Ok(())
    }
}
