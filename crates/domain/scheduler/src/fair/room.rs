//! What may still be taken.

use flowforge_model::quota::{Amounts, Dimension};

use super::claims::Claim;
use super::climb::sum;
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
}

impl Room {
    /// Where there is no limit yet.
    pub(crate) fn new() -> Self {
        Self { free: [u64::MAX; Dimension::COUNT], beside: Vec::new() }
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

    pub(crate) fn fits(&self, shape: &Shape) -> bool {
        let mut beside = self.beside.iter();
        fits(&shape.need, &self.free)
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
