//! Numbered changes of the schema, up and down, each in a transaction of its own.
//!
//! An advisory lock lets one program at a time change the schema; a table says what was done. The
//! numbers are those of SQLite's schemas with the same tables.

use flowforge_ports::store::StoreError;

use super::PostgresStore;
use super::connection::Connection;
use super::error::from_postgres;

/// One step.
struct Migration {
    name: &'static str,
    up: &'static str,
    down: &'static str,
}

macro_rules! migration {
    ($name:literal) => {
        Migration {
            name: $name,
            up: include_str!(concat!("../../migrations/postgres/", $name, ".up.sql")),
            down: include_str!(concat!("../../migrations/postgres/", $name, ".down.sql")),
        }
    };
}

/// Migration `n` leads from schema `n - 1` to `n`, counted from 1. Never edit one that was
/// released.
const MIGRATIONS: &[Migration] = &[
    migration!("0001_first"),
    migration!("0002_templates_and_locks"),
    migration!("0003_schedules"),
    migration!("0004_roles"),
    migration!("0005_retention"),
];

/// Taken by whoever changes the schema; "FLOW", as in the header of SQLite's file.
const LOCK: &str = "SELECT pg_advisory_xact_lock(x'464c4f57'::bigint)";

const TABLE: &str = "CREATE TABLE IF NOT EXISTS flowforge_schema (
    version    integer     PRIMARY KEY CHECK (version >= 1),
    name       text        NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now())";

const VERSION: &str = "SELECT coalesce(max(version), 0)::text FROM flowforge_schema";

/// One migration and whether the database has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MigrationStatus {
    /// From 1.
    pub version: u32,
    /// What it is called.
    pub name: String,
    /// It was applied.
    pub applied: bool,
}

/// The newest schema of this program.
pub(super) fn known() -> u32 {
    u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX)
}

impl PostgresStore {
    /// Brings the schema up to date; the versions that were applied.
    ///
    /// # Errors
    /// `FutureSchema` if a newer program wrote it; `Unavailable`.
    pub async fn migrate_up(&self) -> Result<Vec<u32>, StoreError> {
        self.change(|connection| Box::pin(up(connection))).await
    }

    /// Takes back the migrations after `to`, the newest first, with all that their tables hold; the
    /// versions that were taken back.
    ///
    /// # Errors
    /// `FutureSchema` if a newer program wrote it; `Unavailable`.
    pub async fn migrate_down(&self, to: u32) -> Result<Vec<u32>, StoreError> {
        self.change(move |connection| Box::pin(down(connection, to))).await
    }

    /// All migrations of this program. Changes nothing.
    ///
    /// # Errors
    /// `FutureSchema` if a newer program wrote it; `Unavailable`.
    pub async fn migration_status(&self) -> Result<Vec<MigrationStatus>, StoreError> {
        let version = self.change(|connection| Box::pin(version(connection))).await?;
        let status = |(number, migration): (u32, &Migration)| MigrationStatus {
            version: number,
            name: migration.name.to_owned(),
            applied: number <= version,
        };
        Ok((1..).zip(MIGRATIONS).map(status).collect())
    }

    /// Refuses a schema that is not the one this program works with.
    pub(crate) async fn must_be_migrated(&self) -> Result<(), StoreError> {
        let found = self.change(|connection| Box::pin(version(connection))).await?;
        if found == known() {
            return Ok(());
        }
        Err(StoreError::Unavailable(format!(
            "the database has schema {found}, this program needs {}: migrate it up",
            known()
        )))
    }
}

/// The version of the schema; 0 if there is none.
async fn version(connection: &Connection) -> Result<u32, StoreError> {
    let exists = "SELECT (to_regclass('flowforge_schema') IS NOT NULL)::text";
    if text(connection, exists).await? != "true" {
        return Ok(0);
    }
    let found = text(connection, VERSION).await?.parse().unwrap_or(u32::MAX);
    if found > known() {
        return Err(StoreError::FutureSchema { found, known: known() });
    }
    Ok(found)
}

async fn up(connection: &Connection) -> Result<Vec<u32>, StoreError> {
    // A schema that is up to date is left alone: there is nothing to wait for.
    if version(connection).await? == known() {
        return Ok(Vec::new());
    }
    let mut done = Vec::new();
    for (number, migration) in (1_u32..).zip(MIGRATIONS) {
        begin(connection).await?;
        // Read under the lock: another program may have migrated meanwhile.
        if version(connection).await? < number {
            batch(connection, migration.up).await?;
            let name = migration.name;
            let record =
                format!("INSERT INTO flowforge_schema (version, name) VALUES ({number}, '{name}')");
            batch(connection, &record).await?;
            tracing::info!(version = number, name, "migrated the database up");
            done.push(number);
        }
        batch(connection, "COMMIT").await?;
    }
    Ok(done)
}

async fn down(connection: &Connection, to: u32) -> Result<Vec<u32>, StoreError> {
    let mut done = Vec::new();
    for (number, migration) in (1_u32..).zip(MIGRATIONS).collect::<Vec<_>>().into_iter().rev() {
        begin(connection).await?;
        if number > to && version(connection).await? == number {
            batch(connection, migration.down).await?;
            let record = format!("DELETE FROM flowforge_schema WHERE version = {number}");
            batch(connection, &record).await?;
            tracing::info!(version = number, name = migration.name, "migrated the database down");
            done.push(number);
        }
        batch(connection, "COMMIT").await?;
    }
    Ok(done)
}

/// A transaction that alone may change the schema, however long its statements take.
async fn begin(connection: &Connection) -> Result<(), StoreError> {
    batch(connection, "BEGIN; SET LOCAL statement_timeout = 0").await?;
    batch(connection, LOCK).await?;
    batch(connection, TABLE).await
}

async fn batch(connection: &Connection, sql: &str) -> Result<(), StoreError> {
    connection.client.batch_execute(sql).await.map_err(from_postgres)
}

/// The one value of a query without parameters.
async fn text(connection: &Connection, sql: &str) -> Result<String, StoreError> {
    let answer = connection.client.simple_query(sql).await.map_err(from_postgres)?;
    let value = answer.iter().find_map(|message| match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    });
    value.ok_or_else(|| StoreError::Corrupt("a query gave no row".to_owned()))
}
