//! Keeps the heaps true: what changed below is told upwards.

use flowforge_model::quota::{Amounts, Dimension};
use flowforge_quota::{Place, UNLIMITED};

use super::FairShare;
use super::branch::Bucket;
use super::entry::{Entry, Head};
use super::lane::{Lane, LaneIx};
use super::points::{self, Phase};
use super::queue::{QueueIx, Seat};
use super::shape::{Kind, ShapeIx};
use super::view::View;

/// What a call touched and has not told upwards yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct Touched {
    /// Other tasks of a kind may be first there.
    kinds: Vec<(Place, Kind)>,
    /// More or less is used there.
    paths: Vec<Place>,
}

impl FairShare {
    /// More or less is used at a place, or may be.
    pub(crate) fn touch(&mut self, at: Place) {
        if !self.touched.paths.contains(&at) {
            self.touched.paths.push(at);
        }
    }

    /// Puts a queue where it belongs: its first task, what that needs now, and whether it may start.
    pub(crate) fn settle(&mut self, at: QueueIx) {
        let Some(queue) = self.queues.get(at) else { return };
        let (place, slot, lane, old) = (queue.place, queue.slot, queue.lane, queue.seat);
        let closed = self.lanes.get(lane).is_none_or(Lane::closed);
        let first = queue.first().filter(|_| !closed);
        let head = first.and_then(|task| {
            let task_of = self.tasks.get(task)?;
            let (shape, base, since) = (task_of.shape, task_of.priority, task_of.since);
            let shape = self.effective(shape, lane, old);
            Some(Head { task, base, since, shape, phase: Phase::of(since, self.now) })
        });
        let seat = head.map(|head| {
            let kind = Kind::new(self.shapes.wait(head.shape), head.phase);
            Seat { shape: head.shape, kind, since: head.since }
        });
        let (was, is) = (old.map(|seat| seat.kind), seat.map(|seat| seat.kind));
        if let Some(kind) = is.filter(|_| was != is) {
            self.branches.more(&self.tree, place, kind, 1);
        }
        if let Some(kind) = was.filter(|_| was != is) {
            self.put(place, kind, slot, None);
            self.branches.fewer(&self.tree, place, (kind, 1), &self.tasks);
        }
        if let (Some(head), Some(kind)) = (head, is) {
            self.put(place, kind, slot, Some(Entry::of_queue(at, &head)));
        }
        self.remember(at, old, seat);
        if let Some(front) = self.claims.front(at) {
            self.reclaim(at, front);
        }
    }

    /// Remembers where a queue was put, and when that ends by itself.
    fn remember(&mut self, at: QueueIx, old: Option<Seat>, seat: Option<Seat>) {
        let aging = |seat: &Seat| seat.kind.phase() == Phase::Aging;
        let ages = |seat: Option<Seat>| seat.filter(aging).map(|seat| seat.since);
        if ages(old) != ages(seat) {
            if let Some(since) = ages(old) {
                self.aging.remove(&(since, at));
            }
            if let Some(since) = ages(seat) {
                self.aging.insert((since, at));
            }
        }
        if let Some(before) = old {
            self.shapes.leave(before.shape);
            self.shapes.put(before.shape);
        }
        if let Some(queue) = self.queues.get_mut(at) {
            queue.seat = seat;
        }
    }

    fn put(&mut self, at: Place, kind: Kind, slot: u32, entry: Option<Entry>) {
        let bucket = self.branches.get_mut(at).and_then(|branch| branch.bucket_mut(kind));
        let Some(bucket) = bucket else { return };
        if bucket.heap.set(slot, entry, &self.tasks) && !self.touched.kinds.contains(&(at, kind)) {
            self.touched.kinds.push((at, kind));
        }
    }

    /// What a task needs to start, taken into use once: the slot of its workflow included, unless
    /// that holds it already.
    fn effective(&mut self, shape: ShapeIx, lane: LaneIx, old: Option<Seat>) -> ShapeIx {
        let (span, cluster) = (self.shapes.span(shape), self.shapes.cluster(shape));
        let need = self.shapes.need(shape);
        let slot = self.lanes.root(lane).and_then(Lane::slot_need);
        let need = slot.map_or(need, |slot| sum(&need, &slot));
        match old.map(|seat| seat.shape) {
            Some(same)
                if self.shapes.need(same) == need
                    && self.shapes.span(same) == span
                    && self.shapes.cluster(same) == cluster =>
            {
                self.shapes.again(same)
            }
            _ => self.shapes.take(&need, (span, cluster)),
        }
    }

