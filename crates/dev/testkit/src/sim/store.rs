//! The real in-memory store behind a line that fails: before the work is done, or after.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use flowforge_model::attempt::{AttemptKey, Fact, Report};
use flowforge_model::cluster::ClusterName;
use flowforge_model::event::Command;
use flowforge_model::id::{EntityId, InstanceId, NodeIx, PodUid, WorkflowId};
use flowforge_model::shard::{Shard, ShardSet};
use flowforge_model::time::Timestamp;
use flowforge_model::usage::Measured;
use flowforge_ports::admission::SlotChanges;
use flowforge_ports::claims::{Claimed, Claims};
use flowforge_ports::handover::{Entry, News};
use flowforge_ports::leases::{Attendance, Attended, Leases};
use flowforge_ports::organization::{Edit, Edited, Organization, Organizations};
use flowforge_ports::pods::{Asking, Begin, Cluster, Finish, Pods};
use flowforge_ports::reservations::{Placed, Reservations, Reserved, Snapshot};
use flowforge_ports::store::{
    Commit, Committed, Inserted, Intent, NewWorkflow, Remembered, Store, StoreError, StoredRun,
    TimerRow,
};
use flowforge_ports::templates::{StoredTemplate, TemplateId};
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
    /// What becomes of the next write, if that is not left to chance.
    fate: Option<Fate>,
}

#[derive(Debug)]
enum Fate {
    /// It waits on its way to the store until this is set.
    Held(Arc<AtomicBool>),
    /// It is done, and its answer is lost.
    Silent,
}

impl FaultyStore {
    /// An empty store in which `percent` of a hundred writes fail.
    #[must_use]
    pub fn new(seed: u64, percent: u64) -> Self {
        Self::over(MemoryStore::new(), seed, percent)
    }

    /// These rows, in which `percent` of a hundred writes fail.
    #[must_use]
    pub fn over(rows: MemoryStore, seed: u64, percent: u64) -> Self {
        let faults = Faults { dice: Dice::new(seed), percent, silent: 0, fate: None };
        Self { rows, faults: Arc::new(Mutex::new(faults)) }
    }

    /// No call fails from now on.
    pub fn heal(&self) {
        self.with(|faults| faults.percent = 0);
    }

    /// The next write waits on its way, before anything of it is done, until the returned flag is set.
    #[must_use]
    pub fn hold_next(&self) -> Arc<AtomicBool> {
        let released = Arc::new(AtomicBool::new(false));
        self.with(|faults| faults.fate = Some(Fate::Held(Arc::clone(&released))));
        released
    }

