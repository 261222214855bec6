//! What the scheduler keeps of an entity beside what it uses: who below it may start.

use flowforge_model::quota::Dimension;
use flowforge_quota::{Place, Tree, UNLIMITED};
use smallvec::SmallVec;

use super::entry::Entry;
use super::heap::Heap;
use super::points::real;
use super::shape::Kind;
use super::task::{TaskIx, Tasks};

/// Those below an entity with a task of one kind.
#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    pub(crate) kind: Kind,
    /// Queues below, at any depth, whose first task is of this kind and held back by nothing but
    /// quotas.
    pub(crate) live: u32,
    /// The children whose best task fits every quota from its project up to the child.
    pub(crate) heap: Heap,
}

/// What there is to share among those below an entity: its own limits, and for what it does not
/// limit itself those of the next one above that does.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Common {
    /// One over the limit; 0 for what nobody limits.
    pub(crate) inverse: [f64; Dimension::COUNT],
    /// What anybody limits, a bit each.
    pub(crate) limited: u8,
    /// What is contended, a bit each.
    pub(crate) contended: u8,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Branch {
    /// By kind.
    pub(crate) buckets: Vec<Bucket>,
    pub(crate) common: Common,
    /// What it limits itself, a bit each.
    pub(crate) own_limited: u8,
    /// And what of that is contended.
    pub(crate) own_contended: u8,
    /// Below which parent it has which slot; none until it has something to start.
    slot: Option<(Place, u32)>,
    free: SmallVec<[u32; 4]>,
    slots: u32,
    /// Tasks of its own, not of entities below, that hold something; they know where they are in it.
    pub(crate) held: SmallVec<[TaskIx; 4]>,
    /// Tasks of its own that wait.
    pub(crate) waits: u32,
    /// The front of the claim for which something is kept here.
    pub(crate) claimed: Option<Place>,
}

impl Branch {
    pub(crate) fn bucket(&self, kind: Kind) -> Option<&Bucket> {
        self.find(kind).ok().and_then(|at| self.buckets.get(at))
    }

    pub(crate) fn bucket_mut(&mut self, kind: Kind) -> Option<&mut Bucket> {
        self.find(kind).ok().and_then(|at| self.buckets.get_mut(at))
    }

    fn find(&self, kind: Kind) -> Result<usize, usize> {
        self.buckets.binary_search_by_key(&kind, |bucket| bucket.kind)
    }

    /// A slot for a new child.
    pub(crate) fn enter(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| {
            self.slots += 1;
            self.slots - 1
        })
    }

    pub(crate) fn leave(&mut self, slot: u32) {
        self.free.push(slot);
    }

    /// Children that have a slot.
    pub(crate) fn occupied(&self) -> usize {
        (self.slots as usize).saturating_sub(self.free.len())
    }
}

/// An arena beside that of the tree.
#[derive(Clone, Debug, Default)]
pub(crate) struct Branches {
    branches: Vec<Branch>,
}

impl Branches {
    pub(crate) fn get(&self, at: Place) -> Option<&Branch> {
        self.branches.get(at.index())
    }

    pub(crate) fn get_mut(&mut self, at: Place) -> Option<&mut Branch> {
        self.branches.get_mut(at.index())
    }

    /// Makes room for all places of the tree.
    pub(crate) fn grow(&mut self, tree: &Tree) {
        if self.branches.len() < tree.places() {
            self.branches.resize_with(tree.places(), Branch::default);
        }
    }

    /// The slot of an entity below its parent.
    fn slot(&mut self, at: Place, parent: Place) -> Option<u32> {
        match self.get(at)?.slot {
            Some((of, slot)) if of == parent => Some(slot),
            _ => {
                self.unslot(at);
                let slot = self.get_mut(parent)?.enter();
                self.get_mut(at)?.slot = Some((parent, slot));
                Some(slot)
            }
        }
    }

    /// Gives back the slot of an entity that is in no heap of its parent.
    pub(crate) fn unslot(&mut self, at: Place) {
        let Some((parent, slot)) = self.get_mut(at).and_then(|branch| branch.slot.take()) else {
            return;
        };
        if let Some(above) = self.get_mut(parent) {
            above.leave(slot);
        }
    }

    /// Puts an entity where it belongs among its siblings, or takes it out.
    pub(crate) fn set(
        &mut self,
        (at, parent): (Place, Place),
        kind: Kind,
        entry: Option<Entry>,
        tasks: &Tasks,
    ) -> bool {
        if entry.is_none() && self.get(at).is_none_or(|branch| branch.slot.is_none()) {
            return false;
        }
        let Some(slot) = self.slot(at, parent) else { return false };
        let bucket = self.get_mut(parent).and_then(|above| above.bucket_mut(kind));
        bucket.is_some_and(|bucket| bucket.heap.set(slot, entry, tasks))
    }

    /// More queues of a kind below a place and all above it.
    pub(crate) fn more(&mut self, tree: &Tree, from: Place, kind: Kind, by: u32) {
        let mut next = Some(from);
        while let Some(at) = next {
            next = tree.parent(at);
            let Some(branch) = self.get_mut(at) else { return };
            match branch.find(kind) {
                Ok(of) => {
                    if let Some(bucket) = branch.buckets.get_mut(of) {
                        bucket.live = bucket.live.saturating_add(by);
                    }
                }
                Err(of) => {
                    // Most entities have a few kinds: twice as much room as they need would be a lot in all.
                    if branch.buckets.len() == branch.buckets.capacity() {
                        branch.buckets.reserve_exact(2);
                    }
                    branch.buckets.insert(of, Bucket { kind, live: by, heap: Heap::Empty });
                }
            }
        }
    }

    /// Fewer queues of a kind below a place and all above it. A kind that nobody waits with any
    /// more is forgotten, from the bottom up, so that no parent keeps an entry of it.
    pub(crate) fn fewer(
        &mut self,
        tree: &Tree,
        from: Place,
        (kind, by): (Kind, u32),
        tasks: &Tasks,
    ) {
        let mut next = Some(from);
        while let Some(at) = next {
            next = tree.parent(at);
            let Some(branch) = self.get_mut(at) else { return };
            let Ok(of) = branch.find(kind) else { return };
            let Some(bucket) = branch.buckets.get_mut(of) else { return };
            bucket.live = bucket.live.saturating_sub(by);
            if bucket.live > 0 {
                continue;
            }
            branch.buckets.remove(of);
            if let Some(parent) = next {
                self.set((at, parent), kind, None, tasks);
            }
        }
    }
}

/// What there is to share below an entity that limits some of it itself.
pub(crate) fn common(tree: &Tree, at: Place, own_contended: u8, above: &Common) -> Common {
    let mut common = *above;
    for (bit, (limit, inverse)) in tree.limit(at).0.into_iter().zip(&mut common.inverse).enumerate()
    {
        let one = 1 << bit;
        if limit < UNLIMITED {
            *inverse = 1.0 / real(limit.max(1));
            common.limited |= one;
            common.contended = (common.contended & !one) | (own_contended & one);
        }
    }
    common
}
