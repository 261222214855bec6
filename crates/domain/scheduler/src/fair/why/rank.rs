//! Where an attempt stands among others, on each level.

use std::collections::BTreeSet;

use flowforge_quota::Place;

use super::Waiter;
use crate::fair::FairShare;
use crate::fair::branch::Bucket;
use crate::fair::entry::{Child, Entry, Head};
use crate::fair::points::Phase;
use crate::fair::queue::QueueIx;
use crate::fair::shape::mask;
use crate::fair::task::{State, TaskIx};
use crate::fair::view::View;
use crate::why::{Rank, Why};

impl FairShare {
    /// Its place on each level, from the installation down.
    pub(super) fn ranks(&self, waiter: &Waiter) -> Vec<Rank> {
        let mut ranks = Vec::new();
        let mut below = None;
        for at in self.tree.path(waiter.task.place) {
            let (ahead, of) = match below {
                Some(child) => self.siblings_ahead(waiter, at, child),
                None => (self.attempts_ahead(waiter), self.waits(at)),
            };
            let of = of.max(ahead.saturating_add(1));
            ranks.push(Rank { below: self.tree.entity(at), ahead, of });
            below = Some(at);
        }
        ranks.reverse();
        ranks
    }

    fn waits(&self, at: Place) -> usize {
        self.branches.get(at).map_or(0, |branch| branch.waits as usize)
    }

    fn siblings_ahead(&self, waiter: &Waiter, at: Place, child: Place) -> (usize, usize) {
        let ours = self.among(at, self.as_head(waiter.at), mask(&waiter.need), Some(child));
        let Some(ours) = ours else { return (0, 0) };
        let (mut ahead, mut of) = (BTreeSet::new(), 0);
        let buckets = self.branches.get(at).into_iter().flat_map(|branch| &branch.buckets);
        for bucket in buckets {
            of = of.max(bucket.heap.len());
            let entries = bucket.heap.leading(self.before(at, bucket, &ours));
            for entry in entries.filter(|entry| entry.child() != Child::Node(child)) {
                if ahead.len() == Why::AHEAD {
                    return (Why::AHEAD, of);
                }
                ahead.insert(entry.child());
            }
        }
        (ahead.len(), of)
    }

    /// Whether what stands in a bucket of a place goes before something else there.
    fn before<'a>(
        &'a self,
        at: Place,
        bucket: &Bucket,
        ours: &'a Entry,
    ) -> impl Fn(&Entry) -> bool + 'a {
        let mask = self.shapes.class(bucket.kind.class()).map_or(0, |class| class.mask);
        let penalty = self.penalty(at, mask);
        let common = bucket.kind.phase().common(self.now);
        let precedence = self.settings.precedence;
        move |entry| entry.among(common, penalty, precedence).order(ours, &self.tasks).is_lt()
    }

    /// Attempts of the same project that go before it, as far as their workflows let them.
    fn attempts_ahead(&self, waiter: &Waiter) -> usize {
        let at = waiter.task.place;
        let ours = self.among(at, self.as_head(waiter.at), mask(&waiter.need), None);
        let Some(ours) = ours else { return 0 };
        let own = match waiter.task.state {
            State::Waiting(queue, _) => Some(queue),
            State::Held { .. } => None,
        };
        let mut ahead = 0;
        let buckets = self.branches.get(at).into_iter().flat_map(|branch| &branch.buckets);
        let queues = buckets.flat_map(|bucket| {
            bucket.heap.leading(self.before(at, bucket, &ours)).filter_map(move |entry| match entry
                .child()
            {
                Child::Queue(queue) => {
                    Some((queue, self.shapes.class(bucket.kind.class()).map_or(0, |of| of.mask)))
                }
                Child::Node(_) => None,
            })
        });
        let queues = queues.filter(|(queue, _)| Some(*queue) != own);
        for (queue, mask) in queues.chain(own.map(|queue| (queue, mask(&waiter.need)))) {
            let before = |task: TaskIx| {
                let theirs = self.among(at, self.as_head(task), mask, None);
                theirs.is_some_and(|theirs| theirs.order(&ours, &self.tasks).is_lt())
            };
            let most = Why::AHEAD - ahead;
            ahead += self.queues.get(queue).map_or(0, |of| of.leading(before).take(most).count());
        }
        ahead
    }

    /// A task that need not be at the head of anything, as if it were.
    pub(crate) fn as_head(&self, at: TaskIx) -> Option<Head> {
        let task = self.tasks.get(at)?;
        let phase = Phase::of(task.since, self.now);
        let (base, since, shape) = (task.priority, task.since, task.shape);
        Some(Head { task: at, base, since, shape, phase })
    }

    /// How the child of a place would stand there with this task; without a child, the task itself.
    fn among(
        &self,
        at: Place,
        head: Option<Head>,
        mask: u8,
        child: Option<Place>,
    ) -> Option<Entry> {
        let head = head?;
        let entry = match child {
            Some(child) => View::new(self, child).entry(self, &head, mask),
            // Which queue it is decides nothing.
            None => Entry::of_queue(QueueIx(u32::MAX), &head),
        };
        let common = head.phase.common(self.now);
        Some(entry.among(common, self.penalty(at, mask), self.settings.precedence))
    }

    /// What the tasks below a tenant have in common: among tenants it is in their entries.
    fn penalty(&self, at: Place, mask: u8) -> i64 {
        self.tenant(at).map_or(0, |tenant| self.penalties(tenant).of(mask))
    }
}
