//! `flowforge migrate`: changes the tables in PostgreSQL, or says how they stand.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use flowforge_store::PostgresStore;
use tokio::runtime::Builder;

use crate::database;

/// Flags of `flowforge migrate`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    what: What,
    /// Read this configuration file instead of looking for one.
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// The database, in place of `database.url`; better not with a password, which others see.
    #[arg(long, value_name = "URL", global = true)]
    database_url: Option<String>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Brings the tables up to date. A server does this by itself when it starts.
    Up,
    /// Takes migrations back, with all that their tables hold.
    Down {
        /// Down to this version, which stays; 0 leaves nothing.
        #[arg(long, value_name = "VERSION")]
        to: u32,
        /// Yes, delete what is in the tables.
        #[arg(long)]
        yes: bool,
    },
    /// Shows which migrations the database has.
    Status,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let url = options.database_url.clone();
    let Some(postgres) = database::configured(options.config.as_deref(), url)? else {
        bail!(
            "no PostgreSQL is configured (database.url); a SQLite file migrates when it is opened"
        );
    };
    let store = PostgresStore::connect(postgres)?;
    let runtime = Builder::new_current_thread().build().context("cannot start")?;
    let text = match &options.what {
        What::Up => done("up", &runtime.block_on(store.migrate_up())?),
        What::Down { yes: false, .. } => {
            bail!("this deletes what is in the tables: say --yes if that is meant")
        }
        What::Down { to, yes: true } => done("down", &runtime.block_on(store.migrate_down(*to))?),
        What::Status => {
            let status = runtime.block_on(store.migration_status())?;
            let word = |applied| if applied { "applied" } else { "pending" };
            status.iter().map(|one| format!("{}  {}\n", word(one.applied), one.name)).collect()
        }
    };
    crate::say(&text)
}

fn done(way: &str, versions: &[u32]) -> String {
    match versions {
        [] => "there was nothing to do\n".to_owned(),
        _ => versions.iter().map(|version| format!("migrated {way}: {version}\n")).collect(),
    }
}
