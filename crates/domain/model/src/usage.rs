//! What was used in a stretch of time.

use serde::{Deserialize, Serialize};

use crate::id::EntityId;
use crate::quota::{Dimension, Level};
use crate::time::Timestamp;

/// How much of something there was, as it was looked at again and again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Of all looks: over their number it is the mean.
    pub sum: u64,
    /// The most there was; what is used counts between looks, too.
    pub most: u64,
}

impl Seen {
    /// One more look.
    pub fn look(&mut self, amount: u64) {
        self.sum = self.sum.saturating_add(amount);
        self.reach(amount);
    }

    /// So much there was between looks.
    pub fn reach(&mut self, amount: u64) {
        self.most = self.most.max(amount);
    }
}

/// What an entity and all below it used and asked for in an interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measured {
    /// When the interval began: a multiple of its length.
    pub at: Timestamp,
    /// Whose; `None` is the installation.
    pub entity: Option<EntityId>,
    /// What it is; `None` is the installation, or an entity that is not known.
    pub level: Option<Level>,
    /// So often it was looked; at least once. Whoever begins to look within an interval looks less
    /// often.
    pub looks: u32,
    /// Attempts that waited.
    pub waiting: Seen,
    /// Attempts that held something.
    pub running: Seen,
    /// What was used, by dimension in the order of [`Dimension::ALL`].
    pub used: [Seen; Dimension::COUNT],
    /// Its own limits at the last look.
    pub limits: [Option<u64>; Dimension::COUNT],
}

impl Measured {
    /// Nothing was looked at yet.
    #[must_use]
    pub fn new(at: Timestamp, entity: Option<EntityId>) -> Self {
        Self {
            at,
            entity,
            level: None,
            looks: 0,
            waiting: Seen::default(),
            running: Seen::default(),
            used: [Seen::default(); Dimension::COUNT],
            limits: [None; Dimension::COUNT],
        }
    }
}
