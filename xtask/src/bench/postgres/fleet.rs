//! One server of each role, with a PostgreSQL that keeps what it says it keeps and a Redis.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use crate::client::Client;
use crate::roles::{self, API, GLANCE, Redis, Role};
use crate::test::postgres;
use crate::usage;

const PATIENCE: Duration = Duration::from_secs(60);

/// Servers that have started, and what they share. Dropping it ends all of them.
pub(super) struct Fleet {
    directory: PathBuf,
    release: PathBuf,
    pub(super) database: postgres::Server,
    redis: Redis,
    members: Vec<(&'static str, Role)>,
}

impl Fleet {
    /// Everything but an executor.
    pub(super) fn start(release: &Path, directory: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(directory).context("create the data directory")?;
        let database = postgres::Server::start_durable()?;
        let redis = Redis::start(directory)?;
        let (directory, release) = (directory.to_path_buf(), release.to_path_buf());
        let mut fleet = Self { directory, release, database, redis, members: Vec::new() };
        fleet.add("api-server", "api-server", &API)?;
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
        roles::end(std::iter::once(&mut first))?;
        while !self.said(NEXT).contains("leads") {
            ensure!(begun.elapsed() < PATIENCE, "nobody leads:\n{}", self.said(NEXT));
            thread::sleep(GLANCE);
        }
        Ok(begun.elapsed())
    }

    /// What a server has logged.
    fn said(&self, name: &str) -> String {
        self.named(name).map(Role::said).unwrap_or_default()
    }

    fn named(&self, name: &str) -> anyhow::Result<&Role> {
        let found = self.members.iter().find(|(other, _)| *other == name);
        Ok(&found.with_context(|| format!("no {name} was started"))?.1)
    }

    fn add(
        &mut self,
        name: &'static str,
        role: &'static str,
        arguments: &[&str],
    ) -> anyhow::Result<()> {
        let home = self.directory.join(name);
        let mut command = roles::command(&self.release, role, &home)?;
        command
            .args(arguments)
            .env("FLOWFORGE_DATABASE_URL", self.database.url())
            .env("FLOWFORGE_QUEUE_ADDRESSES", self.redis.address());
        self.members.push((name, Role::start(command, role, home)?));
        self.wait_for(name)
    }

    /// Waits until a server says that it is ready.
    fn wait_for(&mut self, name: &str) -> anyhow::Result<()> {
        let begun = Instant::now();
        loop {
            let said = self.said(name);
            if said.contains("is ready") || self.named(name)?.client().is_some() {
                return Ok(());
            }
            for (name, server) in &mut self.members {
                if let Some(status) = server.ended()? {
                    bail!("{name} ended with {status}:\n{said}");
                }
            }
            ensure!(begun.elapsed() < PATIENCE, "{name} is not ready:\n{said}");
            thread::sleep(GLANCE);
        }
    }

    /// Waits until a query of the database counts so many.
    pub(super) fn reaches(&self, query: &str, many: u32) -> anyhow::Result<()> {
        let begun = Instant::now();
        while self.database.psql(query)? != many.to_string() {
            ensure!(begun.elapsed() < 2 * PATIENCE, "{query} does not come to {many}");
            thread::sleep(GLANCE);
        }
        Ok(())
    }

    pub(super) fn client(&self) -> anyhow::Result<Client> {
        self.named("api-server")?.client().context("where the API server is")
    }

    /// Resident memory of a server, in MiB.
    pub(super) fn memory_mib(&self, name: &str) -> anyhow::Result<f64> {
        usage::memory_mib(self.named(name)?.pid())
    }

    /// Processor seconds of each role's server, and of the database.
    pub(super) fn cpu_seconds(&self) -> anyhow::Result<Vec<(&'static str, f64)>> {
        let mut all = vec![("database", self.database.cpu_seconds()?)];
        for (name, server) in &self.members {
            all.push((*name, usage::cpu_seconds(server.pid())?));
        }
        Ok(all)
    }

    /// Everybody ends when asked to.
    pub(super) fn stop(mut self) -> anyhow::Result<()> {
        roles::end(self.members.iter_mut().map(|(_, server)| server))
    }
}
