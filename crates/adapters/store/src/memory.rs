//! The twin of the SQLite store, for simulation and tests: the same answers, nothing on disk.

mod commit;
mod flaw;
mod organization;
mod pods;
mod roles;
mod schedules;
mod templates;
mod usage;
mod witness;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flowforge_model::attempt::AttemptKey;
use flowforge_model::event::{Command, TaskRow, Timer, WorkflowState};
use flowforge_model::id::{EntityId, InstanceId, NodeIx, ScheduleId, WorkflowId};
use flowforge_model::shard::ShardSet;
use flowforge_model::status::WorkflowStatus;
use flowforge_model::time::Timestamp;
use flowforge_ports::catalog::{AttemptView, EventView};
use flowforge_ports::handover::News;
use flowforge_ports::store::{
    Commit, Committed, Inserted, Intent, LockRow, NewWorkflow, Remembered, Store, StoreError,
    StoredRun, TimerRow,
};
use flowforge_ports::templates::{StoredTemplate, TemplateId, Templates};

use crate::rules;

pub use flaw::Flaw;

/// A store in memory. Deterministic; cheap to clone, clones share the rows.
///
/// A commit copies the workflows it touches, so that a refused one leaves nothing behind: meant
/// for workflows of up to some thousand tasks.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    rows: Arc<Mutex<Rows>>,
}

#[derive(Debug, Default)]
struct Rows {
    epoch: u64,
    last_intent: i64,
    intents: BTreeMap<i64, IntentRow>,
    workflows: BTreeMap<WorkflowId, Kept>,
    memos: BTreeMap<MemoKey, Remembered>,
    organization: organization::Kept,
    templates: BTreeMap<TemplateId, templates::Versions>,
    schedules: BTreeMap<ScheduleId, schedules::Scheduled>,
    roles: roles::Roles,
    usage: usage::Kept,
}

/// Project, cache and key.
type MemoKey = (EntityId, String, String);

#[derive(Debug)]
struct IntentRow {
    workflow: WorkflowId,
    command: Option<Command>,
}

/// Everything kept of a workflow. Large parts are shared between copies.
#[derive(Clone, Debug)]
struct Kept {
    new: Arc<NewWorkflow>,
    tenant: EntityId,
    state: WorkflowState,
    seq: u64,
    gate_closed: bool,
    tasks: BTreeMap<NodeIx, Arc<TaskRow>>,
    timers: BTreeMap<(NodeIx, Timer), Timestamp>,
    runnable: BTreeSet<(NodeIx, u32)>,
    /// With who claimed each.
    attempts: BTreeMap<(NodeIx, u32), (Option<InstanceId>, AttemptView)>,
    events: Vec<Arc<EventView>>,
    locks: BTreeMap<NodeIx, Vec<LockRow>>,
    /// It holds its slot.
    slot: bool,
}

impl MemoryStore {
    /// An empty store with the default project.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The history of a workflow; empty if there is none.
    #[must_use]
    pub fn history(&self, id: WorkflowId) -> Vec<EventView> {
        let rows = self.rows();
        let Some(kept) = rows.workflows.get(&id) else {
            return Vec::new();
        };
        let events = kept.events.iter().map(|event| EventView::clone(event));
        events.map(|event| EventView { task_name: kept.task_name(&event), ..event }).collect()
    }

    /// Workflows that tasks started, by id, and their documents.
    #[must_use]
    pub fn started(&self) -> Vec<(WorkflowId, String)> {
        let rows = self.rows();
        let started = rows.workflows.iter().filter(|(_, kept)| kept.new.parent.is_some());
        started.map(|(id, kept)| (*id, kept.new.document.clone())).collect()
    }

