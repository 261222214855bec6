//! The rows of a turn into the store.

use std::collections::BTreeSet;

use flowforge_model::attempt::{AttemptKey, Report};
use flowforge_model::id::WorkflowId;
use flowforge_model::shard::ShardSet;
use flowforge_ports::admission::Admission;
use flowforge_ports::handover::{Call, Handover, Order};
use flowforge_ports::store::{Commit, Committed, RunChanges, Store, StoreError};

use crate::ControllerError;
use crate::controller::Controller;
use crate::guard::guarded;
use crate::turn::{Turn, Turned};

/// What was written of a turn.
#[derive(Debug, Default)]
struct Written {
    committed: Committed,
    /// Workflows, the numbers of their last records, and whether these are new.
    runs: Vec<(WorkflowId, u64, bool)>,
    intents: Vec<i64>,
    news: Vec<i64>,
    called: ShardSet,
    /// Workflows that tasks started, or that are to end with them.
    begun: Vec<WorkflowId>,
}

impl<S: Store, A: Admission> Controller<S, A> {
    /// Commits the turn and brings memory up to what is durable now.
    pub(crate) async fn finish(&mut self, mut turn: Turn) -> Result<Turned, ControllerError> {
        let commit = self.gather(&mut turn);
        let written = self.write(&mut turn, commit).await?;
        for id in &written.intents {
            self.taken_intents.remove(id);
        }
        for id in &written.news {
            self.taken_news.remove(id);
        }
        self.take_back(&mut turn, &written.committed);
        turn.turned.called = written.called;
        turn.turned.begun = written.begun;
        self.look |= !turn.turned.begun.is_empty();
        for (id, seq, news) in written.runs {
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
            epoch: self.hold.epoch(),
            instance: Some(self.config.instance),
            at: turn.now,
            ..Commit::default()
        };
        for (id, mut pending) in std::mem::take(&mut turn.changes) {
            let Some(live) = self.live.get(&id) else {
                continue;
            };
            let changes = guarded(|| pending.changes(id, live));
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
        commit.slots = self.admission.slot_changes();
        commit.usage = self.admission.measure(turn.now);
        if self.hold.leased() {
            self.hand_over(turn, &mut commit);
        }
        commit
    }

    /// What the servers of the other roles are told.
    fn hand_over(&mut self, turn: &mut Turn, commit: &mut Commit) {
        let held = self.hold.shards();
        let mut calls = self.admission.take_calls();
        calls.retain(|call| held.contains(call.workflow().shard()));
        let mut handover = Handover { calls, ..Handover::default() };
        let mut broken = BTreeSet::new();
        for key in commit.runs.iter().flat_map(|run| &run.runnable) {
            if self.starts_workflow(*key) {
                continue;
            }
            match self.order(*key, turn) {
                Some(order) => handover.orders.push((*key, order)),
                None => {
                    broken.insert(key.workflow);
                }
            }
        }
        for pending in turn.changes.values() {
            let open = |key: &&AttemptKey| {
                self.live.get(&key.workflow).is_some_and(|live| live.open.contains(key))
            };
            handover.stops.extend(pending.stops.iter().filter(open));
            handover.news_done.extend(&pending.news);
        }
        handover.news_done.append(&mut turn.news);
        commit.handover = Some(Box::new(handover));
        for id in broken {
            let pending = turn.changes.get(&id);
            let done = pending.map(|pending| (pending.intents.clone(), pending.news.clone()));
            let (intents, news) = done.unwrap_or_default();
            take_out(commit, id, &intents, &news);
            self.set_aside(turn, id, "panicked while a task was prepared".to_owned());
        }
        self.lease(commit);
    }

    /// The order of an attempt that becomes runnable; none if it panicked.
    fn order(&self, key: AttemptKey, turn: &Turn) -> Option<Order> {
        let live = self.live.get(&key.workflow)?;
        let made =
            guarded(|| flowforge_engine::work_order(&live.plan, &live.run, key.node, turn.now))?;
        Some(made.map_err(|failure| {
            let failure = *failure;
            Report::failed(turn.now, failure.class, failure.reason, failure.message)
        }))
    }

    /// Names the leases of all shards that a commit touches.
    fn lease(&self, commit: &mut Commit) {
        let Some(handover) = commit.handover.as_deref_mut() else {
            return;
        };
        let runs = commit.runs.iter().filter_map(|run| run.workflow);
        let calls = handover.calls.iter().map(Call::workflow);
        let stops = handover.stops.iter().map(|key| key.workflow);
        let intents = commit.intents_done.iter().filter_map(|id| self.taken_intents.get(id));
        let news = handover.news_done.iter().filter_map(|id| self.taken_news.get(id));
        let all = runs.chain(calls).chain(stops).chain(intents.copied()).chain(news.copied());
        let touched: ShardSet = all.map(WorkflowId::shard).collect();
        handover.leases = self.hold.leases(touched);
    }

    async fn write(&mut self, turn: &mut Turn, commit: Commit) -> Result<Written, ControllerError> {
        let mut written = Written::default();
        if self.careful == 0 {
            self.write_one(turn, commit, &mut written).await?;
            return Ok(written);
        }
        self.careful -= 1;
        for part in self.apart(commit, turn) {
            let id = part.runs.first().and_then(|run| run.workflow);
            match (self.write_one(turn, part, &mut written).await, id) {
                (Err(ControllerError::Store(StoreError::Conflict(why))), Some(id)) => {
                    self.careful = 0;
                    self.set_aside(turn, id, why);
                }
                (done, _) => done?,
            }
        }
        Ok(written)
    }

    /// One commit. Workflows that it is overtaken in are left out of it and read again.
    async fn write_one(
        &mut self,
        turn: &mut Turn,
        mut commit: Commit,
        written: &mut Written,
    ) -> Result<(), ControllerError> {
        while !empty(&commit) {
            let this = Written::of(&commit);
            // Only what is taken off the queue can have been admitted, and what is to stop taken back: others are
            // not copied.
            let withdraws = commit.runs.iter().any(|run| !run.unrunnable.is_empty());
            let handover = commit.handover.as_deref();
            let may = handover.is_some_and(|handover| withdraws || !handover.stops.is_empty());
            let copy = may.then(|| commit.clone());
            match (self.store.commit(commit).await, copy) {
                (Ok(committed), _) => {
                    written.add(this, committed);
                    break;
                }
                (Err(StoreError::Overtaken(ids)), Some(copy)) => {
                    commit = copy;
                    for id in ids {
                        self.read_again(turn, &mut commit, id);
                    }
                    self.lease(&mut commit);
                }
                (Err(error), _) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Undoes what this turn made of a workflow: its rows are read in the next turn, and its intents
    /// and news are taken again.
    fn read_again(&mut self, turn: &mut Turn, commit: &mut Commit, id: WorkflowId) {
        tracing::debug!(workflow = %id, "overtaken by the scheduler; read again");
        let pending = turn.changes.remove(&id).unwrap_or_default();
        take_out(commit, id, &pending.intents, &pending.news);
        for intent in &pending.intents {
            self.taken_intents.remove(intent);
        }
        for news in &pending.news {
            self.taken_news.remove(news);
        }
        self.live.remove(&id);
        self.timers.clear_workflow(id);
        self.unread.insert(id);
        self.look = true;
    }

    /// One commit per workflow, with the intents it carries out: a gate opens only if no intent that
    /// closes it is left. And one for what belongs to none.
    fn apart(&self, mut rest: Commit, turn: &Turn) -> Vec<Commit> {
        let mut parts: Vec<Commit> = Vec::new();
        for run in std::mem::take(&mut rest.runs) {
            let Some(id) = run.workflow else { continue };
            let pending = turn.changes.get(&id);
            let intents = pending.map_or(&[][..], |pending| &pending.intents);
            let news = pending.map_or(&[][..], |pending| &pending.news);
            parts.push(part_of(&mut rest, run, intents, news));
        }
        parts.push(rest);
        for part in &mut parts {
            self.lease(part);
        }
        parts
    }
}

/// Takes what belongs to one workflow out of a commit.
fn part_of(rest: &mut Commit, run: RunChanges, intents: &[i64], news: &[i64]) -> Commit {
    let id = run.workflow;
    let ours = |key: &mut AttemptKey| Some(key.workflow) == id;
    rest.intents_done.retain(|done| !intents.contains(done));
    let handover = rest.handover.as_deref_mut().map(|rest| {
        rest.news_done.retain(|done| !news.contains(done));
        Box::new(Handover {
            leases: Vec::new(),
            calls: rest.calls.extract_if(.., |call| Some(call.workflow()) == id).collect(),
            orders: rest.orders.extract_if(.., |(key, _)| ours(key)).collect(),
            stops: rest.stops.extract_if(.., ours).collect(),
            news_done: news.to_vec(),
        })
    });
    Commit {
        epoch: rest.epoch,
        instance: rest.instance,
        at: rest.at,
        runs: vec![run],
        intents_done: intents.to_vec(),
        admissions: rest.admissions.extract_if(.., ours).collect(),
        slots: rest.slots.extract_if(.., |of, _| Some(*of) == id).collect(),
        usage: Vec::new(),
        handover,
    }
}

/// Leaves a workflow out of a commit, with these intents and news of it.
fn take_out(commit: &mut Commit, id: WorkflowId, intents: &[i64], news: &[i64]) {
    commit.runs.retain(|run| run.workflow != Some(id));
    commit.intents_done.retain(|done| !intents.contains(done));
    if let Some(handover) = commit.handover.as_deref_mut() {
        handover.calls.retain(|call| call.workflow() != id);
        handover.orders.retain(|(key, _)| key.workflow != id);
        handover.stops.retain(|key| key.workflow != id);
        handover.news_done.retain(|done| !news.contains(done));
    }
}

/// Workflows of other runs that these changes leave an intent for.
fn begun(run: &RunChanges) -> impl Iterator<Item = WorkflowId> {
    run.children.iter().map(|new| new.id).chain(run.asks.iter().map(|(id, _)| *id))
}

fn empty(commit: &Commit) -> bool {
    let nothing = |handover: &Handover| {
        handover.calls.is_empty() && handover.stops.is_empty() && handover.news_done.is_empty()
    };
    commit.runs.is_empty()
        && commit.intents_done.is_empty()
        && commit.admissions.is_empty()
        && commit.slots.is_empty()
        && commit.usage.is_empty()
        && commit.handover.as_deref().is_none_or(nothing)
}

impl Written {
    fn of(commit: &Commit) -> Self {
        let run = |run: &RunChanges| {
            let count = u64::try_from(run.records.len()).unwrap_or(u64::MAX);
            Some((run.workflow?, run.seq_before.saturating_add(count), count > 0))
        };
        let handover = commit.handover.as_deref();
        let calls = handover.into_iter().flat_map(|handover| &handover.calls);
        Self {
            committed: Committed::default(),
            runs: commit.runs.iter().filter_map(run).collect(),
            intents: commit.intents_done.clone(),
            news: handover.map(|handover| handover.news_done.clone()).unwrap_or_default(),
            called: calls.map(|call| call.workflow().shard()).collect(),
            begun: commit.runs.iter().flat_map(begun).collect(),
        }
    }

    fn add(&mut self, mut other: Self, mut committed: Committed) {
        self.committed.refused.append(&mut committed.refused);
        self.runs.append(&mut other.runs);
        self.intents.append(&mut other.intents);
        self.news.append(&mut other.news);
        self.begun.append(&mut other.begun);
        self.called = self.called.iter().chain(other.called.iter()).collect();
    }
}
