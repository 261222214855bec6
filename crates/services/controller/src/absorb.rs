//! Events into the engine, its effects into the turn.

use flowforge_engine::{Changes, StepError};
use flowforge_model::attempt::{AttemptKey, Fact, FactKind, FailureClass, Report};
use flowforge_model::event::{Effect, Event, Timer};
use flowforge_model::id::{NodeIx, WorkflowId};
use flowforge_model::status::{Reason, TaskStatus};
use flowforge_model::time::Timestamp;
use flowforge_ports::admission::Admission;
use flowforge_ports::store::{Store, TimerRow};

use crate::controller::Controller;
use crate::guard::guarded;
use crate::live::Live;
use crate::turn::Turn;

impl<S: Store, A: Admission> Controller<S, A> {
    /// Takes what was found open at the start: attempts of servers that are gone are lost, those
    /// of this server are handed to its executor again, which knows the ones it runs.
    pub(crate) fn settle_open(&mut self, turn: &mut Turn) {
        for key in std::mem::take(&mut self.lost) {
            let report = Report::failed(
                turn.now,
                FailureClass::Lost,
                Reason::Lost,
                "the server that ran it stopped".to_owned(),
            );
            self.take_end(turn, key, Box::new(report));
        }
        for key in std::mem::take(&mut self.inherited) {
            match self.live.get(&key.workflow) {
                Some(live) if live.wants(key) => self.dispatch(turn, key),
                Some(_) => turn.pending(key.workflow).stops.push(key),
                None => {}
            }
        }
    }

    /// Takes the report of an executor; one about an attempt that is not open changes nothing.
    pub(crate) fn take_fact(&mut self, turn: &mut Turn, fact: Fact) {
        let key = fact.key;
        self.learn_of(key);
        match fact.kind {
            FactKind::Started(at) => {
                let open = |live: &Live| live.open.contains(&key);
                if self.live.get(&key.workflow).is_some_and(open) {
                    if self.starts_workflow(key) {
                        turn.spawns.push_back(key);
                        return;
                    }
                    turn.pending(key.workflow).started.push((key, at));
                    let event = Event::Started { node: key.node, number: key.number, at };
                    self.apply(turn, key.workflow, &event);
                }
            }
            FactKind::Ready { at, ip } => self.take_ready(turn, key, at, ip),
            FactKind::Finished(report) => self.take_end(turn, key, report),
        }
    }

    /// A daemon serves. That it runs may not have been told, or be lost.
    fn take_ready(&mut self, turn: &mut Turn, key: AttemptKey, at: Timestamp, ip: String) {
        let Some(live) = self.live.get(&key.workflow).filter(|live| live.open.contains(&key))
        else {
            return;
        };
        if live.run.status(key.node) == Some(TaskStatus::Queued) && live.wants(key) {
            turn.pending(key.workflow).started.push((key, at));
        }
        let event = Event::Ready { node: key.node, number: key.number, at, ip };
        self.apply(turn, key.workflow, &event);
    }

    /// Somebody else admits what is runnable: that it runs is how a controller learns of it.
    fn learn_of(&mut self, key: AttemptKey) {
        if self.hold.leased()
            && let Some(live) = self.live.get_mut(&key.workflow)
            && !live.open.contains(&key)
            && live.wants(key)
        {
            live.open.insert(key);
        }
    }

    /// An attempt ended: its row ends whatever the engine makes of it, and its slot is free for
    /// this very turn.
    pub(crate) fn take_end(&mut self, turn: &mut Turn, key: AttemptKey, report: Box<Report>) {
        let report = if self.starts_workflow(key) { self.judged(key, report) } else { report };
        let live = self.live.get_mut(&key.workflow);
        if !live.is_some_and(|live| live.open.remove(&key)) {
            self.end_without_run(turn, key);
            return;
        }
        self.admission.release(key, report.outcome());
        // The attempt's row keeps no outputs, the task's does: they are not copied.
        let row = Report {
            outputs: Vec::new(),
            artifacts: Vec::new(),
            result: None,
            failure: report.failure.clone(),
            ..*report
        };
        let pending = turn.pending(key.workflow);
        pending.ended.push((key, row));
        pending.acknowledged.push(key);
        let event = Event::Finished { node: key.node, number: key.number, report };
        self.apply(turn, key.workflow, &event);
    }

    /// Takes a workflow in memory across one event, and across the ends of the queued attempts
    /// that it takes back: no executor knows those, so none will report them.
    pub(crate) fn apply(&mut self, turn: &mut Turn, id: WorkflowId, event: &Event) {
        self.apply_one(turn, id, event);
        while !turn.withdrawn.is_empty() || !turn.unbegun.is_empty() {
            for key in std::mem::take(&mut turn.unbegun) {
                let report = stopped_before_it_began(turn.now);
                self.take_end(turn, key, Box::new(report));
            }
            for key in std::mem::take(&mut turn.withdrawn) {
                let report = stopped_before_it_began(turn.now);
                let event = Event::Finished {
                    node: key.node,
                    number: key.number,
                    report: Box::new(report),
                };
                self.apply_one(turn, key.workflow, &event);
            }
        }
    }

