//! What a witness of pods reads and writes.

use flowforge_model::attempt::{AttemptKey, Fact, FactKind};
use flowforge_ports::handover::Tidings;
use flowforge_ports::store::StoreError;
use flowforge_ports::witness::{Awaited, Testimony, Witness};

use super::{MemoryStore, Rows};

impl Rows {
    /// An executor has claimed it whose work outlives it, and nobody has told its end.
    fn is_awaited(&mut self, key: AttemptKey) -> bool {
        let by = self.open(key).and_then(|(by, _)| *by);
        by.is_some_and(|by| self.roles.keeps(by)) && !self.roles.has_ended(key)
    }
}

impl Witness for MemoryStore {
    async fn awaited(&self, keys: &[AttemptKey]) -> Result<Vec<Awaited>, StoreError> {
        let mut rows = self.rows();
        let mut keys = keys.to_vec();
        keys.sort_unstable();
        keys.retain(|key| rows.is_awaited(*key));
        let awaited = keys.into_iter().filter_map(|key| {
            let order = rows.roles.order(key)?.as_ref().ok()?.clone();
            Some(Awaited { order, stop: rows.roles.to_stop(key) })
        });
        Ok(awaited.collect())
    }

    async fn testify(&self, ends: &[Testimony]) -> Result<Vec<AttemptKey>, StoreError> {
        let mut rows = self.rows();
        let mut kept = Vec::new();
        for Testimony { key, pods, report } in ends {
            let seen = rows.roles.pods.begun(*key).all(|pod| pods.contains(&pod));
            if seen && rows.is_awaited(*key) {
                let kind = FactKind::Finished(Box::new(report.clone()));
                rows.roles.tell(Tidings::Fact(Fact { key: *key, kind }));
                kept.push(*key);
            }
        }
        kept.sort_unstable();
        Ok(kept)
    }
}
