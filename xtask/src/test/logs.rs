//! Logs of roles that are servers of their own, on a real PostgreSQL and Redis: what a task prints at
//! one server is read at another, whatever of them dies.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde_json::Value;

use super::postgres;
use crate::client::Client;
use crate::roles::{self, API, GLANCE, Redis, Role, TOKEN};
use crate::workspace::build_release;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);
/// Lines of a task that is watched.
const LINES: usize = 150;

/// Prints, waits to be resumed, and is deleted when it has ended.
const SHORT: &str = r#"version: "1.0"
entrypoint: main
ttlStrategy: {secondsAfterCompletion: 1}
templates:
  main:
    dag:
      tasks:
        - {name: say, template: say}
        - {name: hold, template: hold, dependencies: [say]}
  hold: {suspend: {}}
  say: {container: {image: busybox, command: [echo, short]}}
"#;

/// Servers, by role, and what they share.
struct Fleet {
    release: PathBuf,
    directory: PathBuf,
    database: postgres::Server,
    redis: Redis,
    members: Vec<Role>,
    /// Where the aggregator listens, once it does.
    logs: String,
}

/// Returns the name of the test, for the tally.
pub(crate) fn run() -> anyhow::Result<String> {
    let mut fleet = Fleet::start()?;
    let client = fleet.client()?;
    let expected = followed_through_a_kill(&mut fleet, &client)?;
    away_is_told(&mut fleet, &client, &expected)?;
    deleted_with_its_workflow(&fleet, &client)?;
    all_are_seen(&client)?;
    dead_letters(&fleet, &client)?;
    fleet.stop()?;
    Ok("logs across servers".to_owned())
}

/// `ffctl logs -f` at another server shows every line once, in order, although the aggregator is killed
/// meanwhile; and so does a read after the executor died.
fn followed_through_a_kill(fleet: &mut Fleet, client: &Client) -> anyhow::Result<(String, String)> {
    let script =
        format!("i=0; while [ $i -lt {LINES} ]; do echo line $i; i=$((i+1)); sleep 0.02; done");
    let id = client.submit_yaml(&document(&script))?;
    let mut ffctl = fleet.ffctl(&["logs", "--follow", "--no-prefix", &id])?;
    let mut shown = BufReader::new(ffctl.stdout.take().context("ffctl's output")?);
    let mut text = String::new();
    for _ in 0..20 {
        shown.read_line(&mut text).context("read what ffctl shows")?;
    }
    fleet.kill("log-aggregator")?;
    fleet.aggregate()?;
    shown.read_to_string(&mut text).context("read what ffctl shows")?;
    ensure!(ffctl.wait().context("wait for ffctl")?.success(), "ffctl failed");
    let expected: String = (0..LINES).map(|n| format!("line {n}\n")).collect();
    ensure!(text == expected, "ffctl showed:\n{text}");
    fleet.kill("executor")?;
    let read = lines(client, &id)?;
    ensure!(read == expected, "after the executor died:\n{read}");
    fleet.spawn("executor")?;
    Ok((id, expected))
}

/// Without its aggregator only logs cannot be read, and what was printed is there when it is back.
fn away_is_told(
    fleet: &mut Fleet,
    client: &Client,
    (earlier, expected): &(String, String),
) -> anyhow::Result<()> {
    fleet.kill("log-aggregator")?;
    let id = client.submit_yaml(&document("echo kept"))?;
    let status = client.wait(&id)?;
    ensure!(status == "SUCCEEDED", "without an aggregator {id} is {status}");
    let refused = client.json("GET", &format!("/workflows/{id}/logs"), "");
    let refused = refused.err().context("logs without an aggregator")?.to_string();
    ensure!(refused.contains("503") && refused.contains("logs_unavailable"), "{refused}");
    let ready = fleet.ready()?;
    ensure!(
        ready["status"] == "degraded" && ready["dependencies"]["logs"] == "unavailable",
        "{ready}"
    );
    fleet.kill("executor")?;
    fleet.aggregate()?;
    fleet.spawn("executor")?;
    let begun = Instant::now();
    while lines(client, &id)? != "kept\n" {
        ensure!(begun.elapsed() < PATIENCE, "the spool of a dead executor was not shipped");
        thread::sleep(GLANCE);
    }
    ensure!(lines(client, earlier)? == *expected, "earlier lines changed");
    Ok(())
}

