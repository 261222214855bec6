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

pub use flowforge_model::cluster::{ClusterName, ClusterNameError};

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
