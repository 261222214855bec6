//! Locks and remembered outputs. Few tasks have any, so nothing is prepared for those that do not.

use std::collections::BTreeSet;

use flowforge_model::id::WorkflowId;
use flowforge_model::limits::MEMOS_PER_CACHE;
use flowforge_model::time::Timestamp;
use flowforge_ports::store::{LockWrite, MemoWrite, RunChanges, StoreError};
use rusqlite::{Transaction, params};

use crate::rules;
use crate::sqlite::codec;
use crate::sqlite::error::from_sqlite;

/// Replaces the locks of tasks.
pub(super) fn write(
    tx: &Transaction<'_>,
    workflow: WorkflowId,
    writes: &[LockWrite],
) -> Result<(), StoreError> {
    for write in writes {
        rules::locks_sound(write)?;
        tx.prepare_cached("DELETE FROM lock WHERE workflow = ?1 AND node = ?2")
            .and_then(|mut delete| delete.execute(params![workflow.0, write.node.0]))
            .map_err(from_sqlite)?;
        for row in &write.rows {
            tx.prepare_cached(
                "INSERT INTO lock (workflow, node, key, capacity, held, since) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )
            .and_then(|mut insert| {
                let since = row.since.0;
                insert.execute(params![workflow.0, row.node.0, row.key, row.limit, row.held, since])
            })
            .map_err(from_sqlite)?;
        }
    }
    Ok(())
}

/// No lock that these changes take is held by too many now. Looked at once all of them are
/// written: what one workflow releases another may hold.
pub(super) fn guard(tx: &Transaction<'_>, runs: &[RunChanges]) -> Result<(), StoreError> {
    let rows = runs.iter().flat_map(|run| &run.locks).flat_map(|write| &write.rows);
    let keys: BTreeSet<&str> = rows.filter(|row| row.held).map(|row| &*row.key).collect();
    for key in keys {
        let (holders, limit): (u64, u32) = tx
            .prepare_cached(
                "SELECT count(*), coalesce(max(capacity), 0) FROM lock WHERE key = ?1 AND held = 1",
            )
            .and_then(|mut select| select.query_row([key], |row| Ok((row.get(0)?, row.get(1)?))))
            .map_err(from_sqlite)?;
        rules::lock_overfull(key, holders, limit)?;
    }
    Ok(())
}

/// Keeps outputs for tasks of the same key; of a full cache the oldest go.
pub(super) fn remember(
    tx: &Transaction<'_>,
    workflow: WorkflowId,
    at: Timestamp,
    memos: &[MemoWrite],
) -> Result<(), StoreError> {
    for memo in memos {
        let outputs = codec::to_json(&memo.outputs)?;
        tx.prepare_cached(
            "INSERT INTO memo (project, cache, key, workflow, at, outputs) \
             SELECT project, ?2, ?3, ?1, ?4, ?5 FROM workflow WHERE id = ?1 \
             ON CONFLICT (project, cache, key) DO UPDATE \
             SET workflow = excluded.workflow, at = excluded.at, outputs = excluded.outputs",
        )
        .and_then(|mut insert| {
            insert.execute(params![workflow.0, memo.cache, memo.key, at.0, outputs])
        })
        .map_err(from_sqlite)?;
    }
    let caches: BTreeSet<&str> = memos.iter().map(|memo| &*memo.cache).collect();
    for cache in caches {
        tx.prepare_cached(
            "DELETE FROM memo WHERE id IN (SELECT m.id FROM memo m \
             JOIN workflow w ON w.project = m.project WHERE w.id = ?1 AND m.cache = ?2 \
             ORDER BY m.at DESC, m.key DESC LIMIT -1 OFFSET ?3)",
        )
        .and_then(|mut delete| delete.execute(params![workflow.0, cache, MEMOS_PER_CACHE]))
        .map_err(from_sqlite)?;
    }
    Ok(())
}