fn deleted_with_its_workflow(fleet: &Fleet, client: &Client) -> anyhow::Result<()> {
    let id = client.submit_yaml(SHORT)?;
    let begun = Instant::now();
    // It cannot end before it is resumed.
    while lines(client, &id)? != "short\n" {
        ensure!(begun.elapsed() < PATIENCE, "what {id} printed is not to be read");
        thread::sleep(GLANCE);
    }
    let log = fleet.home("log-aggregator").join("logs").join(&id);
    ensure!(log.exists(), "{} is missing", log.display());
    let waiting = format!("/workflows/{id}/tasks?status=RUNNING&limit=10");
    loop {
        let tasks = client.json("GET", &waiting, "")?;
        let mut tasks = tasks["items"].as_array().context("tasks")?.iter();
        if let Some(held) = tasks.find(|task| task["reason"] == "suspended") {
            let body = serde_json::json!({"task": held["name"]}).to_string();
            client.json("POST", &format!("/workflows/{id}/resume"), &body)?;
            break;
        }
        ensure!(begun.elapsed() < PATIENCE, "{id} does not wait");
        thread::sleep(GLANCE);
    }
    let begun = Instant::now();
    while log.exists() {
        ensure!(begun.elapsed() < PATIENCE, "{} outlives its workflow", log.display());
        thread::sleep(GLANCE);
    }
    Ok(())
}

/// Every role says that it lives.
fn all_are_seen(client: &Client) -> anyhow::Result<()> {
    let begun = Instant::now();
    loop {
        let page = client.json("GET", "/servers", "")?;
        let roles = page["items"].as_array().context("servers")?;
        let roles: BTreeSet<&str> = roles.iter().filter_map(|row| row["role"].as_str()).collect();
        if roles.iter().eq(&["api", "controller", "cron", "executor", "logs", "scheduler"]) {
            return Ok(());
        }
        ensure!(begun.elapsed() < PATIENCE, "only {roles:?} are seen");
        thread::sleep(GLANCE);
    }
}

/// An entry that this version cannot read is given up, shown, and taken away.
fn dead_letters(fleet: &Fleet, client: &Client) -> anyhow::Result<()> {
    fleet.redis.ask(&["XADD", "ff:dispatch:default", "*", "d", "of another version"])?;
    let begun = Instant::now();
    let id = loop {
        let page = client.json("GET", "/dead-letters", "")?;
        if let Some(id) = page["items"][0]["id"].as_str() {
            break id.to_owned();
        }
        ensure!(begun.elapsed() < PATIENCE, "nothing was given up");
        thread::sleep(GLANCE);
    };
    let letter = client.json("GET", &format!("/dead-letters/{id}"), "")?;
    let reason = letter["reason"].as_str().unwrap_or_default();
    ensure!(reason.contains("cannot read"), "{letter}");
    let mut ffctl = fleet.ffctl(&["dead-letter", "redrive", &id])?;
    ensure!(ffctl.wait().context("wait for ffctl")?.success(), "ffctl failed");
    let page = client.json("GET", "/dead-letters", "")?;
    ensure!(page["items"].as_array().is_some_and(Vec::is_empty), "{page}");
    Ok(())
}

fn document(script: &str) -> String {
    format!(
        "version: \"1.0\"\nentrypoint: main\ntemplates:\n  main:\n    container: {{image: \
         busybox, command: [sh, -c], args: ['{script}']}}\n"
    )
}

/// What was printed, one line after the other.
fn lines(client: &Client, id: &str) -> anyhow::Result<String> {
    let feed = client.json("GET", &format!("/workflows/{id}/logs"), "")?;
    let items = feed["items"].as_array().context("lines")?;
    Ok(items
        .iter()
        .filter_map(|line| line["text"].as_str())
        .map(|text| format!("{text}\n"))
        .collect())
}

