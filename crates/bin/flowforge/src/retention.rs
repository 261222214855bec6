//! Deletes what is not kept any longer: workflows, after they are archived, and history of usage. A
//! thread of its own: archives wait for the disk.

use std::path::Path;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, bail};
use flowforge_model::time::{Millis, Timestamp};
use flowforge_ports::clock::{Clock, SystemClock};
use flowforge_ports::store::StoreError;
use flowforge_ports::usage::{USAGE_ROWS, UsageHistory};
use flowforge_store::{Archive, EndedWorkflow, PostgresStore, Retention, SqliteStore};
use tokio::runtime::Builder;

use crate::config::Settings;
use crate::stop::Stop;

/// How often it is looked for what is over its time, while there is some.
const SWEEP: Duration = Duration::from_secs(60);
/// And after nothing was found: each look reads the row of every workflow older than the shortest span.
const IDLE: Duration = Duration::from_secs(600);
/// The pause after an error, and while controllers have enough to do.
const PAUSE: Duration = Duration::from_secs(1);
/// Intents that may wait for controllers before more workflows are asked to be deleted.
const WAITING: u32 = 1000;

/// What is kept, and where the rest goes.
struct Keep {
    store: PostgresStore,
    kept: Retention,
    archive: Option<Archive>,
}

/// Starts the thread; it ends when told to stop. Several servers may do this at once: what one has
/// asked for, the others pass over.
pub(crate) fn start(
    store: PostgresStore,
    settings: &Settings,
    stop: Stop,
) -> anyhow::Result<JoinHandle<()>> {
    let archive =
        match settings.archive.as_str() {
            "" => None,
            path => Some(Archive::open(Path::new(path)).with_context(|| {
                format!("retention.archive: cannot write to the directory {path}")
            })?),
        };
    let usage = forget_usage(store.clone(), settings.usage.kept);
    let keep = Keep { store, kept: settings.retention, archive };
    let both = async move {
        tokio::join!(keep.run(), usage);
    };
    spawn(both, stop)
}

/// The same for a file of SQLite, which has no retention of workflows of its own: what a document says is
/// all there is.
pub(crate) fn start_on_sqlite(
    store: SqliteStore,
    settings: &Settings,
    stop: Stop,
) -> anyhow::Result<JoinHandle<()>> {
    refuse(settings)?;
    spawn(forget_usage(store, settings.usage.kept), stop)
}

fn spawn(
    work: impl Future<Output = ()> + Send + 'static,
    stop: Stop,
) -> anyhow::Result<JoinHandle<()>> {
    let runtime =
        Builder::new_current_thread().enable_time().build().context("cannot start retention")?;
    std::thread::Builder::new()
        .name("retention".to_owned())
        .spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = stop.stopped() => {}
                    () = work => {}
                }
            });
        })
        .context("cannot start retention")
}

/// Deletes the history of usage that is over its time, now and then.
async fn forget_usage(store: impl UsageHistory, kept: Option<Millis>) {
    let Some(kept) = kept else { return };
    let part = u64::try_from(USAGE_ROWS).unwrap_or(u64::MAX);
    loop {
        let kept = i64::try_from(kept.0).unwrap_or(i64::MAX);
        let before = Timestamp(SystemClock.now().0.saturating_sub(kept));
        let wait = match store.forget_usage(before).await {
            Ok(gone) if gone >= part => PAUSE,
            Ok(_) => IDLE,
            Err(error) => {
                tracing::warn!(%error, "history of usage is deleted later");
                SWEEP
            }
        };
        tokio::time::sleep(wait).await;
    }
}

fn refuse(settings: &Settings) -> anyhow::Result<()> {
    if settings.retention == Retention::default() && settings.archive.is_empty() {
        return Ok(());
    }
    bail!(
        "retention.* needs PostgreSQL: set database.url (FLOWFORGE_DATABASE_URL), or write \
         ttlStrategy into the documents"
    )
}

impl Keep {
    async fn run(&self) {
        loop {
            let wait = match self.sweep().await {
                Ok(0) => IDLE,
                Ok(asked) => {
                    tracing::info!(workflows = asked, "deletes what is over its time");
                    SWEEP
                }
                Err(error) => {
                    tracing::warn!(%error, "retention goes on later");
                    SWEEP.min(PAUSE * 10)
                }
            };
            tokio::time::sleep(wait).await;
        }
    }

    /// Looks at all workflows once; how many it asked to be deleted.
    async fn sweep(&self) -> Result<usize, StoreError> {
        let (mut after, mut asked) = (None, 0);
        loop {
            let now = SystemClock.now();
            let page = self.store.expired(self.kept, now, after).await?;
            if !page.workflows.is_empty() {
                self.room().await?;
                let archived = self.archived(page.workflows).await?;
                asked += self.store.retire(&archived, now).await?.len();
            }
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(asked),
            }
        }
    }

    /// Waits until controllers have done most of what they were asked for.
    async fn room(&self) -> Result<(), StoreError> {
        while self.store.waiting_intents(WAITING).await? >= u64::from(WAITING) {
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }

    /// Those that may be deleted: they are in the archive as they are, or there is none.
    async fn archived(
        &self,
        workflows: Vec<EndedWorkflow>,
    ) -> Result<Vec<EndedWorkflow>, StoreError> {
        let Some(archive) = &self.archive else {
            return Ok(workflows);
        };
        let mut kept = Vec::with_capacity(workflows.len());
        for one in workflows {
            match archive.keep(&self.store, one, SystemClock.now()).await {
                Ok(_) => kept.push(one),
                // Gone, or retried in the meantime: then it stays.
                Err(StoreError::NotFound) => {}
                Err(StoreError::Corrupt(why)) => {
                    tracing::error!(workflow = %one.id, %why, "cannot be archived, and stays");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(kept)
    }
}
