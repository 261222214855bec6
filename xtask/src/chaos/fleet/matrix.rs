//! `cargo xtask chaos --matrix`: a small fleet, in which one server is killed, stands still, or hears
//! of a failure at one place between two effects, at its first, second or third visit there.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::ValueEnum;

use super::members::Fleet;
use super::{GLANCE, rest};
use crate::bench::graphs;
use crate::chaos::{locks, success_is_final, witnessed};
use crate::client::Client;
use crate::workspace::{cargo, succeed, target};

/// One of each: whatever happens to it, nobody else does its work, unless it stands still.
const ROLES: &[&str] = &["api-server", "controller", "scheduler", "executor"];
const LEASE: u64 = 1;
/// A place that is not visited in this time is not visited by this work.
const VISIT: Duration = Duration::from_secs(12);
/// Visits to a place.
const VISITS: [u32; 3] = [1, 2, 3];

/// Places of each role, and those that are visited when it ends.
const PLACES: &[(&str, &str, &[&str], &[&str])] = &[
    ("api-server", "api", &["publish"], &[]),
    (
        "controller",
        "controller",
        &["attend", "intents", "news", "load", "commit", "publish"],
        &["leave"],
    ),
    (
        "scheduler",
        "scheduler",
        &[
            "attend",
            "snapshot",
            "calls",
            "reserve",
            "grant",
            "forget_calls",
            "bury",
            "unclaimed",
            "send",
            "publish",
        ],
        &["leave"],
    ),
    (
        "executor",
        "executor",
        &[
            "attend",
            "receive",
            "taken",
            "claim",
            "start",
            "acknowledge",
            "put_back",
            "report",
            "stops",
            "publish",
        ],
        &["shut_down", "leave"],
    ),
];

/// What happens: before the effect, or after it.
const FATES: &[(&str, &str)] = &[
    ("", "kill"),
    (".done", "kill"),
    ("", "stop"),
    (".done", "stop"),
    ("", "error"),
    ("", "lost-answer"),
];

/// Tried before every change: what is between a durable effect and the news of it.
const SHORT: &[&str] = &[
    "api.publish=kill@1",
    "controller.commit=lost-answer@2",
    "controller.commit.done=kill@2",
    "controller.attend.done=kill@1",
    "controller.leave=kill@1",
    "scheduler.reserve.done=kill@1",
    "scheduler.reserve=lost-answer@2",
    "scheduler.send.done=kill@1",
    "executor.claim.done=kill@1",
    "executor.claim=lost-answer@1",
    "executor.report.done=kill@2",
    "executor.report=stop@1",
    "executor.shut_down=kill@1",
];

