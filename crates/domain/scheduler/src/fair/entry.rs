//! A place in the order of those below an entity.

use std::cmp::Ordering;

use flowforge_model::time::Timestamp;
use flowforge_quota::Place;

use super::points::{self, Phase};
use super::queue::QueueIx;
use super::shape::ShapeIx;
use super::task::{TaskIx, Tasks};

/// What stands directly below an entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Child {
    /// Another one.
    Node(Place),
    /// Tasks of one workflow.
    Queue(QueueIx),
}

/// The same in 32 bits: of entries there are several for each queue. Of both kinds of children there are
/// fewer than 2^31.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Packed(u32);

impl Packed {
    const QUEUE: u32 = 1 << 31;

    fn of(child: Child) -> Self {
        match child {
            Child::Node(place) => Self(place.0),
            Child::Queue(queue) => Self(queue.0 | Self::QUEUE),
        }
    }

    fn child(self) -> Child {
        if self.0 & Self::QUEUE == 0 {
            Child::Node(Place(self.0))
        } else {
            Child::Queue(QueueIx(self.0 & !Self::QUEUE))
        }
    }
}

/// Who goes first when children compete.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precedence {
    /// The least share over 2^(P/32), where P leaves out the boost of the weight, which is in the
    /// share already: what children use is in proportion to their weights.
    #[default]
    Share,
    /// The same with the boost in P: the formula to the letter, in which a weight counts twice.
    ShareWithBoost,
    /// The highest P, whatever is used; the share decides between equals.
    Priority,
}

/// The best task of a class below a child, and how the child stands with it. What all in a phase
/// have in common ([`Phase::common`]) is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The least goes first; then the least `second`, then the earliest, then the least key.
    pub(crate) first: i64,
    pub(crate) second: i64,
    pub(crate) since: Timestamp,
    pub(crate) base: i32,
    pub(crate) head: TaskIx,
    /// What that task needs, the slot of its workflow included if it has none yet.
    pub(crate) shape: ShapeIx,
    child: Packed,
}

/// A task at the head of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) task: TaskIx,
    pub(crate) base: i32,
    pub(crate) since: Timestamp,
    pub(crate) shape: ShapeIx,
    pub(crate) phase: Phase,
}

/// How a child stands apart from its head.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing {
    /// The logarithm of its share.
    pub(crate) share: i64,
    /// Of its weight; 0 below tenants, where all have the same.
    pub(crate) boost: i64,
    /// Of what it uses; 0 below tenants.
    pub(crate) penalty: i64,
}

impl Entry {
    /// An entity among others.
    pub(crate) fn of_node(
        place: Place,
        head: &Head,
        standing: Standing,
        precedence: Precedence,
    ) -> Self {
        let wait = head.phase.wait(head.since);
        let full = points::base(head.base) + standing.boost + wait - standing.penalty;
        let bounded = points::bounded(head.base) + wait - standing.penalty;
        let (first, second) = match precedence {
            Precedence::Share => (standing.share - bounded, -full),
            Precedence::ShareWithBoost => (standing.share - bounded - standing.boost, -full),
            Precedence::Priority => (-full, standing.share),
        };
        Self { first, second, ..Self::of(head, Child::Node(place)) }
    }

    /// Tasks of a workflow among others of the same project: priority and age.
    pub(crate) fn of_queue(queue: QueueIx, head: &Head) -> Self {
        let full = points::base(head.base) + head.phase.wait(head.since);
        Self { first: -full, ..Self::of(head, Child::Queue(queue)) }
    }

    fn of(head: &Head, child: Child) -> Self {
        let Head { task, base, since, shape, .. } = *head;
        Self { first: 0, second: 0, since, base, head: task, shape, child: Packed::of(child) }
    }

    /// What stands there with it.
    pub(crate) fn child(&self) -> Child {
        self.child.child()
    }

    /// The task it stands for.
    pub(crate) fn as_head(&self, phase: Phase) -> Head {
        Head { task: self.head, base: self.base, since: self.since, shape: self.shape, phase }
    }

    /// Comparable with those of other phases and needs: what is common in its phase added, and what
    /// its need costs all below its tenant.
    pub(crate) fn among(mut self, common: i64, penalty: i64, precedence: Precedence) -> Self {
        let shift = common - penalty;
        self.first -= shift;
        if !matches!(
            (self.child(), precedence),
            (Child::Node(_), Precedence::Priority) | (Child::Queue(_), _)
        ) {
            self.second -= shift;
        }
        self
    }

    /// The order, total because no two tasks have the same key.
    pub(crate) fn order(&self, other: &Self, tasks: &Tasks) -> Ordering {
        let ours = (self.first, self.second, self.since);
        ours.cmp(&(other.first, other.second, other.since))
            .then_with(|| tasks.key(self.head).cmp(&tasks.key(other.head)))
    }
}
