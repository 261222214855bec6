//! What must always hold, checked from the outside: the checker reads rows and plans, and knows
//! the rules by itself.

mod hooks;
mod locks;

pub use locks::Holders;

use std::collections::{BTreeMap, BTreeSet};

use flowforge_model::attempt::AttemptKey;
use flowforge_model::event::{NodeKind, Record, TaskRow, WorkflowState};
use flowforge_model::id::{NodeIx, WorkflowId};
use flowforge_model::plan::{Body, DependencyKind, Needs, Plan, Task};
use flowforge_model::status::{Reason, TaskStatus};
use flowforge_ports::catalog::{AttemptView, EventView};
use flowforge_ports::store::StoredRun;

/// A broken rule: which, and how.
pub type Broken = String;

/// What the checker remembers of the past.
#[derive(Debug, Default)]
pub struct Checker {
    /// Tasks whose success was committed.
    succeeded: BTreeSet<(WorkflowId, NodeIx)>,
    /// Ends of workflows that were committed, by generation.
    ended: BTreeMap<WorkflowId, WorkflowState>,
    /// Scheduler and executors are servers of their own.
    fleet: bool,
    /// Attempts that were open when a cancel, stop, terminate or pause was acknowledged.
    closed: BTreeMap<WorkflowId, BTreeSet<AttemptKey>>,
}

impl Checker {
    /// For a world in which scheduler and executors are servers of their own.
    #[must_use]
    pub fn of_a_fleet() -> Self {
        Self { fleet: true, ..Self::default() }
    }

    /// A gate was closed, and the client told so: only `open` may still run.
    pub fn gate_closed(&mut self, id: WorkflowId, open: BTreeSet<AttemptKey>) {
        self.closed.insert(id, open);
    }

    /// The gate may have been opened again.
    pub fn gate_opened(&mut self, id: WorkflowId) {
        self.closed.remove(&id);
    }

    /// The workflow had ended when it was seen last: its time to live may be over.
    #[must_use]
    pub fn may_be_gone(&self, id: WorkflowId) -> bool {
        self.ended.contains_key(&id)
    }

    /// Checks the rows of one workflow after a commit.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn rows(&mut self, run: &StoredRun, history: &[EventView]) -> Result<(), Broken> {
        let id = run.id;
        for row in &run.tasks {
            let success = row.state.status == TaskStatus::Succeeded;
            if self.succeeded.contains(&(id, row.node)) && !success {
                return Err(format!("INV-3 {} left SUCCEEDED", row.shape.name));
            }
            if success {
                self.succeeded.insert((id, row.node));
            }
            if row.state.status.terminal() != row.state.finished_at.is_some() {
                return Err(format!("INV-4 {}: finished_at and status disagree", row.shape.name));
            }
        }
        if let Some(before) = self.ended.get(&id)
            && before.generation == run.state.generation
            && before != &run.state
        {
            return Err(format!("INV-4 {id} changed after its end"));
        }
        if run.state.status.terminal() {
            self.ended.insert(id, run.state.clone());
            if !run.open.is_empty() || !run.runnable.is_empty() {
                return Err(format!("INV-2 {id} ended with open or runnable attempts"));
            }
        }
        if !run.state.status.terminal() {
            self.ended.remove(&id);
        }
        self.openings(run)?;
        locks::are_of_those_who_go_on(run)?;
        history_is_whole(run, history)
    }

    fn openings(&self, run: &StoredRun) -> Result<(), Broken> {
        let mut nodes = BTreeSet::new();
        for (key, _) in &run.open {
            if !nodes.insert(key.node) {
                return Err(format!("INV-5 two open attempts of {:?}", key.node));
            }
            if let Some(allowed) = self.closed.get(&run.id)
                && !allowed.contains(key)
            {
                return Err(format!("INV-20 {key:?} was admitted after the gate was closed"));
            }
        }
        for row in &run.tasks {
            let open = nodes.contains(&row.node);
            if open && row.state.status.terminal() {
                return Err(format!("INV-5 {} ended while its attempt is open", row.shape.name));
            }
            let queued = run.runnable.iter().any(|key| key.node == row.node);
            let locked = locks::waits(run, row, self.fleet);
            let waiting = run.timers.iter().any(|timer| timer.node == row.node);
            let fine = match (row.shape.kind, row.state.status) {
                (_, TaskStatus::Queued) if row.state.reason == Some(Reason::Lock) => locked,
                (NodeKind::Leaf, TaskStatus::Queued) => open || queued,
                (NodeKind::Leaf, TaskStatus::Running) => open,
                (_, TaskStatus::Retrying) => waiting,
                _ => true,
            };
            if !fine {
                let status = row.state.status.as_str();
                return Err(format!(
                    "INV-2 {} is {status} and nothing carries it on",
                    row.shape.name
                ));
            }
        }
        Ok(())
    }

    /// Checks that an attempt may start, given the rows that are committed.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn start(
        &self,
        plan: &Plan,
        run: &StoredRun,
        attempts: &[AttemptView],
        key: AttemptKey,
    ) -> Result<(), Broken> {
        if self.succeeded.contains(&(key.workflow, key.node)) {
            return Err(format!("INV-3 {key:?} starts after its task succeeded"));
        }
        if !run.open.iter().any(|(open, _)| *open == key) {
            return Err(format!("INV-8 {key:?} starts without a reservation"));
        }
        let mut at = key.node;
        while let Some(row) = run.tasks.get(at.index()) {
            let Some(parent) = row.shape.parent else {
                break;
            };
            in_its_turn(plan, run, parent, row)?;
            locks::are_held(plan, run, row)?;
            at = parent;
        }
        if let Some(root) = run.tasks.first().filter(|root| root.node == at) {
            locks::are_held(plan, run, root)?;
        }
        within_its_limit(plan, run, attempts, key)
    }
}

