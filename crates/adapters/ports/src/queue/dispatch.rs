//! Work for executors, at least once, and what nobody could work on.

use std::future::Future;
use std::time::Duration;

use flowforge_model::attempt::AttemptKey;
use flowforge_model::id::InstanceId;
use flowforge_model::time::Timestamp;

use super::{ClusterName, QueueError};

/// An admitted attempt that some executor of a cluster shall claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Dispatch {
    /// Which attempt.
    pub key: AttemptKey,
    /// The epoch of the scheduler that admitted it; the claim in the database checks it.
    pub epoch: u64,
    /// When the scheduler sent it.
    pub sent_at: Timestamp,
}

/// Names a delivery towards its queue. Means nothing to anybody else.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Receipt(pub String);

/// What a consumer took: one or more dispatches in the order they were sent, and the receipt to
/// acknowledge all of them at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// For [`Dispatches::acknowledge`], [`Dispatches::put_back`] and [`Dispatches::bury`].
    pub receipt: Receipt,
    /// 1 to `limits::DISPATCHES_PER_ENTRY` of them.
    pub dispatches: Vec<Dispatch>,
    /// How often it was taken, this time included: 1 at first, at most `limits::DISPATCH_TAKES`.
    pub taken: u32,
}

/// How much of a cluster's work is not acknowledged yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// Dispatches, taken or not. Exact unless the queue was tampered with; it is then between
    /// `entries` and `entries * limits::DISPATCHES_PER_ENTRY`, and exact again when empty.
    pub dispatches: u64,
    /// Deliveries, taken or not.
    pub entries: u64,
    /// Of these, deliveries that were taken.
    pub taken: u64,
}

/// Names a dead letter towards its queue, rising in the order they were buried.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeadLetterId(pub String);

/// A delivery that was given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// For [`Dispatches::redrive`].
    pub id: DeadLetterId,
    /// What it carried; empty if that could not be read.
    pub dispatches: Vec<Dispatch>,
    /// For people: why.
    pub reason: String,
    /// When it was buried, by the queue's clock.
    pub buried_at: Timestamp,
}

/// Work for the executors of each cluster, in a queue per cluster. A cluster needs no set-up.
///
/// Guarantees, as long as the queue itself is not lost: what was sent is delivered at least once
/// until somebody acknowledges it, in the order it was sent to whoever has not seen it before;
/// nothing is thrown away to make room. After a loss (`FLUSHALL`, a crash, a failover) the queue
/// is empty or an older one and works on at once: nothing has to be made again, no call hangs.
///
/// Every call ends within its own wait and a few seconds. A call that is dropped may have been
/// carried out; a delivery lost so is found by [`Dispatches::reclaim`].
pub trait Dispatches: Send + Sync + 'static {
    /// Sends work, at the end of the queue and in this order, up to
    /// `limits::DISPATCHES_PER_ENTRY` packed into each delivery. Neighbours with the same epoch
    /// and time share one. Returns how many were taken in, from the front: fewer than given when
    /// the queue reaches `limits::QUEUE_ENTRIES`. The rest stays with the sender.
    ///
    /// # Errors
    /// See [`QueueError`]; some may have been sent.
    fn send(
        &self,
        cluster: &ClusterName,
        dispatches: &[Dispatch],
    ) -> impl Future<Output = Result<usize, QueueError>> + Send;

    /// Takes up to `limit` deliveries (at most `limits::RECEIVE_ENTRIES`) that nobody took before;
    /// waits up to `wait` (at most a minute) for the first one. None came: an empty list.
    ///
    /// # Errors
    /// See [`QueueError`].
    fn receive(
        &self,
        cluster: &ClusterName,
        consumer: InstanceId,
        limit: usize,
        wait: Duration,
    ) -> impl Future<Output = Result<Vec<Delivery>, QueueError>> + Send;

    /// These are done with: claimed in the database, or refused there. What is not in the queue
    /// any more is passed over.
    ///
    /// # Errors
    /// See [`QueueError`]; those not acknowledged come again.
    fn acknowledge(
        &self,
        cluster: &ClusterName,
        receipts: &[Receipt],
    ) -> impl Future<Output = Result<(), QueueError>> + Send;

    /// Acknowledges a delivery and sends a part of it again, at the end of the queue, in one step:
    /// a consumer with room for some of it leaves the rest to others. The bound of
    /// [`Dispatches::send`] does not apply. Nothing happens if the delivery is not in the queue
    /// any more.
    ///
    /// # Errors
    /// See [`QueueError`]; the delivery comes again as it was, or was put back.
    fn put_back(
        &self,
        cluster: &ClusterName,
        receipt: &Receipt,
        rest: &[Dispatch],
    ) -> impl Future<Output = Result<(), QueueError>> + Send;

    /// Takes up to `limit` deliveries (at most `limits::RECEIVE_ENTRIES`) that others, or this
    /// consumer in a call that was lost, took at least `idle_for` ago and did not acknowledge.
    /// What was taken `limits::DISPATCH_TAKES` times already is buried instead.
    ///
    /// Who took it first may still be at it: the claim in the database decides.
    ///
    /// # Errors
    /// See [`QueueError`].
    fn reclaim(
        &self,
        cluster: &ClusterName,
        consumer: InstanceId,
        idle_for: Duration,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Delivery>, QueueError>> + Send;

    /// How much is not acknowledged, for a scheduler that sends no more than the executors will
    /// soon have room for. In constant time.
    ///
    /// # Errors
    /// See [`QueueError`].
    fn depth(
        &self,
        cluster: &ClusterName,
    ) -> impl Future<Output = Result<Depth, QueueError>> + Send;

    /// Moves a delivery to the dead letters, for good unless somebody redrives it. Of these the
    /// newest `limits::DEAD_LETTERS` are kept, and up to 100 more. The reason is cut at
    /// `limits::MESSAGE_BYTES`. Nothing happens if the delivery is not in the queue any more.
    ///
    /// # Errors
    /// See [`QueueError`].
    fn bury(
        &self,
        cluster: &ClusterName,
        receipt: &Receipt,
        reason: &str,
    ) -> impl Future<Output = Result<(), QueueError>> + Send;

    /// Up to `limit` (at most `limits::PAGE_ROWS`) dead letters after `after`, the oldest first.
    ///
    /// # Errors
    /// See [`QueueError`]; `Refused` for an id that no dead letter has.
    fn dead_letters(
        &self,
        cluster: &ClusterName,
        after: Option<&DeadLetterId>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<DeadLetter>, QueueError>> + Send;

    /// Takes dead letters away and returns their attempts, which the caller makes retries of. Of
    /// two who redrive the same one only one gets its attempts. Ids that are not there are passed
    /// over. An answer that is lost takes the attempts with it; their rows stay open in the
    /// database.
    ///
    /// # Errors
    /// See [`QueueError`]; `Refused` for an id that no dead letter has.
    fn redrive(
        &self,
        cluster: &ClusterName,
        ids: &[DeadLetterId],
    ) -> impl Future<Output = Result<Vec<AttemptKey>, QueueError>> + Send;
}
