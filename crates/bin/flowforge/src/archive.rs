//! `flowforge archive`: writes workflows that have ended into a directory, and deletes nothing.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use flowforge_model::quota::Level;
use flowforge_ports::clock::{Clock, SystemClock};
use flowforge_ports::organization::Organizations as _;
use flowforge_ports::store::StoreError;
use flowforge_store::{Archive, PostgresStore};
use tokio::runtime::Builder;

use crate::database;

/// Flags of `flowforge archive`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    what: What,
    /// Read this configuration file instead of looking for one.
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Writes one file for each workflow that has ended: DAY/ID.jsonl.zst.
    Export {
        /// Only those that ended before this, such as 2026-01-31 or 2026-01-31T12:00:00Z.
        #[arg(long, value_name = "TIME")]
        before: Option<String>,
        /// Only those of this project.
        #[arg(long, value_name = "NAME")]
        project: Option<String>,
        /// Where to. Created if it does not exist; files that are there are replaced.
        #[arg(value_name = "DIR")]
        directory: PathBuf,
    },
}

pub(crate) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let Some(config) = database::configured(options.config.as_deref(), None)? else {
        bail!("no PostgreSQL is configured: set database.url (FLOWFORGE_DATABASE_URL)");
    };
    let runtime = Builder::new_current_thread().build().context("cannot start")?;
    let place = config.place();
    let store = runtime
        .block_on(PostgresStore::open_migrated(config))
        .with_context(|| format!("cannot open the database {place}"))?;
    let What::Export { before, project, directory } = &options.what;
    let archive = Archive::open(directory)
        .with_context(|| format!("cannot write to {}", directory.display()))?;
    let (workflows, rows) =
        runtime.block_on(export(&store, &archive, before.as_deref(), project.as_deref()))?;
    crate::say(&format!("archived {workflows} workflows, {rows} rows\n"))
}

async fn export(
    store: &PostgresStore,
    archive: &Archive,
    before: Option<&str>,
    project: Option<&str>,
) -> anyhow::Result<(u64, u64)> {
    let before = match before {
        None => None,
        Some(text) => {
            let moment = store.moment(text).await;
            Some(moment.with_context(|| format!("--before: {text:?} is not a moment"))?)
        }
    };
    let project = match project {
        None => None,
        Some(text) => {
            let organization = store.organization().await?;
            Some(organization.find(Level::Project, text).context("--project")?.id)
        }
    };
    let (mut workflows, mut rows, mut after) = (0, 0, None);
    loop {
        let page = store.ended(before, project, after).await?;
        for one in page.workflows {
            match archive.keep(store, one, SystemClock.now()).await {
                Ok(archived) => {
                    workflows += 1;
                    rows += archived.rows;
                }
                // Deleted or retried in the meantime.
                Err(StoreError::NotFound) => {}
                Err(error) => {
                    return Err(error).with_context(|| format!("cannot archive {}", one.id));
                }
            }
        }
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok((workflows, rows)),
        }
    }
}
