//! The timers of all workflows, in the order in which they are due. A copy of the timer rows.

use std::collections::{BTreeMap, BTreeSet};

use flowforge_model::event::Timer;
use flowforge_model::id::{NodeIx, WorkflowId};
use flowforge_model::time::Timestamp;
use flowforge_ports::store::TimerRow;

/// Which timer: a task has at most one of each kind.
type Key = (WorkflowId, NodeIx, Timer);

/// O(log n) per timer.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    due: BTreeSet<TimerRow>,
    at: BTreeMap<Key, Timestamp>,
}

impl Timers {
    /// Sets a timer, replacing one of the same node and kind.
    pub(crate) fn set(&mut self, row: TimerRow) {
        let key = (row.workflow, row.node, row.timer);
        if let Some(at) = self.at.insert(key, row.at) {
            self.due.remove(&TimerRow { at, ..row });
        }
        self.due.insert(row);
    }

    pub(crate) fn clear(&mut self, workflow: WorkflowId, node: NodeIx, timer: Timer) {
        if let Some(at) = self.at.remove(&(workflow, node, timer)) {
            self.due.remove(&TimerRow { at, workflow, node, timer });
        }
    }

    pub(crate) fn clear_workflow(&mut self, workflow: WorkflowId) {
        let first = (workflow, NodeIx::ROOT, Timer::Retry);
        let keys: Vec<Key> = self
            .at
            .range(first..)
            .map(|(key, _)| *key)
            .take_while(|(of, ..)| *of == workflow)
            .collect();
        for (of, node, timer) in keys {
            self.clear(of, node, timer);
        }
    }

    /// Keeps only those of workflows that are wanted.
    pub(crate) fn retain(&mut self, wanted: impl Fn(&WorkflowId) -> bool) {
        self.due.retain(|row| wanted(&row.workflow));
        self.at.retain(|(workflow, ..), _| wanted(workflow));
    }

    /// Takes one timer that is due.
    pub(crate) fn pop_due(&mut self, now: Timestamp) -> Option<TimerRow> {
        let row = *self.due.first().filter(|row| row.at <= now)?;
        self.clear(row.workflow, row.node, row.timer);
        Some(row)
    }

    /// When the next one is due.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        self.due.first().map(|row| row.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(at: i64, node: u32, timer: Timer) -> TimerRow {
        TimerRow {
            at: Timestamp(at),
            workflow: "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap(),
            node: NodeIx(node),
            timer,
        }
    }

    #[test]
    fn a_timer_set_again_is_due_once_at_the_new_time() {
        let mut timers = Timers::default();
        timers.set(row(5, 1, Timer::Retry));
        timers.set(row(3, 2, Timer::Timeout));
        timers.set(row(9, 1, Timer::Retry));
        assert_eq!(timers.next(), Some(Timestamp(3)));
        assert_eq!(timers.pop_due(Timestamp(8)), Some(row(3, 2, Timer::Timeout)));
        assert_eq!(timers.pop_due(Timestamp(8)), None);
        assert_eq!(timers.pop_due(Timestamp(9)), Some(row(9, 1, Timer::Retry)));
        assert_eq!(timers.next(), None);
    }

    #[test]
    fn clearing_a_workflow_leaves_the_others() {
        let mut timers = Timers::default();
        let mut other = row(1, 0, Timer::Ttl);
        other.workflow = "01890a5d-ac96-774b-bcce-b302099a8058".parse().unwrap();
        timers.set(other);
        timers.set(row(2, 0, Timer::Deadline));
        timers.set(row(3, 7, Timer::Retry));
        timers.clear_workflow(row(0, 0, Timer::Retry).workflow);
        assert_eq!(timers.pop_due(Timestamp(9)), Some(other));
        assert_eq!(timers.pop_due(Timestamp(9)), None);
    }
}
