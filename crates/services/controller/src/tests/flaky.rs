//! A store that fails when it is told to.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use flowforge_model::event::Command;
use flowforge_model::id::{EntityId, InstanceId, WorkflowId};
use flowforge_model::shard::ShardSet;
use flowforge_model::time::Timestamp;
use flowforge_ports::handover::News;
use flowforge_ports::leases::{Attendance, Attended, Leases};
use flowforge_ports::store::{
    Commit, Committed, Inserted, Intent, NewWorkflow, Remembered, Store, StoreError, StoredRun,
    TimerRow,
};
use flowforge_ports::templates::{StoredTemplate, TemplateId};
use flowforge_store::MemoryStore;

/// What a commit does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Its work.
    None,
    /// Its work, but nobody learns of it.
    AnswerLost,
    /// Nothing; the answer is lost too.
    Lost,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Flaky {
    pub(crate) inner: MemoryStore,
    /// For the next commits, in order.
    pub(crate) faults: Mutex<VecDeque<Fault>>,
    /// Commits that name this workflow conflict.
    pub(crate) poisoned: Mutex<Option<WorkflowId>>,
    /// Commits that were asked for.
    pub(crate) commits: Mutex<Vec<Commit>>,
    /// Nobody answers.
    pub(crate) away: bool,
    /// How often somebody asked in vain.
    pub(crate) asked_in_vain: AtomicU32,
}

impl Flaky {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    fn answers(&self) -> Result<(), StoreError> {
        if !self.away {
            return Ok(());
        }
        self.asked_in_vain.fetch_add(1, Ordering::Relaxed);
        Err(StoreError::Unavailable("it is away".to_owned()))
    }
}

impl Leases for Flaky {
    async fn attend(&self, attendance: Attendance) -> Result<Attended, StoreError> {
        self.answers()?;
        self.inner.attend(attendance).await
    }
}

impl Store for Flaky {
    async fn insert(&self, new: NewWorkflow) -> Result<Inserted, StoreError> {
        self.inner.insert(new).await
    }

    async fn ask(
        &self,
        workflow: WorkflowId,
        command: Command,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        self.inner.ask(workflow, command, at).await
    }

    async fn take_over(&self, instance: InstanceId) -> Result<u64, StoreError> {
        self.inner.take_over(instance).await
    }

    async fn intents(
        &self,
        shards: ShardSet,
        after: i64,
        limit: u32,
    ) -> Result<Vec<Intent>, StoreError> {
        self.answers()?;
        self.inner.intents(shards, after, limit).await
    }

    async fn news(&self, shards: ShardSet, limit: u32) -> Result<Vec<News>, StoreError> {
        self.answers()?;
        self.inner.news(shards, limit).await
    }

    async fn unfinished(
        &self,
        shards: ShardSet,
        after: Option<WorkflowId>,
        limit: u32,
    ) -> Result<Vec<WorkflowId>, StoreError> {
        self.answers()?;
        self.inner.unfinished(shards, after, limit).await
    }

    async fn ended_timers(&self, shards: ShardSet) -> Result<Vec<TimerRow>, StoreError> {
        self.answers()?;
        self.inner.ended_timers(shards).await
    }

    async fn load(&self, id: WorkflowId) -> Result<StoredRun, StoreError> {
        self.inner.load(id).await
    }

    async fn referred(&self, id: TemplateId) -> Result<StoredTemplate, StoreError> {
        self.inner.referred(id).await
    }

    async fn recall(
        &self,
        project: EntityId,
        cache: &str,
        key: &str,
    ) -> Result<Option<Remembered>, StoreError> {
        self.inner.recall(project, cache, key).await
    }

    async fn commit(&self, commit: Commit) -> Result<Committed, StoreError> {
        self.commits.lock().unwrap().push(commit.clone());
        let poisoned = *self.poisoned.lock().unwrap();
        // What sets it aside is fine: it carries no tasks.
        let hit = |run: &flowforge_ports::store::RunChanges| {
            run.workflow == poisoned && !run.tasks.is_empty()
        };
        if poisoned.is_some() && commit.runs.iter().any(hit) {
            return Err(StoreError::Conflict("poisoned".to_owned()));
        }
        let lost = || Err(StoreError::Unavailable("no answer".to_owned()));
        let fault = self.faults.lock().unwrap().pop_front();
        match fault.unwrap_or(Fault::None) {
            Fault::None => self.inner.commit(commit).await,
            Fault::AnswerLost => {
                self.inner.commit(commit).await?;
                lost()
            }
            Fault::Lost => lost(),
        }
    }
}
