//! What a controller knows, how it learns it, and the order of things in a turn.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flowforge_model::attempt::{AttemptKey, Fact};
use flowforge_model::event::Event;
use flowforge_model::id::{InstanceId, WorkflowId};
use flowforge_model::plan::{Plan, RetryStrategy};
use flowforge_model::time::Timestamp;
use flowforge_ports::admission::Admission;
use flowforge_ports::store::{Commit, Committed, Intent, Store, StoreError, StoredRun};

use crate::ControllerError;
use crate::live::{Live, queued_at};
use crate::pending::Pending;
use crate::quarantine::Trouble;
use crate::timers::Timers;
use crate::turn::{Message, Turn, Turned};

/// Workflow ids read at a time when a controller starts.
const PAGE: u32 = 512;
/// Intents carried out in one turn; more wait for the next, which follows at once.
const INTENTS: u32 = 256;

/// Commits after which a controller that commits one by one trusts its workflows again.
const CAREFUL: u32 = 256;
/// Timers fired in one turn.
const TIMERS: usize = 1024;

/// How a controller behaves.
#[derive(Clone, Debug)]
pub struct Config {
    /// The server that claims what is admitted.
    pub instance: InstanceId,
    /// The retry strategy of leaves that name none.
    pub default_retry: Option<RetryStrategy>,
    /// Commit each workflow on its own and set aside the one that conflicts. Slow: only for the
    /// start after a conflict that reloading did not cure.
    pub one_by_one: bool,
}

/// Carries all workflows of one store on.
#[derive(Debug)]
pub struct Controller<S, A> {
    pub(crate) store: Arc<S>,
    pub(crate) admission: A,
    pub(crate) config: Config,
    pub(crate) live: BTreeMap<WorkflowId, Live>,
    pub(crate) timers: Timers,
    /// Facts found here, not reported by an executor: for the next turn.
    pub(crate) carried: Vec<Fact>,
    /// Workflows to set aside in the next turn.
    pub(crate) troubled: BTreeMap<WorkflowId, Trouble>,
    /// Workflows whose rows cannot even be read. Left alone until a person has looked.
    pub(crate) unreadable: BTreeSet<WorkflowId>,
    /// Open attempts of servers that are gone.
    pub(crate) lost: Vec<AttemptKey>,
    /// Open attempts of this server, admitted by an earlier controller of it.
    pub(crate) inherited: Vec<AttemptKey>,
    epoch: u64,
    /// The last intent that was read, and whether there are more.
    seen: i64,
    unread: bool,
    draining: bool,
    /// Commits that are still made one by one.
    careful: u32,
}

impl<S: Store, A: Admission> Controller<S, A> {
    /// Takes over the store, fencing every earlier controller, and reads all workflows that have
    /// not ended. `admission` must be new. The first turn settles what was found open.
    ///
    /// # Errors
    /// The store's; a single workflow that cannot be read is set aside instead.
    pub async fn start(
        store: Arc<S>,
        admission: A,
        config: Config,
    ) -> Result<Self, ControllerError> {
        let epoch = store.take_over(config.instance).await?;
        let careful = if config.one_by_one { CAREFUL } else { 0 };
        let mut controller = Self {
            store,
            admission,
            config,
            live: BTreeMap::new(),
            timers: Timers::default(),
            carried: Vec::new(),
            troubled: BTreeMap::new(),
            unreadable: BTreeSet::new(),
            lost: Vec::new(),
            inherited: Vec::new(),
            epoch,
            seen: 0,
            unread: true,
            draining: false,
            careful,
        };
        let mut after = None;
        loop {
            let page = controller.store.unfinished(after, PAGE).await?;
            let Some(last) = page.last().copied() else {
                break;
            };
            after = Some(last);
            for id in page {
                controller.load(id, None).await?;
            }
        }
        for row in controller.store.ended_timers().await? {
            controller.timers.set(row);
        }
        Ok(controller)
    }

    /// From now on nothing is admitted any more; everything else goes on.
    pub fn drain(&mut self) {
        self.draining = true;
    }

    /// Takes in what happened, commits what follows from it at most once, and returns what is to
    /// be done outside. `now` must not go backwards.
    ///
    /// # Errors
    /// After any error this controller is spent: its memory may be ahead of the store. Nothing
    /// of the inbox is acknowledged.
    pub async fn turn(
        &mut self,
        inbox: Vec<Message>,
        now: Timestamp,
    ) -> Result<Turned, ControllerError> {
        let mut turn = Turn::new(now);
        self.set_troubled_aside(&mut turn).await?;
        self.settle_open(&mut turn);
        if self.careful() {
            self.grant(&mut turn);
        }
        let mut facts = std::mem::take(&mut self.carried);
        let mut plans = BTreeMap::new();
        let mut ask = std::mem::take(&mut self.unread);
        for message in inbox {
            match message {
                Message::Fact(fact) => facts.push(fact),
                Message::Sweep => ask = true,
                Message::Nudge(nudge) => {
                    ask = true;
                    plans.extend(nudge.plan.map(|plan| (nudge.workflow, plan)));
                }
            }
        }
        for fact in facts {
            self.take_fact(&mut turn, fact);
        }
        if ask {
            self.take_intents(&mut turn, plans).await?;
        }
        self.fire_timers(&mut turn).await?;
        self.answer(&mut turn).await?;
        if !self.draining {
            self.admit(&mut turn);
        }
        self.finish(turn).await
    }

