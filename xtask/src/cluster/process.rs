//! A process of the cluster: it outlives this program, so a file says which one it is.

use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// A process by number and by when it began: numbers come again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Process {
    pid: u32,
    /// In ticks since the machine started.
    begun: u64,
}

impl Process {
    /// Starts a program in a session of its own, so that no terminal ends it, and writes down which
    /// process it is.
    pub(super) fn start(command: &Command, log: &Path, pid: &Path) -> anyhow::Result<Self> {
        let name = Path::new(command.get_program()).display().to_string();
        let out = File::create(log).with_context(|| format!("open {}", log.display()))?;
        // It becomes the program, and keeps its number.
        let mut session = Command::new("setsid");
        session.arg(command.get_program()).args(command.get_args());
        for (key, value) in command.get_envs() {
            if let Some(value) = value {
                session.env(key, value);
            }
        }
        let child = session
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(out.try_clone().context("share a log")?)
            .stderr(out)
            .spawn()
            .with_context(|| format!("start {name}"))?;
        let process = Self::find(child.id())
            .with_context(|| format!("{name} ended at once: see {}", log.display()))?;
        fs::write(pid, format!("{} {}\n", process.pid, process.begun))
            .with_context(|| format!("write {}", pid.display()))?;
        Ok(process)
    }

    /// The one that such a file names, if it still runs.
    pub(super) fn running(file: &Path) -> Option<Self> {
        let text = fs::read_to_string(file).ok()?;
        let (pid, begun) = text.trim().split_once(' ')?;
        let written = Self { pid: pid.parse().ok()?, begun: begun.parse().ok()? };
        (Self::find(written.pid)? == written).then_some(written)
    }

    /// The one of this number, unless it has ended.
    pub(super) fn find(pid: u32) -> Option<Self> {
        let (state, begun) = read(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?;
        // One that has ended and was not yet asked how.
        (state != 'Z' && state != 'X').then_some(Self { pid, begun })
    }

    pub(super) fn pid(self) -> u32 {
        self.pid
    }

    pub(super) fn alive(self) -> bool {
        Self::find(self.pid) == Some(self)
    }

    /// Asks it to end, and after so long no longer asks. Whether it had to be killed.
    pub(super) fn end(self, patience: Duration) -> anyhow::Result<bool> {
        // What is held cannot become another process between the look and the signal.
        let Some(held) = self.hold() else { return Ok(false) };
        pidfd_send_signal(&held, Signal::TERM).ok();
        if ended(&held, patience)? {
            return Ok(false);
        }
        pidfd_send_signal(&held, Signal::KILL).ok();
        ended(&held, patience)?;
        Ok(true)
    }

    pub(super) fn kill(self) -> anyhow::Result<()> {
        if let Some(held) = self.hold() {
            pidfd_send_signal(&held, Signal::KILL).ok();
            ended(&held, Duration::from_secs(10))?;
        }
        Ok(())
    }

    /// Keeps it from doing anything, or lets it go on.
    pub(super) fn pause(self, paused: bool) {
        let signal = if paused { Signal::STOP } else { Signal::CONT };
        if let Some(held) = self.hold() {
            pidfd_send_signal(&held, signal).ok();
        }
    }

    fn hold(self) -> Option<OwnedFd> {
        let pid = Pid::from_raw(i32::try_from(self.pid).ok()?)?;
        let held = pidfd_open(pid, PidfdFlags::empty()).ok()?;
        self.alive().then_some(held)
    }
}

/// Waits for the end of a process; whether it came.
fn ended(held: &OwnedFd, patience: Duration) -> anyhow::Result<bool> {
    let until = Instant::now() + patience;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).context("a time to wait")?;
        match poll(&mut [PollFd::new(held, PollFlags::IN)], Some(&left)) {
            Ok(ready) => return Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).context("wait for the end of a process"),
        }
    }
}

/// State and beginning, of `/proc/PID/stat`. A name may hold anything but ends with the last `)`.
fn read(stat: &str) -> Option<(char, u64)> {
    let mut fields = stat.rsplit(')').next()?.split_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((state, fields.nth(18)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_its_beginning_too() {
        let stat = "7 (a) b) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20";
        assert_eq!(read(stat), Some(('S', 4711)));
    }

    #[test]
    fn it_runs_until_it_is_ended_and_its_number_is_nobody_else() {
        let base = std::env::temp_dir().join(format!("flowforge-process-{}", std::process::id()));
        fs::create_dir_all(&base).unwrap();
        let (log, file) = (base.join("log"), base.join("pid"));
        let mut command = Command::new("sleep");
        let process = Process::start(command.arg("600"), &log, &file).unwrap();
        assert_eq!(Process::running(&file), Some(process));
        let other = format!("{} {}\n", process.pid, process.begun + 1);
        fs::write(&file, other).unwrap();
        assert_eq!(Process::running(&file), None, "the number alone is not enough");
        assert!(!process.end(Duration::from_secs(60)).unwrap(), "it ends when it is asked to");
        assert!(!process.alive());
        fs::remove_dir_all(&base).unwrap();
    }
}
