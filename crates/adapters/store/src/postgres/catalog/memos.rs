//! Remembered outputs.

use flowforge_model::id::EntityId;
use flowforge_ports::catalog::{CacheView, MemoView};
use flowforge_ports::store::{Remembered, StoreError};

use crate::postgres::bind::{binds, optional_text, text};
use crate::postgres::codec::{self, get};
use crate::postgres::load::read;
use crate::postgres::transaction::Tx;

const CACHES: &str = "SELECT m.cache, count(*), max(m.at) FROM memo m \
     JOIN project p ON p.id = m.project \
     WHERE p.uid = $1 AND ($2::text IS NULL OR m.cache > $2) \
     GROUP BY m.cache ORDER BY m.cache LIMIT $3";

const PAGE: &str = "SELECT m.id, m.key, m.workflow, m.outputs, m.at \
     FROM memo m JOIN project p ON p.id = m.project \
     WHERE p.uid = $1 AND m.cache = $2 AND m.id > $3 ORDER BY m.id LIMIT $4";

const FORGET: &str = "DELETE FROM memo WHERE project IN (SELECT id FROM project WHERE uid = $1) \
     AND cache = $2 AND ($3::text IS NULL OR key = $3)";

/// Caches by name.
pub(super) async fn caches<'a>(
    mut tx: Tx<'a>,
    project: EntityId,
    after: Option<&'a String>,
    limit: u32,
) -> Result<Vec<CacheView>, StoreError> {
    let values = binds![project.0, optional_text(after), i64::from(limit)];
    read(&tx.rows(CACHES, values).await?, |row| {
        Ok(CacheView {
            project,
            cache: get(row, 0)?,
            memos: codec::count(row, 1)?,
            last_at: codec::time(row, 2)?,
        })
    })
}

/// What one cache remembers, by id.
pub(super) async fn page<'a>(
    mut tx: Tx<'a>,
    (project, cache): (EntityId, &'a str),
    after: i64,
    limit: u32,
) -> Result<Vec<MemoView>, StoreError> {
    let values = binds![project.0, text(cache), after, i64::from(limit)];
    read(&tx.rows(PAGE, values).await?, |row| {
        let outputs = codec::json(row, 3)?.ok_or_else(|| codec::corrupt("memo"))?;
        Ok(MemoView {
            id: get(row, 0)?,
            key: get(row, 1)?,
            workflow: codec::workflow_id(row, 2)?,
            remembered: Remembered { outputs, at: codec::time(row, 4)? },
        })
    })
}

/// How many were forgotten.
pub(super) async fn forget<'a>(
    mut tx: Tx<'a>,
    (project, cache): (EntityId, &'a str),
    key: Option<&'a String>,
) -> Result<u64, StoreError> {
    tx.execute(FORGET, binds![project.0, text(cache), optional_text(key)]).await
}
