//! What was used in each interval, for charts.

use std::collections::BTreeMap;

use flowforge_model::id::EntityId;
use flowforge_model::quota::Amounts;
use flowforge_model::time::{Millis, Timestamp};
use flowforge_model::usage::Measured;

use crate::FairShare;
use crate::why::Usage;

/// Looks in an interval: a mean of so many is what a chart shows, and a look costs O(entities).
const LOOKS: u64 = 30;
/// Looks are not closer together.
const CLOSEST: Millis = Millis(1000);

/// Looks now and then at who uses and asks for how much, and says so when an interval is over.
///
/// Means are of looks; of what is used the most is exact, because the tree keeps it.
#[derive(Clone, Debug)]
pub struct Meter {
    every: Millis,
    /// When the interval began that is measured; none before the first look.
    began: Option<Timestamp>,
    looked: Timestamp,
    looks: u32,
    seen: BTreeMap<Option<EntityId>, Measured>,
}

impl Meter {
    /// Measures intervals of this length, at least a second.
    #[must_use]
    pub fn new(every: Millis) -> Self {
        let every = every.max(CLOSEST);
        Self { every, began: None, looked: Timestamp(0), looks: 0, seen: BTreeMap::new() }
    }

    /// When it wants to look again.
    #[must_use]
    pub fn next(&self) -> Timestamp {
        let Some(began) = self.began else { return Timestamp(0) };
        let pause = Millis(self.every.0 / LOOKS).max(CLOSEST);
        self.looked.plus(pause).min(began.plus(self.every))
    }

    /// Looks, if it is time. Returns the interval that is over, if one is: whoever used or asked for
    /// something, and the installation, by id.
    pub fn look(&mut self, fair: &mut FairShare, now: Timestamp) -> Vec<Measured> {
        // A clock that was set back is looked at anew.
        if now < self.next() && now >= self.looked {
            return Vec::new();
        }
        let began = self.beginning(now);
        let mut over = Vec::new();
        if self.began != Some(began) {
            over = self.close(fair);
            fair.forget_peaks();
            self.began = Some(began);
        }
        self.looked = now;
        self.looks = self.looks.saturating_add(1);
        for usage in fair.usage() {
            let idle = usage.used == Amounts::ZERO && (usage.waiting, usage.running) == (0, 0);
            if usage.entity.is_some() && idle && !self.seen.contains_key(&usage.entity) {
                continue;
            }
            let row = self.row(began, &usage);
            row.waiting.look(usage.waiting);
            row.running.look(usage.running);
            for (seen, used) in row.used.iter_mut().zip(usage.used.0) {
                seen.look(used);
            }
        }
        over
    }

    /// The interval that was measured, with what was used between looks.
    fn close(&mut self, fair: &FairShare) -> Vec<Measured> {
        if let Some(began) = self.began {
            for usage in fair.usage().filter(|usage| usage.peak != Amounts::ZERO) {
                let row = self.row(began, &usage);
                for (seen, peak) in row.used.iter_mut().zip(usage.peak.0) {
                    seen.reach(peak);
                }
            }
        }
        let looks = std::mem::take(&mut self.looks);
        let rows = std::mem::take(&mut self.seen).into_values();
        rows.map(|row| Measured { looks, ..row }).collect()
    }

    fn row(&mut self, began: Timestamp, usage: &Usage) -> &mut Measured {
        let entity = usage.entity;
        let row = self.seen.entry(entity).or_insert_with(|| Measured::new(began, entity));
        row.level = usage.level;
        row.limits = usage.limits;
        row
    }

    fn beginning(&self, now: Timestamp) -> Timestamp {
        let every = i64::try_from(self.every.0).unwrap_or(i64::MAX);
        Timestamp(now.0.saturating_sub(now.0.rem_euclid(every)))
    }
}

#[cfg(test)]
mod tests;
