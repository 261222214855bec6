//! Numbered, forward-only changes of the schema. The number is SQLite's `user_version`.

use flowforge_ports::store::StoreError;
use rusqlite::{Connection, TransactionBehavior};

use super::error::from_sqlite;

/// Migration `n` leads from schema `n - 1` to `n`, counted from 1. Never edit one that was
/// released.
const MIGRATIONS: &[&str] = &[
    include_str!("../../migrations/sqlite/0001_first.sql"),
    include_str!("../../migrations/sqlite/0002_templates_and_locks.sql"),
    include_str!("../../migrations/sqlite/0003_schedules.sql"),
    include_str!("../../migrations/sqlite/0004_organization.sql"),
    include_str!("../../migrations/sqlite/0005_slots.sql"),
    include_str!("../../migrations/sqlite/0006_usage.sql"),
    include_str!("../../migrations/sqlite/0007_children.sql"),
    include_str!("../../migrations/sqlite/0008_clusters.sql"),
];

/// "FLOW" in the header of the file: tells our databases from those of other programs.
const APPLICATION_ID: u32 = 0x464c_4f57;

/// Brings the schema up to date, each step in its own transaction.
///
/// Reads before it writes: a database of a newer or of another program stays untouched.
pub(super) fn migrate(conn: &mut Connection) -> Result<(), StoreError> {
    check(conn)?;
    for (version, sql) in (1_u32..).zip(MIGRATIONS) {
        let tx =
            conn.transaction_with_behavior(TransactionBehavior::Immediate).map_err(from_sqlite)?;
        // Read again under the lock: another process may have migrated meanwhile.
        if pragma(&tx, "user_version")? < version {
            tx.execute_batch(sql)
                .and_then(|()| tx.pragma_update(None, "user_version", version))
                .and_then(|()| tx.pragma_update(None, "application_id", APPLICATION_ID))
                .map_err(from_sqlite)?;
        }
        tx.commit().map_err(from_sqlite)?;
    }
    Ok(())
}

/// Refuses a database that this program must not touch.
pub(super) fn check(conn: &Connection) -> Result<(), StoreError> {
    let found = pragma(conn, "user_version")?;
    let owner = pragma(conn, "application_id")?;
    let tables: u32 = conn
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(from_sqlite)?;
    let empty = tables == 0 && found == 0 && owner == 0;
    if !empty && owner != APPLICATION_ID {
        return Err(StoreError::Unavailable("it is a database of another program".to_owned()));
    }
    let known = known();
    if found > known {
        return Err(StoreError::FutureSchema { found, known });
    }
    Ok(())
}

/// The newest schema of this program.
pub(super) fn known() -> u32 {
    u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX)
}

/// A number of the file's header.
pub(super) fn pragma(conn: &Connection, name: &str) -> Result<u32, StoreError> {
    conn.pragma_query_value(None, name, |row| row.get(0)).map_err(from_sqlite)
}
