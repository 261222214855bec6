//! `flowforge restored`: what has to be done after a backup of PostgreSQL was restored.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;
use flowforge_ports::clock::{Clock, SystemClock};
use flowforge_store::PostgresStore;
use tokio::runtime::Builder;

use crate::database;

/// Flags of `flowforge restored`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Read this configuration file instead of looking for one.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let Some(config) = database::configured(options.config.as_deref(), None)? else {
        bail!("no PostgreSQL is configured: set database.url (FLOWFORGE_DATABASE_URL)");
    };
    let place = config.place();
    let runtime = Builder::new_current_thread().build().context("cannot start")?;
    let store = PostgresStore::connect(config)?;
    let done = runtime
        .block_on(store.restored(SystemClock.now()))
        .with_context(|| format!("cannot use the database {place}"))?;
    crate::say(&format!(
        "servers of before are fenced off; {} executors are dead, {} attempts are lost\n",
        done.executors, done.attempts
    ))
}
