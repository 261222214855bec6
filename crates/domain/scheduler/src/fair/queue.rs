//! Tasks of one workflow that wait with the same kind of need.

use flowforge_model::time::Timestamp;
use flowforge_quota::Place;
use smallvec::SmallVec;

use super::indexed::leading;
use super::lane::LaneIx;
use super::shape::{ClassIx, Kind, ShapeIx};
use super::task::{State, TaskIx, Tasks};

/// Which queue; of use while it holds a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct QueueIx(pub(crate) u32);

const ARITY: usize = 4;

/// The waiting tasks of one workflow, project, class of needs and base priority: the earliest goes
/// first, and its priority is never less than that of those behind it.
#[derive(Clone, Debug)]
pub(crate) struct Queue {
    pub(crate) lane: LaneIx,
    pub(crate) place: Place,
    pub(crate) class: ClassIx,
    pub(crate) base: i32,
    /// Among the children of its project.
    pub(crate) slot: u32,
    /// Where it stands among those that may start, if its first task may.
    pub(crate) seat: Option<Seat>,
    /// A heap; tasks know where they are in it. Most queues hold a few: those need no room of their own.
    tasks: SmallVec<[TaskIx; 4]>,
}

/// Where a queue was put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seat {
    pub(crate) shape: ShapeIx,
    pub(crate) kind: Kind,
    pub(crate) since: Timestamp,
}

impl Queue {
    pub(crate) fn new(
        lane: LaneIx,
        place: Place,
        (class, base): (ClassIx, i32),
        slot: u32,
    ) -> Self {
        Self { lane, place, class, base, slot, seat: None, tasks: SmallVec::new() }
    }

    pub(crate) fn first(&self) -> Option<TaskIx> {
        self.tasks.first().copied()
    }

    /// Those before some place in the order.
    pub(crate) fn leading(&self, before: impl Fn(TaskIx) -> bool) -> impl Iterator<Item = TaskIx> {
        leading(ARITY, move |at| self.tasks.get(at).copied().filter(|task| before(*task)))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.tasks.len()
    }

    /// Adds a task, which learns its place from `me`.
    pub(crate) fn push(&mut self, me: QueueIx, task: TaskIx, tasks: &mut Tasks) {
        self.tasks.push(task);
        self.rise(me, self.tasks.len() - 1, tasks);
    }

    /// Takes out the task at a place of the heap.
    pub(crate) fn remove(&mut self, me: QueueIx, at: u32, tasks: &mut Tasks) {
        let at = at as usize;
        if at >= self.tasks.len() {
            return;
        }
        self.tasks.swap_remove(at);
        if at < self.tasks.len() {
            let risen = self.rise(me, at, tasks);
            self.sink(me, risen, tasks);
        }
    }

    fn rise(&mut self, me: QueueIx, mut at: usize, tasks: &mut Tasks) -> usize {
        let Some(moving) = self.tasks.get(at).copied() else { return at };
        let rank = tasks.rank(moving);
        while at > 0 {
            let above = (at - 1) / ARITY;
            let Some(parent) = self.tasks.get(above).copied() else { break };
            if tasks.rank(parent) <= rank {
                break;
            }
            self.place(me, at, parent, tasks);
            at = above;
        }
        self.place(me, at, moving, tasks);
        at
    }

    fn sink(&mut self, me: QueueIx, mut at: usize, tasks: &mut Tasks) {
        let Some(moving) = self.tasks.get(at).copied() else { return };
        let rank = tasks.rank(moving);
        loop {
            let below = self.tasks.iter().enumerate().skip(at * ARITY + 1).take(ARITY);
            let least = below.map(|(next, task)| (tasks.rank(*task), next, *task)).min();
            let Some((of, next, task)) = least else { break };
            if of >= rank {
                break;
            }
            self.place(me, at, task, tasks);
            at = next;
        }
        self.place(me, at, moving, tasks);
    }

    fn place(&mut self, me: QueueIx, at: usize, task: TaskIx, tasks: &mut Tasks) {
        if let Some(slot) = self.tasks.get_mut(at) {
            *slot = task;
        }
        if let Some(task) = tasks.get_mut(task) {
            task.state = State::Waiting(me, u32::try_from(at).unwrap_or(u32::MAX));
        }
    }
}

/// The queues in an arena.
#[derive(Clone, Debug, Default)]
pub(crate) struct Queues {
    queues: Vec<Option<Queue>>,
    free: Vec<QueueIx>,
}

impl Queues {
    pub(crate) fn get(&self, at: QueueIx) -> Option<&Queue> {
        self.queues.get(at.0 as usize).and_then(Option::as_ref)
    }

    pub(crate) fn get_mut(&mut self, at: QueueIx) -> Option<&mut Queue> {
        self.queues.get_mut(at.0 as usize).and_then(Option::as_mut)
    }

    pub(crate) fn insert(&mut self, queue: Queue) -> QueueIx {
        let at = self.free.pop().unwrap_or_else(|| {
            self.queues.push(None);
            QueueIx(u32::try_from(self.queues.len() - 1).unwrap_or(u32::MAX))
        });
        if let Some(slot) = self.queues.get_mut(at.0 as usize) {
            *slot = Some(queue);
        }
        at
    }

    pub(crate) fn remove(&mut self, at: QueueIx) {
        if let Some(slot) = self.queues.get_mut(at.0 as usize) {
            *slot = None;
            self.free.push(at);
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (QueueIx, &Queue)> + '_ {
        let each = self.queues.iter().enumerate();
        each.filter_map(|(at, queue)| Some((QueueIx(u32::try_from(at).ok()?), queue.as_ref()?)))
    }
}
