//! A commit: applied to copies of the workflows it touches, which replace them at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flowforge_model::attempt::{AttemptKey, Report};
use flowforge_model::event::TaskRow;
use flowforge_model::id::{InstanceId, WorkflowId};
use flowforge_model::limits::MEMOS_PER_CACHE;
use flowforge_model::time::Timestamp;
use flowforge_ports::admission::SlotChanges;
use flowforge_ports::catalog::{AttemptView, EventView};
use flowforge_ports::handover::Tidings;
use flowforge_ports::leases::Role;
use flowforge_ports::store::{Commit, Committed, Remembered, RunChanges, StoreError};

use super::flaw::Flaw;
use super::{Kept, MemoKey, Rows};
use crate::rules;

pub(super) fn apply(rows: &mut Rows, commit: &Commit) -> Result<Committed, StoreError> {
    match &commit.handover {
        Some(handover) => rows.roles.fence(Role::Controller, &handover.leases)?,
        None if commit.epoch == rows.epoch => {}
        None => return Err(StoreError::Fenced),
    }
    let done: BTreeSet<i64> = commit.intents_done.iter().copied().collect();
    let mut turn = Turn {
        closing: rows
            .intents
            .iter()
            .filter(|(id, _)| !done.contains(id))
            .filter(|(_, intent)| intent.command.as_ref().is_some_and(rules::closes_gate))
            .map(|(_, intent)| intent.workflow)
            .collect(),
        rows,
        at: commit.at,
        staged: BTreeMap::new(),
        memos: Vec::new(),
    };
    if commit.handover.is_some() {
        turn.leased(commit)?;
    }
    for run in &commit.runs {
        turn.run(run)?;
    }
    turn.guard(&commit.runs)?;
    let refused = turn.admissions(commit)?;
    // Facts about attempts admitted by this very commit found nothing before; others are done.
    for run in &commit.runs {
        if let Some(kept) = run.workflow.and_then(|id| turn.kept(id)) {
            kept.facts(run);
        }
    }
    let (staged, memos) = (turn.staged, turn.memos);
    rows.remember(memos);
    for (id, kept) in staged {
        match kept {
            Some(kept) => {
                rows.workflows.insert(id, kept);
            }
            None => {
                rows.workflows.remove(&id);
                rows.intents.retain(|_, intent| intent.workflow != id);
            }
        }
    }
    rows.start(&commit.runs)?;
    rows.intents.retain(|id, _| !done.contains(id));
    rows.ask_children(&commit.runs);
    rows.keep_slots(&rules::slots(commit));
    rows.usage.record(&commit.usage);
    if let Some(handover) = &commit.handover {
        rows.hand_over(handover, commit.at);
        let told = rows.roles.flaw() != Some(Flaw::EndUntold);
        for fact in commit.runs.iter().flat_map(|run| &run.tells).filter(|_| told) {
            rows.roles.tell(Tidings::Fact(fact.clone()));
        }
    }
    Ok(Committed { refused })
}

struct Turn<'r> {
    rows: &'r Rows,
    at: Timestamp,
    /// Workflows with an intent that closed the gate and is not carried out yet.
    closing: BTreeSet<WorkflowId>,
    /// Copies; none for a workflow that is deleted.
    staged: BTreeMap<WorkflowId, Option<Kept>>,
    memos: Vec<(MemoKey, Remembered)>,
}

