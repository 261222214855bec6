//! One turn of the controller in one transaction. The hot path: about ten statements a task.

mod locks;
mod statements;

use std::collections::{HashMap, HashSet};

use flowforge_model::attempt::{AttemptKey, Report};
use flowforge_model::event::Record;
use flowforge_model::id::{InstanceId, WorkflowId};
use flowforge_model::status::Reason;
use flowforge_model::time::Timestamp;
use flowforge_ports::admission::SlotChanges;
use flowforge_ports::store::{Commit, Committed, RunChanges, StoreError};
use rusqlite::{OptionalExtension, Transaction, params};

use self::statements::Statements;
use super::error::from_sqlite;
use super::{codec, intake, usage};
use crate::rules;

/// The only shard there is until several controllers share a database.
const SHARD: i64 = 0;
/// Rows of the outbox that are kept: a follower that is further behind reads the tables anew.
const OUTBOX_ROWS: i64 = 10_000;
/// The outbox is cut once in so many commits.
const OUTBOX_CUT_EVERY: i64 = 1000;
/// Everything below a workflow, and the workflow last.
const DELETE_WORKFLOW: [&str; 11] = [
    "DELETE FROM child WHERE workflow = ?1",
    "DELETE FROM lock WHERE workflow = ?1",
    "DELETE FROM slot WHERE workflow = ?1",
    "DELETE FROM runnable WHERE workflow = ?1",
    "DELETE FROM attempt WHERE workflow = ?1",
    "DELETE FROM timer WHERE workflow = ?1",
    "DELETE FROM event WHERE workflow = ?1",
    "DELETE FROM task WHERE workflow = ?1",
    "DELETE FROM intent WHERE workflow = ?1",
    "DELETE FROM document WHERE workflow = ?1",
    "DELETE FROM workflow WHERE id = ?1",
];

/// The next epoch; all earlier ones are refused from now on.
pub(super) fn take_over(tx: &Transaction<'_>, instance: InstanceId) -> Result<u64, StoreError> {
    tx.prepare_cached(
        "UPDATE controller SET epoch = epoch + 1, instance = ?2 WHERE shard = ?1 RETURNING epoch",
    )
    .and_then(|mut update| update.query_row(params![SHARD, instance.0], |row| row.get(0)))
    .map_err(from_sqlite)
}

pub(super) fn apply(tx: &Transaction<'_>, commit: &Commit) -> Result<Committed, StoreError> {
    let epoch: u64 = tx
        .prepare_cached("SELECT epoch FROM controller WHERE shard = ?1")
        .and_then(|mut select| select.query_row([SHARD], |row| row.get(0)))
        .map_err(from_sqlite)?;
    if epoch != commit.epoch {
        return Err(StoreError::Fenced);
    }
    // First, so that a gate may open again for the intents this very turn carried out.
    let mut delete = tx.prepare_cached("DELETE FROM intent WHERE id = ?1").map_err(from_sqlite)?;
    for id in &commit.intents_done {
        delete.execute([id]).map_err(from_sqlite)?;
    }
    let mut turn = Turn {
        tx,
        at: commit.at,
        sql: Statements::prepare(tx).map_err(from_sqlite)?,
        wanted: commit.admissions.iter().copied().collect(),
        fresh: HashSet::new(),
        early: Vec::new(),
    };
    for run in &commit.runs {
        turn.run(run)?;
    }
    for run in &commit.runs {
        intake::children(tx, run, commit.at)?;
    }
    locks::guard(tx, &commit.runs)?;
    let refused = turn.admissions(commit)?;
    turn.facts_again()?;
    slots(tx, &rules::slots(commit)).map_err(from_sqlite)?;
    usage::record(tx, &commit.usage)?;
    outbox(tx, commit)?;
    Ok(Committed { refused })
}

/// Who holds a slot for workflows, and who does no more.
fn slots(tx: &Transaction<'_>, changes: &SlotChanges) -> rusqlite::Result<()> {
    for (id, holds) in changes {
        let sql = match holds {
            true => {
                "INSERT INTO slot SELECT id FROM workflow \
                 WHERE id = ?1 AND finished_at IS NULL ON CONFLICT DO NOTHING"
            }
            false => "DELETE FROM slot WHERE workflow = ?1",
        };
        tx.prepare_cached(sql)?.execute([id.0])?;
    }
    Ok(())
}

