//! A `flowforge dev` of our own: started, waited for, stopped.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;

use crate::usage;
use crate::workspace::root;

/// A server starts in well under a second; recovery of a large directory takes longer.
const PATIENCE: Duration = Duration::from_secs(60);
/// Draining takes up to 30 s.
const DRAIN: Duration = Duration::from_secs(40);
/// How often files and children are looked at.
const GLANCE: Duration = Duration::from_millis(10);

/// A running server. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    release: PathBuf,
    data_dir: PathBuf,
    url: String,
    token: String,
}

#[derive(Deserialize)]
struct Endpoint {
    url: String,
    token: String,
}

impl Server {
    /// Starts the server of `release` on a free port and waits until it answers.
    pub(crate) fn start(release: &Path, data_dir: &Path) -> anyhow::Result<Self> {
        Self::start_with(release, data_dir, &[])
    }

    /// The same with more arguments.
    pub(crate) fn start_with(
        release: &Path,
        data_dir: &Path,
        arguments: &[&str],
    ) -> anyhow::Result<Self> {
        let mut command = Command::new(release.join("flowforge"));
        command.args(arguments_of(data_dir, arguments));
        Self::spawn(command, release, data_dir)
    }

    /// The same with programs that its tasks find before those of the machine.
    pub(crate) fn start_beside(
        release: &Path,
        data_dir: &Path,
        programs: &Path,
    ) -> anyhow::Result<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let all = std::iter::once(programs.to_path_buf()).chain(std::env::split_paths(&path));
        let mut command = Command::new(release.join("flowforge"));
        command.args(arguments_of(data_dir, &[]));
        command.env("PATH", std::env::join_paths(all).context("put PATH together")?);
        Self::spawn(command, release, data_dir)
    }

    /// Starts what `command` began: a server of all roles, which says where it is in this directory.
    pub(crate) fn start_all(
        mut command: Command,
        release: &Path,
        data_dir: &Path,
    ) -> anyhow::Result<Self> {
        command.arg("all").arg("--listen").arg("127.0.0.1:0").arg("--data-dir").arg(data_dir);
        Self::spawn(command, release, data_dir)
    }

    fn spawn(mut command: Command, release: &Path, data_dir: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(data_dir).with_context(|| format!("create {}", data_dir.display()))?;
        // What an earlier server left must not be taken for the new one's.
        let endpoint = data_dir.join("endpoint.json");
        let earlier = data_dir.join("endpoint.json.earlier");
        let had_earlier = fs::rename(&endpoint, &earlier).is_ok();
        let log_path = data_dir.join("server.log");
        let log =
            File::create(&log_path).with_context(|| format!("create {}", log_path.display()))?;
        let child = command
            .current_dir(root())
            .stdin(Stdio::null())
            .stdout(log.try_clone().context("share the log")?)
            .stderr(log)
            .spawn()
            .context("start flowforge")?;
        let mut server = Self {
            child,
            release: release.to_path_buf(),
            data_dir: data_dir.to_path_buf(),
            url: String::new(),
            token: String::new(),
        };
        match server.ready(&endpoint) {
            Ok(found) => {
                server.url = found.url;
                server.token = found.token;
                if had_earlier {
                    fs::remove_file(&earlier).context("remove the earlier endpoint")?;
                }
                Ok(server)
            }
            Err(error) => {
                // Perhaps another server has the directory: it keeps its endpoint.
                if had_earlier {
                    fs::rename(&earlier, &endpoint).context("put the endpoint back")?;
                }
                let said = fs::read_to_string(&log_path).unwrap_or_default();
                Err(error.context(format!("flowforge said:\n{}", said.trim_end())))
            }
        }
    }

    fn ready(&mut self, endpoint: &Path) -> anyhow::Result<Endpoint> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait().context("look at flowforge")? {
                bail!("flowforge ended at once: {status}");
            }
            // Half a file does not parse; the next glance sees the whole.
            if let Some(found) = fs::read(endpoint)
                .ok()
                .and_then(|bytes| serde_json::from_slice::<Endpoint>(&bytes).ok())
            {
                return Ok(found);
            }
            thread::sleep(GLANCE);
        }
        bail!("flowforge is not ready after {} s", PATIENCE.as_secs())
    }

    /// Where its API is.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// What lets a client in.
    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// Where it keeps everything.
    pub(crate) fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// Kills it as a power cut would.
    pub(crate) fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill().context("kill flowforge")?;
        self.child.wait().context("wait for flowforge")?;
        Ok(())
    }

    /// Resident memory now, in MiB.
    pub(crate) fn memory_mib(&self) -> anyhow::Result<f64> {
        usage::memory_mib(self.child.id())
    }

    /// The most resident memory it ever had, in MiB.
    pub(crate) fn peak_memory_mib(&self) -> anyhow::Result<f64> {
        usage::peak_memory_mib(self.child.id())
    }

    /// Processor time it has used, in seconds.
    pub(crate) fn cpu_seconds(&self) -> anyhow::Result<f64> {
        usage::cpu_seconds(self.child.id())
    }

    /// A client that talks to it.
    pub(crate) fn ffctl(&self) -> Command {
        let mut command = Command::new(self.release.join("ffctl"));
        command.current_dir(root()).arg("--data-dir").arg(&self.data_dir);
        command
    }

    /// Asks it to end and waits until it has.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        let pid = i32::try_from(self.child.id())
            .ok()
            .and_then(Pid::from_raw)
            .context("name flowforge's process")?;
        kill_process(pid, Signal::TERM).context("ask flowforge to end")?;
        let begun = Instant::now();
        while begun.elapsed() < DRAIN {
            if let Some(status) = self.child.try_wait().context("wait for flowforge")? {
                ensure!(status.success(), "flowforge: {status}");
                return Ok(());
            }
            thread::sleep(GLANCE);
        }
        bail!("flowforge has not ended after {} s", DRAIN.as_secs())
    }
}

fn arguments_of(data_dir: &Path, more: &[&str]) -> Vec<OsString> {
    let first = ["dev", "--listen", "127.0.0.1:0", "--data-dir"].map(OsString::from);
    let more = more.iter().map(OsString::from);
    first.into_iter().chain([data_dir.into()]).chain(more).collect()
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            drop(self.child.kill());
            drop(self.child.wait());
        }
    }
}