impl Turn<'_> {
    /// All that is written is leased, nothing that is taken off the queue was admitted, and nothing that is to stop was
    /// taken back.
    fn leased(&self, commit: &Commit) -> Result<(), StoreError> {
        let handover = commit.handover.as_deref();
        let slots = handover.into_iter().flat_map(|handover| &handover.leases);
        let held: BTreeSet<u8> = slots.map(|lease| lease.slot).collect();
        let ours = |id: &WorkflowId| held.contains(&id.shard().number());
        if !commit.runs.iter().filter_map(|run| run.workflow).all(|id| ours(&id)) {
            return conflict("a shard is written without its lease");
        }
        let open = |key: &&AttemptKey| {
            let kept = self.rows.workflows.get(&key.workflow);
            let attempt = kept.and_then(|kept| kept.attempts.get(&(key.node, key.number)));
            attempt.is_some_and(|(_, view)| view.finished_at.is_none())
        };
        let waits = |key: &&AttemptKey| {
            let kept = self.rows.workflows.get(&key.workflow);
            kept.is_some_and(|kept| kept.runnable.contains(&(key.node, key.number)))
        };
        let flaw = self.rows.roles.flaw();
        let taken = commit.runs.iter().flat_map(|run| &run.unrunnable).filter(open);
        let taken = taken.filter(|_| flaw != Some(Flaw::NotOvertaken));
        let stopped = handover.into_iter().flat_map(|handover| &handover.stops).filter(waits);
        let stopped = stopped.filter(|_| flaw != Some(Flaw::StopsNothing));
        let overtaken: BTreeSet<WorkflowId> =
            taken.chain(stopped).map(|key| key.workflow).collect();
        if overtaken.is_empty() {
            return Ok(());
        }
        Err(StoreError::Overtaken(overtaken.into_iter().collect()))
    }

    /// The copy of a workflow.
    fn kept(&mut self, id: WorkflowId) -> Option<&mut Kept> {
        let rows = self.rows;
        self.staged.entry(id).or_insert_with(|| rows.workflows.get(&id).cloned()).as_mut()
    }

    fn run(&mut self, run: &RunChanges) -> Result<(), StoreError> {
        let at = self.at;
        let workflow = rules::own(run)?;
        let closing = self.closing.contains(&workflow);
        let Some(kept) = self.kept(workflow) else {
            return conflict("the workflow is gone");
        };
        kept.workflow(run, closing)?;
        let project = kept.new.project;
        for memo in &run.memos {
            let of = (project, memo.cache.clone(), memo.key.clone());
            self.memos.push((of, Remembered { outputs: memo.outputs.clone(), at }));
        }
        let Some(kept) = self.kept(workflow) else {
            return conflict("the workflow is gone");
        };
        if run.delete {
            self.staged.insert(workflow, None);
            return Ok(());
        }
        kept.tasks(run)?;
        for (seq, record) in (run.seq_before + 1..).zip(&run.records) {
            kept.events.push(Arc::new(EventView {
                seq,
                at,
                record: record.clone(),
                task_name: None,
            }));
        }
        for key in &run.runnable {
            kept.runnable.insert((key.node, key.number));
        }
        for key in &run.unrunnable {
            kept.runnable.remove(&(key.node, key.number));
        }
        kept.facts(run);
        for write in &run.locks {
            rules::locks_sound(write)?;
            kept.locks.remove(&write.node);
            if !write.rows.is_empty() {
                let mut rows = write.rows.clone();
                rows.sort_unstable();
                kept.locks.insert(write.node, rows);
            }
        }
        for (node, timer) in &run.timers_cleared {
            kept.timers.remove(&(*node, *timer));
        }
        for (node, timer, at) in &run.timers_set {
            kept.timers.insert((*node, *timer), *at);
        }
        Ok(())
    }

    /// No lock that these changes take is held by too many now.
    fn guard(&self, runs: &[RunChanges]) -> Result<(), StoreError> {
        let rows = runs.iter().flat_map(|run| &run.locks).flat_map(|write| &write.rows);
        let keys: BTreeSet<&str> = rows.filter(|row| row.held).map(|row| &*row.key).collect();
        if keys.is_empty() {
            return Ok(());
        }
        let mut held: BTreeMap<&str, (u64, u32)> = BTreeMap::new();
        let others = self.rows.workflows.iter().filter(|(id, _)| !self.staged.contains_key(id));
        let all = others.map(|(_, kept)| kept).chain(self.staged.values().flatten());
        for row in all.flat_map(|kept| kept.locks.values().flatten()).filter(|row| row.held) {
            if keys.contains(&*row.key) {
                let (holders, limit) = held.entry(&row.key).or_default();
                *holders += 1;
                *limit = row.limit.max(*limit);
            }
        }
        held.iter()
            .try_for_each(|(key, (holders, limit))| rules::lock_overfull(key, *holders, *limit))
    }

    fn admissions(&mut self, commit: &Commit) -> Result<Vec<AttemptKey>, StoreError> {
        let mut refused = Vec::new();
        for key in &commit.admissions {
            let open = |kept: &&mut Kept| !kept.gate_closed;
            let Some(kept) = self.kept(key.workflow).filter(open) else {
                refused.push(*key);
                continue;
            };
            if !kept.runnable.remove(&(key.node, key.number)) {
                return Err(rules::not_runnable(*key));
            }
            let Some(instance) = commit.instance else {
                return Err(rules::no_instance());
            };
            kept.admit(*key, Some(instance), commit.at)?;
        }
        Ok(refused)
    }
}

impl Rows {
    /// Workflows that tasks start.
    fn start(&mut self, runs: &[RunChanges]) -> Result<(), StoreError> {
        for new in runs.iter().flat_map(|run| &run.children) {
            let tenant = self.project(new.project)?.tenant;
            if self.workflows.contains_key(&new.id) {
                return conflict("a workflow that a task starts is there already");
            }
            self.workflows.insert(new.id, Kept::new(new.clone(), tenant));
            self.push_intent(new.id, None);
            let attempt = new.parent.map(|parent| parent.attempt);
            let of = attempt.and_then(|key| Some((key, self.workflows.get_mut(&key.workflow)?)));
            let view = of.and_then(|(key, kept)| kept.attempts.get_mut(&(key.node, key.number)));
            if let Some((_, view)) = view {
                view.started = Some(new.id);
            }
        }
        Ok(())
    }