    /// All attempts of a workflow, by node and number; empty if there is none.
    #[must_use]
    pub fn attempts(&self, id: WorkflowId) -> Vec<AttemptView> {
        let rows = self.rows();
        rows.workflows.get(&id).map_or_else(Vec::new, |kept| {
            kept.attempts.values().map(|(_, view)| view.clone()).collect()
        })
    }

    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for MemoryStore {
    async fn insert(&self, new: NewWorkflow) -> Result<Inserted, StoreError> {
        self.rows().insert(new)
    }

    async fn ask(
        &self,
        workflow: WorkflowId,
        command: Command,
        _at: Timestamp,
    ) -> Result<(), StoreError> {
        self.rows().ask(workflow, command)
    }

    async fn take_over(&self, _instance: InstanceId) -> Result<u64, StoreError> {
        let mut rows = self.rows();
        rows.epoch += 1;
        rows.roles.take_over();
        Ok(rows.epoch)
    }

    async fn news(&self, shards: ShardSet, limit: u32) -> Result<Vec<News>, StoreError> {
        Ok(self.rows().roles.news(shards, page(limit)))
    }

    async fn intents(
        &self,
        shards: ShardSet,
        after: i64,
        limit: u32,
    ) -> Result<Vec<Intent>, StoreError> {
        Ok(self
            .rows()
            .intents
            .iter()
            .filter(|(id, intent)| **id > after && shards.contains(intent.workflow.shard()))
            .take(page(limit))
            .map(|(id, intent)| Intent {
                id: *id,
                workflow: intent.workflow,
                command: intent.command.clone(),
                unread: None,
            })
            .collect())
    }

    async fn unfinished(
        &self,
        shards: ShardSet,
        after: Option<WorkflowId>,
        limit: u32,
    ) -> Result<Vec<WorkflowId>, StoreError> {
        Ok(self
            .rows()
            .workflows
            .iter()
            .filter(|(id, kept)| after.is_none_or(|after| **id > after) && !kept.ended())
            .filter(|(id, _)| shards.contains(id.shard()))
            .take(page(limit))
            .map(|(id, _)| *id)
            .collect())
    }

    async fn ended_timers(&self, shards: ShardSet) -> Result<Vec<TimerRow>, StoreError> {
        let rows = self.rows();
        let ours = |id: &WorkflowId| shards.contains(id.shard());
        let ended = rows.workflows.iter().filter(|(id, kept)| kept.ended() && ours(id));
        let mut timers: Vec<_> = ended.flat_map(|(id, kept)| kept.timers(*id)).collect();
        timers.sort_unstable();
        Ok(timers)
    }

    async fn load(&self, id: WorkflowId) -> Result<StoredRun, StoreError> {
        let rows = self.rows();
        let kept = rows.workflows.get(&id).ok_or(StoreError::NotFound)?;
        kept.load(id, rows.namespace(kept.new.project))
    }

    async fn referred(&self, id: TemplateId) -> Result<StoredTemplate, StoreError> {
        Templates::template(self, id, None).await
    }

    async fn recall(
        &self,
        project: EntityId,
        cache: &str,
        key: &str,
    ) -> Result<Option<Remembered>, StoreError> {
        let of = (project, cache.to_owned(), key.to_owned());
        Ok(self.rows().memos.get(&of).cloned())
    }

    async fn commit(&self, commit: Commit) -> Result<Committed, StoreError> {
        commit::apply(&mut self.rows(), &commit)
    }
}

fn page(limit: u32) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}

impl Rows {
    fn insert(&mut self, new: NewWorkflow) -> Result<Inserted, StoreError> {
        let tenant = self.project(new.project)?.tenant;
        if let Some((key, digest)) = &new.idempotency {
            let earlier = self.workflows.values().find_map(|kept| {
                let (of, digest) = kept.new.idempotency.as_ref()?;
                (kept.tenant == tenant && of == key).then_some((kept.new.id, digest))
            });
            match earlier {
                None => {}
                Some((id, of)) if of == digest => return Ok(Inserted { id, replayed: true }),
                Some(_) => return Err(StoreError::KeyReused),
            }
        }
        let id = new.id;
        if self.workflows.contains_key(&id) {
            return Err(StoreError::Conflict(format!("workflow {id} exists")));
        }
        self.takes_work(new.project)?;
        self.workflows.insert(id, Kept::new(new, tenant));
        self.push_intent(id, None);
        Ok(Inserted { id, replayed: false })
    }

