//! What became of every workflow: as the database tells it, as the API does, and as the tasks
//! themselves wrote it down.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, ensure};

use super::canaries::Canaries;
use super::load::Load;
use super::members::{Fleet, PODS};
use crate::chaos::{check_witness, success_is_final};
use crate::client::Client;

/// What was found, with nothing wrong about it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct History {
    /// All of them succeeded.
    pub(super) workflows: usize,
    /// Those that run something; all of them succeeded.
    pub(super) tasks: usize,
    pub(super) attempts: usize,
    /// Attempts that ended without anybody knowing how.
    pub(super) lost_attempts: usize,
    pub(super) witnessed_tasks: usize,
    pub(super) witnessed_processes: usize,
    /// Processes of attempts given up before, that began after the task had succeeded: an executor
    /// that stood still between its claim and the start.
    pub(super) late_processes: usize,
    /// Attempts that held a reservation at the same time.
    pub(super) most_at_once: usize,
}

/// A reservation lasts from the admission to at least the end: who overlaps by these, overlapped.
const AT_ONCE: &str = "SELECT c, t, lead(t) OVER (ORDER BY t, d) - t FROM \
     (SELECT t, d, sum(d) OVER (ORDER BY t, d) AS c FROM \
     (SELECT admitted_at AS t, 1 AS d FROM attempt UNION ALL SELECT ended_at, -1 FROM attempt) e) s \
     ORDER BY c DESC LIMIT 3";

pub(super) fn check(
    fleet: &Fleet,
    client: &Client,
    load: &Load,
    canaries: &Canaries,
    witness: &Path,
) -> anyhow::Result<History> {
    let mut acknowledged = load.ids();
    acknowledged.extend(canaries.ids());
    let workflows = every_submission_once(fleet, &acknowledged)?;
    for id in load.ids().values() {
        success_is_final(client, id)?;
    }
    let witnessed = load.witnessed();
    let (witnessed_processes, witnessed_tasks) = check_witness(client, witness, &witnessed)?;
    let late_processes = begun_late(client, witness, &witnessed)?;
    let count = |sql: &str| -> anyhow::Result<usize> {
        let rows = fleet.database().query(sql)?;
        rows.first().context("a count")?.parse().context("a count")
    };
    let tasks = count("SELECT count(*) FROM task WHERE kind = 'leaf' AND status = 'SUCCEEDED'")?;
    let bad = "SELECT count(*) FROM task WHERE status NOT IN ('SUCCEEDED', 'SKIPPED') \
               AND template <> 'tries' AND kind = 'leaf'";
    ensure!(count(bad)? == 0, "tasks of workflows that succeeded did not");
    // Each `how many|since when|for so many ms`.
    let most = fleet.database().query(AT_ONCE)?;
    let most_at_once = most.first().and_then(|row| row.split('|').next()).unwrap_or("0");
    let most_at_once = most_at_once.parse().context("a count")?;
    ensure!(
        most_at_once <= PODS,
        "{most_at_once} attempts at a time, {PODS} are allowed: {most:?}"
    );
    Ok(History {
        workflows,
        tasks,
        attempts: count("SELECT count(*) FROM attempt")?,
        lost_attempts: count("SELECT count(*) FROM attempt WHERE reason = 'lost'")?,
        witnessed_tasks,
        witnessed_processes,
        late_processes,
        most_at_once,
    })
}

/// What was acknowledged exists once, under its id; what was submitted without an answer may.
/// Everything succeeded.
fn every_submission_once(
    fleet: &Fleet,
    acknowledged: &BTreeMap<String, String>,
) -> anyhow::Result<usize> {
    let sql = "SELECT idempotency_key || ' ' || id || ' ' || status FROM workflow";
    let rows = fleet.database().query(sql)?;
    let mut stored: BTreeMap<&str, &str> = BTreeMap::new();
    for row in &rows {
        let mut words = row.split(' ');
        let mut word = || words.next().context("a word");
        let (key, id, status) = (word()?, word()?, word()?);
        ensure!(stored.insert(key, id).is_none(), "{key} was submitted once and exists twice");
        ensure!(status == "SUCCEEDED", "{id} ({key}) is {status}");
    }
    let lost =
        acknowledged.iter().filter(|(key, id)| stored.get(key.as_str()) != Some(&id.as_str()));
    let lost: Vec<_> = lost.collect();
    ensure!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    Ok(stored.len())
}

/// Processes that began after the one had ended whose success counts. That of a later attempt is an
/// error; that of an earlier one is counted.
fn begun_late(client: &Client, witness: &Path, ids: &[String]) -> anyhow::Result<usize> {
    let text = fs::read_to_string(witness).context("read the witness file")?;
    let mut attempts: BTreeMap<String, (String, u64)> = BTreeMap::new();
    let mut last: BTreeMap<String, u64> = BTreeMap::new();
    for id in ids {
        let page = client.json("GET", &format!("/workflows/{id}/tasks?limit=1000"), "")?;
        for task in page["items"].as_array().context("tasks")? {
            let name = format!("{id} {}", task["name"]);
            for attempt in task["attempts"].as_array().into_iter().flatten() {
                let number = attempt["number"].as_u64().context("a number")?;
                let of = attempt["id"].as_str().context("an id")?.to_owned();
                attempts.insert(of, (name.clone(), number));
                let last = last.entry(name.clone()).or_default();
                *last = number.max(*last);
            }
        }
    }
    late(&text, &attempts, &last)
}

/// `attempts`: the task and number of each. `last`: the number that succeeded, which is the last one.
fn late(
    text: &str,
    attempts: &BTreeMap<String, (String, u64)>,
    last: &BTreeMap<String, u64>,
) -> anyhow::Result<usize> {
    let mut done: BTreeSet<&str> = BTreeSet::new();
    let mut late = 0;
    for line in text.lines() {
        let (id, what) = line.split_once(' ').context("a line of the witness")?;
        let (task, number) = attempts.get(id).with_context(|| format!("{id} is not known"))?;
        match what {
            "end" if last.get(task) == Some(number) => {
                done.insert(task);
            }
            "start" if done.contains(task.as_str()) => late += 1,
            _ => {}
        }
    }
    Ok(late)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_begins_after_the_success_is_counted() {
        let attempts = [("a", ("t", 1)), ("b", ("t", 2)), ("c", ("u", 1))];
        let attempts = attempts.map(|(id, (task, n))| (id.to_owned(), (task.to_owned(), n)));
        let last = BTreeMap::from([("t".to_owned(), 2), ("u".to_owned(), 1)]);
        let late = |text| late(text, &attempts.clone().into(), &last);
        assert_eq!(late("a start\nb start\nb end\nc start\nc end\n").unwrap(), 0);
        assert_eq!(late("b start\nb end\na start\na end\n").unwrap(), 1);
        assert!(late("z start\n").is_err());
    }
}
