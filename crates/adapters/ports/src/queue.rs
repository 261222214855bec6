//! The queue between roles that run as processes of their own: work for executors, hints, and
//! signs of life.
//!
//! **It carries work, never truth.** Every fact is in the database. All that a queue holds may be
//! lost at any moment, and anything in it may come twice; both cost latency only. Who sends keeps
//! the row and sends again; who receives claims the row before anything else. So no caller ever
//! needs the answer of a queue to be right, only to come soon.
//!
//! Three traits: [`Dispatches`], [`Hints`], [`Heartbeats`]. Implementations: Redis, in process.

mod dispatch;
mod heartbeat;
mod hint;

use std::fmt;

pub use dispatch::{DeadLetter, DeadLetterId, Delivery, Depth, Dispatch, Dispatches, Receipt};
pub use heartbeat::{Beat, Heartbeats, Role};
pub use hint::{Hint, Hints, Notice, Subscription, Topic};

/// Why a queue did not do what it was asked. Whether it did part of it is unknown: do it again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueueError {
    /// No answer, or not in time, or not now: try again later, and look into the database
    /// meanwhile.
    #[error("queue unavailable: {0}")]
    Unavailable(String),
    /// It answers, but not to this: credentials, rights, a key of another kind, a replica. It
    /// stays so until somebody changes it, so try again slowly.
    #[error("queue refused: {0}")]
    Refused(String),
}

impl QueueError {
    /// Trying again soon may help.
    #[must_use]
    pub fn retryable(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

/// The name of a cluster: the executors that take from one queue. 1 to 63 of `a-z`, `0-9`, `-`,
/// with a letter or digit at both ends, as names in Kubernetes are.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterName(String);

/// Not the name of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no name of a cluster: use 1 to 63 of a-z, 0-9 and -, no - at either end")]
pub struct ClusterNameError(String);

impl ClusterName {
    /// Takes a name if it is one.
    ///
    /// # Errors
    /// It is too long, empty, or has other characters.
    pub fn parse(name: &str) -> Result<Self, ClusterNameError> {
        let plain = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        let ends = name.starts_with('-') || name.ends_with('-');
        if plain && !ends && (1..=63).contains(&name.len()) {
            Ok(Self(name.to_owned()))
        } else {
            Err(ClusterNameError(name.chars().take(80).collect()))
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for ClusterName {
    /// `default`.
    fn default() -> Self {
        Self("default".to_owned())
    }
}

impl fmt::Display for ClusterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::ClusterName;

    #[test]
    fn a_cluster_has_a_name_as_in_kubernetes() {
        for good in ["a", "default", "gpu-1", &"x".repeat(63)] {
            assert_eq!(ClusterName::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", "-a", "a-", "A", "a.b", "a{b}", "a b", "ü", &"x".repeat(64)] {
            assert!(ClusterName::parse(bad).is_err(), "{bad}");
        }
    }
}
