//! What is scarce where.

use std::collections::{BTreeMap, BTreeSet};

use flowforge_model::time::{Millis, Timestamp};
use flowforge_quota::{Place, UNLIMITED};

use super::FairShare;
use super::branch::{self, Common};

/// Something stays contended for so long after it ceased to be: a change gives all below new
/// places, which should not happen at every breath.
const COOLING: Millis = Millis(10_000);

/// What is contended and might cease to be: since when it looks as if it were not.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cooling {
    since: BTreeMap<(Place, u8), Timestamp>,
    due: BTreeSet<(Timestamp, Place, u8)>,
}

impl Cooling {
    fn start(&mut self, at: Place, bit: u8, now: Timestamp) {
        self.since.entry((at, bit)).or_insert_with(|| {
            self.due.insert((now, at, bit));
            now
        });
    }

    fn stop(&mut self, at: Place, bit: u8) {
        if let Some(since) = self.since.remove(&(at, bit)) {
            self.due.remove(&(since, at, bit));
        }
    }

    fn over(&mut self, now: Timestamp) -> Option<(Place, u8)> {
        let (since, at, bit) = *self.due.first()?;
        (since.plus(COOLING) <= now).then(|| {
            self.stop(at, bit);
            (at, bit)
        })
    }

    pub(crate) fn cools(&self, at: Place, bit: usize) -> bool {
        u8::try_from(bit).is_ok_and(|bit| self.since.contains_key(&(at, bit)))
    }

    pub(crate) fn forget(&mut self, at: Place) {
        for bit in 0..8 {
            self.stop(at, bit);
        }
    }
}

/// At least 95 % is used.
pub(crate) fn nearly(used: u64, limit: u64) -> bool {
    used >= limit - limit / 20
}

/// At least 85 % is used.
pub(crate) fn mostly(used: u64, limit: u64) -> bool {
    used >= limit - limit / 20 * 3 - limit % 20 * 3 / 20
}

impl FairShare {
    /// Looks whether something that a place limits became contended: at least 95 % is used, or
    /// somebody below waits because there is too little left. It ceases to be when less than 85 % is
    /// used and nobody waits for it, for ten seconds.
    pub(crate) fn assess(&mut self, at: Place) {
        let Some(branch) = self.branches.get(at) else { return };
        if branch.own_limited | branch.own_contended == 0 {
            return;
        }
        let (used, limit) = (self.tree.usage(at), self.tree.limit(at));
        let (mut wanted, mut hot, mut calm, mut own) = (0_u8, 0_u8, 0_u8, 0_u8);
        for (bit, (used, limit)) in used.0.into_iter().zip(limit.0).enumerate() {
            own |= u8::from(limit < UNLIMITED) << bit;
            hot |= u8::from(nearly(used, limit)) << bit;
            calm |= u8::from(!mostly(used, limit)) << bit;
        }
        if own & !hot != 0 {
            for bucket in &branch.buckets {
                let Some(class) = self.shapes.class(bucket.kind.class()) else { continue };
                for (bit, ((used, limit), need)) in
                    used.0.into_iter().zip(limit.0).zip(class.most.0).enumerate()
                {
                    let short = need > 0 && need <= limit && need > limit.saturating_sub(used);
                    wanted |= u8::from(short) << bit;
                }
            }
        }
        let hot = own & (hot | wanted);
        let before = branch.own_contended;
        let after = (before | hot) & own;
        for bit in 0..8 {
            if after & !hot & calm & (1 << bit) != 0 {
                self.cooling.start(at, bit, self.now);
            } else if before & (1 << bit) != 0 {
                self.cooling.stop(at, bit);
            }
        }
        if before != after {
            if let Some(branch) = self.branches.get_mut(at) {
                branch.own_contended = after;
            }
            self.watch(at);
            self.inherit(at);
        }
    }

    /// Ends contention that has been over for long enough.
    pub(crate) fn cool(&mut self) {
        while let Some((at, bit)) = self.cooling.over(self.now) {
            if let Some(branch) = self.branches.get_mut(at) {
                branch.own_contended &= !(1 << bit);
            }
            self.watch(at);
            self.inherit(at);
        }
    }

    /// Works out anew what there is to share below a place, and tells those below that inherit it.
    pub(crate) fn inherit(&mut self, from: Place) {
        let mut next = vec![from];
        while let Some(at) = next.pop() {
            let above = self.tree.parent(at).and_then(|parent| self.branches.get(parent));
            let above = above.map(|branch| branch.common).unwrap_or_default();
            let limits = self.tree.limit(at).0.into_iter().enumerate();
            let own = limits.fold(0, |own, (bit, limit)| own | u8::from(limit < UNLIMITED) << bit);
            let Some(branch) = self.branches.get_mut(at) else { continue };
            branch.own_limited = own;
            let common = branch::common(&self.tree, at, branch.own_contended, &above);
            if common == branch.common {
                continue;
            }
            self.rekey(at, common);
            next.extend_from_slice(self.tree.children(at));
        }
    }

    /// Gives all children of a place their shares of something else.
    fn rekey(&mut self, at: Place, common: Common) {
        let Some(branch) = self.branches.get_mut(at) else { return };
        branch.common = common;
        let mut buckets = std::mem::take(&mut branch.buckets);
        for bucket in &mut buckets {
            let phase = bucket.kind.phase();
            bucket.heap.replace(&self.tasks, |entry| self.fresh(phase, entry));
        }
        if let Some(branch) = self.branches.get_mut(at) {
            branch.buckets = buckets;
        }
        self.refresh_path(at);
    }
}
