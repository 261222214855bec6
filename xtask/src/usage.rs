//! What a process of ours uses, as the kernel counts it.

use std::fs;

use anyhow::Context;

/// Resident memory now, in MiB.
pub(crate) fn memory_mib(pid: u32) -> anyhow::Result<f64> {
    status_mib(pid, "VmRSS:")
}

/// The most resident memory it ever had, in MiB.
pub(crate) fn peak_memory_mib(pid: u32) -> anyhow::Result<f64> {
    status_mib(pid, "VmHWM:")
}

fn status_mib(pid: u32, field: &str) -> anyhow::Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).context("look at memory")?;
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kib = line.and_then(|line| line.split_whitespace().next()).context("a figure")?;
    Ok(kib.parse::<f64>().context("a figure")? / 1024.0)
}

/// Processor time it has used, in seconds.
pub(crate) fn cpu_seconds(pid: u32) -> anyhow::Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).context("look at time")?;
    Ok(Stat::of(&stat).seconds(2))
}

/// The same of a process, its children, and those of them that have ended.
pub(crate) fn family_cpu_seconds(pid: u32) -> anyhow::Result<f64> {
    let mut seconds = 0.0;
    for entry in fs::read_dir("/proc").context("look at processes")? {
        let name = entry.context("look at processes")?.file_name();
        let Some(number) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        // One that ends meanwhile is found among its parent's.
        let Ok(stat) = fs::read_to_string(format!("/proc/{number}/stat")) else { continue };
        let stat = Stat::of(&stat);
        if number == pid {
            seconds += stat.seconds(4);
        } else if stat.field(1) == f64::from(pid) {
            seconds += stat.seconds(2);
        }
    }
    Ok(seconds)
}

/// The fields of `/proc/PID/stat` behind the name: state, parent, ...
struct Stat<'a>(Vec<&'a str>);

impl<'a> Stat<'a> {
    fn of(stat: &'a str) -> Self {
        Self(stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect())
    }

    fn field(&self, at: usize) -> f64 {
        self.0.get(at).and_then(|field| field.parse().ok()).unwrap_or(0.0)
    }

    /// The sum of utime, stime, and those of children that have ended: so many of them, in
    /// hundredths of a second (`USER_HZ`).
    fn seconds(&self, fields: usize) -> f64 {
        (11..11 + fields).map(|at| self.field(at)).sum::<f64>() / 100.0
    }
}
