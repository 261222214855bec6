//! The store of many servers: one PostgreSQL database, several connections.

mod archive;
mod bind;
mod catalog;
mod codec;
mod commit;
mod config;
mod connection;
mod doctor;
mod error;
mod intake;
mod load;
mod migrations;
mod organization;
mod pool;
mod restored;
mod retention;
mod roles;
mod schedules;
mod templates;
#[cfg(feature = "tls")]
mod tls;
mod transaction;
mod usage;

use std::future::Future;
use std::sync::Arc;

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
use tokio::runtime::{Builder, Runtime};

use self::connection::{Connection, Role, Target};
use self::pool::Pool;
use self::transaction::{Mode, Work};
use crate::organization::Copied;

pub use self::archive::ARCHIVE_VERSION;
pub use self::config::PostgresConfig;
pub(crate) use self::doctor::PAGE;
pub use self::migrations::MigrationStatus;
pub use self::restored::Restored;
pub use self::retention::{EndedPage, EndedWorkflow, Retention};

/// Threads of the store: one that encodes a large commit leaves another for everybody else.
const THREADS: usize = 2;

/// A workflow database in PostgreSQL 15 or later.
///
/// Cheap to clone; clones share the connections. A write returns after its transaction is durable
/// as the server understands it (`synchronous_commit`). A read sees every write that returned
/// before it began.
///
/// Connections and transactions live on threads of its own, so that its futures may be awaited on
/// any runtime, or none, and dropped at any time: what they began is carried through.
#[derive(Clone, Debug)]
pub struct PostgresStore {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    writers: Arc<Pool>,
    readers: Arc<Pool>,
    organization: Arc<Copied>,
    /// Taken only when the last clone is dropped.
    runtime: Option<Runtime>,
}

impl Shared {
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(runtime) = &self.runtime {
            runtime.spawn(task);
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // A runtime must not be dropped by a thread that belongs to one, and ours may be.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl PostgresStore {
    /// Opens the database, creating or migrating its tables as needed.
    ///
    /// # Errors
    /// `FutureSchema` if a newer program wrote it; `Refused` or `Unavailable`, saying why, if it
    /// cannot be reached or used.
    pub async fn open(config: PostgresConfig) -> Result<Self, StoreError> {
        let store = Self::connect(config)?;
        store.migrate_up().await?;
        Ok(store)
    }

    /// Opens a database whose tables are there already, and never changes the schema.
    ///
    /// # Errors
    /// As [`Self::open`]; `Unavailable` also if the schema is older than this program.
    pub async fn open_migrated(config: PostgresConfig) -> Result<Self, StoreError> {
        let store = Self::connect(config)?;
        store.must_be_migrated().await?;
        Ok(store)
    }

    /// A store whose connections are made when first needed, for [`Self::migrate_up`],
    /// [`Self::migrate_down`], [`Self::migration_status`] and [`Self::doctor`].
    ///
    /// # Errors
    /// `Refused` if the certificates to trust cannot be read; `Unavailable` if no thread can start.
    pub fn connect(config: PostgresConfig) -> Result<Self, StoreError> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("postgres")
            .enable_all()
            .build()
            .map_err(|error| StoreError::Unavailable(format!("cannot start threads: {error}")))?;
        let writers = config.connections / 2;
        let readers = config.connections - writers;
        let target = Arc::new(Target::new(config)?);
        let pool = |role, most| Arc::new(Pool::new(&target, role, most));
        let (writers, readers) = (pool(Role::Write, writers), pool(Role::Read, readers));
        let organization = Arc::default();
        let runtime = Some(runtime);
        Ok(Self { shared: Arc::new(Shared { writers, readers, organization, runtime }) })
    }
}

