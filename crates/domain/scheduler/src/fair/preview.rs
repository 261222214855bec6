//! What would start at once if more were asked for, or allowed.

use flowforge_model::attempt::AttemptKey;
use flowforge_model::id::NodeIx;
use flowforge_model::time::Timestamp;
use flowforge_quota::TreeError;

use super::FairShare;
use super::task::State;
use crate::what_if::{Batch, Change, Preview};
use crate::why::Why;

impl FairShare {
    /// What would start now, at most `most` attempts, were these changes made and these batches
    /// offered: by the very decisions that are made in earnest, in one go. Nothing of this one changes.
    ///
    /// Batches are offered as they are: keys that are known already are ignored. Costs a
    /// [`fork`](FairShare::fork), what deciding costs, and an explanation for each batch.
    ///
    /// # Errors
    /// As [`FairShare::upsert`], for the changes.
    pub fn preview(
        &self,
        now: Timestamp,
        changes: &[Change],
        batches: &[Batch],
        most: usize,
    ) -> Result<Preview, TreeError> {
        let mut fork = self.changed(changes)?;
        for candidate in batches.iter().flat_map(Batch::candidates) {
            fork.offer(candidate);
        }
        let starts = fork.admit(now, most);
        let waits = batches.iter().map(|batch| fork.first_waiting(batch, now)).collect();
        Ok(Preview { complete: fork.pick().is_none(), starts, waits })
    }

    /// Attempts of a batch start in order: all of one queue, equally early.
    fn first_waiting(&self, batch: &Batch, now: Timestamp) -> Option<(AttemptKey, Why)> {
        let first = batch.first.key;
        let last = NodeIx(first.node.0.saturating_add(batch.count.checked_sub(1)?));
        let mut tasks = self.tasks.range(self.lanes.find(first.workflow)?, first.node..=last);
        let waits = tasks.find(|task| matches!(task.state, State::Waiting(..)))?;
        Some((waits.key, self.why(waits.key, now)?))
    }
}