/// One fate of one server.
#[derive(Clone, Debug)]
struct Cell {
    role: &'static str,
    failpoints: String,
    /// The place is visited when the server ends.
    ends: bool,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Extent {
    /// The few that are tried before every change
    Short,
    /// All places and fates, at the first visit
    First,
    /// At the first three visits
    All,
}

/// Of all cells, or of those whose name holds `only`.
pub(crate) fn run(extent: Extent, only: Option<&str>) -> anyhow::Result<ExitCode> {
    let chosen = |cell: &Cell| only.is_none_or(|text| cell.failpoints.contains(text));
    let cells: Vec<Cell> = cells(extent).into_iter().filter(chosen).collect();
    ensure!(!cells.is_empty(), "no such place");
    let mut fleet = Fleet::start(build()?, LEASE, ROLES, String::new())?;
    let (mut visited, mut never) = (0, Vec::new());
    let begun = Instant::now();
    for (number, cell) in cells.iter().enumerate() {
        let since = Instant::now();
        let met = suffer(&mut fleet, number, cell)
            .with_context(|| format!("{}\n{}", cell.failpoints, fleet.last_words()))?;
        let word = if met { "survived" } else { "never visited" };
        let ms = since.elapsed().as_millis();
        println!("{:>3}/{} {:<40} {word} ({ms} ms)", number + 1, cells.len(), cell.failpoints);
        if met {
            visited += 1;
        } else {
            never.push(cell.failpoints.as_str());
        }
    }
    rest::wait(&mut fleet, Instant::now())?;
    rest::stop_and_check(fleet)?;
    let seconds = begun.elapsed().as_secs();
    println!("{visited} fates survived in {seconds} s, {} never visited: {never:?}", never.len());
    let must = if extent == Extent::Short { cells.len() } else { cells.len() / 2 };
    ensure!(visited >= must, "only {visited} places were visited: the matrix proves too little");
    println!("{visited} passed, 0 failed");
    Ok(ExitCode::SUCCESS)
}

fn cells(extent: Extent) -> Vec<Cell> {
    let mut all = Vec::new();
    for (role, name, places, last) in PLACES {
        for place in places.iter().chain(*last) {
            for (moment, fate) in FATES {
                for visit in VISITS {
                    let failpoints = format!("{name}.{place}{moment}={fate}@{visit}");
                    all.push(Cell { role, failpoints, ends: last.contains(place) });
                }
            }
        }
    }
    all.retain(|cell| match extent {
        Extent::Short => SHORT.contains(&cell.failpoints.as_str()),
        Extent::First => cell.failpoints.ends_with("@1"),
        Extent::All => true,
    });
    all
}

/// One server suffers its fate under work; whether it came to that. Everything succeeds.
fn suffer(fleet: &mut Fleet, number: usize, cell: &Cell) -> anyhow::Result<bool> {
    let before = fleet.of(cell.role)?.log().len();
    fleet.replace(cell.role, &cell.failpoints)?;
    let client = fleet.client()?;
    let witness = fleet.directory().join("witness");
    let documents = [
        ("application/json", witnessed(&witness, 10)?),
        ("application/json", graphs::document(&graphs::chain(2), "true")),
        ("application/yaml", locks::document(&witness.with_extension("locks"))),
    ];
    let mut ids = Vec::new();
    for (part, (kind, document)) in documents.iter().enumerate() {
        ids.push(submit(fleet, &format!("cell-{number}-{part}"), kind, document)?);
    }
    if cell.ends {
        fleet.of(cell.role)?.terminate()?;
    }
    let met = live(fleet, cell, &client, &ids, before)?;
    let client = fleet.client()?;
    for id in &ids {
        success_is_final(&client, id)?;
    }
    rest::wait_for_rows(fleet, Instant::now())?;
    Ok(met)
}

/// Under a key, until a server has it: the one that suffers may be this one.
fn submit(fleet: &mut Fleet, key: &str, kind: &str, document: &str) -> anyhow::Result<String> {
    let begun = Instant::now();
    loop {
        fleet.tend()?;
        let client = fleet.client()?.patience(Duration::from_secs(1));
        if let Ok((200 | 201, body)) = client.submit_once(key, kind, document) {
            let answer: serde_json::Value = serde_json::from_slice(&body).context("an answer")?;
            return Ok(answer["id"].as_str().context("an id")?.to_owned());
        }
        if fleet.of("api-server")?.log().contains("action=Stop") {
            fleet.of("api-server")?.wake()?;
        }
        ensure!(begun.elapsed() < super::PATIENCE, "nobody takes a submission in");
        thread::sleep(GLANCE);
    }
}

/// Until all have succeeded. Another server takes over from one that stands still, which goes on when
/// everything is done, believing what it believed.
fn live(
    fleet: &mut Fleet,
    cell: &Cell,
    client: &Client,
    ids: &[String],
    before: usize,
) -> anyhow::Result<bool> {
    let begun = Instant::now();
    let (mut met, mut another) = (false, false);
    loop {
        fleet.tend()?;
        let log = fleet.of(cell.role)?.log();
        met |= log.get(before..).is_some_and(|new| new.contains("failpoint point="));
        met |= log.get(before..).is_some_and(|new| new.contains(" failpoint "));
        let stands_still = met && cell.failpoints.contains("=stop");
        if stands_still && !another && cell.role != "api-server" {
            another = true;
            fleet.add(cell.role)?;
        }
        let over =
            ids.iter().map(|id| ended(fleet, client, id)).collect::<anyhow::Result<Vec<_>>>()?;
        let over = over.into_iter().all(|over| over);
        if over && (met || begun.elapsed() > VISIT) {
            break;
        }
        ensure!(begun.elapsed() < super::PATIENCE, "it does not come to an end");
        thread::sleep(GLANCE);
    }
    if cell.failpoints.contains("=stop") && met {
        fleet.of(cell.role)?.wake()?;
    }
    if another {
        // It learns that others have taken over, and the one that took over gives back.
        thread::sleep(Duration::from_secs(LEASE));
        fleet.remove_last()?;
    }
    Ok(met)
}

fn ended(fleet: &Fleet, client: &Client, id: &str) -> anyhow::Result<bool> {
    let path = format!("/workflows/{id}");
    let asked = client.clone().patience(Duration::from_secs(1)).json("GET", &path, "");
    let asked = match asked {
        Err(_) => fleet.client()?.json("GET", &path, ""),
        asked => asked,
    };
    let Ok(workflow) = asked else { return Ok(false) };
    let status = workflow["status"].as_str().context("a status")?;
    ensure!(!["FAILED", "CANCELLED"].contains(&status), "{id} is {status}");
    Ok(status == "SUCCEEDED")
}

/// The server with its failpoints, in a folder of its own: a release must not be taken for it.
pub(super) fn build() -> anyhow::Result<PathBuf> {
    succeed(cargo().args(["build", "-p", "flowforge", "--features", "failpoints"]))?;
    let target = target()?;
    let folder = target.join("failpoints/programs");
    fs::create_dir_all(&folder).context("create a folder")?;
    fs::copy(target.join("debug/flowforge"), folder.join("flowforge")).context("copy flowforge")?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_short_ones_are_among_all() {
        assert_eq!(cells(Extent::Short).len(), SHORT.len());
        assert_eq!(cells(Extent::All).len(), 3 * cells(Extent::First).len());
    }
}
