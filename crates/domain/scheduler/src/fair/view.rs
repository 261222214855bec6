//! One entity as its parent sees it.

use flowforge_model::quota::Dimension;
use flowforge_quota::Place;

use super::FairShare;
use super::climb::Penalties;
use super::entry::{Entry, Head, Standing};
use super::points::{self, NO_SHARE, real};
use super::room::Room;
use super::shape::{Kind, Shape};

/// So many logarithms are kept. A mask of none stands for an empty slot: its share is nothing.
const KEPT: usize = 4;

/// What all its tasks have in common, worked out once for all kinds of them.
pub(crate) struct View {
    at: Place,
    /// What there is room for at this one level; nothing where nobody knows who this is.
    room: Option<Room>,
    /// Of what it shares with its siblings, the part that it uses, over its weight.
    parts: [f64; Dimension::COUNT],
    limited: u8,
    contended: u8,
    /// Of a tenant: its weight and what it uses count in the priorities of its tasks.
    boost: i64,
    penalties: Penalties,
    /// Who claims here.
    pub(crate) claimant: Option<(Kind, Head)>,
    /// Logarithms of shares that were worked out, by the dimensions that count.
    logarithms: [(u8, i64); KEPT],
}

impl View {
    pub(crate) fn new(fair: &FairShare, at: Place) -> Self {
        let (tree, usage) = (&fair.tree, fair.tree.usage(at));
        let mut room = Room::new();
        room.narrow(&usage, &tree.limit(at));
        if let Some(claim) = fair.kept(at) {
            room.keep(claim, &usage, &tree.limit(at));
        }
        let parent = tree.parent(at);
        let above = parent.and_then(|parent| fair.branches.get(parent));
        let weight = tree.weight(at).get();
        let (mut parts, mut limited, mut contended) = ([0.0; Dimension::COUNT], 0, 0);
        if let Some(common) = above.map(|branch| &branch.common) {
            let each = parts.iter_mut().zip(usage.0.into_iter().zip(common.inverse));
            for (part, (used, inverse)) in each {
                *part = real(used) * inverse / f64::from(weight);
            }
            (limited, contended) = (common.limited, common.contended);
        }
        let tenant = parent == Some(Place::ROOT);
        let boost = if tenant { points::boost(weight) } else { 0 };
        let penalties = if tenant { fair.penalties(at) } else { Penalties::default() };
        let room = tree.known(at).then_some(room);
        Self {
            at,
            room,
            parts,
            limited,
            contended,
            boost,
            penalties,
            claimant: fair.claimant(at),
            logarithms: [(0, NO_SHARE); KEPT],
        }
    }

    /// There is room at this one level.
    pub(crate) fn fits(&self, shape: &Shape) -> bool {
        self.room.as_ref().is_some_and(|room| room.fits(shape))
    }

    /// How it stands among its siblings with this task, which needs these dimensions.
    pub(crate) fn entry(&mut self, fair: &FairShare, head: &Head, mask: u8) -> Entry {
        let (share, penalty) = (self.logarithm(mask), self.penalties.of(mask));
        let standing = Standing { share, boost: self.boost, penalty };
        Entry::of_node(self.at, head, standing, fair.settings.precedence)
    }

    /// Of its share.
    fn logarithm(&mut self, mask: u8) -> i64 {
        let counts = self.counts(mask);
        for kept in &self.logarithms {
            match *kept {
                (of, logarithm) if of == counts => return logarithm,
                (0, _) => break,
                _ => {}
            }
        }
        let logarithm = points::logarithm(self.share(mask));
        self.logarithms.rotate_right(1);
        if let Some(first) = self.logarithms.first_mut() {
            *first = (counts, logarithm);
        }
        logarithm
    }

    /// The largest part it uses of what the task needs and is contended. Where nothing is contended,
    /// of all that the task needs.
    pub(crate) fn share(&self, mask: u8) -> f64 {
        let counts = self.counts(mask);
        let parts = self.parts.iter().enumerate().filter(|(bit, _)| counts & (1 << bit) != 0);
        parts.fold(0.0, |most: f64, (_, part)| most.max(*part))
    }

    fn counts(&self, mask: u8) -> u8 {
        let contended = mask & self.contended;
        if contended == 0 { mask & self.limited } else { contended }
    }
}
