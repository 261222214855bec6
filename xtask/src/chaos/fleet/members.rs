//! The servers of a fleet, the lines between them, and what all share.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use flowforge_proxy::{Proxy, Speaks, Upstream};
use rustix::process::Signal;

use super::PATIENCE;
use super::faults::Kind;
use crate::chaos::Chance;
use crate::client::Client;
use crate::roles::{self, API, GLANCE, Redis, Role};
use crate::test::postgres;

/// Any of them is killed, stands still, or is cut off.
pub(super) const ROLES: &[&str] = &[
    "api-server",
    "api-server",
    "controller",
    "controller",
    "controller",
    "scheduler",
    "scheduler",
    "executor",
    "executor",
];
/// Lines of a server's log that are shown when something goes wrong.
const LAST_WORDS: usize = 15;

/// One server, and its lines to PostgreSQL and Redis.
pub(super) struct Member {
    server: Role,
    pub(super) database: Proxy,
    pub(super) queue: Proxy,
    /// It stands still until then.
    goes_on_at: Option<Instant>,
    /// Its lines are bad until then.
    pub(super) healed_at: Option<Instant>,
}

/// Servers of all roles, and what they share.
pub(super) struct Fleet {
    release: PathBuf,
    directory: PathBuf,
    lease: Duration,
    database: postgres::Server,
    redis: Redis,
    members: Vec<Member>,
    /// How often servers of a role were harmed in which way.
    harmed: BTreeMap<(Kind, &'static str), u32>,
    /// What happens where in every server for which nothing else is said.
    failpoints: String,
}

/// Less than the executors have slots for, and than there are users: everything is near its limit.
const QUOTA: &str = r#"{"max_concurrent_pods": 10, "max_concurrent_workflows": 12,
    "cpu_request": null, "cpu_limit": null, "memory_request": null, "memory_limit": null,
    "gpu_limit": null, "storage_limit": null}"#;
/// The pods of [`QUOTA`].
pub(super) const PODS: usize = 10;

impl Fleet {
    /// Servers of these roles from the programs in a folder.
    pub(super) fn start(
        release: PathBuf,
        lease: u64,
        roles: &[&'static str],
        failpoints: String,
    ) -> anyhow::Result<Self> {
        let directory = release.with_file_name("fleet");
        if directory.exists() {
            fs::remove_dir_all(&directory).context("remove the last run's data")?;
        }
        fs::create_dir_all(&directory).context("create the data directory")?;
        let mut fleet = Self {
            redis: Redis::start(&directory)?,
            database: postgres::Server::start()?,
            release,
            directory,
            lease: Duration::from_secs(lease),
            members: Vec::new(),
            harmed: BTreeMap::new(),
            failpoints,
        };
        for role in roles {
            fleet.add(role)?;
            if fleet.members.len() == 1 {
                // It makes the tables; the others would wait for it anyway.
                fleet.client()?.json("PUT", "/tenants/default/quota", QUOTA)?;
            }
        }
        Ok(fleet)
    }

    /// One more server.
    pub(super) fn add(&mut self, role: &'static str) -> anyhow::Result<()> {
        let number = self.members.len();
        let home = self.directory.join(format!("{number}-{role}"));
        let line = |upstream, speaks| Proxy::start(upstream, speaks).context("start a proxy");
        let database = line(Upstream::Unix(self.database.socket()), Speaks::Postgres)?;
        let queue = line(Upstream::Unix(self.redis.socket()), Speaks::Anything)?;
        let server = self.spawn(role, &home, (&database, &queue), &self.failpoints)?;
        let (goes_on_at, healed_at) = (None, None);
        self.members.push(Member { server, database, queue, goes_on_at, healed_at });
        Ok(())
    }

    fn spawn(
        &self,
        role: &'static str,
        home: &Path,
        (database, queue): (&Proxy, &Proxy),
        failpoints: &str,
    ) -> anyhow::Result<Role> {
        let mut command = roles::command(&self.release, role, home)?;
        match role {
            "api-server" => {
                command.args(API);
            }
            "executor" => {
                command.args(["--concurrency", "8"]);
            }
            _ => {}
        }
        if !failpoints.is_empty() {
            // A server that has none would refuse to start.
            command.env("FLOWFORGE_FAILPOINTS", failpoints);
        }
        let url = format!("postgresql://postgres@{}/postgres?sslmode=disable", database.address());
        command
            .env("FLOWFORGE_DATABASE_URL", url)
            .env("FLOWFORGE_QUEUE_ADDRESSES", queue.address().to_string())
            .env("FLOWFORGE_ROLE_LEASE_SECONDS", self.lease.as_secs().to_string());
        Role::start(command, role, home.to_path_buf())
    }

    /// The server at a place again, with something to happen to it.
    fn spawn_again(&mut self, place: usize, failpoints: &str) -> anyhow::Result<()> {
        let Member { server: Role { role, home, .. }, database, queue, .. } =
            self.members.get(place).context("a server")?;
        let server = self.spawn(role, home, (database, queue), failpoints)?;
        self.members.get_mut(place).context("a server")?.server = server;
        Ok(())
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(super) fn lease(&self) -> Duration {
        self.lease
    }

    pub(super) fn database(&self) -> &postgres::Server {
        &self.database
    }

    pub(super) fn database_mut(&mut self) -> &mut postgres::Server {
        &mut self.database
    }

    /// Where the API servers say where they are.
    pub(super) fn endpoints(&self) -> Vec<PathBuf> {
        self.apis().map(|server| roles::endpoint(&server.home)).collect()
    }

    fn apis(&self) -> impl Iterator<Item = &Role> {
        let servers = self.members.iter().map(|member| &member.server);
        servers.filter(|server| server.role == "api-server")
    }

    /// A client of an API server, once one answers.
    pub(super) fn client(&self) -> anyhow::Result<Client> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            let mut clients = self.apis().filter_map(Role::client);
            let answers = |client: &Client| client.json("GET", "/workflows?limit=1", "").is_ok();
            if let Some(client) = clients.find(answers) {
                return Ok(client);
            }
            thread::sleep(GLANCE);
        }
        bail!("no API server answers")
    }