    /// The next write is done, and nobody is told.
    pub fn silence_next(&self) {
        self.with(|faults| faults.fate = Some(Fate::Silent));
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
        let (before, mut after) = self.draw();
        match self.with(|faults| faults.fate.take()) {
            Some(Fate::Held(released)) => {
                let there = || released.load(Ordering::SeqCst);
                poll_fn(|_| if there() { Poll::Ready(()) } else { Poll::Pending }).await;
            }
            Some(Fate::Silent) => after = true,
            None => {}
        }
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

impl Leases for FaultyStore {
    async fn attend(&self, attendance: Attendance) -> Result<Attended, StoreError> {
        self.faulty(self.rows.attend(attendance)).await
    }
}

impl Organizations for FaultyStore {
    async fn organization(&self) -> Result<Arc<Organization>, StoreError> {
        self.rows.organization().await
    }

    async fn organization_version(&self) -> Result<u64, StoreError> {
        self.rows.organization_version().await
    }

    async fn edit(&self, edit: Edit, at: Timestamp) -> Result<Edited, StoreError> {
        self.faulty(self.rows.edit(edit, at)).await
    }

    async fn reap(&self, at: Timestamp) -> Result<Vec<EntityId>, StoreError> {
        self.faulty(self.rows.reap(at)).await
    }
}

impl Reservations for FaultyStore {
    async fn snapshot(&self) -> Result<Snapshot, StoreError> {
        self.rows.snapshot().await
    }

    async fn calls(
        &self,
        epoch: u64,
        seen: &[(Shard, u64)],
        limit: u32,
    ) -> Result<Vec<Entry>, StoreError> {
        self.rows.calls(epoch, seen, limit).await
    }

    async fn forget_calls(&self, epoch: u64, seen: &[(Shard, u64)]) -> Result<(), StoreError> {
        self.faulty(self.rows.forget_calls(epoch, seen)).await
    }

    async fn reserve(
        &self,
        epoch: u64,
        at: Timestamp,
        placed: &[Placed],
        slots: &SlotChanges,
    ) -> Result<Reserved, StoreError> {
        self.faulty(self.rows.reserve(epoch, at, placed, slots)).await
    }

    async fn begin_own(
        &self,
        epoch: u64,
        at: Timestamp,
        keys: &[AttemptKey],
    ) -> Result<(), StoreError> {
        self.faulty(self.rows.begin_own(epoch, at, keys)).await
    }

    async fn grant(
        &self,
        epoch: u64,
        holders: &[(WorkflowId, NodeIx)],
    ) -> Result<Vec<(WorkflowId, NodeIx)>, StoreError> {
        self.faulty(self.rows.grant(epoch, holders)).await
    }

    async fn record(&self, epoch: u64, usage: &[Measured]) -> Result<(), StoreError> {
        self.faulty(self.rows.record(epoch, usage)).await
    }

    async fn unclaimed(
        &self,
        before: Timestamp,
        clusters: &[ClusterName],
        limit: u32,
    ) -> Result<Vec<Placed>, StoreError> {
        self.rows.unclaimed(before, clusters, limit).await
    }

    async fn give_back(
        &self,
        epoch: u64,
        spared: &[ClusterName],
        limit: u32,
    ) -> Result<Vec<AttemptKey>, StoreError> {
        self.faulty(self.rows.give_back(epoch, spared, limit)).await
    }

    async fn bury(&self, epoch: u64, at: Timestamp) -> Result<Vec<InstanceId>, StoreError> {
        self.faulty(self.rows.bury(epoch, at)).await
    }
}

impl Claims for FaultyStore {
    async fn claim(
        &self,
        executor: InstanceId,
        at: Timestamp,
        keys: &[AttemptKey],
    ) -> Result<Vec<Claimed>, StoreError> {
        self.faulty(self.rows.claim(executor, at, keys)).await
    }

    async fn report(&self, executor: InstanceId, facts: &[Fact]) -> Result<(), StoreError> {
        self.faulty(self.rows.report(executor, facts)).await
    }

    async fn stops(&self, executor: InstanceId) -> Result<Vec<AttemptKey>, StoreError> {
        self.rows.stops(executor).await
    }
}

impl Pods for FaultyStore {
    async fn begin(
        &self,
        asking: Asking,
        key: AttemptKey,
        at: Timestamp,
    ) -> Result<Begin, StoreError> {
        self.faulty(self.rows.begin(asking, key, at)).await
    }

    async fn finish(
        &self,
        pod: PodUid,
        key: AttemptKey,
        report: Report,
    ) -> Result<Finish, StoreError> {
        self.faulty(self.rows.finish(pod, key, report)).await
    }

    async fn over(&self, keys: &[AttemptKey]) -> Result<Vec<AttemptKey>, StoreError> {
        self.rows.over(keys).await
    }

    async fn put_cluster(&self, cluster: Cluster) -> Result<(), StoreError> {
        self.faulty(self.rows.put_cluster(cluster)).await
    }

    async fn clusters(&self) -> Result<Vec<Cluster>, StoreError> {
        self.rows.clusters().await
    }

    async fn installation(&self) -> Result<InstanceId, StoreError> {
        self.rows.installation().await
    }

    async fn signing_key(&self) -> Result<[u8; 32], StoreError> {
        self.rows.signing_key().await
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

    async fn referred(&self, id: TemplateId) -> Result<StoredTemplate, StoreError> {
        self.rows.referred(id).await
    }

    async fn recall(
        &self,
        project: EntityId,
        cache: &str,
        key: &str,
    ) -> Result<Option<Remembered>, StoreError> {
        self.rows.recall(project, cache, key).await
    }

    async fn commit(&self, commit: Commit) -> Result<Committed, StoreError> {
        self.faulty(self.rows.commit(commit)).await
    }
}
