//! What a controller knows, how it learns it, and the order of things in a turn.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flowforge_model::attempt::{AttemptKey, Fact};
use flowforge_model::event::Event;
use flowforge_model::id::{InstanceId, WorkflowId};
use flowforge_model::plan::{Plan, RetryStrategy};
use flowforge_model::shard::ShardSet;
use flowforge_model::time::Timestamp;
use flowforge_ports::admission::{Admission, Slot};
use flowforge_ports::store::{Committed, Store, StoreError, StoredRun};

use crate::ControllerError;
use crate::answers::by_node;
use crate::children::told_of_end;
use crate::hold::Hold;
use crate::live::{Live, queued_at};
use crate::quarantine::Trouble;
use crate::timers::Timers;
use crate::turn::{Message, Turn, Turned};

/// Commits after which a controller that commits one by one trusts its workflows again.
const CAREFUL: u32 = 256;
/// Workflows read in one turn after a take-over; those with news are read before the others.
const READ: usize = 256;
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
    /// Open attempts that start workflows, as they were found.
    pub(crate) callers: Vec<AttemptKey>,
    pub(crate) hold: Hold,
    /// Workflows that are not read yet.
    pub(crate) unread: BTreeSet<WorkflowId>,
    /// Intents and news that were taken and are not done yet, with their workflows.
    pub(crate) taken_intents: BTreeMap<i64, WorkflowId>,
    pub(crate) taken_news: BTreeMap<i64, WorkflowId>,
    /// There may be intents and news.
    pub(crate) look: bool,
    draining: bool,
    /// Commits that are still made one by one.
    pub(crate) careful: u32,
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
        let mut controller = Self::new(store, admission, config, Hold::Whole(epoch));
        controller.begin_reading(ShardSet::ALL).await?;
        controller.go_on_reading(usize::MAX).await?;
        Ok(controller)
    }

    /// A controller beside others: it does nothing until it is told which shards it leases
    /// ([`Message::Leases`]). What starts is decided and done by servers of their own; `admission`
    /// tells them.
    #[must_use]
    pub fn beside(store: Arc<S>, admission: A, config: Config) -> Self {
        Self::new(store, admission, config, Hold::Leased(BTreeMap::new()))
    }

    fn new(store: Arc<S>, admission: A, config: Config, hold: Hold) -> Self {
        let careful = if config.one_by_one { CAREFUL } else { 0 };
        Self {
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
            callers: Vec::new(),
            hold,
            unread: BTreeSet::new(),
            taken_intents: BTreeMap::new(),
            taken_news: BTreeMap::new(),
            look: true,
            draining: false,
            careful,
        }
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
        let inbox = self.answer_asked(inbox, now);
        for message in &inbox {
            match message {
                Message::Leases(leases) => self.take_leases(leases).await?,
                Message::Shares(entities) => self.admission.share_among(entities),
                Message::Nudge(_) | Message::Fact(_) | Message::Sweep | Message::Asked(_) => {}
            }
        }
        self.go_on_reading(READ).await?;
        self.set_troubled_aside(&mut turn).await?;
        self.settle_open(&mut turn);
        if self.careful() {
            self.grant(&mut turn);
        }
        let mut facts = std::mem::take(&mut self.carried);
        let mut plans = BTreeMap::new();
        let mut ask = std::mem::take(&mut self.look);
        for message in inbox {
            match message {
                Message::Fact(fact) => facts.push(fact),
                Message::Sweep => ask = true,
                Message::Leases(_) | Message::Shares(_) | Message::Asked(_) => {}
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
        if ask && self.hold.leased() {
            self.take_news(&mut turn).await?;
        }
        self.fire_timers(&mut turn).await?;
        self.answer(&mut turn).await?;
        if !self.draining {
            self.admit(&mut turn);
        }
        self.finish(turn).await
    }

    /// Answers questions as of the last turn, and leaves the other messages.
    fn answer_asked(&self, mut inbox: Vec<Message>, now: Timestamp) -> Vec<Message> {
        let asked = inbox.extract_if(.., |message| matches!(message, Message::Asked(_)));
        for message in asked {
            if let Message::Asked(asked) = message
                && let Some(answer) = self.admission.explain(&asked.question, now)
            {
                asked.tell(answer);
            }
        }
        inbox
    }

    /// Commits are made one by one.
    pub(crate) fn careful(&self) -> bool {
        self.careful > 0
    }

    /// Brings a workflow into memory. `false` if there is none, or it is (to be) set aside.
    pub(crate) async fn load(
        &mut self,
        id: WorkflowId,
        plan: Option<Arc<Plan>>,
    ) -> Result<bool, ControllerError> {
        if !self.absent(id) {
            return Ok(self.live.contains_key(&id));
        }
        let read = self.store.load(id).await;
        self.loaded(id, read, plan)
    }

    /// It is not in memory, and may be read.
    pub(crate) fn absent(&self, id: WorkflowId) -> bool {
        let aside = self.troubled.contains_key(&id) || self.unreadable.contains(&id);
        !aside && !self.live.contains_key(&id)
    }

    /// The same as [`Self::load`] for a workflow that was absent, with what the store has answered.
    pub(crate) fn loaded(
        &mut self,
        id: WorkflowId,
        read: Result<StoredRun, StoreError>,
        plan: Option<Arc<Plan>>,
    ) -> Result<bool, ControllerError> {
        self.unread.remove(&id);
        match read {
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
        let (locks, slot) = (stored.locks.clone(), stored.slot);
        let mut live = match Live::restore(stored, plan, self.config.default_retry.as_ref()) {
            Ok(live) => live,
            Err(why) => {
                self.trouble(id, why);
                return false;
            }
        };
        for row in timers {
            self.timers.set(row);
        }
        let calls = open.iter().map(|(key, ..)| *key);
        self.callers.extend(calls.filter(|key| live.run.starts_workflow(&live.plan, key.node)));
        if self.hold.leased() {
            // The scheduler has read the same rows.
            live.locks = by_node(locks);
            self.live.insert(id, live);
            return true;
        }
        self.admission.gate(id, !gate_closed);
        if slot {
            let (Live { project, storage, suspended, .. }, called) = (&live, live.called());
            let (project, storage, suspended) = (*project, *storage, *suspended);
            let slot = Slot { workflow: id, project, storage, suspended, called };
            self.admission.adopt_workflow(slot);
        } else {
            self.admission.suspend(id, live.suspended);
        }
        self.take_locks(&mut live, locks);
        for (key, since) in runnable {
            self.admission.offer(live.ready(key, since));
        }
        for (key, instance, since) in open {
            self.admission.adopt(live.ready(key, since));
            if live.run.starts_workflow(&live.plan, key.node) {
                continue;
            }
            if instance == Some(self.config.instance) {
                self.inherited.push(key);
            } else {
                self.lost.push(key);
            }
        }
        self.live.insert(id, live);
        true
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

    /// Admissions whose gate was closed in the meantime wait on; the others are open now.
    pub(crate) fn take_back(&mut self, turn: &mut Turn, committed: &Committed) {
        for key in &committed.refused {
            self.admission.release(*key, None);
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
    pub(crate) fn settle(&mut self, mut turn: Turn) -> Turned {
        let mut turned = std::mem::take(&mut turn.turned);
        for (id, pending) in turn.changes {
            turned.acknowledged.extend(pending.acknowledged);
            let Some(live) = self.live.get(&id) else {
                continue;
            };
            turned.stops.extend(pending.stops.into_iter().filter(|key| live.open.contains(key)));
            if pending.workflow && !pending.delete && live.run.state().status.terminal() {
                turned.ended.push(id);
                turn.told.extend(told_of_end(live));
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
        if self.hold.leased() {
            turned.told.extend(turn.told.iter().map(|fact| fact.key.workflow));
        } else {
            self.carried.append(&mut turn.told);
        }
        turned.next_timer = self.timers.next().into_iter().chain(self.admission.next_look()).min();
        let due = turned.next_timer.is_some_and(|at| at <= turn.now);
        let granted_next = self.careful() && turn.locks_moved;
        let left = !self.carried.is_empty()
            || !self.callers.is_empty()
            || !self.troubled.is_empty()
            || granted_next;
        turned.again = self.look || !self.unread.is_empty() || due || left;
        turned
    }
}
