//! The work of one cluster, as a stream: entries in order, a place up to which they were taken,
//! and those that were taken and not acknowledged.

use std::collections::BTreeMap;
use std::time::Duration;

use flowforge_model::attempt::AttemptKey;
use flowforge_model::limits::{DEAD_LETTERS, DISPATCH_TAKES, QUEUE_ENTRIES};
use flowforge_model::time::Timestamp;
use flowforge_ports::queue::{
    DeadLetter, DeadLetterId, Delivery, Depth, Dispatch, QueueError, Receipt,
};
use tokio::time::Instant;

use crate::bounds::{cut, no_dead_letter, worn_out};
use crate::pack::packs;

#[derive(Debug, Default)]
pub(super) struct Lane {
    entries: BTreeMap<u64, Vec<Dispatch>>,
    taken: BTreeMap<u64, Taken>,
    dead: BTreeMap<u64, DeadLetter>,
    /// Number of the last entry, from 1.
    last: u64,
    /// Number of the last entry that was taken.
    cursor: u64,
    last_dead: u64,
    dispatches: u64,
}

#[derive(Clone, Copy, Debug)]
struct Taken {
    at: Instant,
    times: u32,
}

impl Lane {
    pub(super) fn send(&mut self, dispatches: &[Dispatch]) -> usize {
        let mut sent = 0;
        for pack in packs(dispatches) {
            if count(self.entries.len()) >= QUEUE_ENTRIES {
                break;
            }
            self.append(pack);
            sent += pack.len();
        }
        sent
    }

    fn append(&mut self, pack: &[Dispatch]) {
        self.last += 1;
        self.entries.insert(self.last, pack.to_vec());
        self.dispatches += count(pack.len());
    }

    pub(super) fn receive(&mut self, limit: usize) -> Vec<Delivery> {
        let new = self.entries.range(self.cursor + 1..).take(limit);
        let came: Vec<Delivery> = new
            .map(|(id, pack)| Delivery {
                receipt: Receipt(id.to_string()),
                dispatches: pack.clone(),
                taken: 1,
            })
            .collect();
        let ids: Vec<u64> =
            self.entries.range(self.cursor + 1..).take(limit).map(|e| *e.0).collect();
        for id in ids {
            self.taken.insert(id, Taken { at: Instant::now(), times: 1 });
            self.cursor = id;
        }
        came
    }

    pub(super) fn remove(&mut self, receipt: &Receipt) -> Option<Vec<Dispatch>> {
        let id = receipt.0.parse().ok()?;
        self.taken.remove(&id);
        let pack = self.entries.remove(&id)?;
        self.dispatches = self.dispatches.saturating_sub(count(pack.len()));
        Some(pack)
    }

    pub(super) fn put_back(&mut self, receipt: &Receipt, rest: &[Dispatch]) {
        if self.remove(receipt).is_some() {
            packs(rest).for_each(|pack| self.append(pack));
        }
    }

    pub(super) fn reclaim(
        &mut self,
        idle_for: Duration,
        limit: usize,
        now: Timestamp,
    ) -> Vec<Delivery> {
        let idle = self.taken.iter_mut().filter(|(_, taken)| taken.at.elapsed() >= idle_for);
        let ids: Vec<(u64, u32)> = idle
            .take(limit)
            .map(|(id, taken)| {
                *taken = Taken { at: Instant::now(), times: taken.times.saturating_add(1) };
                (*id, taken.times)
            })
            .collect();
        let mut came = Vec::new();
        for (id, taken) in ids {
            let receipt = Receipt(id.to_string());
            if taken > DISPATCH_TAKES {
                self.bury(&receipt, &worn_out(taken), now);
            } else if let Some(pack) = self.entries.get(&id) {
                came.push(Delivery { receipt, dispatches: pack.clone(), taken });
            }
        }
        came
    }

    pub(super) fn depth(&self) -> Depth {
        Depth {
            dispatches: self.dispatches,
            entries: count(self.entries.len()),
            taken: count(self.taken.len()),
        }
    }

    pub(super) fn bury(&mut self, receipt: &Receipt, reason: &str, now: Timestamp) {
        let Some(dispatches) = self.remove(receipt) else { return };
        self.last_dead += 1;
        let id = DeadLetterId(self.last_dead.to_string());
        let reason = cut(reason).to_owned();
        self.dead.insert(self.last_dead, DeadLetter { id, dispatches, reason, buried_at: now });
        while count(self.dead.len()) > DEAD_LETTERS {
            self.dead.pop_first();
        }
    }

    pub(super) fn dead_letters(
        &self,
        after: Option<&DeadLetterId>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, QueueError> {
        let after = after.map_or(Ok(0), parse)?;
        let later = self.dead.range(after.saturating_add(1)..);
        Ok(later.take(limit).map(|(_, letter)| letter.clone()).collect())
    }

    pub(super) fn redrive(&mut self, ids: &[DeadLetterId]) -> Result<Vec<AttemptKey>, QueueError> {
        let ids = ids.iter().map(parse).collect::<Result<Vec<u64>, _>>()?;
        let taken = ids.iter().filter_map(|id| self.dead.remove(id));
        Ok(taken.flat_map(|letter| letter.dispatches).map(|dispatch| dispatch.key).collect())
    }
}

fn parse(id: &DeadLetterId) -> Result<u64, QueueError> {
    id.0.parse().map_err(|_| no_dead_letter(id))
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
