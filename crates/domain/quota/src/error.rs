//! Why an edit is refused, and what stands in the way of a need.

use flowforge_model::id::EntityId;
use flowforge_model::quota::{Dimension, Level};

use crate::tree::DEPTH;

/// Why an edit of the tree is refused. The tree is as before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// It would stand above itself.
    #[error("{0} would stand below itself; name a parent that is not below it")]
    Cycle(EntityId),
    /// More than [`DEPTH`] levels.
    #[error("{0} would stand more than {DEPTH} levels below the installation; put it higher up")]
    TooDeep(EntityId),
    /// There are entities below it, it uses something, or somebody waits there.
    #[error("{0} is in use; move or remove what is below it and end what runs there first")]
    InUse(EntityId),
    /// There is no such entity.
    #[error("{0} is not known")]
    Unknown(EntityId),
}

/// The level at which there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blocked {
    /// Whose limit it is; `None` is the installation.
    pub entity: Option<EntityId>,
    /// What it is; `None` is the installation, or an entity that is not known.
    pub level: Option<Level>,
    /// Of what there is not enough.
    pub dimension: Dimension,
    /// So much is used there.
    pub used: u64,
    /// So much more is needed.
    pub need: u64,
    /// At most so much may be used there; with [`Blocked::unknown`] it is 0.
    pub limit: u64,
    /// Nothing may be used because nobody has told who this is.
    pub unknown: bool,
}
