//! Who watches pods beside their executors, and says how attempts have ended when nobody else does.
//!
//! A witness has no attempt and claims none: it knows what a pod's own cluster says of it, and that is all it may
//! write down. An end that was told before stands, and so does the word of a pod that has begun.

use std::future::Future;

use flowforge_model::attempt::{AttemptKey, Report, WorkOrder};
use flowforge_model::id::PodUid;

use crate::store::StoreError;

/// An attempt whose end nobody has told yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Awaited {
    /// What it does, and which it is.
    pub order: WorkOrder,
    /// Somebody wants it stopped.
    pub stop: bool,
}

/// How an attempt ended, by its pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Testimony {
    /// Which attempt.
    pub key: AttemptKey,
    /// All its pods that were seen.
    pub pods: Vec<PodUid>,
    /// Its end.
    pub report: Report,
}

/// What a witness reads and writes. Every call is one transaction. Implementations: PostgreSQL, memory.
pub trait Witness: Send + Sync + 'static {
    /// Those of these attempts that are open, that an executor whose work outlives it has claimed, dead or alive,
    /// and whose end nobody has told, by key. One whose order cannot be read is left out.
    ///
    /// # Errors
    /// `Unavailable`.
    fn awaited(
        &self,
        keys: &[AttemptKey],
    ) -> impl Future<Output = Result<Vec<Awaited>, StoreError>> + Send;

    /// Keeps the ends of attempts that are awaited, each at most once, for the controllers; those of others are
    /// dropped, and those of attempts that a pod has begun which the testimony does not name. Returns what
    /// was kept, by key. Each attempt is named at most once in a call.
    ///
    /// # Errors
    /// `Unavailable`.
    fn testify(
        &self,
        ends: &[Testimony],
    ) -> impl Future<Output = Result<Vec<AttemptKey>, StoreError>> + Send;
}
