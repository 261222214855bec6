//! What is used: fitting, adding, taking away, and comparing with what is open.

use std::collections::BTreeMap;

use flowforge_model::id::EntityId;
use flowforge_model::quota::{Amounts, Dimension};

use crate::error::Blocked;
use crate::node::{Node, Place};
use crate::tree::Tree;

/// The amounts that are used at a place are not the sum of what is open below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drift {
    /// Whose; `None` is the installation.
    pub entity: Option<EntityId>,
    /// Of what.
    pub dimension: Dimension,
    /// So much the tree holds to be used.
    pub counted: u64,
    /// So much is open.
    pub open: u64,
}

impl Node {
    /// Stops at the largest number; what was admitted never comes near
    /// (see [`UNLIMITED`](crate::UNLIMITED)).
    pub(crate) fn add(&mut self, amounts: &[u64; Dimension::COUNT]) {
        for ((used, peak), more) in self.usage.iter_mut().zip(&mut self.peak).zip(amounts) {
            *used = used.saturating_add(*more);
            *peak = (*peak).max(*used);
        }
    }

    pub(crate) fn subtract(&mut self, amounts: &[u64; Dimension::COUNT]) {
        for (used, less) in self.usage.iter_mut().zip(amounts) {
            *used = used.saturating_sub(*less);
        }
    }
}

impl Tree {
    /// Whether there is room for `need` on every level from `at` up to the installation.
    ///
    /// # Errors
    /// The lowest level at which there is none.
    pub fn fits(&self, at: Place, need: &Amounts) -> Result<(), Blocked> {
        let blocked = |place| self.lacks(place, need).map(|lack| self.blocked(place, lack, need));
        self.path(at).find_map(blocked).map_or(Ok(()), Err)
    }

    /// The lowest level whose limit is less than `need`: there will never be room.
    #[must_use]
    pub fn never_fits(&self, at: Place, need: &Amounts) -> Option<Blocked> {
        self.path(at).find_map(|place| {
            let lack = self.nodes.get(place.index())?.exceeds(need)?;
            Some(self.blocked(place, lack, need))
        })
    }

    /// The first dimension of which there is not enough for `need` at this one place.
    #[must_use]
    #[inline]
    pub fn lacks(&self, at: Place, need: &Amounts) -> Option<Dimension> {
        self.nodes.get(at.index()).map_or(Some(Dimension::Pods), |node| node.lacks(need))
    }

    /// Counts `need` at a place and all above it, whether there is room or not.
    pub fn add(&mut self, at: Place, need: &Amounts) {
        self.each_up(at, |node| node.add(&need.0));
    }

    /// Takes back what was added.
    pub fn subtract(&mut self, at: Place, need: &Amounts) {
        self.each_up(at, |node| node.subtract(&need.0));
    }

    /// What is used at a place and below it.
    #[must_use]
    #[inline]
    pub fn usage(&self, at: Place) -> Amounts {
        Amounts(self.nodes.get(at.index()).map_or([0; Dimension::COUNT], |node| node.usage))
    }

    /// What is used of one dimension.
    #[must_use]
    #[inline]
    pub fn used(&self, at: Place, dimension: Dimension) -> u64 {
        let usage = self.nodes.get(at.index()).map(|node| &node.usage);
        usage.and_then(|usage| usage.get(dimension as usize)).copied().unwrap_or(0)
    }

    /// The most that was used at a place since [`Tree::forget_peaks`].
    #[must_use]
    pub fn peak(&self, at: Place) -> Amounts {
        Amounts(self.nodes.get(at.index()).map_or([0; Dimension::COUNT], |node| node.peak))
    }

    /// From now on the peak is what is used, or will be.
    pub fn forget_peaks(&mut self) {
        for node in &mut self.nodes {
            node.peak = node.usage;
        }
    }

    /// What may be used there; [`UNLIMITED`](crate::UNLIMITED) where there is no limit at this level.
    #[must_use]
    #[inline]
    pub fn limit(&self, at: Place) -> Amounts {
        Amounts(self.nodes.get(at.index()).map_or([0; Dimension::COUNT], |node| node.limit))
    }

    /// Compares what is used with the sum of what is open, given as places and amounts. Empty unless
    /// something was lost or counted twice.
    pub fn drift(&self, open: impl IntoIterator<Item = (Place, Amounts)>) -> Vec<Drift> {
        let mut sums: BTreeMap<Place, [u64; Dimension::COUNT]> = BTreeMap::new();
        for (at, amounts) in open {
            for place in self.path(at) {
                let sum = sums.entry(place).or_default();
                for (sum, more) in sum.iter_mut().zip(&amounts.0) {
                    *sum = sum.saturating_add(*more);
                }
            }
        }
        let mut drift = Vec::new();
        for (at, node) in self.nodes.iter().enumerate() {
            let place = Place(u32::try_from(at).unwrap_or(u32::MAX));
            let open = sums.get(&place).copied().unwrap_or_default();
            for (dimension, (counted, open)) in
                Dimension::ALL.into_iter().zip(node.usage.into_iter().zip(open))
            {
                if counted != open {
                    drift.push(Drift { entity: node.id, dimension, counted, open });
                }
            }
        }
        drift
    }

    fn blocked(&self, at: Place, dimension: Dimension, need: &Amounts) -> Blocked {
        let node = self.nodes.get(at.index());
        let known = node.is_some_and(|node| node.known);
        Blocked {
            entity: self.entity(at),
            level: node.and_then(|node| node.level),
            dimension,
            used: self.usage(at).get(dimension),
            need: need.get(dimension),
            limit: if known { self.limit(at).get(dimension) } else { 0 },
            unknown: !known,
        }
    }
}
