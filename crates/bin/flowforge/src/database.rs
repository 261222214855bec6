//! Which database is used, from the settings.
//!
//! The services take any store by type parameter, and so does the server that joins them: it is
//! built once for each of the two. An enum that delegates would repeat every method of four traits.

use std::fs;
use std::path::Path;

use anyhow::{Context, bail};
use flowforge_store::{PostgresConfig, PostgresStore, SqliteStore};
use tokio::runtime::Runtime;

use crate::config::{Config, DatabaseSettings, Settings, Sources};
use crate::data_dir::DataDir;
use crate::start;

/// Bytes of a file with a URL or a password.
const SECRET_BYTES: usize = 4096;

/// An open database.
#[derive(Debug)]
pub(crate) enum Database {
    Sqlite(SqliteStore),
    Postgres(PostgresStore),
}

impl Database {
    /// The one that is configured; without a URL the data directory's own. Migrated as needed.
    pub(crate) fn open(
        runtime: &Runtime,
        settings: &Settings,
        data: &DataDir,
    ) -> anyhow::Result<Self> {
        if let Some(config) = postgres(&settings.database)? {
            let place = config.place();
            let store = runtime.block_on(PostgresStore::open(config));
            return Ok(Self::Postgres(
                store.with_context(|| format!("cannot open the database {place}"))?,
            ));
        }
        let path = data.database();
        let store = SqliteStore::open(&path)
            .with_context(|| format!("cannot open the database {}", path.display()))?;
        Ok(Self::Sqlite(store))
    }
}

/// Where the PostgreSQL is that is configured for a command that does one thing and ends; none if none
/// is. A `url` from the command line goes before all others.
pub(crate) fn configured(
    file: Option<&Path>,
    url: Option<String>,
) -> anyhow::Result<Option<PostgresConfig>> {
    let flags = url.map(|url| ("--database-url", "database.url", url)).into_iter().collect();
    postgres(&settings(file, flags)?.database)
}

/// The settings of a command that does one thing and ends.
pub(crate) fn settings(
    file: Option<&Path>,
    flags: Vec<(&'static str, &'static str, String)>,
) -> anyhow::Result<Settings> {
    let (folders, environment) = (start::folders(), start::environment());
    Ok(Config::read(&Sources { file, folders, environment, flags })?.settings)
}

/// Where the configured PostgreSQL is; none if none is configured.
pub(crate) fn postgres(settings: &DatabaseSettings) -> anyhow::Result<Option<PostgresConfig>> {
    let url = match (settings.url.as_str(), settings.url_file.as_str()) {
        ("", "") => return Ok(None),
        (url, "") => url.to_owned(),
        ("", file) => secret(file)?,
        _ => bail!("database.url and database.url_file are both set: one of them is enough"),
    };
    let config = PostgresConfig::parse(&url)?;
    Ok(Some(match settings.password_file.as_str() {
        "" => config,
        file => config.password(&secret(file)?),
    }))
}

/// The content of a file, without the end of its line.
pub(crate) fn secret(path: &str) -> anyhow::Result<String> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
    if text.len() > SECRET_BYTES {
        bail!("{path} is longer than {SECRET_BYTES} bytes");
    }
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}