    /// Any server.
    pub(super) fn pick(&mut self, kind: Kind, chance: &mut Chance) -> anyhow::Result<&mut Member> {
        let number = usize::try_from(chance.below(self.members.len() as u64))?;
        let member = self.members.get_mut(number).context("a server")?;
        *self.harmed.entry((kind, member.server.role)).or_default() += 1;
        Ok(member)
    }

    /// How often servers of a role were harmed in which way.
    pub(super) fn harmed(&self) -> BTreeMap<(Kind, &'static str), u32> {
        self.harmed.clone()
    }

    /// The first server of a role.
    pub(super) fn of(&mut self, role: &str) -> anyhow::Result<&mut Member> {
        let found = self.members.iter_mut().find(|member| member.server.role == role);
        found.with_context(|| format!("a server of the role {role}"))
    }

    /// Starts the first server of a role again, with something to happen to it.
    pub(super) fn replace(&mut self, role: &'static str, failpoints: &str) -> anyhow::Result<()> {
        self.of(role)?.finish()?;
        let place = self.members.iter().position(|member| member.server.role == role);
        self.spawn_again(place.context("a place")?, failpoints)
    }

    /// Ends the last server that was added.
    pub(super) fn remove_last(&mut self) -> anyhow::Result<()> {
        let mut member = self.members.pop().context("a server")?;
        member.finish()
    }

    pub(super) fn flush(&self) -> anyhow::Result<()> {
        self.redis.ask(&["FLUSHALL"]).map(drop)
    }

    pub(super) fn redis(&self) -> &Redis {
        &self.redis
    }

    pub(super) fn restart_redis(&mut self) -> anyhow::Result<()> {
        self.redis.restart()
    }

    /// Ends faults whose time is over, and starts those again that have ended, as whoever supervises
    /// them would: an executor that was buried ends by itself.
    pub(super) fn tend(&mut self) -> anyhow::Result<()> {
        let now = Instant::now();
        for number in 0..self.members.len() {
            let member = self.members.get_mut(number).context("a server")?;
            if member.goes_on_at.is_some_and(|at| at <= now) {
                member.go_on()?;
            }
            if member.healed_at.is_some_and(|at| at <= now) {
                member.heal();
            }
            if member.server.ended()?.is_some() {
                member.goes_on_at = None;
                let failpoints = self.failpoints.clone();
                self.spawn_again(number, &failpoints)?;
            }
        }
        Ok(())
    }

