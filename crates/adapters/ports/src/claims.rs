//! The executors' part of the database, when they are servers of their own.
//!
//! An executor claims what was admitted, reports what becomes of it, and asks what to stop. One that
//! has not attended in time ([`crate::leases::Leases`]) is buried: it can claim and report no more, and
//! must end all that it runs and come back as another instance.

use std::future::Future;

use flowforge_model::attempt::{AttemptKey, Fact};
use flowforge_model::id::InstanceId;
use flowforge_model::time::Timestamp;

use crate::handover::Order;
use crate::store::StoreError;

/// An attempt that an executor has now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// Which.
    pub key: AttemptKey,
    /// What it does.
    pub order: Order,
    /// A dead executor had it, and what that began may run still.
    pub outlived: bool,
}

/// What an executor reads and writes. Every call is one transaction. Implementations: PostgreSQL,
/// memory.
pub trait Claims: Send + Sync + 'static {
    /// Takes attempts that are open, that nobody has claimed or wants stopped and whose gate is open,
    /// with their orders; also those that this executor has claimed before and whose end it has not
    /// reported, and, if what it runs outlives it, those of dead ones of its kind. Others are left out: they are somebody else's, of
    /// another cluster, over, or wait for their gate.
    ///
    /// # Errors
    /// `Fenced` if the executor is buried; `Unavailable`, `Corrupt`.
    fn claim(
        &self,
        executor: InstanceId,
        at: Timestamp,
        keys: &[AttemptKey],
    ) -> impl Future<Output = Result<Vec<Claimed>, StoreError>> + Send;

    /// Keeps what happened for the controllers. Facts about attempts that have ended, or that others
    /// have claimed, are dropped; one that is told again is kept once or twice. Durable when this
    /// returns: the executor may forget it.
    ///
    /// # Errors
    /// `Fenced` if the executor is buried; `Unavailable`.
    fn report(
        &self,
        executor: InstanceId,
        facts: &[Fact],
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Attempts of this executor that somebody wants stopped and that have not ended, by key.
    ///
    /// # Errors
    /// `Fenced` if the executor is buried; `Unavailable`.
    fn stops(
        &self,
        executor: InstanceId,
    ) -> impl Future<Output = Result<Vec<AttemptKey>, StoreError>> + Send;
}
