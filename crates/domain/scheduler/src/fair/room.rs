//! What may still be taken.

use flowforge_model::quota::{Amounts, Dimension};

use super::claims::Claim;
use super::climb::sum;
use super::clusters::ClusterIx;
use super::shape::Shape;
use super::span::Span;

type Free = [u64; Dimension::COUNT];

/// What there is room for at some places, one below the other.
#[derive(Clone, Debug)]
pub(crate) struct Room {
    free: Free,
    /// Beside what is kept for a claim on the way: for whoever lasts for longer than it lets pass, and for
    /// what is held for longer than anybody says.
    beside: Vec<(Span, Free)>,
    /// Slots of each cluster, by index, where there are several.
    slots: Vec<u64>,
    /// And of one of them, because of a claim, for most.
    kept: Option<(Span, ClusterIx, u64)>,
}

impl Room {
    /// Where there is no limit yet.
    pub(crate) fn new() -> Self {
        let free = [u64::MAX; Dimension::COUNT];
        Self { free, beside: Vec::new(), slots: Vec::new(), kept: None }
    }

    /// At one more place there is only so much.
    pub(crate) fn narrow(&mut self, used: &Amounts, limit: &Amounts) {
        narrow(&mut self.free, used, limit);
    }

    /// And for most of them less, because of a claim.
    pub(crate) fn keep(&mut self, claim: &Claim, used: &Amounts, limit: &Amounts) {
        let mut free = [u64::MAX; Dimension::COUNT];
        narrow(&mut free, &sum(&claim.need, used), limit);
        self.beside.push((claim.passes, free));
    }

    /// In each cluster there are only so many slots.
    pub(crate) fn narrow_slots(&mut self, slots: Vec<u64>) {
        self.slots = slots;
    }

    /// And in the cluster of a claim for most of them fewer.
    pub(crate) fn keep_slots(&mut self, claim: &Claim) {
        if let Some(free) = self.slots.get(claim.cluster.index()) {
            let left = free.saturating_sub(claim.need.get(Dimension::Pods));
            self.kept = Some((claim.passes, claim.cluster, left));
        }
    }

    fn seats(&self, shape: &Shape) -> bool {
        let pods = shape.need.get(Dimension::Pods);
        self.slots.get(shape.cluster.index()).is_none_or(|free| pods <= *free)
            && self.kept.is_none_or(|(passes, cluster, left)| {
                shape.cluster != cluster || shape.span <= passes || pods <= left
            })
    }

    pub(crate) fn fits(&self, shape: &Shape) -> bool {
        let mut beside = self.beside.iter();
        fits(&shape.need, &self.free)
            && self.seats(shape)
            && beside.all(|(passes, free)| {
                let counts = if shape.span <= *passes { lasting(&shape.need) } else { shape.need };
                fits(&counts, free)
            })
    }
}

/// Of a need, what a workflow keeps after the attempt that took it has ended.
pub(crate) fn lasting(need: &Amounts) -> Amounts {
    let kept = [Dimension::Workflows, Dimension::Storage];
    kept.into_iter().fold(Amounts::ZERO, |sum, of| sum.with(of, need.get(of)))
}

fn narrow(free: &mut Free, used: &Amounts, limit: &Amounts) {
    for (free, (used, limit)) in free.iter_mut().zip(used.0.into_iter().zip(limit.0)) {
        *free = (*free).min(limit.saturating_sub(used));
    }
}

fn fits(need: &Amounts, free: &Free) -> bool {
    need.0.iter().zip(free).all(|(need, free)| need <= free)
}