    /// No fault lasts.
    pub(super) fn heal(&mut self) -> anyhow::Result<()> {
        for member in &mut self.members {
            member.go_on()?;
            member.heal();
            member.database.lose_commits(0);
        }
        self.tend()
    }

    /// How many commits were carried out without an answer.
    pub(super) fn lost_commits(&self) -> u64 {
        self.members.iter().map(|member| member.database.lost()).sum()
    }

    /// What all servers said.
    pub(super) fn logs(&self) -> impl Iterator<Item = String> {
        self.members.iter().map(Member::log)
    }

    /// The ends of all logs.
    pub(super) fn last_words(&self) -> String {
        let mut text = String::from("the servers said last:");
        for member in &self.members {
            let said = member.server.said();
            let lines: Vec<&str> = said.lines().rev().take(LAST_WORDS).collect();
            let lines: Vec<&str> = lines.into_iter().rev().collect();
            text.push_str(&format!("\n{}:\n{}", member.server.home.display(), lines.join("\n")));
        }
        text
    }

    /// All end when they are asked to. PostgreSQL stays.
    pub(super) fn stop(&mut self) -> anyhow::Result<()> {
        roles::end(self.members.iter_mut().map(|member| &mut member.server))
    }

    /// What the tables hold that no invariant allows, as `flowforge doctor` tells it.
    pub(super) fn doctor(&self) -> anyhow::Result<()> {
        let directory = self.directory.join("doctor");
        fs::create_dir_all(&directory).context("create a directory")?;
        let mut doctor = Command::new(self.release.join("flowforge"));
        doctor.arg("doctor").env("FLOWFORGE_DATABASE_URL", self.database.url());
        doctor.current_dir(directory);
        let output = doctor.output().context("start flowforge doctor")?;
        let said = String::from_utf8_lossy(&output.stdout);
        ensure!(output.status.success(), "flowforge doctor:\n{said}");
        Ok(())
    }

    /// Processes of tasks that run, of any server.
    pub(super) fn orphans(&self) -> anyhow::Result<usize> {
        let id = |member: &Member| fs::read_to_string(member.server.home.join("id")).ok();
        let ids: Vec<String> = self.members.iter().filter_map(id).collect();
        let ours = |bytes: Vec<u8>| {
            let mut variables = bytes.split(|byte| *byte == 0);
            variables.any(|variable| {
                std::str::from_utf8(variable)
                    .ok()
                    .and_then(|text| text.strip_prefix("FLOWFORGE_DATA_DIR_ID="))
                    .is_some_and(|id| ids.iter().any(|ours| ours.trim() == id))
            })
        };
        let entries = fs::read_dir("/proc").context("list processes")?.flatten();
        // Processes end while we look.
        let environments = entries.filter_map(|entry| fs::read(entry.path().join("environ")).ok());
        Ok(environments.filter(|bytes| ours(bytes.clone())).count())
    }
}

impl Member {
    pub(super) fn kill(&mut self) -> anyhow::Result<()> {
        self.server.kill()?;
        self.goes_on_at = None;
        Ok(())
    }

    pub(super) fn log(&self) -> String {
        self.server.said()
    }

    /// Asks it to end.
    pub(super) fn terminate(&self) -> anyhow::Result<()> {
        self.server.signal(Signal::TERM)
    }

    pub(super) fn wake(&self) -> anyhow::Result<()> {
        self.server.signal(Signal::CONT)
    }

    /// Ends it and waits, however it ends.
    fn finish(&mut self) -> anyhow::Result<()> {
        if self.server.ended()?.is_none() {
            self.terminate()?;
            self.server.wait()?;
        }
        Ok(())
    }

    pub(super) fn stand_still(&mut self, until: Instant) -> anyhow::Result<()> {
        self.server.signal(Signal::STOP)?;
        self.goes_on_at = Some(until);
        Ok(())
    }

    fn go_on(&mut self) -> anyhow::Result<()> {
        match self.goes_on_at.take() {
            Some(_) => self.wake(),
            None => Ok(()),
        }
    }

    fn heal(&mut self) {
        self.healed_at = None;
        self.database.heal();
        self.queue.heal();
    }
}
