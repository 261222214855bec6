//! Processes that a server left behind, or that left their group.

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, getpid};

use crate::environment::DATA_DIR;

/// How long killed processes may take to be gone. One that waits for a dead disk takes longer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Kills every process that a server of this data directory started, with its process group, and
/// waits until the marked ones are gone, at most 10 s. Members of their groups that bear no mark
/// have their deadly signal by then. Never this process, its ancestors, or their groups.
///
/// Returns how many it found. Call it once at start, before any attempt runs: it knows no
/// difference between the survivors of a dead server and the tasks of a live one. An empty id
/// finds nothing.
pub fn end_survivors(data_dir_id: &str) -> usize {
    if data_dir_id.is_empty() {
        return 0;
    }
    end_marked(&format!("{DATA_DIR}={data_dir_id}"))
}

/// Kills all processes whose environment began with this assignment, and their groups.
pub(crate) fn end_marked(assignment: &str) -> usize {
    let spared = Spared::find();
    let until = Instant::now() + PATIENCE;
    let mut ended = BTreeSet::new();
    loop {
        // One that forks while it is looked for is found in the next round.
        let found = find(assignment, &spared);
        if found.is_empty() {
            return ended.len();
        }
        for (pid, pidfd) in &found {
            ended.insert(pid.as_raw_pid());
            spared.kill(*pid, pidfd);
        }
        if !gone(&found, until) {
            tracing::error!(assignment, "killed processes are not gone");
            return ended.len();
        }
    }
}

/// This process and those it lives in.
struct Spared {
    processes: BTreeSet<i32>,
    groups: BTreeSet<i32>,
}

impl Spared {
    fn find() -> Self {
        let mut spared = Self { processes: BTreeSet::new(), groups: BTreeSet::new() };
        let mut next = Some(getpid().as_raw_pid());
        while let Some(pid) = next.filter(|pid| *pid > 0 && spared.processes.insert(*pid)) {
            let family = Family::of(pid);
            spared.groups.extend(family.as_ref().map(|family| family.group));
            next = family.map(|family| family.parent);
        }
        spared
    }

    fn kill(&self, pid: Pid, pidfd: &OwnedFd) {
        let group = Family::of(pid.as_raw_pid()).map(|family| family.group);
        let group = group.filter(|group| *group > 0 && !self.groups.contains(group));
        if let Some(group) = group.and_then(Pid::from_raw) {
            // Gone already is as good as killed.
            rustix::process::kill_process_group(group, Signal::KILL).ok();
        }
        rustix::process::pidfd_send_signal(pidfd, Signal::KILL).ok();
    }
}

/// Where a process belongs. Read from `/proc`, where 0 stands for what is outside this namespace.
struct Family {
    parent: i32,
    group: i32,
}

impl Family {
    /// The fourth and fifth field of `stat`; the second one may hold spaces and brackets.
    fn of(pid: i32) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (_, rest) = stat.rsplit_once(')')?;
        let mut fields = rest.split_whitespace().skip(1);
        Some(Self { parent: fields.next()?.parse().ok()?, group: fields.next()?.parse().ok()? })
    }
}

/// Processes with the assignment in their environment, held so that their numbers stay theirs.
fn find(assignment: &str, spared: &Spared) -> Vec<(Pid, OwnedFd)> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    let pids = entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid| !spared.processes.contains(pid))
        .filter_map(Pid::from_raw);
    pids.filter(|pid| marked(*pid, assignment))
        .filter_map(|pid| {
            let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty()).ok()?;
            marked(pid, assignment).then_some((pid, pidfd))
        })
        .collect()
}

/// Of a zombie, and of another user's process, the environment cannot be read: not marked.
fn marked(pid: Pid, assignment: &str) -> bool {
    std::fs::read(format!("/proc/{pid}/environ"))
        .is_ok_and(|all| all.split(|byte| *byte == 0).any(|one| one == assignment.as_bytes()))
}

/// Waits until all have ended.
fn gone(found: &[(Pid, OwnedFd)], until: Instant) -> bool {
    found.iter().all(|(_, pidfd)| {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let Ok(timeout) = Timespec::try_from(left) else {
                return false;
            };
            let mut fds = [PollFd::new(pidfd, PollFlags::IN)];
            match poll(&mut fds, Some(&timeout)) {
                Ok(0) => return false,
                Ok(_) => return true,
                Err(_) if left.is_zero() => return false,
                Err(_) => {}
            }
        }
    })
}
