//! What was used, interval by interval.

use std::future::Future;

use flowforge_model::id::EntityId;
use flowforge_model::time::Timestamp;
use flowforge_model::usage::Measured;

use crate::store::StoreError;

/// Rows that are written or deleted at a time: some ten milliseconds of a database.
pub const USAGE_ROWS: usize = 2000;

/// Keeps what was used. It is written by whoever decides, fenced as all that it writes:
/// [`Commit::usage`](crate::store::Commit::usage) and
/// [`Reservations::record`](crate::reservations::Reservations::record). Implementations: PostgreSQL,
/// SQLite, memory.
pub trait UsageHistory: Send + Sync + 'static {
    /// Intervals of an entity, or of the installation, that began at or after `from` and before `to`,
    /// by time.
    ///
    /// # Errors
    /// `Unavailable`, `Corrupt`.
    fn usage(
        &self,
        entity: Option<EntityId>,
        from: Timestamp,
        to: Timestamp,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<Measured>, StoreError>> + Send;

    /// Deletes up to [`USAGE_ROWS`] intervals that began before this, the oldest first; how many.
    ///
    /// # Errors
    /// `Unavailable`.
    fn forget_usage(
        &self,
        before: Timestamp,
    ) -> impl Future<Output = Result<u64, StoreError>> + Send;
}
