//! The nouns of FlowForge, valid by construction: ids, units, statuses, the compiled
//! [`Plan`](plan::Plan), the events of a workflow and the limits of everything.
//!
//! This crate decides nothing and touches nothing. It may not depend on any other crate of
//! the project. Start reading at [`status`] (what can happen) and [`plan`] (what was asked).

#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::wildcard_enum_match_arm, clippy::expect_used)
)]

pub mod artifact;
pub mod attempt;
pub mod claim;
pub mod cluster;
pub mod daemon;
pub mod event;
pub mod id;
pub mod labels;
pub mod limits;
pub mod object;
pub mod plan;
pub mod printf;
pub mod quantity;
pub mod quota;
pub mod resources;
pub mod security;
pub mod shard;
pub mod status;
pub mod text;
pub mod time;
pub mod usage;
