//! The queue between roles: Redis when they are processes of their own, and the same in process.
//!
//! Two implementations of the traits in [`flowforge_ports::queue`]: [`RedisQueue`] and
//! [`LocalQueue`]. Neither holds the truth: all of it may be lost at any moment, and no decision is
//! made here. `conformance.rs` is what both do; start there. Why streams, and why packed:
//! docs/decisions/0011-redis-carries-hints.md.

mod bounds;
#[cfg(test)]
mod conformance;
mod inbox;
mod local;
mod pack;
mod redis;
mod text;

pub use inbox::Listener;
pub use local::LocalQueue;
pub use redis::{RedisConfig, RedisQueue};
