//! What was used, interval by interval.

use flowforge_model::id::EntityId;
use flowforge_model::quota::Level;
use flowforge_model::time::Timestamp;
use flowforge_model::usage::Measured;
use flowforge_ports::store::StoreError;
use flowforge_ports::usage::{USAGE_ROWS, UsageHistory};
use rusqlite::{Transaction, params};

use super::SqliteStore;
use super::codec::{self, get};
use super::error::from_sqlite;
use super::load::rows;
use crate::usage;

impl UsageHistory for SqliteStore {
    async fn usage(
        &self,
        entity: Option<EntityId>,
        from: Timestamp,
        to: Timestamp,
        limit: u32,
    ) -> Result<Vec<Measured>, StoreError> {
        self.read(|tx| {
            rows(
                tx,
                "SELECT at, level, looks, body FROM usage_history \
                 WHERE entity = ?1 AND at >= ?2 AND at < ?3 ORDER BY at LIMIT ?4",
                params![usage::whose(entity), from.0, to.0, limit],
                |row| {
                    let at = codec::time(row, 0)?;
                    let level = codec::optional_word(row, 1, |word| word.parse::<Level>().ok())?;
                    usage::row((entity, at), level, get(row, 2)?, &get::<String>(row, 3)?)
                },
            )
        })
    }

    async fn forget_usage(&self, before: Timestamp) -> Result<u64, StoreError> {
        let most = i64::try_from(USAGE_ROWS).unwrap_or(i64::MAX);
        let gone = self.write(|tx| {
            tx.prepare_cached(
                "DELETE FROM usage_history WHERE (entity, at) IN (SELECT entity, at \
                 FROM usage_history WHERE at < ?1 ORDER BY at LIMIT ?2)",
            )
            .and_then(|mut delete| delete.execute(params![before.0, most]))
            .map_err(from_sqlite)
        })?;
        Ok(u64::try_from(gone).unwrap_or(u64::MAX))
    }
}

/// Of two rows of the same interval the one with more looks stays.
pub(super) fn record(tx: &Transaction<'_>, measured: &[Measured]) -> Result<(), StoreError> {
    for row in measured {
        let (entity, level) = (usage::whose(row.entity), row.level.map(Level::as_str));
        let body = usage::body(row)?;
        tx.prepare_cached(
            "INSERT INTO usage_history (entity, at, level, looks, body) VALUES (?1, ?2, ?3, ?4, ?5) \
             ON CONFLICT (entity, at) DO UPDATE SET level = excluded.level, looks = excluded.looks, \
             body = excluded.body WHERE excluded.looks >= usage_history.looks",
        )
        .and_then(|mut insert| {
            insert.execute(params![entity, row.at.0, level, row.looks, body])
        })
        .map_err(from_sqlite)?;
    }
    Ok(())
}
