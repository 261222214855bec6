//! The store, with places around its calls.

use std::sync::Arc;

use flowforge_model::attempt::{AttemptKey, Fact};
use flowforge_model::cluster::ClusterName;
use flowforge_model::event::Command;
use flowforge_model::id::{EntityId, InstanceId, NodeIx, WorkflowId};
use flowforge_model::shard::{Shard, ShardSet};
use flowforge_model::time::Timestamp;
use flowforge_model::usage::Measured;
use flowforge_ports::admission::SlotChanges;
use flowforge_ports::claims::{Claimed, Claims};
use flowforge_ports::handover::{Entry, News};
use flowforge_ports::leases::{Attendance, Attended, Leases};
use flowforge_ports::organization::{Edit, Edited, Organization, Organizations};
use flowforge_ports::reservations::{Placed, Reservations, Reserved, Snapshot};
use flowforge_ports::store::{
    Commit, Committed, Inserted, Intent, NewWorkflow, Remembered, Store, StoreError, StoredRun,
    TimerRow,
};
use flowforge_ports::templates::{StoredTemplate, TemplateId};

use super::point::around;

#[derive(Debug)]
pub(crate) struct FaultyStore<S> {
    pub(super) role: &'static str,
    pub(super) inner: Arc<S>,
}

impl<S> FaultyStore<S> {
    async fn around<T>(
        &self,
        name: &str,
        call: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        around((self.role, name), call, StoreError::Unavailable).await
    }
}

impl<S: Leases> Leases for FaultyStore<S> {
    async fn attend(&self, attendance: Attendance) -> Result<Attended, StoreError> {
        let name = if attendance.leaving { "leave" } else { "attend" };
        self.around(name, self.inner.attend(attendance)).await
    }
}

impl<S: Organizations> Organizations for FaultyStore<S> {
    async fn organization(&self) -> Result<Arc<Organization>, StoreError> {
        self.around("organization", self.inner.organization()).await
    }

    async fn organization_version(&self) -> Result<u64, StoreError> {
        self.around("organization_version", self.inner.organization_version()).await
    }

    async fn edit(&self, edit: Edit, at: Timestamp) -> Result<Edited, StoreError> {
        self.around("edit", self.inner.edit(edit, at)).await
    }

    async fn reap(&self, at: Timestamp) -> Result<Vec<EntityId>, StoreError> {
        self.around("reap", self.inner.reap(at)).await
    }
}

impl<S: Reservations> Reservations for FaultyStore<S> {
    async fn snapshot(&self) -> Result<Snapshot, StoreError> {
        self.around("snapshot", self.inner.snapshot()).await
    }

    async fn calls(
        &self,
        epoch: u64,
        seen: &[(Shard, u64)],
        limit: u32,
    ) -> Result<Vec<Entry>, StoreError> {
        self.around("calls", self.inner.calls(epoch, seen, limit)).await
    }

    async fn forget_calls(&self, epoch: u64, seen: &[(Shard, u64)]) -> Result<(), StoreError> {
        self.around("forget_calls", self.inner.forget_calls(epoch, seen)).await
    }

    async fn reserve(
        &self,
        epoch: u64,
        at: Timestamp,
        placed: &[Placed],
        slots: &SlotChanges,
    ) -> Result<Reserved, StoreError> {
        self.around("reserve", self.inner.reserve(epoch, at, placed, slots)).await
    }

    async fn begin_own(
        &self,
        epoch: u64,
        at: Timestamp,
        keys: &[AttemptKey],
    ) -> Result<(), StoreError> {
        self.around("begin_own", self.inner.begin_own(epoch, at, keys)).await
    }

    async fn grant(
        &self,
        epoch: u64,
        holders: &[(WorkflowId, NodeIx)],
    ) -> Result<Vec<(WorkflowId, NodeIx)>, StoreError> {
        self.around("grant", self.inner.grant(epoch, holders)).await
    }

    async fn record(&self, epoch: u64, usage: &[Measured]) -> Result<(), StoreError> {
        self.around("record", self.inner.record(epoch, usage)).await
    }

    async fn unclaimed(
        &self,
        before: Timestamp,
        clusters: &[ClusterName],
        limit: u32,
    ) -> Result<Vec<Placed>, StoreError> {
        self.around("unclaimed", self.inner.unclaimed(before, clusters, limit)).await
    }

    async fn give_back(
        &self,
        epoch: u64,
        spared: &[ClusterName],
        limit: u32,
    ) -> Result<Vec<AttemptKey>, StoreError> {
        self.around("give_back", self.inner.give_back(epoch, spared, limit)).await
    }

    async fn bury(&self, epoch: u64, at: Timestamp) -> Result<Vec<InstanceId>, StoreError> {
        self.around("bury", self.inner.bury(epoch, at)).await
    }
}

impl<S: Claims> Claims for FaultyStore<S> {
    async fn claim(
        &self,
        executor: InstanceId,
        at: Timestamp,
        keys: &[AttemptKey],
    ) -> Result<Vec<Claimed>, StoreError> {
        self.around("claim", self.inner.claim(executor, at, keys)).await
    }

    async fn report(&self, executor: InstanceId, facts: &[Fact]) -> Result<(), StoreError> {
        self.around("report", self.inner.report(executor, facts)).await
    }

    async fn stops(&self, executor: InstanceId) -> Result<Vec<AttemptKey>, StoreError> {
        self.around("stops", self.inner.stops(executor)).await
    }
}

impl<S: Store> Store for FaultyStore<S> {
    async fn insert(&self, new: NewWorkflow) -> Result<Inserted, StoreError> {
        self.around("insert", self.inner.insert(new)).await
    }

    async fn ask(
        &self,
        workflow: WorkflowId,
        command: Command,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        self.around("ask", self.inner.ask(workflow, command, at)).await
    }

    async fn take_over(&self, instance: InstanceId) -> Result<u64, StoreError> {
        self.around("take_over", self.inner.take_over(instance)).await
    }

    async fn intents(
        &self,
        shards: ShardSet,
        after: i64,
        limit: u32,
    ) -> Result<Vec<Intent>, StoreError> {
        self.around("intents", self.inner.intents(shards, after, limit)).await
    }

    async fn news(&self, shards: ShardSet, limit: u32) -> Result<Vec<News>, StoreError> {
        self.around("news", self.inner.news(shards, limit)).await
    }

    async fn unfinished(
        &self,
        shards: ShardSet,
        after: Option<WorkflowId>,
        limit: u32,
    ) -> Result<Vec<WorkflowId>, StoreError> {
        self.around("unfinished", self.inner.unfinished(shards, after, limit)).await
    }

    async fn ended_timers(&self, shards: ShardSet) -> Result<Vec<TimerRow>, StoreError> {
        self.around("ended_timers", self.inner.ended_timers(shards)).await
    }

    async fn load(&self, id: WorkflowId) -> Result<StoredRun, StoreError> {
        self.around("load", self.inner.load(id)).await
    }

    async fn referred(&self, id: TemplateId) -> Result<StoredTemplate, StoreError> {
        self.around("referred", self.inner.referred(id)).await
    }

    async fn recall(
        &self,
        project: EntityId,
        cache: &str,
        key: &str,
    ) -> Result<Option<Remembered>, StoreError> {
        self.around("recall", self.inner.recall(project, cache, key)).await
    }

    async fn commit(&self, commit: Commit) -> Result<Committed, StoreError> {
        self.around("commit", self.inner.commit(commit)).await
    }
}
