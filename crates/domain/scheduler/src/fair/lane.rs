//! Workflows: what holds their tasks back, and their slots.

use std::collections::BTreeMap;

use flowforge_model::id::WorkflowId;
use flowforge_model::quota::{Amounts, Dimension};
use flowforge_quota::Place;
use smallvec::SmallVec;

use super::queue::QueueIx;

/// Which workflow; of use while there is anything to say about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LaneIx(pub(crate) u32);

#[derive(Clone, Debug)]
pub(crate) struct Lane {
    pub(crate) id: WorkflowId,
    /// Whose slot it uses: its own, or that of the workflow that called it.
    pub(crate) root: LaneIx,
    pub(crate) gated: bool,
    pub(crate) running: u32,
    pub(crate) parallelism: Option<u32>,
    pub(crate) queues: SmallVec<[QueueIx; 4]>,
    /// Of a root: those that use its slot beside itself.
    pub(crate) family: SmallVec<[LaneIx; 4]>,
    /// Of a root: attempts that run in all of them.
    pub(crate) family_running: u32,
    /// Of a root: what its slot is.
    pub(crate) own: Slot,
    /// Of a root: where which slot is held.
    pub(crate) slot: Option<(Place, Slot)>,
}

impl Lane {
    fn new(id: WorkflowId, root: LaneIx) -> Self {
        Self {
            id,
            root,
            gated: false,
            running: 0,
            parallelism: None,
            queues: SmallVec::new(),
            family: SmallVec::new(),
            family_running: 0,
            own: Slot::default(),
            slot: None,
        }
    }

    /// None of its tasks may start, whatever there is room for.
    pub(crate) fn closed(&self) -> bool {
        self.gated || self.full()
    }

    /// As many run as may.
    pub(crate) fn full(&self) -> bool {
        self.parallelism.is_some_and(|most| self.running >= most)
    }

    /// It holds storage.
    pub(crate) fn stores(&self) -> bool {
        self.slot.is_some_and(|(_, slot)| slot.storage > 0)
    }

    /// Of a root: what its first attempt takes with it.
    pub(crate) fn slot_need(&self) -> Option<Amounts> {
        self.slot.is_none().then(|| self.own.need())
    }

    /// Of a root: where what is held.
    pub(crate) fn held(&self) -> Option<(Place, Amounts)> {
        self.slot.map(|(at, slot)| (at, slot.need()))
    }

    /// Nothing would be lost by forgetting it.
    fn idle(&self) -> bool {
        self.queues.is_empty()
            && self.running == 0
            && !self.gated
            && self.family.is_empty()
            && self.slot.is_none()
    }
}

/// The slot of a workflow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) storage: u64,
    /// It is called and waited for: it runs in the slot of its caller.
    pub(crate) called: bool,
}

impl Slot {
    /// What it takes.
    pub(crate) fn need(self) -> Amounts {
        let one = u64::from(!self.called);
        Amounts::ZERO.with(Dimension::Workflows, one).with(Dimension::Storage, self.storage)
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Lanes {
    lanes: Vec<Lane>,
    free: Vec<LaneIx>,
    by_id: BTreeMap<WorkflowId, LaneIx>,
}

impl Lanes {
    pub(crate) fn get(&self, at: LaneIx) -> Option<&Lane> {
        self.lanes.get(at.0 as usize)
    }

    pub(crate) fn get_mut(&mut self, at: LaneIx) -> Option<&mut Lane> {
        self.lanes.get_mut(at.0 as usize)
    }

    pub(crate) fn find(&self, id: WorkflowId) -> Option<LaneIx> {
        self.by_id.get(&id).copied()
    }

    /// The lane of a workflow that uses the slot of `root`. Which one it uses is settled when it is
    /// first heard of, or while nothing of it waits or runs.
    pub(crate) fn open(&mut self, id: WorkflowId, root: WorkflowId) -> LaneIx {
        let at = self.find(id).unwrap_or_else(|| self.insert(id));
        let before = self.get(at).map(|lane| (lane.root, lane.queues.is_empty(), lane.running));
        let above = if root == id {
            at
        } else {
            let above = self.find(root).unwrap_or_else(|| self.insert(root));
            // One that uses another's slot cannot lend its own.
            self.get(above).map_or(above, |lane| lane.root)
        };
        let Some((was, true, 0)) = before else { return at };
        let lends = self.get(at).is_some_and(|lane| !lane.family.is_empty() || lane.slot.is_some());
        if was != above && !lends {
            if let Some(lane) = self.get_mut(was).filter(|_| was != at) {
                lane.family.retain(|of| *of != at);
            }
            if let Some(lane) = self.get_mut(above).filter(|_| above != at) {
                lane.family.push(at);
            }
            if let Some(lane) = self.get_mut(at) {
                lane.root = above;
            }
            if was != at {
                self.forget(was);
            }
        }
        at
    }

    /// The lane whose slot a workflow uses.
    pub(crate) fn root(&self, at: LaneIx) -> Option<&Lane> {
        self.get(at).and_then(|lane| self.get(lane.root))
    }

    pub(crate) fn root_mut(&mut self, at: LaneIx) -> Option<&mut Lane> {
        let root = self.get(at)?.root;
        self.get_mut(root)
    }

    /// Forgets a lane that says nothing, and then perhaps the one whose slot it used.
    pub(crate) fn forget(&mut self, at: LaneIx) {
        let Some(lane) = self.get(at).filter(|lane| lane.idle()) else { return };
        let (id, root) = (lane.id, lane.root);
        if self.find(id) != Some(at) {
            return;
        }
        self.by_id.remove(&id);
        self.free.push(at);
        if root != at {
            if let Some(above) = self.get_mut(root) {
                above.family.retain(|of| *of != at);
            }
            self.forget(root);
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Lane> + '_ {
        self.by_id.values().filter_map(|at| self.get(*at))
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    fn insert(&mut self, id: WorkflowId) -> LaneIx {
        let at = self.free.pop().unwrap_or_else(|| {
            let next = LaneIx(u32::try_from(self.lanes.len()).unwrap_or(u32::MAX));
            self.lanes.push(Lane::new(id, next));
            next
        });
        if let Some(slot) = self.lanes.get_mut(at.0 as usize) {
            *slot = Lane::new(id, at);
        }
        self.by_id.insert(id, at);
        at
    }
}