    fn apply_one(&mut self, turn: &mut Turn, id: WorkflowId, event: &Event) {
        let Some(live) = self.live.get_mut(&id) else {
            return;
        };
        let stepped =
            guarded(|| flowforge_engine::step(&live.plan, &mut live.run, event, turn.now))
                .unwrap_or(Err(StepError::Bug("panicked")));
        match stepped {
            Ok(changes) => self.absorb(turn, id, changes),
            Err(StepError::Stale(why)) => tracing::debug!(workflow = %id, why, "stale event"),
            Err(StepError::Bug(why)) => self.set_aside(turn, id, format!("engine: {why}")),
        }
    }

    /// Says which workflows keep their slots no longer.
    pub(crate) fn settle_slots(&mut self, turn: &mut Turn) {
        for id in turn.changes.keys() {
            let Some(live) = self.live.get_mut(id) else { continue };
            if live.run.state().status.terminal() {
                self.admission.end_workflow(*id);
                turn.locks_moved = true;
            }
            let suspended = live.run.suspended();
            if std::mem::replace(&mut live.suspended, suspended) != suspended {
                self.admission.suspend(*id, suspended);
                turn.locks_moved = true;
            }
        }
    }

    fn absorb(&mut self, turn: &mut Turn, id: WorkflowId, changes: Changes) {
        let pending = turn.pending(id);
        pending.workflow |= changes.workflow;
        pending.records.extend(changes.records);
        for (node, new) in changes.touched {
            *pending.touched.entry(node).or_default() |= new;
        }
        for effect in changes.effects {
            self.effect(turn, id, effect);
        }
    }

    /// What ends and is waited for is deleted in a later turn, in which its end is taken: until then its row
    /// is all that says how it ended.
    fn delete(&mut self, turn: &mut Turn, id: WorkflowId) {
        let (at, node, timer) = (turn.now, NodeIx::ROOT, Timer::Ttl);
        let pending = turn.pending(id);
        if pending.workflow && self.live.get(&id).is_some_and(Live::called) {
            pending.timers.insert((node, timer), Some(at));
            self.timers.set(TimerRow { at, workflow: id, node, timer });
        } else {
            pending.delete = true;
        }
    }

    fn effect(&mut self, turn: &mut Turn, id: WorkflowId, effect: Effect) {
        let now = turn.now;
        let pending = turn.pending(id);
        let attempt = |node, number| AttemptKey { workflow: id, node, number };
        match effect {
            Effect::Runnable { node, number } => {
                let key = attempt(node, number);
                if let Some(live) = self.live.get(&id) {
                    if live.suspended {
                        // A scheduler that leads since may not know.
                        self.admission.suspend(id, true);
                    }
                    self.admission.offer(live.ready(key, now));
                    pending.offered.insert(key);
                }
            }
            Effect::Stop { node, number } => {
                let key = attempt(node, number);
                let open = |live: &Live| live.open.contains(&key);
                if self.live.get(&id).is_some_and(open) {
                    if self.starts_workflow(key) {
                        self.stop_child(turn, key);
                    } else {
                        pending.stops.push(key);
                    }
                    return;
                }
                self.admission.withdraw(key);
                if !pending.offered.remove(&key) {
                    pending.unrunnable.push(key);
                }
                turn.withdrawn.push(key);
            }
            Effect::SetTimer { node, timer, at } => {
                pending.timers.insert((node, timer), Some(at));
                self.timers.set(TimerRow { at, workflow: id, node, timer });
            }
            Effect::ClearTimer { node, timer } => {
                pending.timers.insert((node, timer), None);
                self.timers.clear(id, node, timer);
            }
            Effect::CloseGate => {
                pending.gate_closed = Some(true);
                self.admission.gate(id, false);
            }
            Effect::OpenGate => {
                pending.gate_closed = Some(false);
                self.admission.gate(id, true);
            }
            Effect::Delete => self.delete(turn, id),
            Effect::Acquire { node } => self.acquire(turn, id, node),
            Effect::Release { node } => self.release(turn, id, node),
            Effect::Recall { node } => turn.recalls.push_back((id, node)),
            Effect::Memorize { node } => self.memorize(turn, id, node),
        }
    }
}

fn stopped_before_it_began(now: Timestamp) -> Report {
    let message = "stopped before it began".to_owned();
    Report::failed(now, FailureClass::Stopped, Reason::Stopped, message)
}
