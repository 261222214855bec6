//! Who may hold how much: the tree of those who share, with what each uses and may use.
//!
//! Pure: no clock, no I/O. Nothing here is stored. What is used is the sum of open reservations, and
//! a reservation is an open attempt or the slot of a workflow; whoever starts reads those and adds
//! them up ([`Tree::drift`] compares). Which edits are sensible is decided elsewhere; whatever it is
//! given, a tree neither panics nor wraps nor loops for ever.

#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::wildcard_enum_match_arm, clippy::expect_used)
)]

mod error;
mod ledger;
mod node;
mod tree;

pub use error::{Blocked, TreeError};
pub use ledger::Drift;
pub use node::{Place, UNLIMITED};
pub use tree::{DEPTH, Tree};

#[cfg(test)]
mod tests;
