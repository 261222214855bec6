//! `cargo xtask chaos --fleet`: real roles on a real PostgreSQL and a real Redis, killed and stopped
//! at random, with everything in Redis lost now and then.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use super::{Chance, check_witness, locks, success_is_final, witnessed};
use crate::bench::graphs;
use crate::client::Client;
use crate::test::postgres;
use crate::workspace::{build_release, root, which};

/// The roles of a fleet: any of them is killed, or stands still for up to twice its lease.
const ROLES: &[&str] = &[
    "api-server",
    "controller",
    "controller",
    "controller",
    "scheduler",
    "scheduler",
    "executor",
    "executor",
];
/// Seconds after which others take over.
const LEASE: u64 = 2;
/// The longest pause between two faults, in milliseconds.
const PAUSE_MS: u64 = 500;
/// How long a fleet takes to come to rest; recovery takes a lease and a little more.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often files and servers are looked at.
const GLANCE: Duration = Duration::from_millis(20);
/// Workflows of one round; the first of them writes the witness.
const PER_ROUND: usize = 3;
const TOKEN: &str = "0123456789abcdef0123456789abcdef";

pub(crate) fn missing() -> Option<String> {
    let programs = ["redis-server", "redis-cli"];
    let missing = programs.into_iter().find(|program| which(program).is_none());
    missing.map(|program| format!("{program} is missing")).or_else(postgres::missing)
}

/// Servers of all roles, and what they share.
struct Fleet {
    release: PathBuf,
    directory: PathBuf,
    database: postgres::Server,
    redis: Child,
    members: Vec<Child>,
}

pub(crate) fn run(kills: u32, seed: u64) -> anyhow::Result<ExitCode> {
    let mut fleet = Fleet::start()?;
    let witness = fleet.directory.join("witness");
    let locked = fleet.directory.join("witness-of-locks");
    let mut chance = Chance(seed);
    let mut ids: Vec<String> = Vec::new();
    let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
    for _ in 0..kills {
        let client = fleet.client()?;
        ids.push(client.submit(&witnessed(&witness, 20)?)?);
        ids.push(client.submit(&graphs::document(&graphs::fan(40), "true"))?);
        ids.push(client.submit_yaml(&locks::document(&locked))?);
        // The moment of the fault is the experiment.
        thread::sleep(Duration::from_millis(chance.below(PAUSE_MS)));
        let fault = fleet.harm(&mut chance)?;
        *counts.entry(fault).or_default() += 1;
    }
    let begun = Instant::now();
    let client = fleet.client()?;
    for id in &ids {
        let status = fleet.wait(&client, id, begun)?;
        ensure!(status == "SUCCEEDED", "{id} is {status}");
        success_is_final(&client, id)?;
    }
    let rest = begun.elapsed();
    let (started, tasks) = check_witness(&client, &witness, ids.iter().step_by(PER_ROUND))?;
    fleet.stop()?;
    println!(
        "{counts:?}: {} workflows finished, at rest after {:.1} s; {started} processes for \
         {tasks} witnessed tasks",
        ids.len(),
        rest.as_secs_f64()
    );
    println!("{kills} passed, 0 failed");
    Ok(ExitCode::SUCCESS)
}