    fn ask(&mut self, workflow: WorkflowId, command: Command) -> Result<(), StoreError> {
        let kept = self.workflows.get(&workflow).ok_or(StoreError::NotFound)?;
        if command == Command::Retry {
            self.takes_work(kept.new.project)?;
        }
        let kept = self.workflows.get_mut(&workflow).ok_or(StoreError::NotFound)?;
        if let Some(why) = rules::refusal(kept.state.status, &command) {
            return Err(StoreError::Refused(why));
        }
        if rules::closes_gate(&command) {
            kept.gate_closed = true;
        }
        let waits = self
            .intents
            .values()
            .any(|intent| intent.workflow == workflow && intent.command.as_ref() == Some(&command));
        if !(waits && rules::collapses(&command)) {
            self.push_intent(workflow, Some(command));
        }
        Ok(())
    }

    fn push_intent(&mut self, workflow: WorkflowId, command: Option<Command>) {
        self.last_intent += 1;
        self.intents.insert(self.last_intent, IntentRow { workflow, command });
    }
}

impl Kept {
    fn new(new: NewWorkflow, tenant: EntityId) -> Self {
        Self {
            new: Arc::new(new),
            tenant,
            state: WorkflowState {
                generation: 1,
                status: WorkflowStatus::Pending,
                ..WorkflowState::default()
            },
            seq: 0,
            gate_closed: false,
            tasks: BTreeMap::new(),
            timers: BTreeMap::new(),
            runnable: BTreeSet::new(),
            attempts: BTreeMap::new(),
            events: Vec::new(),
            locks: BTreeMap::new(),
            slot: false,
        }
    }

    /// It runs in the slot of another.
    fn called(&self) -> bool {
        self.new.parent.is_some_and(|parent| parent.root.is_some())
    }

    fn ended(&self) -> bool {
        self.state.status.terminal()
    }

    fn timers(&self, workflow: WorkflowId) -> Vec<TimerRow> {
        let rows = self.timers.iter().map(|((node, timer), at)| TimerRow {
            at: *at,
            workflow,
            node: *node,
            timer: *timer,
        });
        rows.collect()
    }

    fn task_name(&self, event: &EventView) -> Option<String> {
        let flowforge_model::event::Record::Task { node, .. } = &event.record else {
            return None;
        };
        self.tasks.get(node).map(|task| task.shape.name.clone())
    }

    fn load(&self, id: WorkflowId, namespace: String) -> Result<StoredRun, StoreError> {
        let gap = (0_usize..).zip(self.tasks.keys()).find(|(place, node)| node.index() != *place);
        if let Some((place, _)) = gap {
            return Err(StoreError::Corrupt(format!("task {place} is missing")));
        }
        let key = |(node, number): (NodeIx, u32)| AttemptKey { workflow: id, node, number };
        let mut timers = self.timers(id);
        timers.sort_unstable();
        let open = self.attempts.iter().filter(|(_, (_, view))| view.finished_at.is_none());
        Ok(StoredRun {
            id,
            name: self.new.name.clone(),
            project: self.new.project,
            lock_name: rules::lock_name(self.new.project),
            namespace,
            document: self.new.document.clone(),
            parameters: self.new.parameters.clone(),
            labels: self.new.labels.clone(),
            priority: self.new.priority,
            storage: self.new.storage,
            parent: self.new.parent,
            created_at: self.new.at,
            state: self.state.clone(),
            seq: self.seq,
            gate_closed: self.gate_closed,
            slot: self.slot,
            tasks: self.tasks.values().map(|task| TaskRow::clone(task)).collect(),
            timers,
            runnable: self.runnable.iter().copied().map(key).collect(),
            open: open.map(|(of, (instance, _))| (key(*of), *instance)).collect(),
            locks: self.locks.values().flatten().cloned().collect(),
        })
    }
}
