//! Hints among roles: "look there now". Nobody depends on one.

use std::future::Future;

use flowforge_model::id::{AttemptId, WorkflowId};
use flowforge_model::shard::Shard;

use super::ClusterName;

/// Something was committed that others may want to look at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hint {
    /// An intent of a workflow: its controller.
    Intent {
        /// The workflow's shard.
        shard: Shard,
        /// Which workflow.
        workflow: WorkflowId,
    },
    /// Facts about attempts: the controller of the shard.
    Facts {
        /// Which shard.
        shard: Shard,
    },
    /// Controllers have called the scheduler, which reads on in all shards.
    Calls,
    /// An attempt shall end: the executors of its cluster.
    Stop {
        /// Where it runs.
        cluster: ClusterName,
        /// Which attempt.
        attempt: AttemptId,
    },
    /// A workflow has new records: who follows it.
    Records {
        /// The workflow's shard.
        shard: Shard,
        /// Which workflow.
        workflow: WorkflowId,
        /// Number of its last record.
        seq: u64,
    },
    /// A workflow has new output: who follows it.
    Output {
        /// The workflow's shard.
        shard: Shard,
        /// Which workflow.
        workflow: WorkflowId,
    },
}

/// What a subscriber hears of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// [`Hint::Intent`] of a shard.
    Intents(Shard),
    /// [`Hint::Facts`] of a shard.
    Facts(Shard),
    /// [`Hint::Calls`].
    Calls,
    /// [`Hint::Stop`] of a cluster.
    Stops(ClusterName),
    /// [`Hint::Records`] of a shard.
    Records(Shard),
    /// [`Hint::Output`] of a shard.
    Output(Shard),
}

impl Hint {
    /// Where it is heard.
    #[must_use]
    pub fn topic(&self) -> Topic {
        match self {
            Self::Intent { shard, .. } => Topic::Intents(*shard),
            Self::Facts { shard } => Topic::Facts(*shard),
            Self::Calls => Topic::Calls,
            Self::Stop { cluster, .. } => Topic::Stops(cluster.clone()),
            Self::Records { shard, .. } => Topic::Records(*shard),
            Self::Output { shard, .. } => Topic::Output(*shard),
        }
    }
}

/// What a subscriber is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A hint. The same one may come twice.
    Hint(Hint),
    /// Hints were lost, by a subscriber that was too slow or a publisher that could not send: look
    /// at everything in the database.
    Lagged,
    /// From now on hints come; those of before may be lost: look at everything in the database.
    /// Always the first notice, and again after each break.
    Reconnected,
}

/// Fire and forget among roles.
///
/// Guarantees: a hint that a subscriber of its topic does not get is followed by
/// [`Notice::Lagged`] or [`Notice::Reconnected`] there, unless its publisher died or was dropped
/// with the hint in hand. Hints of one publisher come in order. Neither end is ever held up or
/// told of an error; subscribers sweep the database every few seconds anyway.
pub trait Hints: Send + Sync + 'static {
    /// What [`Hints::subscribe`] gives.
    type Subscription: Subscription;

    /// Sends a hint soon. Returns at once; of those that wait the oldest are dropped beyond
    /// `limits::HINTS_OUTGOING`. Equal hints that wait may be sent as one. Call it after the
    /// commit, inside of a tokio runtime.
    fn publish(&self, hint: Hint);

    /// Hints that this publisher dropped since it began, or could not send.
    fn dropped(&self) -> u64;

    /// Listens to some topics until the subscription is dropped, across breaks of any length. A
    /// subscription costs a connection: take one for all topics of a role. Call it inside of a
    /// tokio runtime.
    fn subscribe(&self, topics: &[Topic]) -> Self::Subscription;
}

/// The receiving end, with room for `limits::HINTS_UNREAD` hints.
pub trait Subscription: Send + 'static {
    /// Waits for the next notice. May be dropped and called again without losing one.
    fn next(&mut self) -> impl Future<Output = Notice> + Send;
}
