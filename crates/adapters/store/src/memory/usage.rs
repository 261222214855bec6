//! What was used, interval by interval.

use std::collections::BTreeMap;

use flowforge_model::id::EntityId;
use flowforge_model::time::Timestamp;
use flowforge_model::usage::Measured;
use flowforge_ports::store::StoreError;
use flowforge_ports::usage::{USAGE_ROWS, UsageHistory};

use super::{MemoryStore, page};

/// By entity and time.
#[derive(Debug, Default)]
pub(super) struct Kept(BTreeMap<(Option<EntityId>, Timestamp), Measured>);

impl Kept {
    /// Of two rows of the same interval the one with more looks stays.
    pub(super) fn record(&mut self, usage: &[Measured]) {
        for new in usage {
            let row = self.0.entry((new.entity, new.at)).or_insert(*new);
            if new.looks >= row.looks {
                *row = *new;
            }
        }
    }
}

impl UsageHistory for MemoryStore {
    async fn usage(
        &self,
        entity: Option<EntityId>,
        from: Timestamp,
        to: Timestamp,
        limit: u32,
    ) -> Result<Vec<Measured>, StoreError> {
        let rows = self.rows();
        let found = rows.usage.0.range((entity, from)..).map(|(_, row)| *row);
        Ok(found.take_while(|row| row.entity == entity && row.at < to).take(page(limit)).collect())
    }

    async fn forget_usage(&self, before: Timestamp) -> Result<u64, StoreError> {
        let kept = &mut self.rows().usage.0;
        let mut over: Vec<_> = kept.keys().filter(|(_, at)| *at < before).copied().collect();
        over.sort_unstable_by_key(|(entity, at)| (*at, *entity));
        over.truncate(USAGE_ROWS);
        kept.retain(|key, _| !over.contains(key));
        Ok(u64::try_from(over.len()).unwrap_or(u64::MAX))
    }
}
