//! The tier `redis`: the queue on real servers, which the tests start on free ports, each in a
//! directory of its own, and stop.
//!
//! A test that is killed stops nothing, so what is left in those directories is stopped here.

use std::fs;
use std::path::Path;

use anyhow::{Context, ensure};
use rustix::process::{Pid, Signal, kill_process};

use super::{Programs, Tally};
use crate::workspace::which;

const SERVER: &str = "redis-server";

pub(super) fn missing() -> Option<String> {
    let missing = [SERVER, "openssl"].into_iter().find(|program| which(program).is_none())?;
    Some(format!("{missing} is missing"))
}

pub(super) fn run() -> anyhow::Result<Tally> {
    let server = which(SERVER).with_context(|| format!("find {SERVER}"))?;
    let base = std::env::temp_dir().join(format!("flowforge-redis-{}", std::process::id()));
    fs::create_dir_all(&base).with_context(|| format!("make {}", base.display()))?;
    let programs = Programs::build()?.within("crates/adapters/queue");
    let servers = [
        ("FLOWFORGE_TEST_REDIS", server.as_os_str()),
        ("FLOWFORGE_TEST_REDIS_DIR", base.as_os_str()),
    ];
    let tally = programs.run(&["--ignored"], &servers);
    let left = stop_all(&base)?;
    fs::remove_dir_all(&base).with_context(|| format!("remove {}", base.display()))?;
    let tally = tally?;
    ensure!(left == 0, "{left} servers were left running");
    ensure!(tally.passed + tally.failed > 0, "no test of a server ran");
    Ok(tally)
}

/// Stops the servers whose directories are still there; how many ran.
fn stop_all(base: &Path) -> anyhow::Result<u32> {
    let mut left = 0;
    for entry in fs::read_dir(base).context("read the servers' directories")? {
        let directory = entry.context("read the servers' directories")?.path();
        let Ok(text) = fs::read_to_string(directory.join("pid")) else { continue };
        let Some(pid) = text.trim().parse().ok().and_then(Pid::from_raw) else { continue };
        // The number may be somebody else's by now: it is ours if it was started with our path.
        let line = fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).unwrap_or_default();
        if contains(&line, directory.as_os_str().as_encoded_bytes()) {
            left += 1;
            kill_process(pid, Signal::KILL).context("stop a server that was left")?;
        }
    }
    Ok(left)
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn what_is_left_is_stopped_and_nothing_else() {
        let base = std::env::temp_dir().join(format!("flowforge-left-{}", std::process::id()));
        let (ours, others) = (base.join("ours"), base.join("others"));
        for directory in [&ours, &others] {
            fs::create_dir_all(directory).unwrap();
        }
        let start = |argument: &Path| {
            Command::new("sh")
                .args(["-c", "read _; exit 3"])
                .arg(argument)
                .stdin(std::process::Stdio::piped())
                .spawn()
                .unwrap()
        };
        let mut left = start(&ours.join("x"));
        let mut other = start(Path::new("elsewhere"));
        fs::write(ours.join("pid"), format!("{}\n", left.id())).unwrap();
        fs::write(others.join("pid"), format!("{}\n", other.id())).unwrap();
        assert_eq!(stop_all(&base).unwrap(), 1);
        assert_eq!(left.wait().unwrap().code(), None, "killed");
        drop(other.stdin.take());
        assert_eq!(other.wait().unwrap().code(), Some(3), "left alone");
        fs::remove_dir_all(&base).unwrap();
    }
}