impl Store for PostgresStore {
    async fn insert(&self, new: NewWorkflow) -> Result<Inserted, StoreError> {
        // Compressed before any lock is taken: a large document costs milliseconds.
        let document = Arc::new(codec::compress(&new.document)?);
        let new = Arc::new(new);
        let once = |new: Arc<NewWorkflow>, document: Arc<codec::Compressed>| {
            self.write(move |tx| {
                Box::pin(async move {
                    let mut tx = tx;
                    intake::insert(&mut tx, &new, &document).await
                })
            })
        };
        match once(Arc::clone(&new), Arc::clone(&document)).await {
            // The same request at the same moment: the second time it is found.
            Err(StoreError::Conflict(why)) if why.contains("(workflow_idempotency)") => {
                once(new, document).await
            }
            other => other,
        }
    }

    async fn ask(
        &self,
        workflow: WorkflowId,
        command: Command,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let mut tx = tx;
                intake::ask(&mut tx, workflow, &command, at).await
            })
        })
        .await
    }

    async fn take_over(&self, instance: InstanceId) -> Result<u64, StoreError> {
        self.write(move |tx| Box::pin(commit::take_over(tx, instance))).await
    }

    async fn intents(
        &self,
        shards: ShardSet,
        after: i64,
        limit: u32,
    ) -> Result<Vec<Intent>, StoreError> {
        self.read(Mode::Fresh, move |tx| Box::pin(load::intents(tx, shards, after, limit))).await
    }

    async fn news(&self, shards: ShardSet, limit: u32) -> Result<Vec<News>, StoreError> {
        self.read(Mode::Fresh, move |tx| Box::pin(roles::news(tx, shards, limit))).await
    }

    async fn unfinished(
        &self,
        shards: ShardSet,
        after: Option<WorkflowId>,
        limit: u32,
    ) -> Result<Vec<WorkflowId>, StoreError> {
        self.read(Mode::Fresh, move |tx| Box::pin(load::unfinished(tx, shards, after, limit))).await
    }

    async fn ended_timers(&self, shards: ShardSet) -> Result<Vec<TimerRow>, StoreError> {
        self.read(Mode::Fresh, move |tx| Box::pin(load::ended_timers(tx, shards))).await
    }

    async fn load(&self, id: WorkflowId) -> Result<StoredRun, StoreError> {
        self.read(Mode::Snapshot, move |tx| Box::pin(load::run(tx, id))).await
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
        let of = [cache.to_owned(), key.to_owned()];
        self.read(Mode::Fresh, move |tx| {
            Box::pin(async move {
                let [cache, key] = &of;
                load::recall(tx, project, cache, key).await
            })
        })
        .await
    }

    async fn commit(&self, commit: Commit) -> Result<Committed, StoreError> {
        self.write(move |tx| Box::pin(async move { commit::apply(tx, &commit).await })).await
    }
}

impl PostgresStore {
    /// Changes the schema, which may take any time.
    async fn change<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c Connection) -> Work<'c, T> + Send + 'static,
    {
        self.with(Arc::clone(&self.shared.writers), work).await
    }

    /// Looks at everything there is, which may take any time.
    async fn look<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c Connection) -> Work<'c, T> + Send + 'static,
    {
        self.with(Arc::clone(&self.shared.readers), work).await
    }

    /// Lends a connection to work that begins and ends its transactions itself.
    async fn with<T, F>(&self, pool: Arc<Pool>, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c Connection) -> Work<'c, T> + Send + 'static,
    {
        let (answer, answered) = tokio::sync::oneshot::channel();
        self.shared.spawn(async move {
            let done = match pool.lend().await {
                Err(error) => Err(error),
                Ok(lent) => {
                    let done = match lent.connection() {
                        Ok(connection) => work(connection).await,
                        Err(error) => Err(error),
                    };
                    // After an error a transaction may be open: the connection is closed.
                    if done.is_ok() {
                        lent.give_back();
                    }
                    done
                }
            };
            drop(answer.send(done));
        });
        let lost = || StoreError::Unavailable("the work did not come to its end".to_owned());
        answered.await.unwrap_or_else(|_| Err(lost()))
    }
}

#[cfg(test)]
pub(crate) mod tests;
