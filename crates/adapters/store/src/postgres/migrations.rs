//! Numbered changes of the schema, up and down, each in a transaction of its own.
//!
//! An advisory lock lets one program at a time change the schema; a table says what was done. The
//! numbers are those of SQLite's schemas with the same tables.

use flowforge_ports::store::StoreError;
use tokio_postgres::SimpleQueryMessage;

use super::PostgresStore;
use super::connection::Connection;
use super::error::from_postgres;

/// One step.
struct Migration {
    name: &'static str,
    /// Programs that know this schema or a later one work with the tables that it makes, although
    /// they do not know all of them: it only expands. Its own number: they do not.
    oldest: u32,
    up: &'static str,
    down: &'static str,
}

macro_rules! migration {
    ($name:literal, $oldest:literal) => {
        Migration {
            name: $name,
            oldest: $oldest,
            up: include_str!(concat!("../../migrations/postgres/", $name, ".up.sql")),
            down: include_str!(concat!("../../migrations/postgres/", $name, ".down.sql")),
        }
    };
}

/// Migration `n` leads from schema `n - 1` to `n`, counted from 1. Never edit one that was
/// released.
const MIGRATIONS: &[Migration] = &[
    migration!("0001_first", 1),
    migration!("0002_templates_and_locks", 2),
    migration!("0003_schedules", 3),
    migration!("0004_roles", 4),
    migration!("0005_retention", 4),
    migration!("0006_organization", 4),
    migration!("0007_slots", 7),
    migration!("0008_urls", 7),
    migration!("0009_pods", 7),
    migration!("0010_ready", 10),
    migration!("0011_lasts", 10),
    migration!("0012_gangs", 12),
    migration!("0013_usage", 12),
    migration!("0014_gang_members", 12),
    migration!("0015_children", 15),
    migration!("0016_clusters", 15),
];

/// Taken by whoever changes the schema; "FLOW", as in the header of SQLite's file.
const LOCK: &str = "SELECT pg_advisory_xact_lock(x'464c4f57'::bigint)";

const TABLE: &str = "CREATE TABLE IF NOT EXISTS flowforge_schema (
    version    integer     PRIMARY KEY CHECK (version >= 1),
    name       text        NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now());
    ALTER TABLE flowforge_schema ADD COLUMN IF NOT EXISTS oldest integer CHECK (oldest >= 1)";

/// The column may not be there yet.
const VERSION: &str = "SELECT coalesce(max(version), 0) || ' ' \
     || coalesce(max(coalesce((to_jsonb(s)->>'oldest')::integer, version)) FILTER \
     (WHERE version > KNOWN), 0) FROM flowforge_schema s";

const LATER: &str =
    "SELECT version, name FROM flowforge_schema WHERE version > KNOWN ORDER BY version";

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

    /// All migrations of this program, and those of later ones that the database has. Changes nothing.
    ///
    /// # Errors
    /// `FutureSchema` if a newer program wrote it; `Unavailable`.
    pub async fn migration_status(&self) -> Result<Vec<MigrationStatus>, StoreError> {
        let (version, later) = self.change(|connection| Box::pin(found(connection))).await?;
        let status = |(number, migration): (u32, &Migration)| MigrationStatus {
            version: number,
            name: migration.name.to_owned(),
            applied: number <= version,
        };
        Ok((1..).zip(MIGRATIONS).map(status).chain(later).collect())
    }

    /// Refuses a schema that is not the one this program works with.
    pub(crate) async fn must_be_migrated(&self) -> Result<(), StoreError> {
        let found = self.change(|connection| Box::pin(version(connection))).await?;
        if found >= known() {
            return Ok(());
        }
        Err(StoreError::Unavailable(format!(
            "the database has schema {found}, this program needs {}: run `flowforge migrate up`",
            known()
        )))
    }
}

/// The version of the schema; 0 if there is none. A later one that this program works with is as
/// good as its own.
async fn version(connection: &Connection) -> Result<u32, StoreError> {
    let exists = "SELECT (to_regclass('flowforge_schema') IS NOT NULL)::text";
    if text(connection, exists).await? != "true" {
        return Ok(0);
    }
    let said = text(connection, &VERSION.replace("KNOWN", &known().to_string())).await?;
    let (found, oldest) = said.split_once(' ').unwrap_or((&said, ""));
    let number = |text: &str| text.parse().unwrap_or(u32::MAX);
    let (found, oldest) = (number(found), number(oldest));
    if found > known() && oldest > known() {
        return Err(StoreError::FutureSchema { found, known: known() });
    }
    Ok(found)
}

/// The version, and what is there of later programs.
async fn found(connection: &Connection) -> Result<(u32, Vec<MigrationStatus>), StoreError> {
    let version = version(connection).await?;
    if version <= known() {
        return Ok((version, Vec::new()));
    }
    let sql = LATER.replace("KNOWN", &known().to_string());
    let answer = connection.client.simple_query(&sql).await.map_err(from_postgres)?;
    let later = answer.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(MigrationStatus {
            version: row.get(0)?.parse().ok()?,
            name: row.get(1)?.to_owned(),
            applied: true,
        }),
        _ => None,
    });
    Ok((version, later.collect()))
}

async fn up(connection: &Connection) -> Result<Vec<u32>, StoreError> {
    // A schema that is up to date is left alone: there is nothing to wait for.
    if version(connection).await? >= known() {
        return Ok(Vec::new());
    }
    let mut done = Vec::new();
    for (number, migration) in (1_u32..).zip(MIGRATIONS) {
        begin(connection).await?;
        // Read under the lock: another program may have migrated meanwhile.
        if version(connection).await? < number {
            batch(connection, migration.up).await?;
            let name = migration.name;
            let record = format!(
                "INSERT INTO flowforge_schema (version, name, oldest) VALUES ({number}, '{name}', {})",
                migration.oldest
            );
            batch(connection, &record).await?;
            tracing::info!(version = number, name, "migrated the database up");
            done.push(number);
        }
        batch(connection, "COMMIT").await?;
    }
    Ok(done)
}

async fn down(connection: &Connection, to: u32) -> Result<Vec<u32>, StoreError> {
    let found = version(connection).await?;
    if found > known() {
        // What a later program did, it has to take back first.
        return Err(StoreError::FutureSchema { found, known: known() });
    }
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
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    });
    value.ok_or_else(|| StoreError::Corrupt("a query gave no row".to_owned()))
}
