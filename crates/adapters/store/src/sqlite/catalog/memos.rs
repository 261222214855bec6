//! Remembered outputs.

use flowforge_model::id::EntityId;
use flowforge_ports::catalog::{CacheView, MemoView};
use flowforge_ports::store::{Remembered, StoreError};
use rusqlite::{Transaction, params};

use crate::sqlite::codec::{self, get};
use crate::sqlite::error::from_sqlite;
use crate::sqlite::load::rows;

/// Caches by name.
pub(super) fn caches(
    tx: &Transaction<'_>,
    project: EntityId,
    after: Option<&str>,
    limit: u32,
) -> Result<Vec<CacheView>, StoreError> {
    rows(
        tx,
        "SELECT m.cache, count(*), max(m.at) FROM memo m JOIN project p ON p.id = m.project \
         WHERE p.uid = ?1 AND (?2 IS NULL OR m.cache > ?2) \
         GROUP BY m.cache ORDER BY m.cache LIMIT ?3",
        params![project.0, after, limit],
        |row| {
            Ok(CacheView {
                project,
                cache: get(row, 0)?,
                memos: get(row, 1)?,
                last_at: codec::time(row, 2)?,
            })
        },
    )
}

/// What one cache remembers, by id.
pub(super) fn page(
    tx: &Transaction<'_>,
    (project, cache): (EntityId, &str),
    after: i64,
    limit: u32,
) -> Result<Vec<MemoView>, StoreError> {
    rows(
        tx,
        "SELECT m.id, m.key, m.workflow, m.outputs, m.at \
         FROM memo m JOIN project p ON p.id = m.project \
         WHERE p.uid = ?1 AND m.cache = ?2 AND m.id > ?3 ORDER BY m.id LIMIT ?4",
        params![project.0, cache, after, limit],
        |row| {
            let outputs = codec::json(row, 3)?.ok_or_else(|| codec::corrupt("memo"))?;
            Ok(MemoView {
                id: get(row, 0)?,
                key: get(row, 1)?,
                workflow: codec::workflow_id(row, 2)?,
                remembered: Remembered { outputs, at: codec::time(row, 4)? },
            })
        },
    )
}

/// How many were forgotten.
pub(super) fn forget(
    tx: &Transaction<'_>,
    (project, cache): (EntityId, &str),
    key: Option<&str>,
) -> Result<u64, StoreError> {
    let gone = tx
        .prepare_cached(
            "DELETE FROM memo WHERE project IN (SELECT id FROM project WHERE uid = ?1) \
             AND cache = ?2 AND (?3 IS NULL OR key = ?3)",
        )
        .and_then(|mut delete| delete.execute(params![project.0, cache, key]))
        .map_err(from_sqlite)?;
    Ok(u64::try_from(gone).unwrap_or(u64::MAX))
}
