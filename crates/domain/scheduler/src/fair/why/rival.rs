//! Who goes before an attempt, and what both are compared by.

use flowforge_quota::{Blocked, Place};

use super::{Waiter, standing};
use crate::fair::FairShare;
use crate::fair::entry::Head;
use crate::fair::points;
use crate::fair::shape::mask;
use crate::fair::task::TaskIx;
use crate::fair::view::View;
use crate::why::{Cure, Rival, Side};

impl FairShare {
    /// The task that goes first; where something is short, the first in line for it.
    pub(super) fn leader(&self, short: Option<&Blocked>) -> Option<TaskIx> {
        match short {
            None => self.pick().or_else(|| self.first_in_line(Place::ROOT, 0)),
            Some(short) => {
                let at = short.entity.map_or(Some(Place::ROOT), |id| self.tree.place(id))?;
                self.first_in_line(at, 1 << (short.dimension as usize))
            }
        }
    }

    pub(super) fn rival(&self, waiter: &Waiter, other: TaskIx) -> Option<Rival> {
        let theirs = self.tasks.get(other).filter(|_| other != waiter.at)?;
        let mut above: Vec<Place> = self.tree.path(waiter.task.place).collect();
        let mut beside: Vec<Place> = self.tree.path(theirs.place).collect();
        let mut common = None;
        while let (Some(a), Some(b)) = (above.last(), beside.last())
            && a == b
        {
            common = above.pop();
            beside.pop();
        }
        let need = self.whole_need(theirs);
        let (mine, other) = (above.last().copied(), beside.last().copied());
        Some(Rival {
            key: theirs.key,
            common: common.and_then(|at| self.tree.entity(at)),
            ours: Side {
                entity: mine.and_then(|at| self.tree.entity(at)),
                share: self.share(mine, mask(&waiter.need)),
                priority: self.points(standing(&waiter.task), &waiter.need, waiter.now),
            },
            theirs: Side {
                entity: other.and_then(|at| self.tree.entity(at)),
                share: self.share(other, mask(&need)),
                priority: self.points(standing(theirs), &need, waiter.now),
            },
        })
    }

    fn share(&self, at: Option<Place>, mask: u8) -> f64 {
        at.map_or(0.0, |at| View::new(self, at).share(mask) * 100.0)
    }

    /// The least base priority with which it would go before another of its project that needs the
    /// same dimensions. None above 100: from there on other entities do not heed it.
    pub(super) fn prioritize(&self, waiter: &Waiter, theirs_at: TaskIx) -> Option<Cure> {
        let theirs = self.tasks.get(theirs_at)?;
        let same = theirs.place == waiter.task.place
            && mask(&self.whole_need(theirs)) == mask(&waiter.need)
            && (0..=100).contains(&theirs.priority);
        let (ours, other) = (self.as_head(waiter.at)?, self.as_head(theirs_at)?);
        let waits = |head: &Head| head.phase.wait(head.since) + head.phase.common(self.now);
        let ahead = points::base(theirs.priority) + waits(&other) - waits(&ours);
        let (equal, earlier) = (
            ahead.div_euclid(points::POINT),
            ahead.rem_euclid(points::POINT) == 0
                && self.tasks.rank(waiter.at) < self.tasks.rank(theirs_at),
        );
        let base = i32::try_from(equal + i64::from(!earlier)).ok()?;
        (same && (0..=100).contains(&base)).then_some(Cure::Prioritize(base))
    }
}
