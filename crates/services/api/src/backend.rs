//! The store and the logs as the handlers see them: blocking calls on an object, so that
//! handlers are not generic and no lock or disk is ever waited for on an async thread.

use std::future::Future;
use std::io;
use std::sync::Arc;

use flowforge_model::event::{Command, TaskRow};
use flowforge_model::id::{EntityId, NodeIx, ScheduleId, WorkflowId};
use flowforge_model::time::Timestamp;
use flowforge_model::usage::Measured;
use flowforge_organization::{Edit, Organization};
use flowforge_ports::catalog::{
    AttemptView, CacheView, Catalog, EventView, LockFilter, LockView, MemoView, TaskCounts,
    TaskFilter, WorkflowFilter, WorkflowView,
};
use flowforge_ports::logs::{LogCursor, LogPage, LogQuery, LogStore};
use flowforge_ports::organization::{Edited, Organizations};
use flowforge_ports::schedules::{PutSchedule, ScheduleRow, ScheduleRun, Schedules};
use flowforge_ports::store::{Inserted, NewWorkflow, Store, StoreError, TimerRow};
use flowforge_ports::templates::{
    NewTemplate, Put, StoredTemplate, TemplateFilter, TemplateId, TemplateView, Templates,
};
use flowforge_ports::usage::UsageHistory;
use tokio::runtime::Handle;

pub(crate) type Answer<T> = Result<T, StoreError>;

/// Everything the api asks of the layers below. Call it on a blocking thread of the runtime.
pub(crate) trait Backend: Send + Sync + 'static {
    fn insert(&self, new: NewWorkflow) -> Answer<Inserted>;
    fn ask(&self, id: WorkflowId, command: Command, at: Timestamp) -> Answer<()>;
    fn workflow(&self, id: WorkflowId) -> Answer<WorkflowView>;
    fn workflows(&self, filter: WorkflowFilter, limit: u32) -> Answer<Vec<WorkflowView>>;
    fn document(&self, id: WorkflowId) -> Answer<String>;
    fn tasks(&self, id: WorkflowId, filter: TaskFilter, limit: u32) -> Answer<Vec<TaskRow>>;
    fn task_counts(&self, id: WorkflowId) -> Answer<TaskCounts>;
    fn attempts(&self, id: WorkflowId, from: NodeIx, to: NodeIx) -> Answer<Vec<AttemptView>>;
    fn timers(&self, id: WorkflowId, from: NodeIx, to: NodeIx) -> Answer<Vec<TimerRow>>;
    fn events(&self, id: WorkflowId, after: u64, limit: u32) -> Answer<Vec<EventView>>;
    fn organization(&self) -> Answer<Arc<Organization>>;
    fn organization_version(&self) -> Answer<u64>;
    fn edit(&self, edit: Edit, at: Timestamp) -> Answer<Edited>;
    fn reap(&self, at: Timestamp) -> Answer<Vec<EntityId>>;
    fn usage(
        &self,
        entity: Option<EntityId>,
        from: Timestamp,
        to: Timestamp,
        limit: u32,
    ) -> Answer<Vec<Measured>>;
    fn locks(&self, filter: LockFilter, limit: u32, users: u32) -> Answer<Vec<LockView>>;
    fn caches(
        &self,
        project: EntityId,
        after: Option<String>,
        limit: u32,
    ) -> Answer<Vec<CacheView>>;
    fn memos(
        &self,
        project: EntityId,
        cache: String,
        after: i64,
        limit: u32,
    ) -> Answer<Vec<MemoView>>;
    fn forget(&self, project: EntityId, cache: String, key: Option<String>) -> Answer<u64>;
    fn put(&self, new: Vec<NewTemplate>) -> Answer<Vec<Put>>;
    fn template(&self, id: TemplateId, version: Option<u32>) -> Answer<StoredTemplate>;
    fn templates(&self, filter: TemplateFilter, limit: u32) -> Answer<Vec<TemplateView>>;
    fn versions(
        &self,
        id: TemplateId,
        before: Option<u32>,
        limit: u32,
    ) -> Answer<Vec<TemplateView>>;
    fn delete_template(&self, id: TemplateId, at: Timestamp) -> Answer<()>;
    fn put_schedule(&self, put: PutSchedule) -> Answer<ScheduleRow>;
    fn schedule_named(&self, project: EntityId, name: String) -> Answer<ScheduleRow>;
    fn schedule(&self, id: ScheduleId) -> Answer<ScheduleRow>;
    fn schedules(
        &self,
        project: Option<EntityId>,
        after: Option<ScheduleId>,
        limit: u32,
    ) -> Answer<Vec<ScheduleRow>>;
    fn delete_schedule(&self, id: ScheduleId) -> Answer<()>;
    fn schedule_runs(&self, id: ScheduleId, limit: u32) -> Answer<Vec<ScheduleRun>>;
    fn logs(
        &self,
        id: WorkflowId,
        query: &LogQuery,
        after: LogCursor,
        limit: usize,
    ) -> io::Result<LogPage>;
    fn logs_ready(&self) -> io::Result<()>;
}

/// A store and a log store behind [`Backend`].
#[derive(Debug)]
pub(crate) struct Joined<S, L> {
    pub(crate) store: Arc<S>,
    pub(crate) logs: Arc<L>,
}

/// Stores answer from threads of their own, so waiting on a blocking thread is all there is to do.
pub(crate) fn wait<T>(answer: impl Future<Output = Answer<T>>) -> Answer<T> {
    Handle::current().block_on(answer)
}

