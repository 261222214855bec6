//! Servers of one role each, and the Redis that they share: started, looked at, ended. Dropping one
//! kills it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::client::Client;
use crate::workspace::{output, root};

/// What lets a client in at an API server that was started with it.
pub(crate) const TOKEN: &str = "0123456789abcdef0123456789abcdef";
/// Arguments of an API server.
pub(crate) const API: [&str; 4] = ["--listen", "127.0.0.1:0", "--token", TOKEN];
/// How often files and servers are looked at.
pub(crate) const GLANCE: Duration = Duration::from_millis(20);
/// A server that does not end in this time, with nothing to do, hangs.
const DRAIN: Duration = Duration::from_secs(45);

/// One server.
pub(crate) struct Role {
    pub(crate) role: &'static str,
    pub(crate) home: PathBuf,
    child: Child,
}

/// `flowforge ROLE` of the programs in a folder, with a data directory of its own.
pub(crate) fn command(release: &Path, role: &str, home: &Path) -> anyhow::Result<Command> {
    fs::create_dir_all(home).context("create a data directory")?;
    let mut command = Command::new(release.join("flowforge"));
    command.arg(role).arg("--data-dir").arg(home).current_dir(root());
    Ok(command)
}

impl Role {
    /// Starts what [`command`] began. What it says goes to the end of the file `log` at home.
    pub(crate) fn start(
        mut command: Command,
        role: &'static str,
        home: PathBuf,
    ) -> anyhow::Result<Self> {
        // What a killed one left must not be taken for the new one's.
        drop(fs::remove_file(endpoint(&home)));
        let log = File::options().append(true).create(true).open(home.join("log"));
        let log = log.context("open a log")?;
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone().context("share a log")?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("start flowforge {role}"))?;
        Ok(Self { role, home, child })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// All that it has said, and those before it at the same home.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(self.home.join("log")).unwrap_or_default()
    }

    /// A client of this API server, once it has said where it is.
    pub(crate) fn client(&self) -> Option<Client> {
        client(&endpoint(&self.home))
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        self.child.try_wait().context("look at a server")
    }

    pub(crate) fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.context("a process")?, signal).context("send a server a signal")
    }

    pub(crate) fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill().context("kill a server")?;
        self.child.wait().context("wait for a killed server")?;
        Ok(())
    }

    /// Waits for the end of one that was asked to end; how it ended.
    pub(crate) fn wait(&mut self) -> anyhow::Result<ExitStatus> {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            let (role, patience) = (self.role, DRAIN.as_secs());
            ensure!(begun.elapsed() < DRAIN, "flowforge {role} has not ended after {patience} s");
            thread::sleep(GLANCE);
        }
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        kill(&mut self.child);
    }
}

/// Ends all of them, at once, and sees to it that each ends well.
pub(crate) fn end<'r>(roles: impl Iterator<Item = &'r mut Role>) -> anyhow::Result<()> {
    let mut asked: Vec<&mut Role> = roles.collect();
    for role in &asked {
        role.signal(Signal::TERM)?;
    }
    for role in &mut asked {
        let status = role.wait()?;
        ensure!(status.success(), "flowforge {} ended with {status}", role.role);
    }
    Ok(())
}

/// Where an API server says where it is.
pub(crate) fn endpoint(home: &Path) -> PathBuf {
    home.join("endpoint.json")
}

/// A client of whoever says there where it is.
pub(crate) fn client(endpoint: &Path) -> Option<Client> {
    Client::new(&url(endpoint)?, TOKEN).ok()
}

/// Where it says that it is. Half a file is none yet.
pub(crate) fn url(endpoint: &Path) -> Option<String> {
    let value: serde_json::Value = serde_json::from_slice(&fs::read(endpoint).ok()?).ok()?;
    value["url"].as_str().map(str::to_owned)
}

/// A Redis that forgets everything when it ends.
pub(crate) struct Redis {
    socket: PathBuf,
    child: Child,
}

impl Redis {
    /// Listens in `directory` only.
    pub(crate) fn start(directory: &Path) -> anyhow::Result<Self> {
        let socket = directory.join("redis.sock");
        let child = Self::spawn(&socket)?;
        Ok(Self { socket, child })
    }

    fn spawn(socket: &Path) -> anyhow::Result<Child> {
        Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"])
            .arg(socket)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .context("start redis-server")
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.socket.clone()
    }

    /// As a server's settings name it.
    pub(crate) fn address(&self) -> String {
        format!("unix:{}", self.socket.display())
    }

    /// What it answers, a line each.
    pub(crate) fn ask(&self, words: &[&str]) -> anyhow::Result<Vec<String>> {
        let mut ask = Command::new("redis-cli");
        ask.arg("-s").arg(&self.socket).args(words);
        Ok(output(&mut ask)?.lines().map(str::to_owned).collect())
    }

    /// It is killed, and another one takes its place.
    pub(crate) fn restart(&mut self) -> anyhow::Result<()> {
        kill(&mut self.child);
        self.child = Self::spawn(&self.socket)?;
        Ok(())
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        kill(&mut self.child);
    }
}

/// One that has ended is no trouble.
fn kill(child: &mut Child) {
    drop(child.kill());
    drop(child.wait());
}