/// A commit being applied.
struct Turn<'t> {
    tx: &'t Transaction<'t>,
    at: Timestamp,
    sql: Statements<'t>,
    /// The commit's admissions.
    wanted: HashSet<AttemptKey>,
    /// Runnable by this commit and admitted by it, too: saves inserting a row to delete it.
    fresh: HashSet<AttemptKey>,
    /// Facts about attempts that this commit is about to admit.
    early: Vec<Fact>,
}

/// Something an executor said about an attempt.
enum Fact {
    Started(AttemptKey, Timestamp),
    Ended(AttemptKey, Report),
}

impl Turn<'_> {
    fn run(&mut self, run: &RunChanges) -> Result<(), StoreError> {
        let workflow = rules::own(run)?;
        self.workflow(workflow, run)?;
        locks::remember(self.tx, workflow, self.at, &run.memos)?;
        if run.delete {
            for sql in DELETE_WORKFLOW {
                self.tx
                    .prepare_cached(sql)
                    .and_then(|mut delete| delete.execute([workflow.0]))
                    .map_err(from_sqlite)?;
            }
            return Ok(());
        }
        self.tasks(workflow, run)?;
        self.records(workflow, run)?;
        self.runnable(run)?;
        self.facts(run)?;
        locks::write(self.tx, workflow, &run.locks)?;
        self.timers(workflow, run)
    }

    /// The workflow's own row; refuses the commit unless it is where the controller believes.
    fn workflow(&mut self, workflow: WorkflowId, run: &RunChanges) -> Result<(), StoreError> {
        let seq_after = rules::seq_after(run)?;
        let written = match &run.state {
            None => self.sql.advance.execute(params![workflow.0, run.seq_before, seq_after]),
            Some(state) => self.sql.write_state.execute(params![
                workflow.0,
                run.seq_before,
                seq_after,
                state.status.as_str(),
                state.reason.map(Reason::as_str),
                state.message,
                state.generation,
                state.ending.map(codec::ending_word),
                state.started_at.map(|at| at.0),
                state.finished_at.map(|at| at.0),
                codec::outputs_json(state.outputs.as_ref())?,
            ]),
        }
        .map_err(from_sqlite)?;
        if written == 0 {
            return Err(StoreError::Conflict(format!(
                "workflow {workflow} is gone, has ended, or is not at record {}",
                run.seq_before
            )));
        }
        if let Some(closed) = run.gate_closed {
            self.sql.gate.execute(params![workflow.0, closed]).map_err(from_sqlite)?;
        }
        Ok(())
    }

    fn tasks(&mut self, workflow: WorkflowId, run: &RunChanges) -> Result<(), StoreError> {
        for task in &run.tasks {
            let written = match &task.shape {
                Some(shape) => self.sql.insert_task(workflow, task, shape)?,
                None => self.sql.update_task(workflow, task)?,
            };
            if written == 0 {
                return Err(StoreError::Conflict(format!(
                    "task {} of workflow {workflow} is missing or has succeeded",
                    task.node.0
                )));
            }
        }
        Ok(())
    }

    fn records(&mut self, workflow: WorkflowId, run: &RunChanges) -> Result<(), StoreError> {
        for (seq, record) in (run.seq_before + 1..).zip(&run.records) {
            let insert = &mut self.sql.insert_event;
            match record {
                Record::Workflow { status, reason, message, generation } => {
                    insert.execute(params![
                        workflow.0,
                        seq,
                        self.at.0,
                        None::<u32>,
                        status.as_str(),
                        reason.map(Reason::as_str),
                        message,
                        None::<u32>,
                        None::<i32>,
                        generation,
                    ])
                }
                Record::Task { node, status, reason, message, attempt, exit_code } => insert
                    .execute(params![
                        workflow.0,
                        seq,
                        self.at.0,
                        node.0,
                        status.as_str(),
                        reason.map(Reason::as_str),
                        message,
                        attempt,
                        exit_code,
                        None::<u32>,
                    ]),
            }
            .map_err(from_sqlite)?;
        }
        Ok(())
    }

    fn runnable(&mut self, run: &RunChanges) -> Result<(), StoreError> {
        for key in &run.runnable {
            if self.wanted.contains(key) {
                self.fresh.insert(*key);
            } else {
                self.sql.insert_runnable(*key)?;
            }
        }
        for key in &run.unrunnable {
            self.fresh.remove(key);
            self.sql.delete_runnable(*key)?;
        }
        Ok(())
    }

    fn facts(&mut self, run: &RunChanges) -> Result<(), StoreError> {
        for (key, at) in &run.started {
            if self.sql.start(*key, *at)? == 0 && self.wanted.contains(key) {
                self.early.push(Fact::Started(*key, *at));
            }
        }
        for (key, report) in &run.ended {
            if self.sql.end(*key, report)? == 0 && self.wanted.contains(key) {
                self.early.push(Fact::Ended(*key, report.clone()));
            }
        }
        Ok(())
    }

    /// Forgets first and sets then: a timer too many is refused when it is due, a timer too few
    /// would be a workflow that waits for ever.
    fn timers(&mut self, workflow: WorkflowId, run: &RunChanges) -> Result<(), StoreError> {
        for (node, timer) in &run.timers_cleared {
            self.sql
                .clear_timer
                .execute(params![workflow.0, node.0, timer.as_str()])
                .map_err(from_sqlite)?;
        }
        for (node, timer, at) in &run.timers_set {
            self.sql
                .set_timer
                .execute(params![workflow.0, node.0, timer.as_str(), at.0])
                .map_err(from_sqlite)?;
        }
        Ok(())
    }

    /// Turns runnable rows into open attempts. Those behind a closed gate stay as they are.
    fn admissions(&mut self, commit: &Commit) -> Result<Vec<AttemptKey>, StoreError> {
        let mut refused = Vec::new();
        let mut gates: HashMap<WorkflowId, bool> = HashMap::new();
        for key in &commit.admissions {
            let open = match gates.get(&key.workflow) {
                Some(open) => *open,
                None => {
                    let open = gate_open(self.tx, key.workflow)?;
                    gates.insert(key.workflow, open);
                    open
                }
            };
            let fresh = self.fresh.remove(key);
            if !open {
                if fresh {
                    self.sql.insert_runnable(*key)?;
                }
                refused.push(*key);
                continue;
            }
            // Also one that is made runnable here may have a row, from an earlier commit.
            let there = self.sql.delete_runnable(*key)? > 0;
            if !fresh && !there {
                return Err(rules::not_runnable(*key));
            }
            let Some(instance) = commit.instance else {
                return Err(rules::no_instance());
            };
            self.sql.admit(*key, instance, self.at)?;
        }
        Ok(refused)
    }

    /// An attempt may even end in the turn that admits it.
    fn facts_again(&mut self) -> Result<(), StoreError> {
        for fact in std::mem::take(&mut self.early) {
            match fact {
                Fact::Started(key, at) => self.sql.start(key, at)?,
                Fact::Ended(key, report) => self.sql.end(key, &report)?,
            };
        }
        Ok(())
    }
}

