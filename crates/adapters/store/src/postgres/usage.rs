//! What was used, interval by interval.

use flowforge_model::id::EntityId;
use flowforge_model::quota::Level;
use flowforge_model::time::Timestamp;
use flowforge_model::usage::Measured;
use flowforge_ports::store::StoreError;
use flowforge_ports::usage::{USAGE_ROWS, UsageHistory};

use super::PostgresStore;
use super::bind::{binds, int};
use super::codec::{self, get};
use super::commit::Step;
use super::load::read;
use super::transaction::Mode;
use crate::usage;

const RECORD: &str = "INSERT INTO usage_history AS h (entity, at, level, looks, body) \
     SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::integer[], $5::text[]) \
     ON CONFLICT (entity, at) DO UPDATE SET level = excluded.level, looks = excluded.looks, \
     body = excluded.body WHERE excluded.looks >= h.looks";

const USAGE: &str = "SELECT at, level, looks, body FROM usage_history \
     WHERE entity = $1 AND at >= $2 AND at < $3 ORDER BY at LIMIT $4";

const FORGET: &str = "DELETE FROM usage_history WHERE (entity, at) IN (SELECT entity, at \
     FROM usage_history WHERE at < $1 ORDER BY at LIMIT $2)";

impl UsageHistory for PostgresStore {
    async fn usage(
        &self,
        entity: Option<EntityId>,
        from: Timestamp,
        to: Timestamp,
        limit: u32,
    ) -> Result<Vec<Measured>, StoreError> {
        self.read(Mode::Fresh, move |tx| {
            Box::pin(async move {
                let mut tx = tx;
                let values = binds![usage::whose(entity), from.0, to.0, i64::from(limit)];
                read(&tx.rows(USAGE, values).await?, |row| {
                    let at = codec::time(row, 0)?;
                    let level = codec::optional_word(row, 1, |word| word.parse::<Level>().ok())?;
                    usage::row((entity, at), level, codec::number(row, 2)?, get(row, 3)?)
                })
            })
        })
        .await
    }

    async fn forget_usage(&self, before: Timestamp) -> Result<u64, StoreError> {
        let most = i64::try_from(USAGE_ROWS).unwrap_or(i64::MAX);
        self.write(move |tx| {
            Box::pin(async move {
                let mut tx = tx;
                tx.execute(FORGET, binds![before.0, most]).await
            })
        })
        .await
    }
}

/// Writes rows down; of two of the same interval the one with more looks stays.
pub(super) fn record(steps: &mut Vec<Step<'_>>, measured: &[Measured]) -> Result<(), StoreError> {
    if measured.is_empty() {
        return Ok(());
    }
    let (mut entities, mut times, mut levels) = (Vec::new(), Vec::new(), Vec::new());
    let (mut looks, mut bodies) = (Vec::new(), Vec::new());
    for row in measured {
        entities.push(usage::whose(row.entity));
        times.push(row.at.0);
        levels.push(row.level.map(Level::as_str));
        looks.push(int(row.looks)?);
        bodies.push(usage::body(row)?);
    }
    steps.push(Step::new(RECORD, binds![entities, times, levels, looks, bodies]));
    Ok(())
}
