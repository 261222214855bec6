//! One server of each role, with a PostgreSQL that keeps what it says it keeps and a Redis.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::client::Client;
use crate::test::postgres;
use crate::usage;
use crate::workspace::root;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const PATIENCE: Duration = Duration::from_secs(60);
const GLANCE: Duration = Duration::from_millis(10);

/// Servers that have started, and what they share. Dropping it ends all of them.
pub(super) struct Fleet {
    directory: PathBuf,
    release: PathBuf,
    pub(super) database: postgres::Server,
    redis: Child,
    members: Vec<(&'static str, Child)>,
}

impl Fleet {
    /// Everything but an executor.
    pub(super) fn start(release: &Path, directory: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(directory).context("create the data directory")?;
        let database = postgres::Server::start_durable()?;
        let redis = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"])
            .arg(directory.join("redis.sock"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .context("start redis-server")?;
        let (directory, release) = (directory.to_path_buf(), release.to_path_buf());
        let mut fleet = Self { directory, release, database, redis, members: Vec::new() };
        fleet.add("api-server", "api-server", &["--listen", "127.0.0.1:0", "--token", TOKEN])?;
        fleet.add("controller", "controller", &[])?;
        fleet.add("scheduler", "scheduler", &[])?;
        Ok(fleet)
    }

    /// Executors that run nothing: every attempt succeeds at once.
    pub(super) fn add_executor(&mut self) -> anyhow::Result<()> {
        self.add("executor", "executor", &["--no-op-executor", "--concurrency", "1000"])
    }

    /// From the end of the scheduler that leads to the moment at which another one leads that stood
    /// by.
    pub(super) fn change_leaders(&mut self) -> anyhow::Result<Duration> {
        const NEXT: &str = "standby";
        self.add(NEXT, "scheduler", &[])?;
        let place = self.members.iter().position(|(name, _)| *name == "scheduler");
        let (_, mut first) = self.members.remove(place.context("a scheduler")?);
        let begun = Instant::now();
        end(&first)?;
        first.wait().context("wait for the scheduler")?;
        while !self.said(NEXT).contains("leads") {
            ensure!(begun.elapsed() < PATIENCE, "nobody leads:\n{}", self.said(NEXT));
            thread::sleep(GLANCE);
        }
        Ok(begun.elapsed())
    }

    /// What a server has logged.
    fn said(&self, name: &str) -> String {
        fs::read_to_string(self.directory.join(name).join("log")).unwrap_or_default()
    }

    fn add(&mut self, name: &'static str, role: &str, arguments: &[&str]) -> anyhow::Result<()> {
        let home = self.directory.join(name);
        fs::create_dir_all(&home).context("create a data directory")?;
        let log = File::create(home.join("log")).context("open a log")?;
        let child = Command::new(self.release.join("flowforge"))
            .arg(role)
            .arg("--data-dir")
            .arg(&home)
            .args(arguments)
            .current_dir(root())
            .env("FLOWFORGE_DATABASE_URL", self.database.url())
            .env(
                "FLOWFORGE_QUEUE_ADDRESSES",
                format!("unix:{}", self.directory.join("redis.sock").display()),
            )
            .stdin(Stdio::null())
            .stdout(log.try_clone().context("share a log")?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("start flowforge {role}"))?;
        self.members.push((name, child));
        self.wait_for(name)
    }

    /// Waits until a server says that it is ready.
    fn wait_for(&mut self, name: &str) -> anyhow::Result<()> {
        let endpoint = self.directory.join(name).join("endpoint.json");
        let begun = Instant::now();
        loop {
            let said = self.said(name);
            if said.contains("is ready") || endpoint.exists() {
                return Ok(());
            }
            for (name, child) in &mut self.members {
                if let Some(status) = child.try_wait().context("look at a server")? {
                    bail!("{name} ended with {status}:\n{said}");
                }
            }
            ensure!(begun.elapsed() < PATIENCE, "{name} is not ready:\n{said}");
            thread::sleep(GLANCE);
        }
    }

    pub(super) fn client(&self) -> anyhow::Result<Client> {
        let path = self.directory.join("api-server/endpoint.json");
        let bytes = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
        let endpoint: serde_json::Value = serde_json::from_slice(&bytes).context("an endpoint")?;
        Client::new(endpoint["url"].as_str().context("a URL")?, TOKEN)
    }

    /// Resident memory of a server, in MiB.
    pub(super) fn memory_mib(&self, name: &str) -> anyhow::Result<f64> {
        usage::memory_mib(self.pid(name)?)
    }

    /// Processor seconds of each role's server, and of the database.
    pub(super) fn cpu_seconds(&self) -> anyhow::Result<Vec<(&'static str, f64)>> {
        let mut all = vec![("database", self.database.cpu_seconds()?)];
        for (role, child) in &self.members {
            all.push((*role, usage::cpu_seconds(child.id())?));
        }
        Ok(all)
    }

    fn pid(&self, name: &str) -> anyhow::Result<u32> {
        let found = self.members.iter().find(|(other, _)| *other == name);
        Ok(found.with_context(|| format!("no {name} was started"))?.1.id())
    }

    /// Everybody ends when asked to.
    pub(super) fn stop(mut self) -> anyhow::Result<()> {
        for (name, child) in &mut self.members {
            end(child)?;
            let status = child.wait().context("wait for a server")?;
            ensure!(status.success(), "{name} ended with {status}");
        }
        Ok(())
    }
}

/// Asks a server to end.
fn end(child: &Child) -> anyhow::Result<()> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    kill_process(pid.context("a process")?, Signal::TERM).context("end a server")
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for child in self.members.iter_mut().map(|(_, child)| child).chain([&mut self.redis]) {
            // One that has ended is no trouble.
            drop(child.kill());
            drop(child.wait());
        }
    }
}