    /// Tells upwards what a call touched, and looks what became contended by it.
    pub(crate) fn finish(&mut self) {
        let mut touched = std::mem::take(&mut self.touched);
        for at in &touched.paths {
            self.refresh_path(*at);
        }
        for (at, kind) in &touched.kinds {
            if !touched.paths.contains(at) {
                self.climb(*at, *kind);
            }
        }
        for (at, _) in &touched.kinds {
            if !touched.paths.contains(at) {
                touched.paths.push(*at);
            }
        }
        for at in &touched.paths {
            let mut next = Some(*at);
            while let Some(at) = next {
                next = self.tree.parent(at);
                self.assess(at);
            }
        }
        touched.paths.clear();
        touched.kinds.clear();
        if self.touched.paths.is_empty() && self.touched.kinds.is_empty() {
            self.touched = touched;
        }
    }

    /// Tells upwards who is first of a kind below a place, as far as that changes anything.
    fn climb(&mut self, from: Place, kind: Kind) {
        let mut at = from;
        while let Some(parent) = self.tree.parent(at) {
            let mut view = View::new(self, at);
            let bucket = self.branches.get(at).and_then(|branch| branch.bucket(kind));
            let entry = bucket.and_then(|bucket| self.entry_of(bucket, &mut view));
            let changed = self.branches.set((at, parent), kind, entry, &self.tasks);
            // Where nobody is left, the parent was told when the last one went.
            if !changed && self.branches.get(at).is_some_and(|branch| branch.bucket(kind).is_some())
            {
                return;
            }
            at = parent;
        }
    }

    /// Tells everything about a place upwards.
    pub(crate) fn refresh_path(&mut self, from: Place) {
        let mut at = from;
        while let Some(parent) = self.tree.parent(at) {
            self.refresh(at, parent);
            at = parent;
        }
    }

    /// Puts a place where it belongs among its siblings, for all kinds.
    pub(crate) fn refresh(&mut self, at: Place, parent: Place) {
        let count = self.branches.get(at).map_or(0, |branch| branch.buckets.len());
        if count == 0 {
            return;
        }
        let mut view = View::new(self, at);
        for index in 0..count {
            let bucket = self.branches.get(at).and_then(|branch| branch.buckets.get(index));
            let Some(bucket) = bucket else { continue };
            let (kind, entry) = (bucket.kind, self.entry_of(bucket, &mut view));
            self.branches.set((at, parent), kind, entry, &self.tasks);
        }
    }

    /// How a place stands among its siblings for one kind, if it has something of it that fits there.
    fn entry_of(&self, bucket: &Bucket, view: &mut View) -> Option<Entry> {
        let kind = bucket.kind;
        // Who claims here goes first here, and is compared above like anybody.
        if let Some((_, head)) = view.claimant.filter(|(of, _)| *of == kind) {
            let shape = self.shapes.get(head.shape)?;
            return Some(view.entry(self, &head, shape.mask));
        }
        let head = bucket.heap.first()?.as_head(kind.phase());
        let shape = self.shapes.get(head.shape)?;
        view.fits(shape).then(|| view.entry(self, &head, shape.mask))
    }

    /// How a place stands among its siblings with this task.
    pub(crate) fn entry(&self, at: Place, head: &Head) -> Entry {
        let mask = self.shapes.get(head.shape).map_or(0, |shape| shape.mask);
        View::new(self, at).entry(self, head, mask)
    }

    /// What using much of its own limits takes from the priority of a tenant's tasks, by what they
    /// need.
    pub(crate) fn penalties(&self, tenant: Place) -> Penalties {
        let mut each = [0; Dimension::COUNT];
        let parts = self.tree.usage(tenant).0.into_iter().zip(self.tree.limit(tenant).0);
        for (each, (used, limit)) in each.iter_mut().zip(parts) {
            // Below 80 % there is none; this is short of that.
            if limit < UNLIMITED && used >= limit / 2 {
                *each = points::penalty(used, limit);
            }
        }
        Penalties(each)
    }
}

/// By dimension.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Penalties([i64; Dimension::COUNT]);

impl Penalties {
    pub(crate) fn of(&self, mask: u8) -> i64 {
        let needed = self.0.iter().enumerate().filter(|(bit, _)| mask & (1 << bit) != 0);
        needed.map(|(_, penalty)| *penalty).max().unwrap_or(0)
    }
}

pub(crate) fn sum(a: &Amounts, b: &Amounts) -> Amounts {
    let mut sum = *a;
    for (sum, more) in sum.0.iter_mut().zip(b.0) {
        *sum = sum.saturating_add(more);
    }
    sum
}
