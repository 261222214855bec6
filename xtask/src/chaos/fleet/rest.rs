//! A fleet at rest has nothing left to do, and leaves nothing behind.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use super::members::Fleet;
use super::{GLANCE, PATIENCE};

/// Rows that are work to be done.
const WORK: &[(&str, &str)] = &[
    ("workflows that have not ended", "SELECT count(*) FROM workflow WHERE finished_at IS NULL"),
    ("open attempts", "SELECT count(*) FROM attempt WHERE ended_at IS NULL"),
    ("runnable attempts", "SELECT count(*) FROM runnable"),
    ("work orders", "SELECT count(*) FROM work_order"),
    ("intents", "SELECT count(*) FROM intent"),
    ("news", "SELECT count(*) FROM news"),
    ("calls", "SELECT count(*) FROM call"),
    ("locks", "SELECT count(*) FROM lock"),
    ("slots of workflows", "SELECT count(*) FROM slot"),
    ("timers", "SELECT count(*) FROM timer WHERE kind <> 'ttl'"),
    ("executors to bury", "SELECT count(*) FROM member WHERE NOT buried AND until <= now()"),
];

/// Rows that servers leave which have not given back what they had.
const LEASES: &[(&str, &str)] = &[
    ("leases that are held", "SELECT count(*) FROM holding WHERE holder IS NOT NULL"),
    ("members", "SELECT count(*) FROM member WHERE NOT buried AND until > now()"),
    ("sessions", "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'flowforge'"),
];

/// What a controller says of a workflow that has ended goes with its next turn, a second later, and is
/// forgotten by the scheduler a second after that: before that, rest is a pause.
const SETTLED: Duration = Duration::from_millis(2500);

/// Waits until there is nothing left to do, and nothing comes.
pub(super) fn wait(fleet: &mut Fleet, since: Instant) -> anyhow::Result<()> {
    let mut quiet: Option<Instant> = None;
    loop {
        fleet.tend()?;
        let left = left(fleet, WORK)?;
        let queued = queued(fleet)?;
        if left.is_empty() && queued == 0 {
            if quiet.get_or_insert_with(Instant::now).elapsed() >= SETTLED {
                return Ok(());
            }
        } else {
            quiet = None;
        }
        if since.elapsed() > PATIENCE {
            bail!(
                "not at rest after {PATIENCE:?}: {left:?}, {queued} in the queue\n{}",
                fleet.last_words()
            );
        }
        thread::sleep(GLANCE * 5);
    }
}

/// Waits until the rows say that nothing is left to do; what was sent in vain may still come.
pub(super) fn wait_for_rows(fleet: &mut Fleet, since: Instant) -> anyhow::Result<()> {
    loop {
        fleet.tend()?;
        let left = left(fleet, WORK)?;
        if left.is_empty() {
            return Ok(());
        }
        ensure!(since.elapsed() < PATIENCE, "not at rest after {PATIENCE:?}: {left:?}");
        thread::sleep(GLANCE);
    }
}

/// Ends all servers, and looks whether they left anything.
pub(super) fn stop_and_check(mut fleet: Fleet) -> anyhow::Result<()> {
    fleet.stop()?;
    let left = [left(&fleet, WORK)?, left(&fleet, LEASES)?].concat();
    ensure!(left.is_empty(), "left behind: {left:?}");
    let orphans = fleet.orphans()?;
    ensure!(orphans == 0, "{orphans} processes of tasks are left");
    fleet.doctor()
}

fn left(
    fleet: &Fleet,
    queries: &'static [(&str, &str)],
) -> anyhow::Result<Vec<(&'static str, u64)>> {
    let sql: Vec<String> = queries.iter().map(|(_, sql)| format!("({sql})::text")).collect();
    let sql = format!("SELECT unnest(ARRAY[{}])", sql.join(", "));
    let counts = fleet.database().query(&sql)?;
    ensure!(counts.len() == queries.len(), "{} answers to {}", counts.len(), queries.len());
    let mut left = Vec::new();
    for ((what, _), count) in queries.iter().zip(counts) {
        let count: u64 = count.parse().context("a count")?;
        if count > 0 {
            left.push((*what, count));
        }
    }
    Ok(left)
}

/// Entries that nobody has acknowledged.
fn queued(fleet: &Fleet) -> anyhow::Result<u64> {
    let answer = fleet.redis().ask(&["XLEN", "ff:dispatch:default"])?;
    answer.first().context("a length")?.parse().context("a length")
}
