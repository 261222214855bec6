//! The real in-memory store behind a line that fails: before the work is done, or after.

use std::sync::{Arc, Mutex, PoisonError};

use flowforge_model::event::Command;
use flowforge_model::id::{InstanceId, WorkflowId};
use flowforge_model::shard::ShardSet;
use flowforge_model::time::Timestamp;
use flowforge_ports::handover::News;
use flowforge_ports::store::{
    Commit, Committed, Inserted, Intent, NewWorkflow, Remembered, Store, StoreError, StoredRun,
    TimerRow,
};
use flowforge_store::MemoryStore;

use crate::dice::Dice;

/// A store whose calls may fail without having done anything, or may fail to say that they did.
#[derive(Debug)]
pub struct FaultyStore {
    /// The rows, for those who look without a fault.
    pub rows: MemoryStore,
    faults: Arc<Mutex<Faults>>,
}

#[derive(Debug)]
struct Faults {
    dice: Dice,
    /// Of a hundred calls that write.
    percent: u64,
    /// Answers that were kept back although the work was done.
    silent: u64,
}

impl FaultyStore {
    /// An empty store in which `percent` of a hundred writes fail.
    #[must_use]
    pub fn new(seed: u64, percent: u64) -> Self {
        let faults = Faults { dice: Dice::new(seed), percent, silent: 0 };
        Self { rows: MemoryStore::new(), faults: Arc::new(Mutex::new(faults)) }
    }

    /// No call fails from now on.
    pub fn heal(&self) {
        self.with(|faults| faults.percent = 0);
    }

    /// How often work was done and not acknowledged.
    #[must_use]
    pub fn silent(&self) -> u64 {
        self.with(|faults| faults.silent)
    }

    fn with<T>(&self, then: impl FnOnce(&mut Faults) -> T) -> T {
        then(&mut self.faults.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether this call fails before its work, or after it.
    fn draw(&self) -> (bool, bool) {
        self.with(|faults| {
            let percent = faults.percent;
            let fails = faults.dice.chance(percent);
            let after = faults.dice.chance(50);
            faults.silent += u64::from(fails && after);
            (fails && !after, fails && after)
        })
    }

    async fn faulty<T>(
        &self,
        work: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let (before, after) = self.draw();
        if before {
            return Err(StoreError::Unavailable("the line was cut".to_owned()));
        }
        let answer = work.await?;
        if after {
            return Err(StoreError::Unavailable("the answer was lost".to_owned()));
        }
        Ok(answer)
    }
}

impl Store for FaultyStore {
    async fn insert(&self, new: NewWorkflow) -> Result<Inserted, StoreError> {
        self.faulty(self.rows.insert(new)).await
    }

    async fn ask(
        &self,
        workflow: WorkflowId,
        command: Command,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        self.faulty(self.rows.ask(workflow, command, at)).await
    }

    async fn take_over(&self, instance: InstanceId) -> Result<u64, StoreError> {
        self.faulty(self.rows.take_over(instance)).await
    }

    async fn intents(
        &self,
        shards: ShardSet,
        after: i64,
        limit: u32,
    ) -> Result<Vec<Intent>, StoreError> {
        self.rows.intents(shards, after, limit).await
    }

    async fn news(&self, shards: ShardSet, limit: u32) -> Result<Vec<News>, StoreError> {
        self.rows.news(shards, limit).await
    }

    async fn unfinished(
        &self,
        shards: ShardSet,
        after: Option<WorkflowId>,
        limit: u32,
    ) -> Result<Vec<WorkflowId>, StoreError> {
        self.rows.unfinished(shards, after, limit).await
    }

    async fn ended_timers(&self, shards: ShardSet) -> Result<Vec<TimerRow>, StoreError> {
        self.rows.ended_timers(shards).await
    }

    async fn load(&self, id: WorkflowId) -> Result<StoredRun, StoreError> {
        self.rows.load(id).await
    }

    async fn recall(
        &self,
        project: &str,
        cache: &str,
        key: &str,
    ) -> Result<Option<Remembered>, StoreError> {
        self.rows.recall(project, cache, key).await
    }

    async fn commit(&self, commit: Commit) -> Result<Committed, StoreError> {
        self.faulty(self.rows.commit(commit)).await
    }
}
