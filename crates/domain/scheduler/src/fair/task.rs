//! The attempts that wait or run.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use flowforge_model::attempt::{AttemptKey, TemplateKey};
use flowforge_model::time::{Millis, Timestamp};
use flowforge_quota::Place;

use super::lane::LaneIx;
use super::queue::QueueIx;
use super::shape::ShapeIx;

/// Which attempt; of use while it waits or runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TaskIx(pub(crate) u32);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// In a queue, at this place of its heap.
    Waiting(QueueIx, u32),
    /// It holds what it needs, at this place among those of its project that do; it took the slot of
    /// its workflow with it; it has ended by then, if that is known.
    Held { took_slot: bool, index: u32, ends: Option<Timestamp> },
}

impl State {
    /// Of a task that is in no queue and about to enter one or to hold something.
    pub(crate) const NEW: Self = Self::Held { took_slot: false, index: u32::MAX, ends: None };
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Task {
    pub(crate) key: AttemptKey,
    pub(crate) since: Timestamp,
    pub(crate) priority: i32,
    pub(crate) lasts: Option<Millis>,
    /// What it needs itself.
    pub(crate) shape: ShapeIx,
    pub(crate) lane: LaneIx,
    pub(crate) place: Place,
    pub(crate) state: State,
    /// It has taken a token.
    pub(crate) retry: bool,
    pub(crate) template: Option<TemplateKey>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Tasks {
    tasks: Vec<Task>,
    free: Vec<TaskIx>,
    by_key: BTreeMap<AttemptKey, TaskIx>,
}

impl Tasks {
    pub(crate) fn find(&self, key: AttemptKey) -> Option<(TaskIx, Task)> {
        let at = *self.by_key.get(&key)?;
        Some((at, *self.get(at)?))
    }

    pub(crate) fn get(&self, at: TaskIx) -> Option<&Task> {
        self.tasks.get(at.0 as usize)
    }

    pub(crate) fn get_mut(&mut self, at: TaskIx) -> Option<&mut Task> {
        self.tasks.get_mut(at.0 as usize)
    }

    pub(crate) fn key(&self, at: TaskIx) -> Option<AttemptKey> {
        self.get(at).map(|task| task.key)
    }

    /// What decides between tasks of a queue.
    pub(crate) fn rank(&self, at: TaskIx) -> Option<(Timestamp, AttemptKey)> {
        self.get(at).map(|task| (task.since, task.key))
    }

    pub(crate) fn insert(&mut self, task: Task) -> TaskIx {
        let at = self.free.pop().unwrap_or_else(|| {
            let next = u32::try_from(self.tasks.len()).unwrap_or(u32::MAX);
            self.tasks.push(task);
            TaskIx(next)
        });
        if let Some(slot) = self.tasks.get_mut(at.0 as usize) {
            *slot = task;
        }
        self.by_key.insert(task.key, at);
        at
    }

    pub(crate) fn remove(&mut self, at: TaskIx) {
        let key = self.key(at);
        if key.and_then(|key| self.by_key.remove(&key)).is_some() {
            self.free.push(at);
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (TaskIx, &Task)> + '_ {
        self.by_key.values().filter_map(|at| Some((*at, self.get(*at)?)))
    }

    /// Those of a range of keys, in their order.
    pub(crate) fn range(
        &self,
        keys: RangeInclusive<AttemptKey>,
    ) -> impl Iterator<Item = &Task> + '_ {
        self.by_key.range(keys).filter_map(|(_, at)| self.get(*at))
    }

    pub(crate) fn len(&self) -> usize {
        self.by_key.len()
    }
}
