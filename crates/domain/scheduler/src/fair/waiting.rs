//! Tasks enter and leave the queues of their workflows.

use flowforge_quota::Place;

use super::FairShare;
use super::branch;
use super::lane::{self, LaneIx, Slot};
use super::queue::{Queue, QueueIx};
use super::span::Span;
use super::task::{State, Task, TaskIx};
use crate::Candidate;

impl FairShare {
    /// The lane of a candidate, with what the candidate says about its workflow.
    pub(super) fn lane(&mut self, candidate: &Candidate) -> LaneIx {
        let at = self.lanes.open(candidate.key.workflow, candidate.root);
        let full = self.lanes.get(at).is_some_and(lane::Lane::full);
        if let Some(lane) = self.lanes.get_mut(at) {
            lane.parallelism = candidate.parallelism;
        }
        let root = self.lanes.root_mut(at);
        let other = root.is_some_and(|root| {
            let own = Slot { storage: candidate.storage, called: candidate.called };
            let other = root.slot.is_none() && root.own != own;
            root.own = own;
            other
        });
        if other {
            self.settle_family(at);
        } else if self.lanes.get(at).is_some_and(lane::Lane::full) != full {
            self.settle_lane(at);
        }
        at
    }

    pub(super) fn wait(&mut self, lane: LaneIx, candidate: &Candidate) {
        let place = self.name(candidate.project);
        let (at, task) = self.enter(candidate, lane, place);
        self.enqueue(at, &task);
    }

    /// A task that is in no queue yet and holds nothing.
    pub(super) fn enter(
        &mut self,
        candidate: &Candidate,
        lane: LaneIx,
        place: Place,
    ) -> (TaskIx, Task) {
        let cluster = self.cluster_for(Some(candidate.project), &candidate.need);
        let shape = self.shapes.take(&candidate.need, (Span::of(candidate.lasts), cluster));
        let task = Task::new(candidate, shape, lane, place);
        (self.tasks.insert(task), task)
    }

    /// Puts a task into the queue of its kind.
    pub(super) fn enqueue(&mut self, at: TaskIx, task: &Task) {
        let class = self.shapes.wait(task.shape);
        let queues = self.lanes.get(task.lane).map(|lane| lane.queues.as_slice());
        let same = |of: &QueueIx| {
            self.queues.get(*of).is_some_and(|queue| {
                queue.place == task.place && queue.class == class && queue.base == task.priority
            })
        };
        let found = queues.and_then(|queues| queues.iter().copied().find(same));
        let queue = found.unwrap_or_else(|| {
            let slot = self.branches.get_mut(task.place).map_or(0, branch::Branch::enter);
            let new = Queue::new(task.lane, task.place, (class, task.priority), slot);
            let queue = self.queues.insert(new);
            if let Some(lane) = self.lanes.get_mut(task.lane) {
                lane.queues.push(queue);
            }
            queue
        });
        if let Some(of) = self.queues.get_mut(queue) {
            of.push(queue, at, &mut self.tasks);
        }
        if let Some(branch) = self.branches.get_mut(task.place) {
            branch.waits = branch.waits.saturating_add(1);
        }
        self.settle(queue);
    }

    /// Takes a waiting task out of its queue.
    pub(super) fn dequeue(&mut self, at: TaskIx, task: &Task) {
        let State::Waiting(queue, index) = task.state else { return };
        let Some(of) = self.queues.get_mut(queue) else { return };
        of.remove(queue, index, &mut self.tasks);
        let gone = of.is_empty();
        let slot = of.slot;
        if let Some(branch) = self.branches.get_mut(task.place) {
            branch.waits = branch.waits.saturating_sub(1);
        }
        self.settle(queue);
        self.shapes.leave(task.shape);
        if gone {
            self.queues.remove(queue);
            if let Some(branch) = self.branches.get_mut(task.place) {
                branch.leave(slot);
            }
            if let Some(lane) = self.lanes.get_mut(task.lane) {
                lane.queues.retain(|of| *of != queue);
            }
        }
        if let Some(task) = self.tasks.get_mut(at) {
            task.state = State::NEW;
        }
    }

    /// Forgets a waiting task.
    pub(super) fn unwait(&mut self, at: TaskIx) {
        let Some(task) = self.tasks.get(at).copied() else { return };
        self.dequeue(at, &task);
        self.tasks.remove(at);
        self.shapes.put(task.shape);
    }
}
