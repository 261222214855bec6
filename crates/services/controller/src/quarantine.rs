//! Setting one workflow aside so that the others go on (INV-19).
//!
//! A workflow that breaks an invariant in a turn loses its changes of that turn. The next turn
//! reads what the store holds of it and marks it `FAILED` with reason `quarantined`: no attempt
//! of it stays open, no timer stays set, and its tasks are left as they were found.

use std::collections::BTreeSet;

use flowforge_model::attempt::{AttemptKey, FailureClass, Report};
use flowforge_model::event::{Command, Record, WorkflowState};
use flowforge_model::id::{NodeIx, WorkflowId};
use flowforge_model::limits;
use flowforge_model::status::{Reason, WorkflowStatus};
use flowforge_model::time::Timestamp;
use flowforge_ports::admission::Admission;
use flowforge_ports::store::{LockWrite, RunChanges, Store, StoreError, StoredRun};

use crate::ControllerError;
use crate::children::told;
use crate::controller::Controller;
use crate::turn::Turn;

/// Why a workflow is to be set aside, and what is done once it is.
#[derive(Debug, Default)]
pub(crate) struct Trouble {
    why: String,
    intents: Vec<i64>,
    news: Vec<i64>,
    acknowledged: Vec<AttemptKey>,
}

impl<S: Store, A: Admission> Controller<S, A> {
    /// Notes that a workflow cannot be carried on with.
    pub(crate) fn trouble(&mut self, id: WorkflowId, why: String) {
        tracing::error!(workflow = %id, %why, "workflow is set aside");
        self.admission.gate(id, false);
        self.troubled.entry(id).or_default().why = why;
    }

    /// Drops what this turn changed of a workflow and notes that it is to be set aside.
    pub(crate) fn set_aside(&mut self, turn: &mut Turn, id: WorkflowId, why: String) {
        if self.live.remove(&id).is_none() {
            // Its rows cannot even be marked.
            tracing::error!(workflow = %id, %why, "workflow cannot be set aside; left alone");
            self.unreadable.insert(id);
            return;
        }
        self.trouble(id, why);
        for key in turn.admissions.iter().filter(|key| key.workflow == id) {
            self.admission.release(*key, None);
        }
        turn.start_nothing_of(id);
        self.carried.retain(|fact| fact.key.workflow != id);
        if let Some(pending) = turn.changes.remove(&id) {
            for key in pending.offered {
                self.admission.withdraw(key);
            }
            if let Some(trouble) = self.troubled.get_mut(&id) {
                trouble.intents = pending.intents;
                trouble.news = pending.news;
                trouble.acknowledged = pending.acknowledged;
            }
        }
    }

    /// An intent of a workflow that is not in memory and cannot be brought there.
    pub(crate) fn intent_without_run(&mut self, turn: &mut Turn, id: WorkflowId, intent: i64) {
        if let Some(trouble) = self.troubled.get_mut(&id) {
            trouble.intents.push(intent);
        } else if !self.unreadable.contains(&id) {
            turn.intents.push(intent);
        }
    }

    /// News of a workflow that is not in memory and cannot be brought there.
    pub(crate) fn news_without_run(&mut self, turn: &mut Turn, id: WorkflowId, news: i64) {
        if let Some(trouble) = self.troubled.get_mut(&id) {
            trouble.news.push(news);
        } else if !self.unreadable.contains(&id) {
            turn.news.push(news);
        }
    }

    /// The end of an attempt that is not open: a duplicate, or its workflow is set aside.
    pub(crate) fn end_without_run(&mut self, turn: &mut Turn, key: AttemptKey) {
        if let Some(trouble) = self.troubled.get_mut(&key.workflow) {
            trouble.acknowledged.push(key);
        } else {
            turn.turned.acknowledged.push(key);
        }
    }

    /// Marks what earlier turns found to be in trouble.
    pub(crate) async fn set_troubled_aside(
        &mut self,
        turn: &mut Turn,
    ) -> Result<(), ControllerError> {
        for (id, trouble) in std::mem::take(&mut self.troubled) {
            match self.store.load(id).await {
                Ok(stored) => {
                    self.forget(&stored);
                    turn.turned.stops.extend(stored.open.iter().map(|(key, _)| *key));
                    if !stored.state.status.terminal() {
                        turn.turned.ended.push(id);
                    }
                    let aside = quarantined(stored, trouble.why, turn.now);
                    turn.told.extend(aside.tells.iter().cloned());
                    turn.aside.push(aside);
                }
                Err(StoreError::NotFound) => {
                    self.admission.end_workflow(id);
                    self.admission.gate(id, true);
                }
                Err(StoreError::Corrupt(why)) => {
                    tracing::error!(workflow = %id, %why, "workflow cannot be read; left alone");
                    self.unreadable.insert(id);
                }
                Err(error) => return Err(error.into()),
            }
            turn.intents.extend(trouble.intents);
            turn.news.extend(trouble.news);
            turn.turned.acknowledged.extend(trouble.acknowledged);
        }
        Ok(())
    }

    fn forget(&mut self, stored: &StoredRun) {
        self.timers.clear_workflow(stored.id);
        self.forget_locks(stored);
        for key in &stored.runnable {
            self.admission.withdraw(*key);
        }
        for (key, _) in &stored.open {
            self.admission.release(*key, None);
        }
        self.admission.end_workflow(stored.id);
        self.admission.gate(stored.id, true);
    }
}

/// The rows that set a workflow aside. One that has ended keeps its status.
fn quarantined(stored: StoredRun, why: String, now: Timestamp) -> RunChanges {
    let mut message = why;
    message.truncate(message.floor_char_boundary(limits::MESSAGE_BYTES));
    let report = Report::failed(now, FailureClass::Lost, Reason::Quarantined, message.clone());
    let ended = stored.open.iter().map(|(key, _)| (*key, report.clone()));
    let timers = stored.timers.iter().map(|row| (row.node, row.timer));
    let nodes: BTreeSet<NodeIx> = stored.locks.iter().map(|row| row.node).collect();
    let nodes = nodes.into_iter();
    let mut changes = RunChanges {
        workflow: Some(stored.id),
        gate_closed: Some(true),
        seq_before: stored.seq,
        unrunnable: stored.runnable.clone(),
        ended: ended.collect(),
        timers_cleared: timers.collect(),
        locks: nodes.map(|node| LockWrite { node, rows: Vec::new() }).collect(),
        asks: stored.open.iter().map(|(key, _)| (key.child(), Command::Cancel)).collect(),
        ..RunChanges::default()
    };
    if !stored.state.status.terminal() {
        changes.records.push(Record::Workflow {
            status: WorkflowStatus::Failed,
            reason: Some(Reason::Quarantined),
            message: Some(message.clone()),
            generation: stored.state.generation,
        });
        let state = WorkflowState {
            status: WorkflowStatus::Failed,
            reason: Some(Reason::Quarantined),
            message: Some(message),
            finished_at: Some(now),
            ..stored.state
        };
        changes.tells.extend(told(stored.parent, &stored.name, stored.id, &state));
        changes.state = Some(state);
    }
    changes
}
