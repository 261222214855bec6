//! Who is next.

use std::collections::BTreeSet;

use flowforge_model::id::EntityId;
use flowforge_model::quota::Amounts;
use flowforge_model::time::Timestamp;
use flowforge_quota::Place;

use super::FairShare;
use super::climb::Penalties;
use super::entry::{Child, Entry};
use super::room::Room;
use super::shape::Shape;
use super::task::TaskIx;

/// So many tenants are asked at one look who of theirs is first in line: asking one costs some microseconds.
const TENANTS: usize = 64;

impl FairShare {
    /// The task that is next: from the installation down, at each level the child that goes first
    /// among those with something that fits what is left on all levels above. Who claims up to a level
    /// goes first there, and others only beside what is kept for it, or where they are soon out of its way;
    /// for the installation also tenants that come before it ([`FairShare::turn`]).
    ///
    /// A child goes first because of what some class of tasks needs. Further down it may start
    /// something else only if that needs the same of what is contended here: otherwise it would take
    /// a share of what it was not compared for.
    pub(crate) fn pick(&self) -> Option<TaskIx> {
        self.descend(Place::ROOT, true, Room::new(), (0, 0))
    }

    /// The task that would be next below a place if there were room there and above, among those
    /// that need these dimensions.
    pub(crate) fn first_in_line(&self, at: Place, wanted: u8) -> Option<TaskIx> {
        self.descend(at, false, Room::new(), (wanted, wanted))
    }

    /// The same among those for which there may ever be room there and above.
    pub(crate) fn first_to_claim(&self, at: Place, wanted: u8) -> Option<TaskIx> {
        let mut most = Room::new();
        for above in self.tree.path(at) {
            most.narrow(&Amounts::ZERO, &self.room_but_slots(above).1);
        }
        most.narrow_slots(self.clusters.most());
        self.descend(at, false, most, (wanted, wanted))
    }

    /// The same for the installation among those that are first in line at their tenants and have waited since
    /// an instant or longer. Costs O(tenants * classes of needs).
    pub(crate) fn first_of_tenants(&self, bit: u8, since: Timestamp) -> Option<TaskIx> {
        let (mut most, (_, limit)) = (Room::new(), self.room_but_slots(Place::ROOT));
        most.narrow(&Amounts::ZERO, &limit);
        most.narrow_slots(self.clusters.most());
        let branch = self.branches.get(Place::ROOT)?;
        let mut old: Vec<(u8, Entry)> = Vec::new();
        for bucket in &branch.buckets {
            let common = bucket.kind.phase().common(self.now);
            for entry in bucket.heap.leading(|_| true).filter(|entry| entry.since <= since) {
                let fits = self.shapes.get(entry.shape).filter(|shape| most.fits(shape));
                if let Some(mask) = fits.map(|shape| shape.mask).filter(|mask| mask & bit != 0) {
                    old.push((mask, entry.among(common, 0, self.settings.precedence)));
                }
            }
        }
        old.sort_unstable_by(|a, b| a.1.order(&b.1, &self.tasks));
        let mut asked = BTreeSet::new();
        old.into_iter().filter(|(_, entry)| asked.insert(entry.child())).take(TENANTS).find_map(
            |(mask, entry)| {
                let Child::Node(tenant) = entry.child() else { return None };
                let mut most = most.clone();
                most.narrow(&Amounts::ZERO, &self.tree.limit(tenant));
                let of = (bit | branch.common.contended, bit | mask & branch.common.contended);
                let first = self.descend(tenant, false, most, of)?;
                self.tasks.get(first).filter(|task| task.since <= since).map(|_| first)
            },
        )
    }

    /// From a place down, among those whose needs have of the dimensions `bound` just `needed`.
    fn descend(&self, from: Place, limited: bool, mut room: Room, of: (u8, u8)) -> Option<TaskIx> {
        let (mut bound, mut needed) = of;
        let tenant = self.tenant(from);
        let mut penalties = tenant.map_or_else(Penalties::default, |at| self.penalties(at));
        let mut at = from;
        loop {
            let mut before = None;
            if limited {
                let (used, limit) = self.room_but_slots(at);
                room.narrow(&used, &limit);
                if at == Place::ROOT {
                    room.narrow_slots(self.clusters.free());
                }
                if let Some((task, mask)) = self.claims_here(at, &room)
                    && mask & bound == needed
                {
                    return Some(task);
                }
                if let Some(claim) = self.kept(at) {
                    if at == Place::ROOT {
                        before = self.turn().map(|turn| (turn, room.clone()));
                        room.keep_slots(claim);
                    }
                    room.keep(claim, &used, &limit);
                }
            }
            let fits = |entry: &Entry, shape: &Shape| {
                let open = before.as_ref().filter(|(turn, _)| turn.follows(entry, &self.tasks));
                room.fits(shape) || open.is_some_and(|(_, room)| room.fits(shape))
            };
            let tenant = before.as_ref().map(|(turn, _)| Child::Node(turn.tenant));
            let (mask, entry) = self.best((at, tenant), &penalties, fits, (bound, needed))?;
            if let Some((_, open)) = before.filter(|(turn, _)| turn.follows(&entry, &self.tasks)) {
                room = open;
            }
            let contended = self.branches.get(at)?.common.contended;
            bound |= contended;
            needed |= mask & contended;
            match entry.child() {
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
        let shape = self.shapes.get(head.shape).filter(|shape| room.fits(shape))?;
        Some((head.task, shape.mask))
    }

    /// The tenant that a place is or stands below.
    pub(crate) fn tenant(&self, at: Place) -> Option<Place> {
        self.tree.path(at).find(|of| self.tree.parent(*of) == Some(Place::ROOT))
    }

    /// Its id.
    pub(crate) fn tenant_id(&self, at: Place) -> Option<EntityId> {
        self.tenant(at).and_then(|tenant| self.tree.entity(tenant))
    }

    /// The child of a place that goes first, and what its task needs. Behind `other` the next is looked at, too:
    /// what is kept is kept from its own tenant, and not from the next.
    fn best(
        &self,
        (at, other): (Place, Option<Child>),
        penalties: &Penalties,
        fits: impl Fn(&Entry, &Shape) -> bool,
        (bound, needed): (u8, u8),
    ) -> Option<(u8, Entry)> {
        let mut best: Option<(u8, Entry)> = None;
        for bucket in &self.branches.get(at)?.buckets {
            let first = bucket.heap.first();
            let next = first.filter(|entry| other == Some(entry.child()));
            let next = next.and_then(|_| bucket.heap.second(&self.tasks));
            for entry in first.into_iter().chain(next) {
                let Some(shape) = self.shapes.get(entry.shape) else { continue };
                let mask = shape.mask;
                if mask & bound != needed {
                    continue;
                }
                let common = bucket.kind.phase().common(self.now);
                let entry = entry.among(common, penalties.of(mask), self.settings.precedence);
                if !fits(&entry, shape) {
                    continue;
                }
                let first = |other: &Entry| entry.order(other, &self.tasks).is_lt();
                if best.as_ref().is_none_or(|(_, other)| first(other)) {
                    best = Some((mask, entry));
                }
            }
        }
        best
    }
}
