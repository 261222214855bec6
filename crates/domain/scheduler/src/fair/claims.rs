//! Claims: what becomes free is kept for one who was passed for too long.

use std::collections::{BTreeMap, BTreeSet};

use flowforge_model::quota::Amounts;
use flowforge_model::time::{Millis, Timestamp};
use flowforge_quota::Place;

use super::clusters::ClusterIx;
use super::entry::{Child, Entry};
use super::queue::QueueIx;
use super::span::Span;
use super::task::{TaskIx, Tasks};

/// Of one task, from its project up to its front.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) task: TaskIx,
    /// Since when it claims.
    pub(crate) since: Timestamp,
    /// What is kept at each place of the path: all it takes to start the task.
    pub(crate) need: Amounts,
    /// In which cluster.
    pub(crate) cluster: ClusterIx,
    /// From the project of the task up to the front, where the task waits for room.
    pub(crate) path: Vec<Place>,
    /// When there is room for it at the latest, as far as what runs says when it ends.
    pub(crate) by: Option<Timestamp>,
    /// Who lasts no longer has ended by then: it may use what is kept.
    pub(crate) passes: Span,
    /// When that is to be looked at again.
    pub(crate) until: Timestamp,
}

/// Where the task that claims what all share stands among the tenants.
#[derive(Clone, Debug)]
pub(crate) struct Turn {
    pub(crate) tenant: Place,
    pub(crate) entry: Entry,
}

impl Turn {
    /// It is another tenant's turn before.
    pub(crate) fn follows(&self, other: &Entry, tasks: &Tasks) -> bool {
        other.child() != Child::Node(self.tenant) && other.order(&self.entry, tasks).is_lt()
    }
}

/// No two claims have a place in common: so none ever waits for another at a place of its own.
#[derive(Clone, Debug, Default)]
pub(crate) struct Claims {
    /// By front.
    claims: BTreeMap<Place, Claim>,
    /// The front of the claim that the first task of a queue has.
    fronts: BTreeMap<QueueIx, Place>,
    /// Places to look at from time to time, and when next.
    watched: BTreeMap<Place, Timestamp>,
    due: BTreeSet<(Timestamp, Place)>,
}

impl Claims {
    pub(crate) fn at(&self, front: Place) -> Option<&Claim> {
        self.claims.get(&front)
    }

    pub(crate) fn at_mut(&mut self, front: Place) -> Option<&mut Claim> {
        self.claims.get_mut(&front)
    }

    pub(crate) fn insert(&mut self, front: Place, claim: Claim) {
        self.claims.insert(front, claim);
    }

    pub(crate) fn remove(&mut self, front: Place) -> Option<Claim> {
        self.claims.remove(&front)
    }

    /// The first task of a queue has the claim of this front, or none any more.
    pub(crate) fn mark(&mut self, queue: QueueIx, front: Option<Place>) {
        match front {
            Some(front) => self.fronts.insert(queue, front),
            None => self.fronts.remove(&queue),
        };
    }

    pub(crate) fn front(&self, queue: QueueIx) -> Option<Place> {
        self.fronts.get(&queue).copied()
    }

    pub(crate) fn fronts(&self) -> impl Iterator<Item = Place> + '_ {
        self.fronts.values().copied()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Place, &Claim)> + '_ {
        self.claims.iter().map(|(front, claim)| (*front, claim))
    }

    /// Begins or ceases to look at a place.
    pub(crate) fn watch(&mut self, at: Place, wanted: bool, now: Timestamp) {
        if !wanted {
            if let Some(due) = self.watched.remove(&at) {
                self.due.remove(&(due, at));
            }
        } else if !self.watched.contains_key(&at) {
            self.again(at, now);
        }
    }

    /// A place to look at now. It is due again after `pause`.
    pub(crate) fn next(&mut self, now: Timestamp, pause: Millis) -> Option<Place> {
        let (_, at) = self.due.first().copied().filter(|(due, _)| *due <= now)?;
        self.due.pop_first();
        self.again(at, now.plus(pause));
        Some(at)
    }

    pub(crate) fn watches(&self, at: Place) -> bool {
        self.watched.contains_key(&at)
    }

    fn again(&mut self, at: Place, due: Timestamp) {
        self.watched.insert(at, due);
        self.due.insert((due, at));
    }
}
