//! One of those who share.

use flowforge_model::id::EntityId;
use flowforge_model::quota::{Amounts, Dimension, Entity, Level, Quota, Weight};
use smallvec::SmallVec;

/// The limit of what is not limited: half of what 64 bits hold, so that what is admitted can be
/// added up. A stated limit is at most [`Amounts::MOST`].
pub const UNLIMITED: u64 = u64::MAX >> 1;

/// Where an entity stands in the tree. Stays the same until the entity is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place(pub u32);

impl Place {
    /// The installation.
    pub const ROOT: Self = Self(0);

    /// As an index into an arena with a slot for each place.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Fields in the order in which a decision touches them.
#[derive(Clone, Debug)]
#[repr(align(64))]
pub(crate) struct Node {
    pub(crate) usage: [u64; Dimension::COUNT],
    /// [`UNLIMITED`] where there is none.
    pub(crate) limit: [u64; Dimension::COUNT],
    /// The most that was used since the peaks were forgotten.
    pub(crate) peak: [u64; Dimension::COUNT],
    pub(crate) parent: Option<Place>,
    pub(crate) weight: Weight,
    /// Somebody told who this is; where not, nothing may be used.
    pub(crate) known: bool,
    pub(crate) level: Option<Level>,
    pub(crate) id: Option<EntityId>,
    pub(crate) children: SmallVec<[Place; 4]>,
}

impl Node {
    /// The installation.
    pub(crate) fn root(capacity: [Option<u64>; Dimension::COUNT]) -> Self {
        Self { known: true, limit: limits(&capacity), ..Self::stub(None) }
    }

    /// An entity that is named, and not known yet.
    pub(crate) fn stub(id: Option<EntityId>) -> Self {
        Self {
            usage: [0; Dimension::COUNT],
            limit: [UNLIMITED; Dimension::COUNT],
            peak: [0; Dimension::COUNT],
            parent: None,
            weight: Weight::default(),
            known: false,
            level: None,
            id,
            children: SmallVec::new(),
        }
    }

    /// Takes over what an entity says of itself, except where it stands.
    pub(crate) fn describe(&mut self, entity: &Entity) {
        let quota = entity.quota.unwrap_or_default();
        let Quota { limits: stated, weight } = quota;
        self.limit = limits(&stated);
        self.weight = weight;
        self.level = Some(entity.level);
        self.known = true;
    }

    /// The first dimension of which there is not enough for `need`. What is not needed is not
    /// looked at: where workflow slots are in debt, tasks must still run, or no slot would ever be
    /// given back.
    pub(crate) fn lacks(&self, need: &Amounts) -> Option<Dimension> {
        if !self.known {
            return Some(Dimension::Pods);
        }
        let short = |(used, limit, need): (u64, u64, u64)| {
            need > 0 && used.checked_add(need).is_none_or(|sum| sum > limit)
        };
        let each = self.usage.iter().zip(&self.limit).zip(&need.0);
        let at = each.map(|((used, limit), need)| (*used, *limit, *need)).position(short)?;
        Dimension::ALL.get(at).copied()
    }

    /// Can do without, now and for ever: more than the limit.
    pub(crate) fn exceeds(&self, need: &Amounts) -> Option<Dimension> {
        let at = self.limit.iter().zip(&need.0).position(|(limit, need)| need > limit)?;
        Dimension::ALL.get(at).copied()
    }
}

pub(crate) fn limits(stated: &[Option<u64>; Dimension::COUNT]) -> [u64; Dimension::COUNT] {
    stated.map(|limit| limit.map_or(UNLIMITED, |most| most.min(Amounts::MOST)))
}
