//! The store of one machine: one writer, a few readers, one file.

mod catalog;
mod codec;
mod commit;
mod connection;
mod error;
mod intake;
mod load;
mod migrations;
mod organization;
mod schedules;
mod templates;
mod usage;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flowforge_model::event::Command;
use flowforge_model::id::{EntityId, InstanceId, WorkflowId};
use flowforge_model::shard::ShardSet;
use flowforge_model::time::Timestamp;
use flowforge_ports::handover::News;
use flowforge_ports::store::{
    Commit, Committed, Inserted, Intent, NewWorkflow, Remembered, Store, StoreError, StoredRun,
    TimerRow,
};
use flowforge_ports::templates::{StoredTemplate, TemplateId, Templates};
use rusqlite::{Connection, Transaction, TransactionBehavior};

use self::connection::Readers;
use crate::organization::Copied;

pub(crate) use self::connection::open_for_doctor;
pub(crate) use self::error::from_sqlite;

/// A workflow database in one SQLite file (and its `-wal` and `-shm` beside it).
///
/// Cheap to clone; clones share the connections. A write returns after its transaction is
/// synchronised to the disk. A read sees every write that returned before it began, and never
/// waits for a writer.
#[derive(Clone, Debug)]
pub struct SqliteStore {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    // Fields drop in order: the writer closes last and folds the log into the file, which a
    // connection that may only read cannot.
    readers: Readers,
    writer: Mutex<Connection>,
    organization: Copied,
}

impl SqliteStore {
    /// Opens the database at `path`, creating or migrating it as needed.
    ///
    /// # Errors
    /// `FutureSchema` if a newer program wrote it; `Unavailable`, saying why, if `path` cannot be
    /// opened or is something else (a directory, another program's file).
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let writer = connection::open_writer(path)?;
        Ok(Self {
            shared: Arc::new(Shared {
                readers: Readers::new(path),
                writer: Mutex::new(writer),
                organization: Copied::default(),
            }),
        })
    }

    /// One write transaction. `BEGIN IMMEDIATE` takes the write lock first, so that what `work`
    /// reads cannot change before it writes. An error rolls everything back.
    fn write<T>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut writer = self.writer();
        let tx = writer
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(from_sqlite)?;
        let done = work(&tx)?;
        tx.commit().map_err(from_sqlite)?;
        Ok(done)
    }

    /// The writer. A panic while it was held has rolled its transaction back.
    fn writer(&self) -> MutexGuard<'_, Connection> {
        self.shared.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One read transaction: a snapshot of all commits so far.
    fn read<T>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.shared.readers.with(work)
    }
}

impl Store for SqliteStore {
    async fn insert(&self, new: NewWorkflow) -> Result<Inserted, StoreError> {
        // Compressed before the write lock is taken: a large document costs milliseconds.
        let document = codec::compress(&new.document)?;
        self.write(|tx| intake::insert(tx, &new, &document))
    }

    async fn ask(
        &self,
        workflow: WorkflowId,
        command: Command,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        self.write(|tx| intake::ask(tx, workflow, &command, at))
    }

    async fn take_over(&self, instance: InstanceId) -> Result<u64, StoreError> {
        self.write(|tx| commit::take_over(tx, instance))
    }

    async fn intents(
        &self,
        shards: ShardSet,
        after: i64,
        limit: u32,
    ) -> Result<Vec<Intent>, StoreError> {
        all(shards)?;
        self.read(|tx| load::intents(tx, after, limit))
    }

    /// There is no other role than those of its own server.
    async fn news(&self, shards: ShardSet, _limit: u32) -> Result<Vec<News>, StoreError> {
        all(shards)?;
        Ok(Vec::new())
    }

    async fn unfinished(
        &self,
        shards: ShardSet,
        after: Option<WorkflowId>,
        limit: u32,
    ) -> Result<Vec<WorkflowId>, StoreError> {
        all(shards)?;
        self.read(|tx| load::unfinished(tx, after, limit))
    }

    async fn ended_timers(&self, shards: ShardSet) -> Result<Vec<TimerRow>, StoreError> {
        all(shards)?;
        self.read(load::ended_timers)
    }

    async fn load(&self, id: WorkflowId) -> Result<StoredRun, StoreError> {
        self.read(|tx| load::run(tx, id))
    }

    async fn referred(&self, id: TemplateId) -> Result<StoredTemplate, StoreError> {
        Templates::template(self, id, None).await
    }

    async fn recall(
        &self,
        project: EntityId,
        cache: &str,
        key: &str,
    ) -> Result<Option<Remembered>, StoreError> {
        self.read(|tx| load::recall(tx, project, cache, key))
    }

    async fn commit(&self, commit: Commit) -> Result<Committed, StoreError> {
        if commit.handover.is_some() {
            return Err(one_server());
        }
        self.write(|tx| commit::apply(tx, &commit))
    }
}

/// A file belongs to one server, which has all shards.
fn all(shards: ShardSet) -> Result<(), StoreError> {
    if shards == ShardSet::ALL { Ok(()) } else { Err(one_server()) }
}

fn one_server() -> StoreError {
    let why = "SQLite is for one server that does everything: roles of their own need PostgreSQL";
    StoreError::Refused(why.to_owned())
}

#[cfg(test)]
mod tests;
