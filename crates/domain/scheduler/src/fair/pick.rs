//! Who is next.

use flowforge_model::quota::{Amounts, Dimension};
use flowforge_quota::Place;

use super::FairShare;
use super::entry::{Child, Entry};
use super::points::Phase;
use super::task::TaskIx;

/// What may still be taken on the way from the installation down to some place.
type Room = [u64; Dimension::COUNT];

impl FairShare {
    /// The task that is next: from the installation down, at each level the child that goes first
    /// among those with something that fits what is left on all levels above.
    ///
    /// A child goes first because of what some class of tasks needs. Further down it may start
    /// something else only if that needs the same of what is contended here: otherwise it would take
    /// a share of what it was not compared for.
    pub(crate) fn pick(&self) -> Option<TaskIx> {
        let mut room = [u64::MAX; Dimension::COUNT];
        let (mut at, mut tenant) = (Place::ROOT, None);
        let (mut bound, mut needed) = (0_u8, 0_u8);
        loop {
            narrow(&mut room, &self.tree.usage(at), &self.tree.limit(at));
            let (mask, entry) = self.best(at, tenant, &room, (bound, needed))?;
            let contended = self.branches.get(at)?.common.contended;
            bound |= contended;
            needed |= mask & contended;
            match entry.child {
                Child::Queue(_) => return Some(entry.head),
                Child::Node(child) => {
                    tenant = tenant.or(Some(child));
                    at = child;
                }
            }
        }
    }

    /// The child of a place that goes first, and what its task needs.
    fn best(
        &self,
        at: Place,
        tenant: Option<Place>,
        room: &Room,
        (bound, needed): (u8, u8),
    ) -> Option<(u8, Entry)> {
        let mut best: Option<(u8, Entry)> = None;
        for bucket in &self.branches.get(at)?.buckets {
            let mask = self.shapes.class(bucket.class)?.mask;
            if mask & bound != needed {
                continue;
            }
            for phase in Phase::ALL {
                let Some(entry) = bucket.heap(phase).first() else { continue };
                if !fits(&self.shapes.need(entry.shape), room) {
                    continue;
                }
                let penalty = tenant.map_or(0, |tenant| self.penalty(tenant, mask));
                let entry = entry.among(phase.common(self.now), penalty, self.settings.precedence);
                let first =
                    best.as_ref().is_none_or(|(_, other)| entry.order(other, &self.tasks).is_lt());
                if first {
                    best = Some((mask, entry));
                }
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