fn history_is_whole(run: &StoredRun, history: &[EventView]) -> Result<(), Broken> {
    let mut tasks: BTreeMap<NodeIx, &Record> = BTreeMap::new();
    let mut workflow = None;
    for (number, event) in (1_u64..).zip(history) {
        if event.seq != number {
            return Err(format!("INV-10 record {} stands at place {number}", event.seq));
        }
        match &event.record {
            Record::Workflow { .. } => workflow = Some(&event.record),
            Record::Task { node, .. } => {
                tasks.insert(*node, &event.record);
            }
        }
    }
    if u64::try_from(history.len()) != Ok(run.seq) {
        return Err(format!("INV-10 {} records, the workflow says {}", history.len(), run.seq));
    }
    let state = &run.state;
    let told = Record::Workflow {
        status: state.status,
        reason: state.reason,
        message: state.message.clone(),
        generation: state.generation,
    };
    if workflow.is_some_and(|workflow| *workflow != told) {
        return Err(format!("INV-11 the workflow's row is not its last record: {told:?}"));
    }
    for row in &run.tasks {
        let state = &row.state;
        let told = Record::Task {
            node: row.node,
            status: state.status,
            reason: state.reason,
            message: state.message.clone(),
            attempt: state.attempt,
            exit_code: state.exit_code,
        };
        let fine = match tasks.get(&row.node) {
            Some(record) => **record == told,
            None => state.status == TaskStatus::Pending && state.attempt == 0,
        };
        if !fine {
            return Err(format!("INV-11 the row of {} is not its last record", row.shape.name));
        }
    }
    Ok(())
}

fn in_its_turn(plan: &Plan, run: &StoredRun, parent: NodeIx, row: &TaskRow) -> Result<(), Broken> {
    let Some(group) = run.tasks.get(parent.index()) else {
        return Ok(());
    };
    if hooks::is_hook(row) {
        return hooks::in_their_turn(group, row);
    }
    if !matches!(group.shape.kind, NodeKind::Dag | NodeKind::Steps) {
        return Ok(());
    }
    let template = plan.templates.iter().find(|template| *template.name == *group.shape.template);
    let Some(template) = template else {
        return Ok(());
    };
    let sibling = |slot: u32| {
        run.tasks.iter().find(|task| task.shape.parent == Some(parent) && task.shape.slot == slot)
    };
    let early = || Err(format!("INV-7 {} starts before its turn", row.shape.name));
    match &template.body {
        Body::Dag(dag) => {
            let Some(Task { needs: Needs::All(needs), .. }) =
                dag.tasks.get(row.shape.slot as usize)
            else {
                return Ok(());
            };
            for need in needs {
                let Some(other) = sibling(need.slot) else {
                    return early();
                };
                let forgives =
                    dag.tasks.get(need.slot as usize).is_some_and(|t| t.continue_on.failed);
                if !met(need.kind, other, forgives) {
                    return early();
                }
                if let Some(task) = dag.tasks.get(need.slot as usize).filter(|_| !served(other)) {
                    hooks::have_ended(run, task, other, row)?;
                }
            }
        }
        Body::Steps(steps) => {
            let group_begin = steps
                .group_ends
                .iter()
                .copied()
                .filter(|&end| end <= row.shape.slot)
                .max()
                .unwrap_or(0);
            for slot in 0..group_begin {
                let over = |other: &&TaskRow| other.state.status.terminal() || served(other);
                let Some(other) = sibling(slot).filter(over) else {
                    return early();
                };
                if let Some(task) = steps.steps.get(slot as usize).filter(|_| !served(other)) {
                    hooks::have_ended(run, task, other, row)?;
                }
            }
        }
        Body::Container(_)
        | Body::Script(..)
        | Body::Suspend(_)
        | Body::ContainerSet(_)
        | Body::Http(_)
        | Body::Object(_)
        | Body::Child(_) => {}
    }
    Ok(())
}

/// A daemon that has been ready: what waited for it went on, whatever became of it since.
fn served(row: &TaskRow) -> bool {
    row.state.outputs.as_ref().is_some_and(|outputs| outputs.ip.is_some())
}

fn met(kind: DependencyKind, row: &TaskRow, forgives: bool) -> bool {
    let (status, reason) = (row.state.status, row.state.reason);
    match kind {
        DependencyKind::Success => {
            status == TaskStatus::Succeeded
                || served(row)
                || (status == TaskStatus::Skipped && reason == Some(Reason::When))
                || (status == TaskStatus::Failed && forgives)
        }
        DependencyKind::Completion => status.terminal() || served(row),
        DependencyKind::Failure => status == TaskStatus::Failed,
    }
}

fn within_its_limit(
    plan: &Plan,
    run: &StoredRun,
    attempts: &[AttemptView],
    key: AttemptKey,
) -> Result<(), Broken> {
    let Some(row) = run.tasks.get(key.node.index()) else {
        return Ok(());
    };
    let template = plan.templates.iter().find(|template| *template.name == *row.shape.template);
    let limit = match template.and_then(|template| template.retry.as_ref()) {
        Some(retry) => retry.limit,
        None => Some(0),
    };
    let own = attempts.iter().filter(|attempt| attempt.node == key.node);
    let failed = own.filter(|attempt| attempt.reason == Some(Reason::ExitCode)).count();
    let failed = u32::try_from(failed).unwrap_or(u32::MAX);
    // Each generation begins to count anew.
    let allowed = limit.map(|limit| (limit + 1).saturating_mul(run.state.generation));
    match allowed {
        Some(allowed) if failed >= allowed => {
            Err(format!("{key:?} is tried again after {failed} failures, {allowed} are allowed"))
        }
        _ => Ok(()),
    }
}
