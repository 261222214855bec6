//! How it goes, in numbers.

use std::collections::BTreeMap;

use flowforge_model::cluster::ClusterName;
use flowforge_model::quota::{Amounts, Dimension, Level};
use flowforge_model::time::{Millis, Timestamp};
use flowforge_quota::Place;

use super::FairShare;
use super::points::real;
use super::why::Waiter;
use crate::metrics::{Metrics, Pools, Size, Waits, Where};
use crate::why::Code;

type Pending = BTreeMap<(Code, Option<Where>), u64>;
type PendingIn = BTreeMap<(ClusterName, Code), u64>;

/// What is counted as it happens.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    admitted: u64,
    undone: u64,
    waits: [Waits; Size::COUNT],
}

impl Tally {
    pub(crate) fn admit(&mut self, need: &Amounts, since: Timestamp, now: Timestamp) {
        self.admitted = self.admitted.saturating_add(1);
        let waited = u64::try_from(now.0.saturating_sub(since.0)).unwrap_or(0);
        if let Some(waits) = self.waits.get_mut(Size::of(need) as usize) {
            waits.add(Millis(waited));
        }
    }

    pub(crate) fn undo(&mut self) {
        self.undone = self.undone.saturating_add(1);
    }
}

impl FairShare {
    /// How it goes at `now`. An attempt that was admitted, came to nothing and was admitted again has
    /// waited twice.
    ///
    /// Attempts of one workflow with the same need and base priority wait for what the first of them
    /// waits for. Costs O(workflows that wait * levels + entities + attempts that run).
    #[must_use]
    pub fn metrics(&self, now: Timestamp) -> Metrics {
        let Tally { admitted, undone, waits } = self.tally;
        let (pending, pending_in) = self.pending(self.now.max(now));
        Metrics {
            pending,
            pending_in,
            running: u64::try_from(self.held).unwrap_or(u64::MAX),
            admitted,
            undone,
            waits,
            drift: self.drift().len(),
            pools: self.pools(),
        }
    }

    fn pending(&self, now: Timestamp) -> (Pending, PendingIn) {
        let (mut pending, mut pending_in) = (Pending::new(), PendingIn::new());
        let plus = |sum: &mut u64, count: usize| {
            *sum = sum.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
        };
        let mut add = |key, count| plus(pending.entry(key).or_default(), count);
        let next = self.pick();
        for (_, queue) in self.queues.iter() {
            let Some((at, task)) = queue.first().and_then(|at| Some((at, *self.tasks.get(at)?)))
            else {
                continue;
            };
            let need = self.whole_need(&task);
            let (code, short) = self.code(&Waiter { at, task, need, now, next });
            let at = short.map(|short| match (short.entity, short.level) {
                (None, _) => Where::Installation,
                (Some(_), None) => Where::Unknown,
                (Some(_), Some(level)) => Where::Level(level),
            });
            let first = if code == Code::Next { 1 } else { queue.len() };
            let parts = [
                (code, at, first),
                (Code::BehindPriority, None, queue.len().saturating_sub(first)),
            ];
            let pods = need.get(Dimension::Pods) > 0;
            let cluster = self.clusters.named(self.shapes.cluster(task.shape));
            for (code, at, count) in parts.into_iter().filter(|(_, _, count)| *count > 0) {
                add((code, at), count);
                if pods {
                    plus(pending_in.entry((cluster.clone(), code)).or_default(), count);
                }
            }
        }
        add((Code::CircuitOpen, Some(Where::Level(Level::Project))), self.breaker.len());
        add((Code::RetryBudget, Some(Where::Level(Level::Tenant))), self.rations.len());
        pending.retain(|_, count| *count > 0);
        (pending, pending_in)
    }

    fn pools(&self) -> BTreeMap<(Where, Dimension), Pools> {
        let mut all: BTreeMap<(Where, Dimension), Pools> = BTreeMap::new();
        let places = (0..self.tree.places()).filter_map(|at| u32::try_from(at).ok()).map(Place);
        for at in places {
            let contended = self.branches.get(at).map_or(0, |branch| branch.own_contended);
            if contended == 0 {
                continue;
            }
            let bits = Dimension::ALL.into_iter().filter(|of| contended & (1 << *of as u8) != 0);
            for dimension in bits {
                let Some(pool) = self.pool(at, dimension) else { continue };
                let level = match self.tree.level(at) {
                    _ if at == Place::ROOT => Where::Installation,
                    Some(level) => Where::Level(level),
                    None => Where::Unknown,
                };
                let sum = all.entry((level, dimension)).or_insert(Pools { count: 0, ..pool });
                sum.count += 1;
                sum.error = sum.error.max(pool.error);
                sum.jain = sum.jain.min(pool.jain);
            }
        }
        all
    }

    /// How fairly those below a place share, of whom at least two want more and may have it.
    fn pool(&self, at: Place, dimension: Dimension) -> Option<Pools> {
        let wants = |child: &&Place| {
            let branch = self.branches.get(**child);
            let mut buckets = branch.into_iter().flat_map(|branch| &branch.buckets);
            buckets.any(|bucket| {
                let class = self.shapes.class(bucket.kind.class());
                bucket.live > 0
                    && class.is_some_and(|class| class.mask & (1 << dimension as u8) != 0)
            }) && self.tree.used(**child, dimension) < self.tree.limit(**child).get(dimension)
        };
        let children = self.tree.children(at).iter().filter(wants);
        let used: Vec<(f64, f64)> = children
            .map(|child| {
                let weight = f64::from(self.tree.weight(*child).get());
                (real(self.tree.used(*child, dimension)), weight)
            })
            .collect();
        if used.len() < 2 {
            return None;
        }
        let (sum, weights) = used.iter().fold((0.0, 0.0), |(s, w), (u, v)| (s + u, w + v));
        if sum <= 0.0 {
            return None;
        }
        let off = used.iter().map(|(used, weight)| (used / sum - weight / weights).abs());
        let shares = used.iter().map(|(used, weight)| used / weight);
        let (first, second) = shares.fold((0.0, 0.0), |(a, b), x| (a + x, b + x * x));
        let count = f64::from(u32::try_from(used.len()).unwrap_or(u32::MAX));
        Some(Pools {
            count: 1,
            error: off.fold(0.0, f64::max),
            jain: first * first / (count * second),
        })
    }
}
