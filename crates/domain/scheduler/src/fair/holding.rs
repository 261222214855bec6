//! What attempts and workflows hold.

use flowforge_model::quota::Dimension;
use flowforge_quota::Place;

use super::FairShare;
use super::lane::LaneIx;
use super::task::{NEVER, State, Task, TaskIx};

impl FairShare {
    /// Reserves what a task needs, and the slot of its workflow unless that is held.
    pub(super) fn hold(&mut self, at: TaskIx) {
        let Some(task) = self.tasks.get(at).copied() else { return };
        self.held += 1;
        let need = self.shapes.need(task.shape);
        self.tree.add(task.place, &need);
        self.clusters.add(self.shapes.cluster(task.shape), need.get(Dimension::Pods));
        self.touch(task.place);
        let took_slot = self.take_slot(task.lane, task.place);
        let index = self.branches.get_mut(task.place).map_or(u32::MAX, |branch| {
            branch.held.push(at);
            u32::try_from(branch.held.len() - 1).unwrap_or(u32::MAX)
        });
        if let Some(task) = self.tasks.get_mut(at) {
            // Of what is adopted nobody knows here when it began; what is said to have ended holds no claim up.
            let began = self.now.max(task.since);
            let ends = task.lasts().map_or(NEVER, |lasts| began.plus(lasts));
            task.state = State::Held { took_slot, index, ends };
        }
        self.run(task.lane, |running| running.saturating_add(1));
    }

    /// Gives back what a task held.
    pub(super) fn unhold(&mut self, task: &Task) {
        self.held = self.held.saturating_sub(1);
        let need = self.shapes.need(task.shape);
        self.tree.subtract(task.place, &need);
        self.clusters.subtract(self.shapes.cluster(task.shape), need.get(Dimension::Pods));
        self.touch(task.place);
        self.run(task.lane, |running| running.saturating_sub(1));
        let State::Held { index, .. } = task.state else { return };
        let Some(branch) = self.branches.get_mut(task.place) else { return };
        if (index as usize) < branch.held.len() {
            branch.held.swap_remove(index as usize);
        }
        let moved = branch.held.get(index as usize).copied();
        if let Some(State::Held { index: of, .. }) =
            moved.and_then(|moved| self.tasks.get_mut(moved)).map(|task| &mut task.state)
        {
            *of = index;
        }
    }

    /// More or fewer attempts of a workflow run.
    pub(super) fn run(&mut self, at: LaneIx, change: impl Fn(u32) -> u32) {
        if let Some(root) = self.lanes.root_mut(at) {
            root.family_running = change(root.family_running);
        }
        let Some(lane) = self.lanes.get_mut(at) else { return };
        let full = lane.full();
        lane.running = change(lane.running);
        if lane.full() != full {
            self.settle_lane(at);
        }
    }

    pub(super) fn take_slot(&mut self, at: LaneIx, place: Place) -> bool {
        let Some(root) = self.lanes.root_mut(at) else { return false };
        let Some(need) = root.slot_need() else { return false };
        let id = root.id;
        root.slot = Some((place, root.own));
        self.slots.insert(id, true);
        self.tree.add(place, &need);
        self.touch(place);
        self.settle_family(at);
        true
    }

    /// Gives back the slot that a workflow uses if nothing runs in it.
    pub(super) fn give_back(&mut self, at: LaneIx) {
        if self.lanes.root(at).is_some_and(|root| root.family_running == 0) {
            let root = self.lanes.get(at).map(|lane| lane.root);
            if let Some(root) = root {
                self.give_up(root);
            }
        }
    }

    /// Gives back the slot of a workflow.
    pub(super) fn give_up(&mut self, at: LaneIx) {
        let lane = self.lanes.get_mut(at);
        let held = lane.and_then(|lane| {
            let held = lane.held()?;
            lane.slot = None;
            Some((lane.id, held))
        });
        if let Some((id, (place, need))) = held {
            self.slots.insert(id, false);
            self.tree.subtract(place, &need);
            self.touch(place);
            self.settle_family(at);
        }
        self.lanes.forget(at);
    }

    /// Puts all queues of a workflow where they belong now.
    pub(super) fn settle_lane(&mut self, at: LaneIx) {
        let mut index = 0;
        while let Some(queue) = self.lanes.get(at).and_then(|lane| lane.queues.get(index)) {
            self.settle(*queue);
            index += 1;
        }
    }

    /// The same for all workflows that use the same slot.
    pub(super) fn settle_family(&mut self, at: LaneIx) {
        let Some(root) = self.lanes.get(at).map(|lane| lane.root) else { return };
        self.settle_lane(root);
        let mut index = 0;
        while let Some(of) = self.lanes.get(root).and_then(|lane| lane.family.get(index)).copied() {
            self.settle_lane(of);
            index += 1;
        }
    }
}
