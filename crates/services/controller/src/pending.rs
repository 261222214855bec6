//! What one turn has changed so far, kept apart for each workflow so that one that breaks can be
//! dropped without the others.

use std::collections::{BTreeMap, BTreeSet};

use flowforge_model::attempt::{AttemptKey, Report};
use flowforge_model::event::{Command, Outputs, Record, Timer};
use flowforge_model::id::{NodeIx, WorkflowId};
use flowforge_model::time::Timestamp;
use flowforge_ports::store::{LockRow, LockWrite, NewWorkflow, RunChanges};

use crate::answers::memo_writes;
use crate::children::told_of_end;
use crate::live::Live;

/// Changes of one workflow that are not committed yet.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    /// Changed nodes; `true` if the node is new.
    pub(crate) touched: BTreeMap<NodeIx, bool>,
    /// The workflow's own row changed.
    pub(crate) workflow: bool,
    pub(crate) records: Vec<Record>,
    pub(crate) gate_closed: Option<bool>,
    /// Attempts that became ready in this turn and have no row yet. Those that are admitted as
    /// well stay here: the store never writes their row, unless their gate turns out closed.
    pub(crate) offered: BTreeSet<AttemptKey>,
    /// Attempts that have a runnable row and are not wanted any more.
    pub(crate) unrunnable: Vec<AttemptKey>,
    pub(crate) started: Vec<(AttemptKey, Timestamp)>,
    pub(crate) ended: Vec<(AttemptKey, Report)>,
    /// Timers to set, or to clear if there is no time.
    pub(crate) timers: BTreeMap<(NodeIx, Timer), Option<Timestamp>>,
    /// All locks of the nodes whose locks changed.
    pub(crate) locks: BTreeMap<NodeIx, Vec<LockRow>>,
    /// Outputs to remember, by cache and key.
    pub(crate) memos: BTreeMap<(String, String), Outputs>,
    pub(crate) delete: bool,
    /// Workflows that its tasks start.
    pub(crate) children: Vec<NewWorkflow>,
    /// What is asked of workflows that its tasks started.
    pub(crate) asks: Vec<(WorkflowId, Command)>,
    /// Intents that are done when this is committed.
    pub(crate) intents: Vec<i64>,
    /// News that are done when this is committed.
    pub(crate) news: Vec<i64>,
    /// Attempts whose ends are delivered when this is committed.
    pub(crate) acknowledged: Vec<AttemptKey>,
    /// Attempts to stop once this is committed.
    pub(crate) stops: Vec<AttemptKey>,
}

impl Pending {
    /// The rows to write; `None` if no row changes.
    pub(crate) fn changes(&mut self, id: WorkflowId, live: &Live) -> Option<RunChanges> {
        let tasks = self.touched.iter().filter_map(|(node, new)| {
            flowforge_engine::task_write(&live.plan, &live.run, *node, *new)
        });
        let mut changes = RunChanges {
            workflow: Some(id),
            state: self.workflow.then(|| live.run.state().clone()),
            gate_closed: self.gate_closed,
            tasks: tasks.collect(),
            records: std::mem::take(&mut self.records),
            seq_before: live.seq,
            runnable: self.offered.iter().copied().collect(),
            unrunnable: std::mem::take(&mut self.unrunnable),
            started: std::mem::take(&mut self.started),
            ended: std::mem::take(&mut self.ended),
            timers_set: Vec::new(),
            timers_cleared: Vec::new(),
            locks: Vec::new(),
            memos: memo_writes(std::mem::take(&mut self.memos)),
            delete: self.delete,
            children: std::mem::take(&mut self.children),
            asks: std::mem::take(&mut self.asks),
            tells: Vec::new(),
        };
        if self.workflow && !self.delete {
            changes.tells.extend(told_of_end(live));
        }
        for ((node, timer), at) in &self.timers {
            match at {
                Some(at) => changes.timers_set.push((*node, *timer, *at)),
                None => changes.timers_cleared.push((*node, *timer)),
            }
        }
        for (node, rows) in std::mem::take(&mut self.locks) {
            changes.locks.push(LockWrite { node, rows });
        }
        let nothing =
            RunChanges { workflow: Some(id), seq_before: live.seq, ..RunChanges::default() };
        (changes != nothing).then_some(changes)
    }
}
