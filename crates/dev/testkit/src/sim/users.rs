//! Users of a world: they send workflows, wish for things, and look at the rows from outside.

use std::collections::BTreeSet;
use std::sync::Arc;

use flowforge_model::attempt::AttemptKey;
use flowforge_model::event::{Command, TaskRow};
use flowforge_model::id::{EntityId, WorkflowId};
use flowforge_model::plan::Plan;
use flowforge_model::resources::Bytes;
use flowforge_model::status::{Reason, TaskStatus, WorkflowStatus};
use flowforge_model::time::{Millis, Timestamp};
use flowforge_ports::store::{NewWorkflow, Store as _, StoreError, StoredRun};
use uuid::Uuid;

use super::Summary;
use super::store::FaultyStore;
use super::world::block_on;
use crate::checker::{Broken, Checker, Holders};
use crate::dice::Dice;
use crate::documents::{document, with_children};

/// A workflow as its user knows it.
struct Known {
    id: WorkflowId,
    plan: Plan,
    /// A task started it.
    started: bool,
}

/// All users, and what they remember.
pub(super) struct Users {
    store: Arc<FaultyStore>,
    known: Vec<Known>,
    /// Where they submit, one after the other.
    pub(super) projects: Vec<EntityId>,
    pub(super) checker: Checker,
}

impl Users {
    pub(super) fn new(store: &Arc<FaultyStore>, checker: Checker) -> Self {
        let projects = vec![EntityId::DEFAULT_PROJECT];
        Self { store: Arc::clone(store), known: Vec::new(), projects, checker }
    }

    /// Sends the document of `seed` until it is answered. Its id, whose last bits are the number of
    /// the workflow and `tail`, and its text.
    pub(super) fn submit(
        &mut self,
        seed: u64,
        tail: u64,
        priority: u64,
        now: Timestamp,
    ) -> Result<(WorkflowId, String), Broken> {
        // From dice of its own: the others fall as they did without it.
        let own = &mut Dice::new(seed ^ 0x6368_696c_6400);
        let text = with_children(&document(&mut Dice::new(seed)), own);
        let compiled = flowforge_spec::compile(&text, &flowforge_spec::Options::default())
            .map_err(|problems| format!("refused: {text}: {problems:?}"))?;
        let number = self.known.len() as u128 + 1;
        let millis = u128::try_from(now.0).unwrap_or(0);
        let random = u128::from(tail >> 2) & !0xff;
        let id = Uuid::from_u128((millis << 80) | (7 << 76) | (0b10 << 62) | random | number);
        let id = WorkflowId(id);
        let new = NewWorkflow {
            id,
            project: self.projects[self.known.len() % self.projects.len()],
            name: format!("w{number}"),
            description: String::new(),
            document: text.clone(),
            parameters: Vec::new(),
            labels: Vec::new(),
            priority: i32::try_from(priority).unwrap_or(0),
            submitted_by: "sim".to_owned(),
            storage: Bytes(0),
            resubmitted_from: None,
            at: now,
            idempotency: Some((format!("key-{number}"), "digest".to_owned())),
            parent: None,
        };
        // A client that gets no answer asks again with the same key.
        while block_on(self.store.insert(new.clone())).is_err() {}
        self.known.push(Known { id, plan: compiled.plan, started: false });
        Ok((id, text))
    }

    /// Asks until it is answered; why it was refused, if it was.
    pub(super) fn ask(
        &mut self,
        id: WorkflowId,
        command: &Command,
        now: Timestamp,
    ) -> Result<Option<StoreError>, Broken> {
        loop {
            match block_on(self.store.ask(id, command.clone(), now)) {
                Err(StoreError::Unavailable(_)) => {}
                Err(refused) => return Ok(Some(refused)),
                Ok(()) => break,
            }
        }
        let run = self.load(id)?;
        if matches!(command, Command::Cancel | Command::Terminate | Command::Pause) {
            self.checker.gate_closed(id, open(&run));
        } else {
            self.checker.gate_opened(id);
        }
        Ok(None)
    }

    /// The workflow that was sent as the `which`th, from 0.
    pub(super) fn workflow(&self, which: usize) -> Option<WorkflowId> {
        self.known.get(which).map(|known| known.id)
    }

    pub(super) fn plan(&self, id: WorkflowId) -> Result<&Plan, Broken> {
        let known = self.known.iter().find(|known| known.id == id);
        known.map(|known| &known.plan).ok_or_else(|| format!("{id} is nobody's workflow"))
    }

    pub(super) fn load(&self, id: WorkflowId) -> Result<StoredRun, Broken> {
        block_on(self.store.load(id)).map_err(|error| format!("INV-1 {id}: {error}"))
    }

    /// None of a workflow that ended and whose time to live is over.
    pub(super) fn load_if_kept(&self, id: WorkflowId) -> Result<Option<StoredRun>, Broken> {
        match block_on(self.store.load(id)) {
            Err(StoreError::NotFound) if self.may_be_gone(id) => Ok(None),
            other => other.map(Some).map_err(|error| format!("INV-1 {id}: {error}")),
        }
    }

    /// It had ended when it was seen last; or its life is over with its end, which perhaps nobody saw.
    fn may_be_gone(&self, id: WorkflowId) -> bool {
        let short = |known: &Known| known.started && known.plan.ttl.completion == Some(Millis(0));
        self.checker.may_be_gone(id)
            || self.known.iter().any(|known| known.id == id && short(known))
    }

