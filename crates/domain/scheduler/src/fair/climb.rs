//! Keeps the heaps true: what changed below is told upwards.

use flowforge_model::quota::Amounts;
use flowforge_quota::{Place, UNLIMITED};

use super::FairShare;
use super::entry::{Child, Entry, Head, Standing};
use super::points::{self, Phase, real};
use super::queue::{QueueIx, Seat};
use super::shape::{ClassIx, ShapeIx};

/// What a call touched and has not told upwards yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct Touched {
    /// Other tasks of a class may be first there.
    classes: Vec<(Place, ClassIx)>,
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
        let closed = self.lanes.get(lane).is_none_or(super::lane::Lane::closed);
        let first = queue.first().filter(|_| !closed);
        let head = first.and_then(|task| {
            let task_of = self.tasks.get(task)?;
            let (shape, base, since) = (task_of.shape, task_of.priority, task_of.since);
            let shape = self.effective(shape, lane, old);
            Some(Head { task, base, since, shape, phase: Phase::of(since, self.now) })
        });
        let seat = head.map(|head| {
            let class = self.shapes.wait(head.shape);
            Seat { shape: head.shape, class, phase: head.phase, since: head.since }
        });
        let (was, is) = (old.map(|seat| seat.class), seat.map(|seat| seat.class));
        if let Some(class) = is.filter(|_| was != is) {
            self.branches.more(&self.tree, place, class, 1);
        }
        if let Some(before) = old {
            let stays = seat.is_some_and(|s| (s.class, s.phase) == (before.class, before.phase));
            if !stays {
                self.put(place, (before.class, before.phase), slot, None);
            }
            if was != is {
                self.branches.fewer(&self.tree, place, (before.class, 1), &self.tasks);
            }
        }
        if let (Some(head), Some(seat)) = (head, seat) {
            self.put(place, (seat.class, seat.phase), slot, Some(Entry::of_queue(at, &head)));
        }
        self.remember(at, old, seat);
    }

    /// Remembers where a queue was put, and when that ends by itself.
    fn remember(&mut self, at: QueueIx, old: Option<Seat>, seat: Option<Seat>) {
        let ages = |seat: Option<Seat>| seat.filter(|s| s.phase == Phase::Aging).map(|s| s.since);
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

    fn put(
        &mut self,
        at: Place,
        (class, phase): (ClassIx, Phase),
        slot: u32,
        entry: Option<Entry>,
    ) {
        let bucket = self.branches.get_mut(at).and_then(|branch| branch.bucket_mut(class));
        let Some(bucket) = bucket else { return };
        if bucket.heap_mut(phase).set(slot, entry, &self.tasks)
            && !self.touched.classes.contains(&(at, class))
        {
            self.touched.classes.push((at, class));
        }
    }

    /// What a task needs to start, taken into use once: the slot of its workflow included, unless
    /// that holds it already.
    fn effective(
        &mut self,
        shape: ShapeIx,
        lane: super::lane::LaneIx,
        old: Option<Seat>,
    ) -> ShapeIx {
        let need = self.shapes.need(shape);
        let slot = self.lanes.root(lane).filter(|root| root.slot.is_none());
        let need = slot.map_or(need, |root| sum(&need, &root.slot_need));
        match old.map(|seat| seat.shape) {
            Some(same) if self.shapes.need(same) == need => self.shapes.again(same),
            _ => self.shapes.take(&need),
        }
    }

    /// Tells upwards what a call touched, and looks what became contended by it.
    pub(crate) fn finish(&mut self) {
        let mut touched = std::mem::take(&mut self.touched);
        for at in &touched.paths {
            self.refresh_path(*at);
        }
        for (at, class) in &touched.classes {
            if !touched.paths.contains(at) {
                self.climb(*at, *class);
            }
        }
        for index in 0..touched.paths.len() + touched.classes.len() {
            let of_path = touched.paths.get(index).copied();
            let at = of_path
                .or_else(|| touched.classes.get(index - touched.paths.len()).map(|(at, _)| *at));
            let mut next = at;
            while let Some(at) = next {
                next = self.tree.parent(at);
                self.assess(at);
            }
        }
        touched.paths.clear();
        touched.classes.clear();
        if self.touched.paths.is_empty() && self.touched.classes.is_empty() {
            self.touched = touched;
        }
    }

    /// Tells upwards who is first of a class below a place, as far as that changes anything.
    fn climb(&mut self, from: Place, class: ClassIx) {
        let mut at = from;
        while let Some(parent) = self.tree.parent(at) {
            let changed = self.refresh(at, parent, class);
            // Where nobody is left, the parent was told when the last one went.
            let gone = self.branches.get(at).is_none_or(|branch| branch.bucket(class).is_none());
            if !changed && !gone {
                return;
            }
            at = parent;
        }
    }

    /// Tells everything about a place upwards.
    pub(crate) fn refresh_path(&mut self, from: Place) {
        let mut at = from;
        while let Some(parent) = self.tree.parent(at) {
            let count = self.branches.get(at).map_or(0, |branch| branch.buckets.len());
            for index in 0..count {
                let bucket = self.branches.get(at).and_then(|branch| branch.buckets.get(index));
                if let Some(class) = bucket.map(|bucket| bucket.class) {
                    self.refresh(at, parent, class);
                }
            }
            at = parent;
        }
    }

    /// Puts a place where it belongs among its siblings, for one class.
    fn refresh(&mut self, at: Place, parent: Place, class: ClassIx) -> bool {
        let mut changed = false;
        for phase in Phase::ALL {
            let bucket = self.branches.get(at).and_then(|branch| branch.bucket(class));
            let first = bucket.and_then(|bucket| bucket.heap(phase).first());
            let head = first.map(|entry| entry.as_head(phase));
            let entry = head.filter(|head| self.room(at, head)).map(|head| self.entry(at, &head));
            changed |= self.branches.set((at, parent), (class, phase), entry, &self.tasks);
        }
        changed
    }

    /// There is room for a task at this one place.
    fn room(&self, at: Place, head: &Head) -> bool {
        let shape = self.shapes.get(head.shape);
        shape.is_some_and(|shape| self.tree.lacks(at, &shape.need).is_none())
    }

    /// How a place stands among its siblings with this task.
    pub(crate) fn entry(&self, at: Place, head: &Head) -> Entry {
        let mask = self.shapes.get(head.shape).map_or(0, |shape| shape.mask);
        let share = points::logarithm(self.share(at, mask));
        let tenant = self.tree.parent(at) == Some(Place::ROOT);
        let (boost, penalty) = match tenant {
            true => (points::boost(self.tree.weight(at).get()), self.penalty(at, mask)),
            false => (0, 0),
        };
        let standing = Standing { share, boost, penalty };
        Entry::of_node(at, head, standing, self.settings.precedence)
    }

    /// The same entry after its shares changed.
    pub(crate) fn fresh(&self, _below: Place, phase: Phase, entry: &Entry) -> Entry {
        match entry.child {
            Child::Node(child) => self.entry(child, &entry.as_head(phase)),
            Child::Queue(_) => *entry,
        }
    }

    /// The part that a place uses of what there is for it and its siblings, over its weight: of what
    /// the task needs and is contended, that of which it uses the largest part. Where nothing is
    /// contended, of all the task needs.
    pub(crate) fn share(&self, at: Place, mask: u8) -> f64 {
        let above = self.tree.parent(at).and_then(|parent| self.branches.get(parent));
        let Some(common) = above.map(|branch| &branch.common) else { return 0.0 };
        let contended = mask & common.contended;
        let counts = if contended == 0 { mask & common.limited } else { contended };
        let parts = self.tree.usage(at).0.into_iter().zip(common.inverse).enumerate();
        let parts = parts.filter(|(bit, _)| counts & (1 << bit) != 0);
        let most =
            parts.fold(0.0, |most: f64, (_, (used, inverse))| most.max(real(used) * inverse));
        most / f64::from(self.tree.weight(at).get())
    }

    /// What using much of its own limits takes from the priority of a tenant's tasks.
    pub(crate) fn penalty(&self, tenant: Place, mask: u8) -> i64 {
        let parts = self.tree.usage(tenant).0.into_iter().zip(self.tree.limit(tenant).0);
        let parts = parts.enumerate().filter(|(bit, _)| mask & (1 << bit) != 0);
        let limited = parts.filter(|(_, (_, limit))| *limit < UNLIMITED);
        limited.map(|(_, (used, limit))| points::penalty(used, limit)).max().unwrap_or(0)
    }
}

pub(crate) fn sum(a: &Amounts, b: &Amounts) -> Amounts {
    let mut sum = *a;
    for (sum, more) in sum.0.iter_mut().zip(b.0) {
        *sum = sum.saturating_add(more);
    }
    sum
}
