//! Who is next.

use flowforge_model::quota::{Amounts, Dimension};
use flowforge_quota::Place;

use super::FairShare;
use super::climb::{Penalties, sum};
use super::entry::{Child, Entry};
use super::task::TaskIx;

/// What may still be taken on the way from the installation down to some place.
type Room = [u64; Dimension::COUNT];

impl FairShare {
    /// The task that is next: from the installation down, at each level the child that goes first
    /// among those with something that fits what is left on all levels above. Who claims up to a level
    /// goes first there, and others only beside what is kept for it.
    ///
    /// A child goes first because of what some class of tasks needs. Further down it may start
    /// something else only if that needs the same of what is contended here: otherwise it would take
    /// a share of what it was not compared for.
    pub(crate) fn pick(&self) -> Option<TaskIx> {
        self.descend(Place::ROOT, true, [u64::MAX; Dimension::COUNT], (0, 0))
    }

    /// The task that would be next below a place if there were room there and above, among those
    /// that need these dimensions.
    pub(crate) fn first_in_line(&self, at: Place, wanted: u8) -> Option<TaskIx> {
        self.descend(at, false, [u64::MAX; Dimension::COUNT], (wanted, wanted))
    }

    /// The same among those for which there may ever be room there and above.
    pub(crate) fn first_to_claim(&self, at: Place, wanted: u8) -> Option<TaskIx> {
        let mut most = [u64::MAX; Dimension::COUNT];
        for above in self.tree.path(at) {
            narrow(&mut most, &Amounts::ZERO, &self.tree.limit(above));
        }
        self.descend(at, false, most, (wanted, wanted))
    }

    /// From a place down, among those whose needs have of the dimensions `bound` just `needed`.
    fn descend(&self, from: Place, limited: bool, mut room: Room, of: (u8, u8)) -> Option<TaskIx> {
        let (mut bound, mut needed) = of;
        let tenant = self.tenant(from);
        let mut penalties = tenant.map_or_else(Penalties::default, |at| self.penalties(at));
        let mut at = from;
        loop {
            if limited {
                narrow(&mut room, &self.tree.usage(at), &self.tree.limit(at));
                if let Some((task, mask)) = self.claims_here(at, &room)
                    && mask & bound == needed
                {
                    return Some(task);
                }
                if let Some(kept) = self.kept(at) {
                    narrow(&mut room, &sum(kept, &self.tree.usage(at)), &self.tree.limit(at));
                }
            }
            let (mask, entry) = self.best(at, &penalties, &room, (bound, needed))?;
            let contended = self.branches.get(at)?.common.contended;
            bound |= contended;
            needed |= mask & contended;
            match entry.child {
                Child::Queue(_) => return Some(entry.head),
                Child::Node(child) => {
                    // Among tenants they are in the entries; below, all have those of their tenant.
                    if at == Place::ROOT {
                        penalties = self.penalties(child);
                    }
                    at = child;
                }
            }
        }
    }

    /// The task whose claim has this front, and what it needs, if it fits there and above.
    fn claims_here(&self, at: Place, room: &Room) -> Option<(TaskIx, u8)> {
        let (_, head) = self.claimant(at)?;
        let shape = self.shapes.get(head.shape).filter(|shape| fits(&shape.need, room))?;
        Some((head.task, shape.mask))
    }

    /// The tenant that a place is or stands below.
    pub(crate) fn tenant(&self, at: Place) -> Option<Place> {
        self.tree.path(at).find(|of| self.tree.parent(*of) == Some(Place::ROOT))
    }

    /// The child of a place that goes first, and what its task needs.
    fn best(
        &self,
        at: Place,
        penalties: &Penalties,
        room: &Room,
        (bound, needed): (u8, u8),
    ) -> Option<(u8, Entry)> {
        let mut best: Option<(u8, Entry)> = None;
        for bucket in &self.branches.get(at)?.buckets {
            let Some(entry) = bucket.heap.first() else { continue };
            let Some(shape) = self.shapes.get(entry.shape) else { continue };
            let mask = shape.mask;
            if mask & bound != needed || !fits(&shape.need, room) {
                continue;
            }
            let common = bucket.kind.phase().common(self.now);
            let entry = entry.among(common, penalties.of(mask), self.settings.precedence);
            let first = |other: &Entry| entry.order(other, &self.tasks).is_lt();
            if best.as_ref().is_none_or(|(_, other)| first(other)) {
                best = Some((mask, entry));
            }
        }
        best
    }
}

fn narrow(room: &mut Room, used: &Amounts, limit: &Amounts) {
    for (room, (used, limit)) in room.iter_mut().zip(used.0.into_iter().zip(limit.0)) {
        *room = (*room).min(limit.saturating_sub(used));
    }
}

fn fits(need: &Amounts, room: &Room) -> bool {
    need.0.iter().zip(room).all(|(need, room)| need <= room)
}
