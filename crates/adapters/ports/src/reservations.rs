//! The scheduler's part of the database, when it is a server of its own.
//!
//! A reservation is an open attempt row. The scheduler alone makes them: it takes a runnable row away
//! and inserts an attempt in one transaction, and it alone undoes that for one that nobody has claimed. What it knows, it knows from a snapshot and the calls
//! that controllers committed since ([`crate::handover::Call`]); it never writes workflows or tasks.

use std::collections::BTreeMap;
use std::future::Future;

use flowforge_model::attempt::AttemptKey;
use flowforge_model::cluster::ClusterName;
use flowforge_model::id::{InstanceId, NodeIx, WorkflowId};
use flowforge_model::shard::Shard;
use flowforge_model::time::Timestamp;
use flowforge_model::usage::Measured;

use crate::admission::{LockRequest, Ready, Slot, SlotChanges};
use crate::handover::Entry;
use crate::store::StoreError;

/// All that a scheduler decides on, read at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// Attempts that may start, by key.
    pub ready: Vec<Ready>,
    /// Attempts that hold a reservation, by key.
    pub open: Vec<Ready>,
    /// In which clusters those are, as far as that is said.
    pub clusters: BTreeMap<AttemptKey, ClusterName>,
    /// Workflows that hold their slots, by id.
    pub slots: Vec<Slot>,
    /// Workflows of which nothing may start.
    pub gated: Vec<WorkflowId>,
    /// Tasks that hold locks.
    pub holding: Vec<LockRequest>,
    /// Tasks that wait for locks.
    pub waiting: Vec<LockRequest>,
    /// How far the calls of each shard are part of this; 0 for those that are not named.
    pub seen: Vec<(Shard, u64)>,
}

/// An attempt, and the cluster in which it is to run, or does.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Placed {
    /// Which.
    pub key: AttemptKey,
    /// Where; none: nowhere, for it has no pod, or it is not said, for a scheduler of an earlier version
    /// admitted it.
    pub cluster: Option<ClusterName>,
}

/// What became of attempts that were to be admitted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reserved {
    /// They are open now.
    pub admitted: Vec<AttemptKey>,
    /// A gate is closed: they wait on.
    pub gated: Vec<AttemptKey>,
    /// They are runnable no more: somebody took them back.
    pub gone: Vec<AttemptKey>,
}

/// What a scheduler reads and writes. Every call is one transaction. Implementations: PostgreSQL,
/// memory.
pub trait Reservations: Send + Sync + 'static {
    /// Everything that is open, ready or waits.
    ///
    /// # Errors
    /// `Unavailable`, `Corrupt`.
    fn snapshot(&self) -> impl Future<Output = Result<Snapshot, StoreError>> + Send;

    /// Calls after `seen`, per shard in order and without a gap, at most `limit` entries.
    ///
    /// # Errors
    /// `Fenced`: another scheduler leads, and may have forgotten some. `Unavailable`, `Corrupt`.
    fn calls(
        &self,
        epoch: u64,
        seen: &[(Shard, u64)],
        limit: u32,
    ) -> impl Future<Output = Result<Vec<Entry>, StoreError>> + Send;

    /// Calls up to `seen` are not needed any more.
    ///
    /// # Errors
    /// `Fenced`, `Unavailable`.
    fn forget_calls(
        &self,
        epoch: u64,
        seen: &[(Shard, u64)],
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Admits attempts: takes their runnable rows away and opens them, each for its cluster: no executor of
    /// another one may claim it. Writes down which workflows hold their slots now.
    ///
    /// # Errors
    /// `Fenced`: another scheduler leads; nothing was written. `Unavailable`: unknown.
    fn reserve(
        &self,
        epoch: u64,
        at: Timestamp,
        placed: &[Placed],
        slots: &SlotChanges,
    ) -> impl Future<Output = Result<Reserved, StoreError>> + Send;

    /// Tells controllers that attempts that they carry out themselves have begun: those that start
    /// workflows. Nobody claims them.
    ///
    /// # Errors
    /// `Fenced`, `Unavailable`.
    fn begin_own(
        &self,
        epoch: u64,
        at: Timestamp,
        keys: &[AttemptKey],
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Gives tasks the locks that they wait for, and tells their controllers. Returns those who wait
    /// for them no more.
    ///
    /// # Errors
    /// `Fenced`, `Unavailable`; `Conflict` if a lock would have too many holders.
    fn grant(
        &self,
        epoch: u64,
        holders: &[(WorkflowId, NodeIx)],
    ) -> impl Future<Output = Result<Vec<(WorkflowId, NodeIx)>, StoreError>> + Send;

    /// Writes down what was used in an interval that is over, each entity at most once. Of two rows of the
    /// same interval and entity the one with more looks stays.
    ///
    /// # Errors
    /// `Fenced`: another scheduler leads; nothing was written. `Unavailable`.
    fn record(
        &self,
        epoch: u64,
        usage: &[Measured],
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Open attempts of these clusters that were admitted before `before` and that nobody has claimed, oldest
    /// first; also those that are in none.
    ///
    /// # Errors
    /// `Unavailable`.
    fn unclaimed(
        &self,
        before: Timestamp,
        clusters: &[ClusterName],
        limit: u32,
    ) -> impl Future<Output = Result<Vec<Placed>, StoreError>> + Send;

    /// Takes back reservations that nobody has claimed, or wants stopped, of other clusters than these: their attempts
    /// wait again as they did before they were admitted, and may be admitted for another cluster. At most `limit`, by
    /// key. Returns them; what somebody claims, stops or ends at the same moment is theirs.
    ///
    /// # Errors
    /// `Fenced`: another scheduler leads; nothing was written. `Unavailable`: unknown.
    fn give_back(
        &self,
        epoch: u64,
        spared: &[ClusterName],
        limit: u32,
    ) -> impl Future<Output = Result<Vec<AttemptKey>, StoreError>> + Send;

    /// Reports the open attempts of executors as lost that have not attended for their time to live,
    /// and forgets those executors: they can claim and report no more. Returns them.
    ///
    /// # Errors
    /// `Fenced`, `Unavailable`.
    fn bury(
        &self,
        epoch: u64,
        at: Timestamp,
    ) -> impl Future<Output = Result<Vec<InstanceId>, StoreError>> + Send;
}
