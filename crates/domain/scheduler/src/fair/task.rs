//! The attempts that wait or run.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use flowforge_model::attempt::{AttemptKey, TemplateKey};
use flowforge_model::id::NodeIx;
use flowforge_model::time::{Millis, Timestamp};
use flowforge_quota::Place;

use super::lane::LaneIx;
use super::queue::QueueIx;
use super::shape::ShapeIx;
use crate::Candidate;

/// Which attempt; of use while it waits or runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TaskIx(pub(crate) u32);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// In a queue, at this place of its heap.
    Waiting(QueueIx, u32),
    /// It holds what it needs, at this place among those of its project that do; it took the slot of
    /// its workflow with it; it has ended by then, or nobody knows when ([`NEVER`]).
    Held { took_slot: bool, index: u32, ends: Timestamp },
}

impl State {
    /// Of a task that is in no queue and about to enter one or to hold something.
    pub(crate) const NEW: Self = Self::Held { took_slot: false, index: u32::MAX, ends: NEVER };
}

/// A million of them wait at a time, and an `Option` would take twice the room.
pub(crate) const NEVER: Timestamp = Timestamp(i64::MAX);
const ENDLESS: Millis = Millis(u64::MAX);

#[derive(Clone, Copy, Debug)]
pub(crate) struct Task {
    pub(crate) key: AttemptKey,
    pub(crate) since: Timestamp,
    pub(crate) priority: i32,
    lasts: Millis,
    /// What it needs itself.
    pub(crate) shape: ShapeIx,
    pub(crate) lane: LaneIx,
    pub(crate) place: Place,
    pub(crate) state: State,
    /// It has taken a token.
    pub(crate) retry: bool,
    /// The key of its template; 0 if that is not known.
    template: u64,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Tasks {
    tasks: Vec<Task>,
    free: Vec<TaskIx>,
    /// Of a lane, by node and number.
    by_key: BTreeMap<(LaneIx, NodeIx, u32), TaskIx>,
}

impl Task {
    /// One that is in no queue yet and holds nothing.
    pub(crate) fn new(of: &Candidate, shape: ShapeIx, lane: LaneIx, place: Place) -> Self {
        let Candidate { key, since, priority, retry, template, .. } = *of;
        let (lasts, template) =
            (of.lasts.unwrap_or(ENDLESS), template.map_or(0, |template| template.0));
        Self { key, since, priority, lasts, shape, lane, place, state: State::NEW, retry, template }
    }

    /// What it is a task of, if that is known.
    pub(crate) fn template(&self) -> Option<TemplateKey> {
        Some(TemplateKey(self.template)).filter(|of| of.0 != 0)
    }

    /// For how long it runs at most, if anybody knows.
    pub(crate) fn lasts(&self) -> Option<Millis> {
        (self.lasts < ENDLESS).then_some(self.lasts)
    }
}

impl Tasks {
    pub(crate) fn find(&self, lane: LaneIx, key: AttemptKey) -> Option<(TaskIx, Task)> {
        let at = *self.by_key.get(&(lane, key.node, key.number))?;
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
        self.by_key.insert((task.lane, task.key.node, task.key.number), at);
        at
    }

    pub(crate) fn remove(&mut self, at: TaskIx) {
        let key = self.get(at).map(|task| (task.lane, task.key.node, task.key.number));
        if key.and_then(|key| self.by_key.remove(&key)).is_some() {
            self.free.push(at);
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (TaskIx, &Task)> + '_ {
        self.by_key.values().filter_map(|at| Some((*at, self.get(*at)?)))
    }

    /// Those of a workflow, in the order of their keys, from one node to another.
    pub(crate) fn range(
        &self,
        lane: LaneIx,
        nodes: RangeInclusive<NodeIx>,
    ) -> impl Iterator<Item = &Task> + '_ {
        let keys = (lane, *nodes.start(), 0)..=(lane, *nodes.end(), u32::MAX);
        self.by_key.range(keys).filter_map(|(_, at)| self.get(*at))
    }

    pub(crate) fn len(&self) -> usize {
        self.by_key.len()
    }
}