    /// All workflows that are kept, each with the number by which it was sent.
    pub(super) fn kept(&self) -> Result<Vec<(usize, StoredRun)>, Broken> {
        let mut kept = Vec::new();
        for (which, known) in self.known.iter().enumerate() {
            kept.extend(self.load_if_kept(known.id)?.map(|run| (which, run)));
        }
        Ok(kept)
    }

    /// Checks the rows of all workflows, and returns them.
    pub(super) fn look(&mut self, summary: &mut Summary) -> Result<Vec<StoredRun>, Broken> {
        self.meet_children()?;
        let mut holders = Holders::default();
        let mut runs = Vec::new();
        for (_, run) in self.kept()? {
            let history = self.store.rows.history(run.id);
            holders.add(&run.locks);
            summary.lock_waits += u64::from(run.locks.iter().any(|lock| !lock.held));
            if !run.gate_closed {
                self.checker.gate_opened(run.id);
            }
            self.checker.rows(&run, &history)?;
            runs.push(run);
        }
        holders.check()?;
        for run in &runs {
            self.is_waited_for(run, &runs)?;
        }
        Ok(runs)
    }

    /// Takes in workflows that tasks have started since.
    fn meet_children(&mut self) -> Result<(), Broken> {
        for (id, text) in self.store.rows.started() {
            if self.known.iter().any(|known| known.id == id) {
                continue;
            }
            let compiled = flowforge_spec::compile(&text, &flowforge_spec::Options::default());
            let compiled = compiled.map_err(|problems| format!("started: {text}: {problems:?}"))?;
            self.known.push(Known { id, plan: compiled.plan, started: true });
        }
        Ok(())
    }

    /// Whoever waits for a workflow does so until it has ended, and for no other than the one that its current
    /// attempt started. A user may open one again that has ended: nobody waits for that.
    fn is_waited_for(&self, run: &StoredRun, all: &[StoredRun]) -> Result<(), Broken> {
        let Some(parent) = run.parent else { return Ok(()) };
        if parent.attempt.child() != run.id {
            return Err(format!("{} is not the workflow of {:?}", run.id, parent.attempt));
        }
        let first = run.state.generation == 1 && !run.state.status.terminal();
        let Some(caller) = all.iter().find(|caller| caller.id == parent.attempt.workflow) else {
            // It is gone, which it may not be while it waits.
            let waits = first && parent.root.is_some();
            return if waits {
                Err(format!("INV-2 {} has lost its caller", run.id))
            } else {
                Ok(())
            };
        };
        let open = caller.open.iter().any(|(key, _)| *key == parent.attempt);
        if first && parent.root.is_some() && !open {
            return Err(format!("INV-5 {} runs, and nobody waits for it any more", run.id));
        }
        Ok(())
    }

    /// Attempts of a workflow that have a pod, or a process.
    pub(super) fn with_pods(&self, run: &StoredRun) -> Result<usize, Broken> {
        let plan = self.plan(run.id)?;
        let podless = |key: &AttemptKey| {
            let row = run.tasks.get(key.node.index());
            let name = row.map(|row| &*row.shape.template);
            let template = plan.templates.iter().find(|template| Some(&*template.name) == name);
            template.is_some_and(|template| template.pods() == 0)
        };
        Ok(run.open.iter().filter(|(key, _)| !podless(key)).count())
    }

    /// Checks that an attempt may begin.
    pub(super) fn begins(
        &self,
        run: &StoredRun,
        key: AttemptKey,
        summary: &mut Summary,
    ) -> Result<(), Broken> {
        summary.attempts += 1;
        let attempts = self.store.rows.attempts(key.workflow);
        self.checker.start(self.plan(key.workflow)?, run, &attempts, key)?;
        let row = run.tasks.get(key.node.index());
        let hook = row.is_some_and(|row| row.shape.name.contains(".onExit"));
        summary.hooks += u64::from(hook);
        Ok(())
    }

    /// All have ended: what they came to.
    pub(super) fn count(&self, summary: &mut Summary) -> Result<(), Broken> {
        summary.workflows = u64::try_from(self.known.len()).unwrap_or(0);
        let memoized = |row: &&TaskRow| row.state.reason == Some(Reason::Memoized);
        let memos = |run: &StoredRun| run.tasks.iter().filter(memoized).count();
        let all: usize = self.kept()?.iter().map(|(_, run)| memos(run)).sum();
        summary.memos = u64::try_from(all).unwrap_or(0);
        Ok(())
    }
}

/// Something a user may wish for.
pub(super) fn wish(dice: &mut Dice) -> Command {
    match dice.below(8) {
        0 => Command::Cancel,
        1 => Command::Stop,
        2 => Command::Terminate,
        3 | 4 => Command::Pause,
        5 => resume(),
        _ => Command::Retry,
    }
}

pub(super) fn resume() -> Command {
    Command::Resume { task: None, outputs: Vec::new() }
}

/// It goes on only when a user says so.
pub(super) fn is_held(run: &StoredRun) -> bool {
    let suspended = |row: &TaskRow| {
        row.state.status == TaskStatus::Running && row.state.reason == Some(Reason::Suspended)
    };
    run.state.status == WorkflowStatus::Paused || run.tasks.iter().any(suspended)
}

pub(super) fn open(run: &StoredRun) -> BTreeSet<AttemptKey> {
    run.open.iter().map(|(key, _)| *key).collect()
}
