//! What a controller may write: a whole store, or the shards that it leases.

use std::collections::BTreeMap;

use flowforge_model::id::WorkflowId;
use flowforge_model::shard::{Shard, ShardSet};
use flowforge_ports::admission::Admission;
use flowforge_ports::leases::Lease;
use flowforge_ports::store::Store;

use crate::ControllerError;
use crate::controller::Controller;

/// Workflow ids read at a time.
const PAGE: u32 = 512;

/// What a controller holds.
#[derive(Debug)]
pub(crate) enum Hold {
    /// A store of its own, in this epoch: scheduler and executor are in the same process.
    Whole(u64),
    /// These shards, each in its epoch: the other roles are servers of their own.
    Leased(BTreeMap<Shard, u64>),
}

impl Hold {
    pub(crate) fn shards(&self) -> ShardSet {
        match self {
            Self::Whole(_) => ShardSet::ALL,
            Self::Leased(leases) => leases.keys().copied().collect(),
        }
    }

    /// The other roles are servers of their own.
    pub(crate) fn leased(&self) -> bool {
        matches!(self, Self::Leased(_))
    }

    /// The epoch of a whole store.
    pub(crate) fn epoch(&self) -> u64 {
        match self {
            Self::Whole(epoch) => *epoch,
            Self::Leased(_) => 0,
        }
    }

    /// The leases of these shards; of those that are not held, none.
    pub(crate) fn leases(&self, shards: ShardSet) -> Vec<Lease> {
        let Self::Leased(leases) = self else {
            return Vec::new();
        };
        let ours = leases.iter().filter(|(shard, _)| shards.contains(**shard));
        ours.map(|(shard, epoch)| Lease { slot: shard.number(), epoch: *epoch }).collect()
    }
}

impl<S: Store, A: Admission> Controller<S, A> {
    /// Holds exactly these leases from now on: forgets what is not among them, and begins to read
    /// what is new. A shard whose epoch has changed was somebody else's in between: it is both.
    pub(crate) async fn take_leases(&mut self, leases: &[Lease]) -> Result<(), ControllerError> {
        let Hold::Leased(held) = &mut self.hold else {
            return Ok(());
        };
        let shard = |lease: &Lease| Some((Shard::new(lease.slot)?, lease.epoch));
        let now: BTreeMap<Shard, u64> = leases.iter().filter_map(shard).collect();
        let before = std::mem::replace(held, now.clone());
        let same = |(shard, epoch): &(&Shard, &u64)| before.get(*shard) == Some(*epoch);
        let kept: ShardSet = now.iter().filter(same).map(|(shard, _)| *shard).collect();
        let new = now.keys().copied().collect::<ShardSet>().without(kept);
        if kept.len() < u32::try_from(before.len()).unwrap_or(u32::MAX) {
            self.forget_all_but(kept);
        }
        if !new.is_empty() {
            tracing::info!(shards = ?new, "shards taken over");
            self.begin_reading(new).await?;
        }
        Ok(())
    }

    fn forget_all_but(&mut self, kept: ShardSet) {
        let ours = |id: &WorkflowId| kept.contains(id.shard());
        self.live.retain(|id, _| ours(id));
        self.timers.retain(ours);
        self.troubled.retain(|id, _| ours(id));
        self.unreadable.retain(ours);
        self.unread.retain(ours);
        // The numbers of those of other shards never come up again while they are others'; should
        // they come back, they are to be taken again.
        self.taken_intents.retain(|_, id| ours(id));
        self.taken_news.retain(|_, id| ours(id));
    }

    /// Notes which workflows of these shards there are, and reads their timers.
    pub(crate) async fn begin_reading(&mut self, shards: ShardSet) -> Result<(), ControllerError> {
        let mut after = None;
        loop {
            let page = self.store.unfinished(shards, after, PAGE).await?;
            let Some(last) = page.last().copied() else {
                break;
            };
            after = Some(last);
            self.unread.extend(page);
        }
        for row in self.store.ended_timers(shards).await? {
            self.timers.set(row);
        }
        self.look = true;
        Ok(())
    }

    /// Reads on after a take-over: at most `most` workflows.
    pub(crate) async fn go_on_reading(&mut self, most: usize) -> Result<(), ControllerError> {
        for _ in 0..most {
            let Some(id) = self.unread.pop_first() else {
                break;
            };
            self.load(id, None).await?;
        }
        Ok(())
    }
}