fn gate_open(tx: &Transaction<'_>, workflow: WorkflowId) -> Result<bool, StoreError> {
    tx.prepare_cached("SELECT gate_closed = 0 FROM workflow WHERE id = ?1")
        .and_then(|mut select| select.query_row([workflow.0], |row| row.get(0)).optional())
        .map(|open| open.unwrap_or(false))
        .map_err(from_sqlite)
}

/// One row for followers: which workflows changed, and up to which record.
fn outbox(tx: &Transaction<'_>, commit: &Commit) -> Result<(), StoreError> {
    let body = rules::outbox(commit)?;
    let seq: i64 = tx
        .prepare_cached(
            "INSERT INTO outbox (shard, seq, epoch, at, body) \
             SELECT ?1, coalesce((SELECT max(seq) FROM outbox WHERE shard = ?1), 0) + 1, \
             ?2, ?3, ?4 RETURNING seq",
        )
        .and_then(|mut insert| {
            insert.query_row(params![SHARD, commit.epoch, commit.at.0, body], |row| row.get(0))
        })
        .map_err(from_sqlite)?;
    if seq % OUTBOX_CUT_EVERY == 0 {
        tx.prepare_cached("DELETE FROM outbox WHERE shard = ?1 AND seq <= ?2")
            .and_then(|mut delete| delete.execute(params![SHARD, seq - OUTBOX_ROWS]))
            .map_err(from_sqlite)?;
    }
    Ok(())
}
