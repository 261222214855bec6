//! A server of our own, for as long as a run takes.

use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::exit::{Exit, Failure};
use crate::paint::shown;

/// Starting takes some 20 ms; a large database or a busy disk much longer.
const START: Duration = Duration::from_secs(30);
/// A server without work ends at once; after this long it is killed.
const STOP: Duration = Duration::from_secs(10);
/// How often we look. Starting is on the way of every run: keep it short.
const LOOK: Duration = Duration::from_millis(1);
/// Bytes of the server's log that are shown if it does not start.
const LOG_SHOWN: usize = 4096;

/// Where a run keeps its data.
pub(crate) enum Home {
    /// Gone after the run.
    Passing(TempDir),
    Kept(PathBuf),
}

impl Home {
    /// The directory that is named, or a new one, to be kept or not.
    pub(crate) fn new(named: Option<&Path>, keep: bool) -> Result<Self, Failure> {
        if let Some(path) = named {
            return Ok(Self::Kept(path.to_owned()));
        }
        let made = tempfile::Builder::new().prefix("flowforge-run-").tempdir();
        let made = made.map_err(|error| {
            Failure::new(Exit::Negative, format!("create a temporary directory: {error}"))
        })?;
        Ok(if keep { Self::Kept(made.keep()) } else { Self::Passing(made) })
    }

    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Passing(dir) => dir.path(),
            Self::Kept(path) => path,
        }
    }
}

/// A running server. It ends when it is dropped, and also if we are killed: its standard input
/// closes then.
pub(crate) struct Server(Child);

impl Server {
    /// Starts `flowforge dev` on the directory and waits until it answers.
    pub(crate) fn start(home: &Path) -> Result<Self, Failure> {
        let failed =
            |what: &str, error: &io::Error| Failure::new(Exit::Server, format!("{what}: {error}"));
        fs::create_dir_all(home).map_err(|error| failed("create the data directory", &error))?;
        let endpoint = home.join("endpoint.json");
        // A server that was killed left its own behind.
        let stale = fs::read(&endpoint).ok();
        let log = home.join("server.log");
        let stderr = File::create(&log).map_err(|error| failed("create server.log", &error))?;
        let binary = binary();
        let child = Command::new(&binary)
            .args(["dev", "--listen", "127.0.0.1:0", "--exit-on-stdin-close", "--data-dir"])
            .arg(home)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(stderr)
            // Ctrl-C is for us: the server is told in good order.
            .process_group(0)
            .spawn()
            .map_err(|error| {
                let name = binary.display().to_string();
                failed(&format!("start `{}`", shown(&name)), &error)
                    .hint("`ffctl run` needs `flowforge` beside `ffctl` or in PATH")
            })?;
        let mut server = Self(child);
        let deadline = Instant::now() + START;
        loop {
            if fs::read(&endpoint).is_ok_and(|now| stale.as_ref() != Some(&now)) {
                return Ok(server);
            }
            if let Ok(Some(status)) = server.0.try_wait() {
                return Err(died(status, &log));
            }
            if Instant::now() > deadline {
                let what = format!("the server did not start within {} s", START.as_secs());
                return Err(Failure::new(Exit::Server, what));
            }
            thread::sleep(LOOK);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let deadline = Instant::now() + STOP;
        while Instant::now() < deadline {
            match self.0.try_wait() {
                Ok(None) => thread::sleep(LOOK),
                Ok(Some(_)) | Err(_) => return,
            }
        }
        // Its tasks are found and ended by the next server on this directory, if there is one.
        if self.0.kill().is_ok() {
            // Reaps it; there is nobody to tell about a failure.
            let _status = self.0.wait();
        }
    }
}

/// The server beside this program, else the one in `PATH`.
fn binary() -> PathBuf {
    let beside = std::env::current_exe().ok().map(|me| me.with_file_name("flowforge"));
    beside.filter(|path| path.is_file()).unwrap_or_else(|| "flowforge".into())
}

fn died(status: ExitStatus, log: &Path) -> Failure {
    let bytes = fs::read(log).unwrap_or_default();
    let tail = bytes.get(bytes.len().saturating_sub(LOG_SHOWN)..).unwrap_or_default();
    let text = String::from_utf8_lossy(tail);
    let lines: Vec<_> = text.lines().map(shown).collect();
    let mut what = format!("the server ended while starting ({status})");
    for line in lines {
        what.push_str("\n  ");
        what.push_str(&line);
    }
    Failure::new(Exit::Server, what)
}
