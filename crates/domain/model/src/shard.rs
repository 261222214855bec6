//! Parts of the workflows, so that several controllers can share a database.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::WorkflowId;

/// How many parts there are, for ever: the shard of a workflow is stored with its rows.
pub const SHARDS: u8 = 64;

/// One part: from 0, below [`SHARDS`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Shard(u8);

impl Shard {
    /// Part `number`; none if there is no such part.
    #[must_use]
    pub fn new(number: u8) -> Option<Self> {
        (number < SHARDS).then_some(Self(number))
    }

    /// From 0, below [`SHARDS`].
    #[must_use]
    pub fn number(self) -> u8 {
        self.0
    }
}

impl fmt::Debug for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shard({})", self.0)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl WorkflowId {
    /// The part that it belongs to: the last six bits of its id, which are random. The same on every
    /// machine and for ever; databases compute it themselves.
    #[must_use]
    pub fn shard(self) -> Shard {
        let last = self.0.as_bytes().last().copied().unwrap_or(0);
        Shard(last % SHARDS)
    }
}

/// A set of shards.
#[derive(Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ShardSet(u64);

impl ShardSet {
    /// All of them.
    pub const ALL: Self = Self(u64::MAX);
    /// None of them.
    pub const NONE: Self = Self(0);

    /// Whether `shard` is one of them.
    #[must_use]
    pub fn contains(self, shard: Shard) -> bool {
        self.0 >> shard.0 & 1 == 1
    }

    /// These and `shard`.
    #[must_use]
    pub fn with(self, shard: Shard) -> Self {
        Self(self.0 | 1 << shard.0)
    }

    /// These, but for those of `other`.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// How many there are.
    #[must_use]
    pub fn len(self) -> u32 {
        self.0.count_ones()
    }

    /// There are none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// All of them, in order.
    pub fn iter(self) -> impl Iterator<Item = Shard> {
        (0..SHARDS).map(Shard).filter(move |shard| self.contains(*shard))
    }
}

impl FromIterator<Shard> for ShardSet {
    fn from_iter<T: IntoIterator<Item = Shard>>(shards: T) -> Self {
        shards.into_iter().fold(Self::NONE, Self::with)
    }
}

impl fmt::Debug for ShardSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use crate::id::ScheduleId;
    use crate::time::Timestamp;

    use super::*;

    #[test]
    fn workflows_spread_evenly_also_when_their_ids_follow_each_other() {
        let base = 0x0189_0a5d_ac96_774b_bcce_b302_0000_0000_u128;
        let mut counts = [0_u32; 64];
        for n in 0..64_000 {
            let shard = WorkflowId(Uuid::from_u128(base + n)).shard();
            counts[usize::from(shard.number())] += 1;
        }
        assert!(counts.iter().all(|count| (850..1150).contains(count)), "{counts:?}");
    }

    #[test]
    fn runs_of_a_schedule_spread_evenly() {
        let schedule: ScheduleId = "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
        let mut counts = [0_u32; 64];
        for second in 0..64_000 {
            let shard = schedule.run(Timestamp(second * 1000)).shard();
            counts[usize::from(shard.number())] += 1;
        }
        assert!(counts.iter().all(|count| (850..1150).contains(count)), "{counts:?}");
    }

    #[test]
    fn the_shard_of_a_workflow_never_changes() {
        let id: WorkflowId = "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
        assert_eq!(id.shard().number(), 23);
    }

    #[test]
    fn sets_hold_what_was_put_in() {
        let [a, b] = [Shard(3), Shard(63)];
        let set: ShardSet = [a, b].into_iter().collect();
        assert_eq!(set.iter().collect::<Vec<_>>(), [a, b]);
        assert_eq!(set.without(ShardSet::NONE.with(a)), ShardSet::NONE.with(b));
        assert_eq!(ShardSet::ALL.len(), u32::from(SHARDS));
        assert_eq!(Shard::new(64), None);
    }
}
