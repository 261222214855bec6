//! Who claims, since when, and when that ends.

use flowforge_model::quota::{Amounts, Dimension};
use flowforge_model::time::{Millis, Timestamp};
use flowforge_quota::Place;

use super::FairShare;
use super::claims::{Claim, Turn};
use super::climb::sum;
use super::clusters::ClusterIx;
use super::entry::{Entry, Head};
use super::queue::QueueIx;
use super::room::lasting;
use super::shape::{Kind, ShapeIx};
use super::span::Span;
use super::task::{NEVER, State, TaskIx};
use crate::why::Claimed;

/// Places that are looked at in one call, at most: a look is about a decision's work.
const LOOKS: usize = 32;
/// A place is looked at so many times while a task waits long enough to claim.
const PARTS: u64 = 60;

impl FairShare {
    /// The claims there are.
    pub fn claims(&self) -> impl Iterator<Item = Claimed> + '_ {
        self.claims.iter().filter_map(|(front, claim)| self.claimed(front, claim))
    }

    /// A claim as others see it.
    pub(crate) fn claimed(&self, front: Place, claim: &Claim) -> Option<Claimed> {
        let task = self.tasks.get(claim.task)?;
        let lacks: Amounts = self.short_of(front, &claim.need, claim.cluster);
        let at = self.tree.entity(front);
        let (since, by, passes) = (claim.since, claim.by, claim.passes.most().unwrap_or(Millis(0)));
        Some(Claimed { key: task.key, at, need: claim.need, lacks, since, by, passes })
    }

    /// So much more must become free at one place for a need.
    fn short_of(&self, at: Place, need: &Amounts, of: ClusterIx) -> Amounts {
        let (used, limit) = self.room_at(at, of);
        let mut short = *need;
        for (short, (used, limit)) in short.0.iter_mut().zip(used.0.into_iter().zip(limit.0)) {
            if *short > 0 {
                *short = used.saturating_add(*short).saturating_sub(limit);
            }
        }
        short
    }

    /// Looks from time to time at a place where something is contended, or up to which somebody claims:
    /// who may pass depends on the time.
    pub(crate) fn watch(&mut self, at: Place) {
        let contended = self.branches.get(at).is_some_and(|branch| branch.own_contended != 0);
        self.claims.watch(at, contended || self.claims.at(at).is_some(), self.now);
    }

    /// Looks whether somebody was passed for too long at the places that are due.
    pub(crate) fn look(&mut self) {
        // First those on which others rely: who may pass was said until now only.
        let late = self.claims.iter().filter(|(_, claim)| claim.until < self.now);
        let late: Vec<Place> = late.map(|(front, _)| front).collect();
        for front in late {
            self.review(front);
            self.finish();
        }
        for _ in 0..LOOKS {
            let Some(at) = self.claims.next(self.now, self.pause()) else { break };
            match self.branches.get(at).and_then(|branch| branch.claimed) {
                Some(front) if front == at => self.review(at),
                Some(_) => {}
                None => self.look_at(at),
            }
            self.finish();
        }
    }

    /// Lets the one claim a place that is first in line there for something contended, has waited for
    /// long enough, and has room everywhere below; of several the earliest. For the installation it may be the
    /// first in line of any tenant: one that comes before has not waited for as long.
    fn look_at(&mut self, at: Place) {
        let contended = self.branches.get(at).map_or(0, |branch| branch.own_contended);
        let bits = (0..Dimension::COUNT).map(|bit| 1 << bit).filter(|bit| contended & bit != 0);
        let since = Timestamp(self.now.0.saturating_sub_unsigned(self.settings.claim_after.0));
        let first = |bit| match at {
            Place::ROOT => self.first_of_tenants(bit, since),
            _ => self
                .first_to_claim(at, bit)
                .filter(|first| self.tasks.get(*first).is_some_and(|task| task.since <= since)),
        };
        let claims = bits.filter_map(first).filter_map(|task| self.claim_of(at, task));
        let earliest = claims.min_by_key(|claim| self.tasks.rank(claim.task));
        let Some(claim) = earliest else { return };
        let before = claim.path.iter().find_map(|at| self.branches.get(*at)?.claimed);
        if let Some(before) = before {
            self.unclaim(before);
        }
        self.claim(at, claim);
    }

    /// What a task would claim up to a place. If another claims something on the way, it is that one
    /// that goes on to claim more: it is first below already.
    fn claim_of(&self, at: Place, task: TaskIx) -> Option<Claim> {
        let mut path = self.path_to(at, task)?;
        let below = path.iter().rev().find_map(|at| self.branches.get(*at)?.claimed);
        let (mut task, mut since) = (task, self.now);
        if let Some(claim) = below.and_then(|front| self.claims.at(front)) {
            (task, since) = (claim.task, claim.since);
            path = self.path_to(at, task)?;
        }
        let shape = self.head_of(task)?.1.shape;
        let (need, cluster) = (self.shapes.need(shape), self.shapes.cluster(shape));
        let short = self.short_of(at, &need, cluster);
        // What there is one of is there for the first in line when it is there at all.
        let passed = short.0.iter().zip(need.0).any(|(short, need)| *short > 0 && need > 1);
        let waits = passed && self.may_ever(&path, &need, cluster);
        waits.then(|| {
            let Foreseen { by, passes, until } = self.foreseen(at, task, (&need, cluster));
            Claim { task, since, need, cluster, path, by, passes, until }
        })
    }

    /// How long a place is not looked at.
    fn pause(&self) -> Millis {
        Millis((self.settings.claim_after.0 / PARTS).max(1))
    }

    /// When there is room for a need at a place by the limits of what runs below it, and for how long
    /// others may run who are not to hold that up. Costs O(what runs there). Where others come before, nobody
    /// knows: what they take may last.
    fn foreseen(&self, at: Place, task: TaskIx, need: (&Amounts, ClusterIx)) -> Foreseen {
        let before = at == Place::ROOT && self.anybody_before(task);
        let by = if before { None } else { self.room_by(at, need) };
        // Until the next look nobody asks again what time it is.
        let until = self.now.plus(self.pause());
        let left = by.map_or(0, |by| by.0.saturating_sub(until.0));
        Foreseen { by, passes: Span::within(Millis(u64::try_from(left).unwrap_or(0))), until }
    }

    fn room_by(&self, at: Place, (need, of): (&Amounts, ClusterIx)) -> Option<Timestamp> {
        let mut short = self.short_of(at, need, of);
        let mut ends: Vec<(Timestamp, ShapeIx)> = Vec::new();
        let mut places = vec![at];
        while let Some(place) = places.pop() {
            places.extend_from_slice(self.tree.children(place));
            let held = self.branches.get(place).into_iter().flat_map(|branch| &branch.held);
            ends.extend(held.filter_map(|task| {
                let task = self.tasks.get(*task)?;
                let State::Held { ends, .. } = task.state else { return None };
                (ends < NEVER).then_some((ends, task.shape))
            }));
        }
        ends.sort_unstable();
        let mut by = self.now;
        let mut ends = ends.into_iter();
        while short != Amounts::ZERO {
            let (end, shape) = ends.next()?;
            by = by.max(end);
            let freed = self.shapes.get(shape).map(|shape| self.freed(at, shape, of))?;
            for (short, freed) in short.0.iter_mut().zip(freed.0) {
                *short = short.saturating_sub(freed);
            }
        }
        Some(by)
    }

    /// From the project of a task up to a place.
    fn path_to(&self, at: Place, task: TaskIx) -> Option<Vec<Place>> {
        let from = self.tasks.get(task)?.place;
        let mut path: Vec<Place> = Vec::new();
        for next in self.tree.path(from) {
            path.push(next);
            if next == at {
                return Some(path);
            }
        }
        None
    }

    /// There is room below the end of a path, and there may be everywhere.
    fn may_ever(&self, path: &[Place], need: &Amounts, of: ClusterIx) -> bool {
        let Some((_, below)) = path.split_last() else { return false };
        let from = path.first().copied().unwrap_or(Place::ROOT);
        below.iter().all(|at| self.tree.lacks(*at, need).is_none())
            && self.never_fits(from, need, of).is_none()
            && self.tree.path(from).all(|at| self.tree.known(at))
    }

    fn claim(&mut self, front: Place, claim: Claim) {
        for at in &claim.path {
            if let Some(branch) = self.branches.get_mut(*at) {
                branch.claimed = Some(front);
            }
        }
        if let Some(queue) = self.queue_of(claim.task) {
            self.claims.mark(queue, Some(front));
        }
        let from = claim.path.first().copied();
        self.claims.insert(front, claim);
        self.watch(front);
        self.touch(from.unwrap_or(front));
    }

    /// Ends a claim.
    pub(crate) fn unclaim(&mut self, front: Place) {
        let Some(claim) = self.claims.remove(front) else { return };
        self.watch(front);
        for at in &claim.path {
            if let Some(branch) = self.branches.get_mut(*at) {
                branch.claimed = None;
            }
        }
        if let Some(queue) = self.queue_of(claim.task) {
            self.claims.mark(queue, None);
        }
        self.touch(claim.path.first().copied().unwrap_or(front));
    }

    /// Ends a claim that a cut, or what runs already, made vain; or looks anew who may pass.
    pub(super) fn review(&mut self, front: Place) {
        let Some(claim) = self.claims.at(front) else { return };
        if self.may_ever(&claim.path, &claim.need, claim.cluster) {
            self.foresee(front);
        } else {
            self.unclaim(front);
        }
    }

    fn foresee(&mut self, front: Place) {
        let Some(claim) = self.claims.at(front) else { return };
        let need = (&claim.need, claim.cluster);
        let Foreseen { by, passes, until } = self.foreseen(front, claim.task, need);
        let from = claim.path.first().copied().unwrap_or(front);
        if let Some(claim) = self.claims.at_mut(front) {
            (claim.by, claim.passes, claim.until) = (by, passes, until);
        }
        self.touch(from);
    }

    /// Looks at the claim of a queue that was settled anew: it ends if another task is first now, or
    /// none, and is for what the task needs now.
    pub(crate) fn reclaim(&mut self, queue: QueueIx, front: Place) {
        let Some(claim) = self.claims.at(front) else { return };
        let (task, from) = (claim.task, claim.path.first().copied());
        let of = self.queues.get(queue);
        let seat = of.filter(|of| of.first() == Some(task)).and_then(|of| of.seat);
        let Some(seat) = seat else {
            self.claims.mark(queue, None);
            return self.unclaim(front);
        };
        let need = self.shapes.need(seat.shape);
        match self.claims.at_mut(front) {
            Some(claim) if claim.need != need => {
                claim.need = need;
                self.foresee(front);
            }
            _ => self.touch(from.unwrap_or(front)),
        }
    }

    /// The claims that have to do with a place that moves end.
    pub(crate) fn unclaim_at(&mut self, at: Place) {
        if let Some(front) = self.branches.get(at).and_then(|branch| branch.claimed) {
            self.unclaim(front);
        }
    }

    fn queue_of(&self, at: TaskIx) -> Option<QueueIx> {
        match self.tasks.get(at)?.state {
            State::Waiting(queue, _) => Some(queue),
            State::Held { .. } => None,
        }
    }

    /// A task that is first of its queue, as it stands there.
    pub(crate) fn head_of(&self, at: TaskIx) -> Option<(Kind, Head)> {
        let task = self.tasks.get(at)?;
        let queue = self.queues.get(self.queue_of(at)?)?;
        let seat = queue.seat.filter(|_| queue.first() == Some(at))?;
        let (base, since, shape) = (task.priority, task.since, seat.shape);
        let phase = seat.kind.phase();
        Some((seat.kind, Head { task: at, base, since, shape, phase }))
    }

    /// The claim for which something is kept at a place.
    pub(crate) fn kept(&self, at: Place) -> Option<&Claim> {
        let front = self.branches.get(at)?.claimed?;
        self.claims.at(front)
    }

    /// Where the task stands that claims what the installation shares, which other tenants come before: those
    /// use less than their share, and what is kept is not kept from them. Below the installation a claim is kept
    /// from all: there only the first in line claims, and whether anybody comes before changes with the time.
    pub(crate) fn turn(&self) -> Option<Turn> {
        self.turn_of(self.kept(Place::ROOT)?.task)
    }

    fn turn_of(&self, task: TaskIx) -> Option<Turn> {
        let tenant = self.tenant(self.tasks.get(task)?.place)?;
        Some(Turn { tenant, entry: self.stands(tenant, task)? })
    }

    /// A tenant that comes before this task has something to start.
    fn anybody_before(&self, task: TaskIx) -> bool {
        let root = self.branches.get(Place::ROOT);
        root.zip(self.turn_of(task)).is_some_and(|(root, turn)| {
            root.buckets.iter().any(|bucket| {
                let common = bucket.kind.phase().common(self.now);
                let firsts = [bucket.heap.first(), bucket.heap.second(&self.tasks)];
                firsts.into_iter().flatten().any(|entry| {
                    let entry = entry.among(common, 0, self.settings.precedence);
                    turn.follows(&entry, &self.tasks)
                })
            })
        })
    }

    /// Where a tenant stands among the others with a task.
    pub(crate) fn stands(&self, tenant: Place, task: TaskIx) -> Option<Entry> {
        let (kind, head) = self.head_of(task)?;
        let entry = self.entry(tenant, &head);
        Some(entry.among(kind.phase().common(self.now), 0, self.settings.precedence))
    }

    /// The task that claims up to a place, if there is room for it on the way there.
    pub(crate) fn claimant(&self, front: Place) -> Option<(Kind, Head)> {
        self.branches.get(front).filter(|branch| branch.claimed == Some(front))?;
        let claim = self.claims.at(front)?;
        let lacks = |at: &Place| self.lacks(*at, &claim.need, claim.cluster);
        let room = claim.path.iter().all(|at| lacks(at).is_none());
        if room { self.head_of(claim.task) } else { None }
    }

    /// The lowest place with too little room for a need, for so long at most, beside what is kept there
    /// for others than the one whose front this is.
    pub(crate) fn behind(
        &self,
        from: Place,
        (need, span, of): (&Amounts, Span, ClusterIx),
        own: Option<Place>,
    ) -> Option<(Place, &Claim)> {
        let kept = |at: Place| {
            let front = self.branches.get(at)?.claimed.filter(|front| Some(*front) != own)?;
            let claim = self.claims.at(front)?;
            let counts = if span <= claim.passes { lasting(need) } else { *need };
            let elsewhere = at == Place::ROOT && claim.cluster != of;
            let kept = if elsewhere { claim.need.with(Dimension::Pods, 0) } else { claim.need };
            let sum = sum(&counts, &mask_of(&counts, &kept));
            self.lacks(at, &sum, of).map(|_| (front, claim))
        };
        self.tree.path(from).find_map(kept)
    }

    /// The front of the claim that a waiting task has.
    pub(crate) fn front_of(&self, at: TaskIx) -> Option<Place> {
        let front = self.claims.front(self.queue_of(at)?)?;
        self.claims.at(front).filter(|claim| claim.task == at).map(|_| front)
    }
}

/// What is known of the time at which a claim ends.
struct Foreseen {
    by: Option<Timestamp>,
    passes: Span,
    until: Timestamp,
}

/// Of what is kept, that of which something is needed.
fn mask_of(need: &Amounts, kept: &Amounts) -> Amounts {
    let mut of = *kept;
    for (of, need) in of.0.iter_mut().zip(need.0) {
        if need == 0 {
            *of = 0;
        }
    }
    of
}