impl Fleet {
    fn start() -> anyhow::Result<Self> {
        let release = build_release()?;
        let directory = release.with_file_name("fleet-logs");
        if directory.exists() {
            fs::remove_dir_all(&directory).context("remove the last run's data")?;
        }
        fs::create_dir_all(&directory).context("create the data directory")?;
        fs::write(directory.join("token"), TOKEN).context("write the token")?;
        let database = postgres::Server::start()?;
        let redis = Redis::start(&directory)?;
        let (members, logs) = (Vec::new(), String::new());
        let mut fleet = Self { release, directory, database, redis, members, logs };
        fleet.aggregate()?;
        for role in ["api-server", "controller", "scheduler", "executor"] {
            fleet.spawn(role)?;
        }
        Ok(fleet)
    }

    /// Starts the aggregator, where it was before if it was there, and waits until it answers.
    fn aggregate(&mut self) -> anyhow::Result<()> {
        let log = self.home("log-aggregator").join("log");
        let said = || fs::read_to_string(&log).unwrap_or_default();
        let before = said().len();
        self.spawn("log-aggregator")?;
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            let said = said();
            let mut lines = said.get(before..).unwrap_or_default().lines();
            let at = lines.find_map(|line| line.strip_prefix("logs are taken in at "));
            if let Some(url) = at {
                url.clone_into(&mut self.logs);
                return Ok(());
            }
            thread::sleep(GLANCE);
        }
        bail!("the aggregator is not ready:\n{}", said())
    }

    fn spawn(&mut self, role: &'static str) -> anyhow::Result<()> {
        let home = self.home(role);
        let mut command = roles::command(&self.release, role, &home)?;
        if role == "api-server" {
            command.args(API);
        }
        if role == "log-aggregator" {
            let listen = self.logs.strip_prefix("http://").unwrap_or("127.0.0.1:0");
            command.env("FLOWFORGE_LOGS_LISTEN", listen);
        } else {
            command.env("FLOWFORGE_LOGS_ENDPOINT", &self.logs);
        }
        command
            .env("FLOWFORGE_DATABASE_URL", self.database.url())
            .env("FLOWFORGE_QUEUE_ADDRESSES", self.redis.address())
            .env("FLOWFORGE_LOGS_TOKEN_FILE", self.directory.join("token"))
            .env("FLOWFORGE_ROLE_LEASE_SECONDS", "2");
        self.members.push(Role::start(command, role, home)?);
        Ok(())
    }

    fn home(&self, role: &str) -> PathBuf {
        self.directory.join(role)
    }

    fn kill(&mut self, role: &str) -> anyhow::Result<()> {
        let place = self.members.iter().position(|of| of.role == role).context("a server")?;
        self.members.remove(place).kill()
    }

    /// Where the API is, once it answers.
    fn url(&self) -> anyhow::Result<String> {
        let path = roles::endpoint(&self.home("api-server"));
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if let Some(url) = roles::url(&path) {
                return Ok(url);
            }
            thread::sleep(GLANCE);
        }
        let said = fs::read_to_string(self.home("api-server").join("log")).unwrap_or_default();
        bail!("the API does not answer:\n{said}")
    }

    fn client(&self) -> anyhow::Result<Client> {
        Client::new(&self.url()?, TOKEN)
    }

    fn ffctl(&self, arguments: &[&str]) -> anyhow::Result<Child> {
        Command::new(self.release.join("ffctl"))
            .args(["--server", &self.url()?, "--token", TOKEN])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("start ffctl")
    }

    /// What the API server says of itself.
    fn ready(&self) -> anyhow::Result<Value> {
        Client::new(&self.url()?, TOKEN)?.outside("/readyz")
    }

    /// All end when they are asked to.
    fn stop(mut self) -> anyhow::Result<()> {
        roles::end(self.members.iter_mut())
    }
}