    /// Commits are made one by one.
    pub(crate) fn careful(&self) -> bool {
        self.careful > 0
    }

    /// Brings a workflow into memory. `false` if there is none, or it is (to be) set aside.
    async fn load(
        &mut self,
        id: WorkflowId,
        plan: Option<Arc<Plan>>,
    ) -> Result<bool, ControllerError> {
        if self.live.contains_key(&id) {
            return Ok(true);
        }
        if self.troubled.contains_key(&id) || self.unreadable.contains(&id) {
            return Ok(false);
        }
        match self.store.load(id).await {
            Ok(stored) => Ok(self.take_in(stored, plan)),
            Err(StoreError::NotFound) => Ok(false),
            Err(StoreError::Corrupt(why)) => {
                tracing::error!(workflow = %id, %why, "workflow cannot be read; left alone");
                self.unreadable.insert(id);
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn take_in(&mut self, stored: StoredRun, plan: Option<Arc<Plan>>) -> bool {
        let id = stored.id;
        let runnable: Vec<_> =
            stored.runnable.iter().map(|key| (*key, queued_at(&stored, key.node))).collect();
        let open: Vec<_> = stored
            .open
            .iter()
            .map(|(key, instance)| (*key, *instance, queued_at(&stored, key.node)))
            .collect();
        let (timers, gate_closed) = (stored.timers.clone(), stored.gate_closed);
        let locks = stored.locks.clone();
        let mut live = match Live::restore(stored, plan, self.config.default_retry.as_ref()) {
            Ok(live) => live,
            Err(why) => {
                self.trouble(id, why);
                return false;
            }
        };
        self.admission.gate(id, !gate_closed);
        self.take_locks(&mut live, locks);
        for row in timers {
            self.timers.set(row);
        }
        for (key, since) in runnable {
            self.admission.offer(live.ready(key, since));
        }
        for (key, instance, since) in open {
            self.admission.adopt(live.ready(key, since));
            if instance == self.config.instance {
                self.inherited.push(key);
            } else {
                self.lost.push(key);
            }
        }
        self.live.insert(id, live);
        true
    }

    async fn take_intents(
        &mut self,
        turn: &mut Turn,
        mut plans: BTreeMap<WorkflowId, Arc<Plan>>,
    ) -> Result<(), ControllerError> {
        let intents = self.store.intents(self.seen, INTENTS).await?;
        self.unread = u32::try_from(intents.len()).unwrap_or(u32::MAX) >= INTENTS;
        for Intent { id, workflow, command } in intents {
            self.seen = self.seen.max(id);
            if !self.load(workflow, plans.remove(&workflow)).await? {
                self.intent_without_run(turn, workflow, id);
                continue;
            }
            turn.pending(workflow).intents.push(id);
            let event = command.map_or(Event::Submitted, Event::Asked);
            self.apply(turn, workflow, &event);
        }
        Ok(())
    }

    async fn fire_timers(&mut self, turn: &mut Turn) -> Result<(), ControllerError> {
        for _ in 0..TIMERS {
            let Some(row) = self.timers.pop_due(turn.now) else {
                break;
            };
            if !self.load(row.workflow, None).await? {
                continue;
            }
            let key = (row.node, row.timer);
            turn.pending(row.workflow).timers.insert(key, None);
            let (node, timer) = key;
            self.apply(turn, row.workflow, &Event::TimerDue { node, timer });
        }
        Ok(())
    }

    /// Commits the turn and brings memory up to what is durable now.
    async fn finish(&mut self, mut turn: Turn) -> Result<Turned, ControllerError> {
        let commit = self.gather(&mut turn);
        let mut written: Vec<(WorkflowId, u64, bool)> = Vec::new();
        for run in &commit.runs {
            let count = u64::try_from(run.records.len()).unwrap_or(u64::MAX);
            if let Some(id) = run.workflow {
                written.push((id, run.seq_before.saturating_add(count), count > 0));
            }
        }
        let empty = commit.runs.is_empty()
            && commit.intents_done.is_empty()
            && commit.admissions.is_empty();
        if !empty {
            let committed = self.commit(&mut turn, commit).await?;
            self.take_back(&mut turn, &committed);
        }
        for (id, seq, news) in written {
            if let Some(live) = self.live.get_mut(&id) {
                live.seq = seq;
            }
            if news && !self.troubled.contains_key(&id) {
                turn.turned.changed.push((id, seq));
            }
        }
        Ok(self.settle(turn))
    }

    /// All rows of the turn.
    fn gather(&mut self, turn: &mut Turn) -> Commit {
        let mut commit = Commit {
            epoch: self.epoch,
            instance: Some(self.config.instance),
            at: turn.now,
            ..Commit::default()
        };
        for (id, mut pending) in std::mem::take(&mut turn.changes) {
            let Some(live) = self.live.get(&id) else {
                continue;
            };
            let changes = crate::guard::guarded(|| pending.changes(id, live));
            turn.changes.insert(id, pending);
            match changes {
                Some(changes) => commit.runs.extend(changes),
                None => self.set_aside(turn, id, "panicked while its rows were made".to_owned()),
            }
        }
        for pending in turn.changes.values() {
            commit.intents_done.extend(&pending.intents);
        }
        commit.intents_done.append(&mut turn.intents);
        commit.runs.append(&mut turn.aside);
        commit.admissions.clone_from(&turn.admissions);
        commit
    }

    async fn commit(
        &mut self,
        turn: &mut Turn,
        commit: Commit,
    ) -> Result<Committed, ControllerError> {
        if self.careful == 0 {
            return Ok(self.store.commit(commit).await?);
        }
        self.careful -= 1;
        let mut refused = Vec::new();
        for part in apart(commit, &turn.changes) {
            let id = part.runs.first().and_then(|run| run.workflow);
            match (self.store.commit(part).await, id) {
                (Ok(mut done), _) => refused.append(&mut done.refused),
                (Err(StoreError::Conflict(why)), Some(id)) => {
                    self.careful = 0;
                    self.set_aside(turn, id, why);
                }
                (Err(error), _) => return Err(error.into()),
            }
        }
        Ok(Committed { refused })
    }

    /// Admissions whose gate was closed in the meantime wait on; the others are open now.
    fn take_back(&mut self, turn: &mut Turn, committed: &Committed) {
        for key in &committed.refused {
            self.admission.release(*key);
            self.admission.gate(key.workflow, false);
            if let Some(live) = self.live.get(&key.workflow) {
                self.admission.offer(live.ready(*key, turn.now));
            }
        }
        let refused: BTreeSet<_> = committed.refused.iter().copied().collect();
        let dispatches = &mut turn.turned.dispatches;
        dispatches.retain(|order| !refused.contains(&order.key));
        self.carried.retain(|fact| !refused.contains(&fact.key));
        for key in turn.admissions.iter().filter(|key| !refused.contains(key)) {
            if let Some(live) = self.live.get_mut(&key.workflow) {
                live.open.insert(*key);
            }
        }
    }

    /// What is durable may be told, and what is over may be forgotten.
    fn settle(&mut self, mut turn: Turn) -> Turned {
        let mut turned = std::mem::take(&mut turn.turned);
        for (id, pending) in turn.changes {
            turned.acknowledged.extend(pending.acknowledged);
            let Some(live) = self.live.get(&id) else {
                continue;
            };
            turned.stops.extend(pending.stops.into_iter().filter(|key| live.open.contains(key)));
            if pending.workflow && !pending.delete && live.run.state().status.terminal() {
                turned.ended.push(id);
            }
            if pending.delete {
                turned.deleted.push(id);
                self.timers.clear_workflow(id);
            }
            if pending.delete || live.idle() {
                self.admission.gate(id, true);
                self.live.remove(&id);
            }
        }
        turned.next_timer = self.timers.next();
        let due = turned.next_timer.is_some_and(|at| at <= turn.now);
        let granted_next = self.careful() && turn.locks_moved;
        let left = !self.carried.is_empty() || !self.troubled.is_empty() || granted_next;
        turned.again = self.unread || due || left;
        turned
    }
}

/// One commit per workflow, with the intents it carries out: a gate opens only if no intent that
/// closes it is left. And one for what belongs to none.
fn apart(commit: Commit, changes: &BTreeMap<WorkflowId, Pending>) -> Vec<Commit> {
    let Commit { runs, admissions, mut intents_done, .. } = commit;
    let head = Commit {
        epoch: commit.epoch,
        instance: commit.instance,
        at: commit.at,
        ..Commit::default()
    };
    let mut rest = admissions;
    let mut parts: Vec<Commit> = Vec::new();
    for run in runs {
        let own = rest.extract_if(.., |key| Some(key.workflow) == run.workflow).collect();
        let done = run.workflow.and_then(|id| changes.get(&id)).map(|pending| &*pending.intents);
        let done = done.unwrap_or_default().to_vec();
        intents_done.retain(|id| !done.contains(id));
        let runs = vec![run];
        parts.push(Commit { admissions: own, runs, intents_done: done, ..head.clone() });
    }
    parts.push(Commit { intents_done, admissions: rest, ..head });
    parts
}
