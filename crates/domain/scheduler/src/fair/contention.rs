//! What is scarce where.

use std::collections::{BTreeMap, BTreeSet};

use flowforge_model::quota::Dimension;
use flowforge_model::time::{Millis, Timestamp};
use flowforge_quota::{Place, UNLIMITED};

use super::FairShare;
use super::branch;

/// Something stays contended for so long after it ceased to be: a change gives all below new
/// places, which should not happen at every breath.
const COOLING: Millis = Millis(10_000);

/// What is contended and might cease to be: since when it looks as if it were not.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cooling {
    since: BTreeMap<(Place, u8), Timestamp>,
    due: BTreeSet<(Timestamp, Place, u8)>,
    /// By place, what cools, a bit each: it is asked for at every step of every call.
    bits: Vec<u8>,
}

impl Cooling {
    /// From now on just these cool at a place, a bit each; those that did go on.
    fn only(&mut self, at: Place, cools: u8, now: Timestamp) {
        let before = self.bits.get(at.index()).copied().unwrap_or(0);
        if before == cools {
            return;
        }
        for bit in (0..8).filter(|bit| (before ^ cools) & (1 << bit) != 0) {
            if cools & (1 << bit) != 0 {
                self.since.insert((at, bit), now);
                self.due.insert((now, at, bit));
            } else if let Some(since) = self.since.remove(&(at, bit)) {
                self.due.remove(&(since, at, bit));
            }
        }
        if self.bits.len() <= at.index() {
            self.bits.resize(at.index() + 1, 0);
        }
        if let Some(bits) = self.bits.get_mut(at.index()) {
            *bits = cools;
        }
    }

    fn over(&mut self, now: Timestamp) -> Option<(Place, u8)> {
        let (since, at, bit) = *self.due.first()?;
        (since.plus(COOLING) <= now).then(|| {
            let rest = self.bits.get(at.index()).map_or(0, |bits| bits & !(1 << bit));
            self.only(at, rest, now);
            (at, bit)
        })
    }

    pub(crate) fn cools(&self, at: Place, bit: usize) -> bool {
        u8::try_from(bit).is_ok_and(|bit| self.since.contains_key(&(at, bit)))
    }

    pub(crate) fn forget(&mut self, at: Place) {
        self.only(at, 0, Timestamp(0));
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
        let (mut hot, mut calm, mut own) = (0_u8, 0_u8, 0_u8);
        for (bit, (used, limit)) in used.0.into_iter().zip(limit.0).enumerate() {
            own |= u8::from(limit < UNLIMITED) << bit;
            hot |= u8::from(nearly(used, limit)) << bit;
            calm |= u8::from(!mostly(used, limit)) << bit;
        }
        let several = at == Place::ROOT && self.clusters.several();
        if several {
            let pods = 1 << Dimension::Pods as u8;
            let pressure = self.clusters.pressure();
            hot = if pressure.0 { hot | pods } else { hot & !pods };
            calm = if pressure.1 { calm | pods } else { calm & !pods };
        }
        hot &= own;
        for bucket in &branch.buckets {
            let open = own & !hot;
            if open == 0 {
                break;
            }
            let Some(class) = self.shapes.class(bucket.kind.class()) else { continue };
            if class.mask & open == 0 {
                continue;
            }
            let (used, limit) =
                if several { self.room_at(at, class.cluster) } else { (used, limit) };
            let each = used.0.into_iter().zip(limit.0).zip(class.most.0).enumerate();
            for (bit, ((used, limit), need)) in each {
                // Somebody waits because there is too little left.
                let short = need > 0 && need <= limit && need > limit.saturating_sub(used);
                hot |= (u8::from(short) << bit) & own;
            }
        }
        let before = branch.own_contended;
        let after = (before | hot) & own;
        self.cooling.only(at, after & !hot & calm, self.now);
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

    /// Works out anew what there is to share below a place, tells those below that inherit it, and
    /// gives all of their children new places among each other: from the bottom up, each once.
    pub(crate) fn inherit(&mut self, from: Place) {
        let (mut next, mut children) = (vec![from], Vec::new());
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
            branch.common = common;
            next.extend_from_slice(self.tree.children(at));
            children.extend(self.tree.children(at).iter().map(|child| (*child, at)));
        }
        if children.is_empty() {
            return;
        }
        for (child, parent) in children.into_iter().rev() {
            self.refresh(child, parent);
        }
        self.refresh_path(from);
    }
}
