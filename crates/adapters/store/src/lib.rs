//! Where workflows are kept: [`PostgresStore`] for many servers, [`SqliteStore`] for one machine,
//! [`MemoryStore`] for simulation.
//!
//! The only crate that knows SQL. It never decides what a workflow does next: it refuses writes
//! that would break an invariant (a guard in the same transaction as the write) and keeps the
//! rest. All stores pass one conformance suite. Start reading at `migrations/sqlite/0001_first.sql`,
//! then [`flowforge_ports::store::Store`].
//!
//! The futures of the latter two never wait: a call does its work, file synchronisation included,
//! before it returns for the first time. Whoever runs on an async runtime calls them from a
//! thread that may block. Those of PostgreSQL wait, on any runtime.

mod archive;
mod codec;
pub mod doctor;
mod gang;
mod memory;
mod organization;
mod postgres;
mod rules;
mod sqlite;
mod usage;

#[cfg(test)]
mod conformance;

pub use archive::{Archive, Archived};
pub use memory::{Flaw, MemoryStore};
pub use postgres::{
    ARCHIVE_VERSION, EndedPage, EndedWorkflow, MigrationStatus, PostgresConfig, PostgresStore,
    Restored, Retention,
};
pub use sqlite::SqliteStore;
