//! What is asked with "what if": [`FairShare::simulate`](crate::FairShare::simulate).

use std::collections::BTreeMap;

use flowforge_model::attempt::AttemptKey;
use flowforge_model::quota::{Dimension, Entity};
use flowforge_model::time::{Millis, Timestamp};

use crate::Candidate;

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
