//! What tasks cost: what the database counts, and processor time.

use std::collections::BTreeMap;

use anyhow::Context;

use super::SUITE;
use super::fleet::Fleet;
use crate::bench::Row;

/// Counters by their names; either what they show, or what was added between two looks.
#[derive(Default)]
pub(super) struct Spent(BTreeMap<&'static str, f64>);

const LOG: &str = "write-ahead log";
const TRANSACTIONS: &str = "transactions of 50 tasks";
const ROWS: &str = "rows written";

impl Spent {
    pub(super) fn so_far(fleet: &Fleet) -> anyhow::Result<Self> {
        // A server process tells its counters when it has been idle for a second.
        let said = fleet.database.psql(
            "SELECT pg_sleep(1.1); SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0'), \
             xact_commit, tup_inserted + tup_updated + tup_deleted \
             FROM pg_stat_database WHERE datname = 'postgres'",
        )?;
        let line = said.lines().last().context("a row")?;
        let mut all: BTreeMap<_, _> = fleet.cpu_seconds()?.into_iter().collect();
        for (name, field) in [LOG, TRANSACTIONS, ROWS].into_iter().zip(line.split('|')) {
            all.insert(name, field.parse().context("a figure")?);
        }
        Ok(Self(all))
    }

    /// Adds what was spent from `before` to `after`.
    pub(super) fn and(mut self, after: &Self, before: &Self) -> Self {
        for (name, value) in &after.0 {
            let before = before.0.get(name).copied().unwrap_or(0.0);
            *self.0.entry(name).or_default() += value - before;
        }
        self
    }

    /// A row for each, divided by the number of tasks.
    pub(super) fn rows(self, case: &str, tasks: usize) -> Vec<Row> {
        let tasks = f64::from(u32::try_from(tasks).unwrap_or(u32::MAX));
        let row = |(name, value): (&'static str, f64)| {
            let (unit, factor) = match name {
                LOG => ("bytes/task", 1.0),
                TRANSACTIONS => ("tx", 50.0),
                ROWS => ("rows/task", 1.0),
                _ => ("us of a processor/task", 1e6),
            };
            Row::plain(SUITE, case, (name, unit), value * factor / tasks)
        };
        self.0.into_iter().map(row).collect()
    }
}