    /// What is asked of workflows that tasks started.
    fn ask_children(&mut self, runs: &[RunChanges]) {
        for (id, command) in runs.iter().flat_map(|run| &run.asks) {
            if self.workflows.get(id).is_some_and(|kept| !kept.ended()) {
                self.push_intent(*id, Some(command.clone()));
            }
        }
    }

    /// Writes down who holds a slot.
    pub(super) fn keep_slots(&mut self, changes: &SlotChanges) {
        for (id, holds) in changes {
            if let Some(kept) = self.workflows.get_mut(id) {
                kept.slot = *holds && !kept.ended();
            }
        }
    }

    /// Of a full cache the oldest go.
    fn remember(&mut self, memos: Vec<(MemoKey, Remembered)>) {
        let caches: BTreeSet<_> = memos.iter().map(|((p, c, _), _)| (*p, c.clone())).collect();
        self.memos.extend(memos);
        for (project, cache) in caches {
            let first = (project, cache.clone(), String::new());
            let mine = |(p, c, _): &MemoKey| *p == project && *c == cache;
            let of_cache = self.memos.range(first..).take_while(|(of, _)| mine(of));
            let mut ages: Vec<_> = of_cache.map(|(of, memo)| (memo.at, of.2.clone())).collect();
            ages.sort_unstable();
            let most = usize::try_from(MEMOS_PER_CACHE).unwrap_or(usize::MAX);
            for (_, key) in ages.iter().take(ages.len().saturating_sub(most)) {
                self.memos.remove(&(project, cache.clone(), key.clone()));
            }
        }
    }
}

impl Kept {
    /// The workflow's own row; refuses the commit unless it is where the controller believes.
    fn workflow(&mut self, run: &RunChanges, closing: bool) -> Result<(), StoreError> {
        if self.seq != run.seq_before {
            return conflict("the workflow is at another record");
        }
        self.seq = rules::seq_after(run)?;
        if let Some(state) = &run.state {
            let from = (self.state.status, self.state.generation);
            if !rules::workflow_may_become(from, (state.status, state.generation)) {
                return conflict("the workflow has ended");
            }
            if !rules::workflow_sound(state) {
                return conflict("the workflow's state contradicts itself");
            }
            self.state = state.clone();
        }
        if let Some(closed) = run.gate_closed {
            self.gate_closed = closed || closing;
        }
        Ok(())
    }

    fn tasks(&mut self, run: &RunChanges) -> Result<(), StoreError> {
        for task in &run.tasks {
            if !rules::task_sound(&task.state) {
                return conflict("the task's state contradicts itself");
            }
            let old = self.tasks.get(&task.node);
            let shape = match (old, &task.shape) {
                (Some(_), Some(_)) => return conflict("the task exists"),
                (None, None) => return conflict("the task is missing"),
                (None, Some(shape)) => {
                    if shape.parent.is_some_and(|parent| parent >= task.node) {
                        return conflict("the task's group comes after it");
                    }
                    shape.clone()
                }
                (Some(old), None) => {
                    if !rules::task_may_become(old.state.status, task.state.status) {
                        return conflict("the task has succeeded");
                    }
                    old.shape.clone()
                }
            };
            let row = TaskRow { node: task.node, shape, state: task.state.clone() };
            self.tasks.insert(task.node, Arc::new(row));
        }
        Ok(())
    }

    fn facts(&mut self, run: &RunChanges) {
        for (key, at) in &run.started {
            if let Some(view) = self.open(*key) {
                view.started_at = view.started_at.or(Some(*at));
            }
        }
        for (key, report) in &run.ended {
            if let Some(view) = self.open(*key) {
                end(view, report);
            }
        }
    }

    fn open(&mut self, key: AttemptKey) -> Option<&mut AttemptView> {
        self.attempts
            .get_mut(&(key.node, key.number))
            .map(|(_, view)| view)
            .filter(|view| view.finished_at.is_none())
    }

    pub(super) fn admit(
        &mut self,
        key: AttemptKey,
        instance: Option<InstanceId>,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let of_task = (key.node, 0)..=(key.node, u32::MAX);
        let second = self
            .attempts
            .range(of_task)
            .any(|((_, number), (_, view))| *number == key.number || view.finished_at.is_none());
        if second {
            return conflict("the task has an open attempt, or the attempt was there before");
        }
        let view = AttemptView {
            node: key.node,
            number: key.number,
            admitted_at: at,
            started_at: None,
            finished_at: None,
            exit_code: None,
            reason: None,
            message: None,
            started: None,
        };
        self.attempts.insert((key.node, key.number), (instance, view));
        Ok(())
    }
}

fn end(view: &mut AttemptView, report: &Report) {
    view.started_at = report.started_at.or(view.started_at);
    view.finished_at = Some(report.finished_at);
    view.exit_code = report.exit_code;
    view.reason = report.failure.as_ref().map(|failure| failure.reason);
    view.message = report.failure.as_ref().map(|failure| failure.message.clone());
}

fn conflict<T>(why: &str) -> Result<T, StoreError> {
    Err(StoreError::Conflict(why.to_owned()))
}