impl<S, L> Backend for Joined<S, L>
where
    S: Store + Catalog + Templates + Schedules + Organizations + UsageHistory,
    L: LogStore,
{
    fn insert(&self, new: NewWorkflow) -> Answer<Inserted> {
        wait(self.store.insert(new))
    }
    fn ask(&self, id: WorkflowId, command: Command, at: Timestamp) -> Answer<()> {
        wait(self.store.ask(id, command, at))
    }
    fn workflow(&self, id: WorkflowId) -> Answer<WorkflowView> {
        wait(self.store.workflow(id))
    }
    fn workflows(&self, filter: WorkflowFilter, limit: u32) -> Answer<Vec<WorkflowView>> {
        wait(self.store.workflows(filter, limit))
    }
    fn document(&self, id: WorkflowId) -> Answer<String> {
        wait(self.store.document(id))
    }
    fn tasks(&self, id: WorkflowId, filter: TaskFilter, limit: u32) -> Answer<Vec<TaskRow>> {
        wait(self.store.tasks(id, filter, limit))
    }
    fn task_counts(&self, id: WorkflowId) -> Answer<TaskCounts> {
        wait(self.store.task_counts(id))
    }
    fn attempts(&self, id: WorkflowId, from: NodeIx, to: NodeIx) -> Answer<Vec<AttemptView>> {
        wait(self.store.attempts(id, from, to))
    }
    fn timers(&self, id: WorkflowId, from: NodeIx, to: NodeIx) -> Answer<Vec<TimerRow>> {
        wait(self.store.timers(id, from, to))
    }
    fn events(&self, id: WorkflowId, after: u64, limit: u32) -> Answer<Vec<EventView>> {
        wait(self.store.events(id, after, limit))
    }
    fn organization(&self) -> Answer<Arc<Organization>> {
        wait(self.store.organization())
    }
    fn organization_version(&self) -> Answer<u64> {
        wait(self.store.organization_version())
    }
    fn edit(&self, edit: Edit, at: Timestamp) -> Answer<Edited> {
        wait(self.store.edit(edit, at))
    }
    fn reap(&self, at: Timestamp) -> Answer<Vec<EntityId>> {
        wait(self.store.reap(at))
    }
    fn usage(
        &self,
        entity: Option<EntityId>,
        from: Timestamp,
        to: Timestamp,
        limit: u32,
    ) -> Answer<Vec<Measured>> {
        wait(self.store.usage(entity, from, to, limit))
    }
    fn locks(&self, filter: LockFilter, limit: u32, users: u32) -> Answer<Vec<LockView>> {
        wait(self.store.locks(filter, limit, users))
    }
    fn caches(
        &self,
        project: EntityId,
        after: Option<String>,
        limit: u32,
    ) -> Answer<Vec<CacheView>> {
        wait(self.store.caches(project, after, limit))
    }
    fn memos(
        &self,
        project: EntityId,
        cache: String,
        after: i64,
        limit: u32,
    ) -> Answer<Vec<MemoView>> {
        wait(self.store.memos(project, cache, after, limit))
    }
    fn forget(&self, project: EntityId, cache: String, key: Option<String>) -> Answer<u64> {
        wait(self.store.forget(project, cache, key))
    }
    fn put(&self, new: Vec<NewTemplate>) -> Answer<Vec<Put>> {
        wait(self.store.put(new))
    }
    fn template(&self, id: TemplateId, version: Option<u32>) -> Answer<StoredTemplate> {
        wait(self.store.template(id, version))
    }
    fn templates(&self, filter: TemplateFilter, limit: u32) -> Answer<Vec<TemplateView>> {
        wait(self.store.templates(filter, limit))
    }
    fn versions(
        &self,
        id: TemplateId,
        before: Option<u32>,
        limit: u32,
    ) -> Answer<Vec<TemplateView>> {
        wait(self.store.versions(id, before, limit))
    }
    fn delete_template(&self, id: TemplateId, at: Timestamp) -> Answer<()> {
        wait(self.store.delete_template(id, at))
    }
    fn put_schedule(&self, put: PutSchedule) -> Answer<ScheduleRow> {
        wait(self.store.put_schedule(put))
    }
    fn schedule_named(&self, project: EntityId, name: String) -> Answer<ScheduleRow> {
        wait(self.store.schedule_named(project, name))
    }
    fn schedule(&self, id: ScheduleId) -> Answer<ScheduleRow> {
        wait(self.store.schedule(id))
    }
    fn schedules(
        &self,
        project: Option<EntityId>,
        after: Option<ScheduleId>,
        limit: u32,
    ) -> Answer<Vec<ScheduleRow>> {
        wait(self.store.schedules(project, after, limit))
    }
    fn delete_schedule(&self, id: ScheduleId) -> Answer<()> {
        wait(self.store.delete_schedule(id))
    }
    fn schedule_runs(&self, id: ScheduleId, limit: u32) -> Answer<Vec<ScheduleRun>> {
        wait(self.store.schedule_runs(id, limit))
    }
    fn logs(
        &self,
        id: WorkflowId,
        query: &LogQuery,
        after: LogCursor,
        limit: usize,
    ) -> io::Result<LogPage> {
        self.logs.read(id, query, after, limit)
    }
    fn logs_ready(&self) -> io::Result<()> {
        self.logs.ready()
    }
}
