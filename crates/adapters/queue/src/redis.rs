//! The queue in Redis: streams for work, pub/sub for hints, expiring keys for signs of life.
//!
//! One server or a cluster, 6.2 or later. Nothing is set up beforehand and nothing is remembered
//! about the server between calls, so a server that lost everything is as good as a new one.

mod config;
mod dispatches;
mod entries;
mod fault;
mod heartbeats;
mod hints;
mod keys;
mod link;
mod outgoing;
mod scripts;

use std::sync::{Arc, OnceLock};

use flowforge_ports::queue::QueueError;

pub use self::config::RedisConfig;
use self::keys::Keys;
use self::link::Link;
use self::outgoing::Outgoing;
#[cfg(test)]
pub(crate) use self::scripts::RECLAIM;

/// A queue in Redis. Clones share their connections.
#[derive(Clone)]
pub struct RedisQueue(Arc<Inner>);

struct Inner {
    link: Arc<Link>,
    keys: Keys,
    /// Begins with the first hint, because only then there is a runtime for sure.
    outgoing: OnceLock<Outgoing>,
}

impl RedisQueue {
    /// A queue at the configured place. Connects at the first call, not here: a server that is
    /// down at the start is one that is down later.
    ///
    /// # Errors
    /// `Refused`: the configuration cannot work; says which part of it.
    pub fn new(config: &RedisConfig) -> Result<Self, QueueError> {
        let keys = Keys::new(&config.prefix, config.cluster)?;
        let link = Arc::new(Link::new(config)?);
        Ok(Self(Arc::new(Inner { link, keys, outgoing: OnceLock::new() })))
    }
}

impl std::fmt::Debug for RedisQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisQueue").field("keys", &self.0.keys).finish_non_exhaustive()
    }
}