impl Fleet {
    fn start() -> anyhow::Result<Self> {
        let release = build_release()?;
        let directory = release.with_file_name("fleet");
        if directory.exists() {
            fs::remove_dir_all(&directory).context("remove the last run's data")?;
        }
        fs::create_dir_all(&directory).context("create the data directory")?;
        let database = postgres::Server::start()?;
        let redis = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"])
            .arg(directory.join("redis.sock"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .context("start redis-server")?;
        let mut fleet = Self { release, directory, database, redis, members: Vec::new() };
        for number in 0..ROLES.len() {
            let child = fleet.spawn(number)?;
            fleet.members.push(child);
            if number == 0 {
                // It makes the tables; the others would wait for it anyway.
                fleet.client()?;
            }
        }
        Ok(fleet)
    }

    fn spawn(&self, number: usize) -> anyhow::Result<Child> {
        let role = ROLES.get(number).context("a role")?;
        let home = self.home(number);
        fs::create_dir_all(&home).context("create a data directory")?;
        let log = File::options().append(true).create(true).open(home.join("log"));
        let log = log.context("open a log")?;
        let mut command = Command::new(self.release.join("flowforge"));
        command.arg(role).arg("--data-dir").arg(&home).current_dir(root());
        match *role {
            "api-server" => {
                // What a killed one left must not be taken for the new one's.
                drop(fs::remove_file(home.join("endpoint.json")));
                command.args(["--listen", "127.0.0.1:0", "--token", TOKEN]);
            }
            "executor" => {
                command.args(["--concurrency", "8"]);
            }
            _ => {}
        }
        command
            .env("FLOWFORGE_DATABASE_URL", self.database.url())
            .env("FLOWFORGE_QUEUE_ADDRESSES", format!("unix:{}", self.socket().display()))
            .env("FLOWFORGE_ROLE_LEASE_SECONDS", LEASE.to_string())
            .stdin(Stdio::null())
            .stdout(log.try_clone().context("share a log")?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("start flowforge {role}"))
    }

    fn home(&self, number: usize) -> PathBuf {
        self.directory.join(format!("{number}-{}", ROLES.get(number).unwrap_or(&"")))
    }

    fn socket(&self) -> PathBuf {
        self.directory.join("redis.sock")
    }

    /// A client of the API, once it answers.
    fn client(&self) -> anyhow::Result<Client> {
        let path = self.home(0).join("endpoint.json");
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if let Some(url) = endpoint(&path) {
                return Client::new(&url, TOKEN);
            }
            thread::sleep(GLANCE);
        }
        let said = fs::read_to_string(self.home(0).join("log")).unwrap_or_default();
        bail!("the API does not answer:\n{said}")
    }

    /// One fault: what it was.
    fn harm(&mut self, chance: &mut Chance) -> anyhow::Result<&'static str> {
        let kind = chance.below(10);
        if kind == 0 {
            let mut flush = Command::new("redis-cli");
            flush.arg("-s").arg(self.socket()).arg("FLUSHALL").stdout(Stdio::null());
            ensure!(flush.status().context("start redis-cli")?.success(), "FLUSHALL failed");
            return Ok("flushed");
        }
        let number = usize::try_from(chance.below(ROLES.len() as u64)).unwrap_or(0);
        let child = self.members.get_mut(number).context("a server")?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).context("a process")?;
        // A standstill of the API server is felt by this client only.
        let fault = if kind < 4 && number > 0 {
            kill_process(pid, Signal::STOP).context("stop a server")?;
            thread::sleep(Duration::from_millis(chance.below(LEASE * 2000)));
            kill_process(pid, Signal::CONT).context("let a server go on")?;
            "stopped"
        } else {
            child.kill().context("kill a server")?;
            child.wait().context("wait for a killed server")?;
            "killed"
        };
        self.revive()?;
        Ok(fault)
    }

    /// Starts those again that have ended, as whoever supervises them would: an executor that was
    /// buried ends by itself.
    fn revive(&mut self) -> anyhow::Result<()> {
        for number in 0..self.members.len() {
            let child = self.members.get_mut(number).context("a server")?;
            if child.try_wait().context("look at a server")?.is_some() {
                let next = self.spawn(number)?;
                *self.members.get_mut(number).context("a server")? = next;
            }
        }
        Ok(())
    }

    fn wait(&mut self, client: &Client, id: &str, begun: Instant) -> anyhow::Result<String> {
        loop {
            self.revive()?;
            let workflow = client.json("GET", &format!("/workflows/{id}"), "")?;
            let status = workflow["status"].as_str().context("a status")?;
            if ["SUCCEEDED", "FAILED", "CANCELLED"].contains(&status) {
                return Ok(status.to_owned());
            }
            ensure!(begun.elapsed() < PATIENCE, "{id} is {status} after {PATIENCE:?}");
            thread::sleep(GLANCE);
        }
    }

    /// All end when they are asked to.
    fn stop(mut self) -> anyhow::Result<()> {
        for child in &self.members {
            let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
            kill_process(pid.context("a process")?, Signal::TERM).context("end a server")?;
        }
        for (number, child) in self.members.iter_mut().enumerate() {
            let status = child.wait().context("wait for a server")?;
            let role = ROLES.get(number).unwrap_or(&"");
            ensure!(status.success(), "flowforge {role} ended with {status}");
        }
        Ok(())
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for child in self.members.iter_mut().chain([&mut self.redis]) {
            // One that has ended is no trouble.
            drop(child.kill());
            drop(child.wait());
        }
    }
}

fn endpoint(path: &Path) -> Option<String> {
    let value: serde_json::Value = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
    value["url"].as_str().map(str::to_owned)
}
