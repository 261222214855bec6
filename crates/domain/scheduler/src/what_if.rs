//! What is asked with "what if": [`FairShare::simulate`](crate::FairShare::simulate) and
//! [`FairShare::preview`](crate::FairShare::preview).

use std::collections::BTreeMap;

use flowforge_model::attempt::AttemptKey;
use flowforge_model::id::NodeIx;
use flowforge_model::quota::{Dimension, Entity};
use flowforge_model::time::{Millis, Timestamp};

use crate::Candidate;
use crate::why::Why;

/// What would be otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WhatIf {
    /// Changed at the beginning, in this order.
    pub changes: Vec<Change>,
    /// Attempts that come too, each when it says that it became ready.
    pub arrivals: Vec<Candidate>,
    /// How long attempts take from their start; those that run already, from now.
    pub durations: BTreeMap<AttemptKey, Millis>,
    /// How long all others take.
    pub otherwise: Millis,
    /// Nothing after that is of interest.
    pub until: Timestamp,
    /// Starts that are told, at most.
    pub most: usize,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// An entity is new, or becomes what is said: elsewhere, with other limits, another weight.
    Entity(Entity),
    /// There are so many slots for attempts, and of everything else what there is.
    Slots(u32),
    /// There is so much.
    Capacity([Option<u64>; Dimension::COUNT]),
}

/// An attempt that would start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// Which.
    pub key: AttemptKey,
    /// When.
    pub at: Timestamp,
}

/// Attempts of a workflow that are all alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The first of them; the others have the nodes behind its own.
    pub first: Candidate,
    /// How many there are.
    pub count: u32,
}

impl Batch {
    /// All of them, in order.
    pub fn candidates(&self) -> impl Iterator<Item = Candidate> + use<> {
        let Self { first, count } = *self;
        (0..count).map(move |at| {
            let node = NodeIx(first.key.node.0.saturating_add(at));
            Candidate { key: AttemptKey { node, ..first.key }, ..first }
        })
    }
}

/// What would start at once: [`FairShare::preview`](crate::FairShare::preview).
#[derive(Clone, Debug, PartialEq)]
pub struct Preview {
    /// Attempts that would start, in order, those that wait already among them.
    pub starts: Vec<AttemptKey>,
    /// Nothing else would start.
    pub complete: bool,
    /// Of each batch the first attempt that would not start, and why.
    pub waits: Vec<Option<(AttemptKey, Why)>>,
}
