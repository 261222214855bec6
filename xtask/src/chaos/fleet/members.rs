//! The servers of a fleet, the lines between them, and what all share.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use flowforge_proxy::{Proxy, Speaks, Upstream};
use rustix::process::{Pid, Signal, kill_process};

use super::{GLANCE, PATIENCE, TOKEN};
use crate::chaos::Chance;
use crate::client::Client;
use crate::test::postgres;
use crate::workspace::root;

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
/// A server that does not end in this time, with nothing to do, hangs.
const DRAIN: Duration = Duration::from_secs(45);

/// One server, and its lines to PostgreSQL and Redis.
pub(super) struct Member {
    role: &'static str,
    home: PathBuf,
    child: Child,
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
    redis: Child,
    members: Vec<Member>,
}

impl Fleet {
    /// Servers of these roles from the programs in a folder.
    pub(super) fn start(
        release: PathBuf,
        lease: u64,
        roles: &[&'static str],
    ) -> anyhow::Result<Self> {
        let directory = release.with_file_name("fleet");
        if directory.exists() {
            fs::remove_dir_all(&directory).context("remove the last run's data")?;
        }
        fs::create_dir_all(&directory).context("create the data directory")?;
        let mut fleet = Self {
            redis: redis(&directory)?,
            database: postgres::Server::start()?,
            release,
            directory,
            lease: Duration::from_secs(lease),
            members: Vec::new(),
        };
        for role in roles {
            fleet.add(role)?;
            if fleet.members.len() == 1 {
                // It makes the tables; the others would wait for it anyway.
                fleet.client()?;
            }
        }
        Ok(fleet)
    }

    /// One more server.
    pub(super) fn add(&mut self, role: &'static str) -> anyhow::Result<()> {
        let number = self.members.len();
        let home = self.directory.join(format!("{number}-{role}"));
        fs::create_dir_all(&home).context("create a data directory")?;
        let line = |upstream, speaks| Proxy::start(upstream, speaks).context("start a proxy");
        let database = line(Upstream::Unix(self.database.socket()), Speaks::Postgres)?;
        let queue = line(Upstream::Unix(self.directory.join("redis.sock")), Speaks::Anything)?;
        let child = self.spawn(role, &home, (&database, &queue), "")?;
        let (goes_on_at, healed_at) = (None, None);
        self.members.push(Member { role, home, child, database, queue, goes_on_at, healed_at });
        Ok(())
    }

    fn spawn(
        &self,
        role: &str,
        home: &Path,
        (database, queue): (&Proxy, &Proxy),
        failpoints: &str,
    ) -> anyhow::Result<Child> {
        let log = File::options().append(true).create(true).open(home.join("log"));
        let log = log.context("open a log")?;
        let mut command = Command::new(self.release.join("flowforge"));
        command.arg(role).arg("--data-dir").arg(home).current_dir(root());
        match role {
            "api-server" => {
                // What a killed one left must not be taken for the new one's.
                drop(fs::remove_file(endpoint(home)));
                command.args(["--listen", "127.0.0.1:0", "--token", TOKEN]);
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
            .env("FLOWFORGE_ROLE_LEASE_SECONDS", self.lease.as_secs().to_string())
            .stdin(Stdio::null())
            .stdout(log.try_clone().context("share a log")?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("start flowforge {role}"))
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
        let apis = self.members.iter().filter(|member| member.role == "api-server");
        apis.map(|member| endpoint(&member.home)).collect()
    }

    /// A client of an API server, once one answers.
    pub(super) fn client(&self) -> anyhow::Result<Client> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            for path in self.endpoints() {
                if let Some(url) = url(&path)
                    && let Ok(client) = Client::new(&url, TOKEN)
                    && client.json("GET", "/workflows?limit=1", "").is_ok()
                {
                    return Ok(client);
                }
            }
            thread::sleep(GLANCE);
        }
        bail!("no API server answers")
    }

    /// Any server.
    pub(super) fn pick(&mut self, chance: &mut Chance) -> anyhow::Result<&mut Member> {
        let number = usize::try_from(chance.below(self.members.len() as u64))?;
        self.members.get_mut(number).context("a server")
    }

    /// The first server of a role.
    pub(super) fn of(&mut self, role: &str) -> anyhow::Result<&mut Member> {
        let found = self.members.iter_mut().find(|member| member.role == role);
        found.with_context(|| format!("a server of the role {role}"))
    }

    /// Starts the first server of a role again, with something to happen to it.
    pub(super) fn replace(&mut self, role: &'static str, failpoints: &str) -> anyhow::Result<()> {
        self.of(role)?.finish()?;
        let place = self.members.iter().position(|member| member.role == role);
        let place = place.context("a place")?;
        let member = self.members.get(place).context("a server")?;
        let lines = (&member.database, &member.queue);
        let child = self.spawn(role, &member.home, lines, failpoints)?;
        let member = self.members.get_mut(place).context("a server")?;
        member.child = child;
        Ok(())
    }

    /// Ends the last server that was added.
    pub(super) fn remove_last(&mut self) -> anyhow::Result<()> {
        let mut member = self.members.pop().context("a server")?;
        member.finish()
    }

    pub(super) fn flush(&self) -> anyhow::Result<()> {
        self.ask_redis(&["FLUSHALL"]).map(drop)
    }

    /// What Redis answers, a line each.
    pub(super) fn ask_redis(&self, words: &[&str]) -> anyhow::Result<Vec<String>> {
        let mut ask = Command::new("redis-cli");
        ask.arg("-s").arg(self.directory.join("redis.sock")).args(words);
        Ok(crate::workspace::output(&mut ask)?.lines().map(str::to_owned).collect())
    }

    pub(super) fn restart_redis(&mut self) -> anyhow::Result<()> {
        self.redis.kill().context("kill redis-server")?;
        self.redis.wait().context("wait for redis-server")?;
        self.redis = redis(&self.directory)?;
        Ok(())
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
            if member.child.try_wait().context("look at a server")?.is_some() {
                let member = self.members.get(number).context("a server")?;
                let lines = (&member.database, &member.queue);
                let child = self.spawn(member.role, &member.home, lines, "")?;
                let member = self.members.get_mut(number).context("a server")?;
                (member.child, member.goes_on_at) = (child, None);
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
    pub(super) fn lost_answers(&self) -> u64 {
        self.members.iter().map(|member| member.database.lost()).sum()
    }

    /// The ends of all logs.
    pub(super) fn last_words(&self) -> String {
        let mut text = String::from("the servers said last:");
        for member in &self.members {
            let said = fs::read_to_string(member.home.join("log")).unwrap_or_default();
            let lines: Vec<&str> = said.lines().rev().take(LAST_WORDS).collect();
            let lines: Vec<&str> = lines.into_iter().rev().collect();
            text.push_str(&format!("\n{}:\n{}", member.home.display(), lines.join("\n")));
        }
        text
    }

    /// All end when they are asked to. PostgreSQL stays.
    pub(super) fn stop(&mut self) -> anyhow::Result<()> {
        for member in &self.members {
            member.signal(Signal::TERM)?;
        }
        let begun = Instant::now();
        for member in &mut self.members {
            let status = loop {
                if let Some(status) = member.child.try_wait().context("wait for a server")? {
                    break status;
                }
                ensure!(
                    begun.elapsed() < DRAIN,
                    "flowforge {} has not ended after {} s",
                    member.role,
                    DRAIN.as_secs()
                );
                thread::sleep(GLANCE);
            };
            ensure!(status.success(), "flowforge {} ended with {status}", member.role);
        }
        Ok(())
    }

    /// What the tables hold that no invariant allows, as `flowforge doctor` tells it.
    pub(super) fn doctor(&self) -> anyhow::Result<()> {
        let directory = self.directory.join("doctor");
        fs::create_dir_all(&directory).context("create a directory")?;
        let host = self.database.socket();
        let host = host.parent().context("the directory of a socket")?;
        let url = format!("postgresql://postgres@/postgres?host={}", host.display());
        let mut doctor = Command::new(self.release.join("flowforge"));
        doctor.arg("doctor").env("FLOWFORGE_DATABASE_URL", url).current_dir(directory);
        let output = doctor.output().context("start flowforge doctor")?;
        let said = String::from_utf8_lossy(&output.stdout);
        ensure!(output.status.success(), "flowforge doctor:\n{said}");
        Ok(())
    }

    /// Processes of tasks that run, of any server.
    pub(super) fn orphans(&self) -> anyhow::Result<usize> {
        let id = |member: &Member| fs::read_to_string(member.home.join("id")).ok();
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

impl Drop for Fleet {
    fn drop(&mut self) {
        let members = self.members.iter_mut().map(|member| &mut member.child);
        for child in members.chain([&mut self.redis]) {
            // One that has ended is no trouble.
            drop(child.kill());
            drop(child.wait());
        }
    }
}

impl Member {
    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.context("a process")?, signal).context("send a server a signal")
    }

    pub(super) fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill().context("kill a server")?;
        self.child.wait().context("wait for a killed server")?;
        self.goes_on_at = None;
        Ok(())
    }

    pub(super) fn log(&self) -> anyhow::Result<String> {
        fs::read_to_string(self.home.join("log")).context("read a log")
    }

    /// Asks it to end.
    pub(super) fn terminate(&self) -> anyhow::Result<()> {
        self.signal(Signal::TERM)
    }

    pub(super) fn wake(&self) -> anyhow::Result<()> {
        self.signal(Signal::CONT)
    }

    /// Ends it and waits.
    fn finish(&mut self) -> anyhow::Result<()> {
        if self.child.try_wait().context("look at a server")?.is_none() {
            self.terminate()?;
            self.child.wait().context("wait for a server")?;
        }
        Ok(())
    }

    pub(super) fn stand_still(&mut self, until: Instant) -> anyhow::Result<()> {
        self.signal(Signal::STOP)?;
        self.goes_on_at = Some(until);
        Ok(())
    }

    fn go_on(&mut self) -> anyhow::Result<()> {
        match self.goes_on_at.take() {
            Some(_) => self.signal(Signal::CONT),
            None => Ok(()),
        }
    }

    fn heal(&mut self) {
        self.healed_at = None;
        self.database.heal();
        self.queue.heal();
    }
}

/// A server that forgets everything when it ends.
fn redis(directory: &Path) -> anyhow::Result<Child> {
    Command::new("redis-server")
        .args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"])
        .arg(directory.join("redis.sock"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .context("start redis-server")
}

fn endpoint(home: &Path) -> PathBuf {
    home.join("endpoint.json")
}

/// Where an API server is.
pub(super) fn url(endpoint: &Path) -> Option<String> {
    let value: serde_json::Value = serde_json::from_slice(&fs::read(endpoint).ok()?).ok()?;
    value["url"].as_str().map(str::to_owned)
}
