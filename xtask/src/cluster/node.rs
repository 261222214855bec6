//! What a cluster changes about the machine: an address, and settings of the kernel. Both are put
//! back when it goes; [`super::leftovers`] removes what pods leave.

use std::fs;
use std::process::Command;

use anyhow::{Context, ensure};

use super::config::NODE_ADDRESS;
use super::place::Place;
use crate::workspace::{output, succeed};

/// Settings that the parts write when they start, below `/proc/sys`.
const SETTINGS: [&str; 7] = [
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
    "net/ipv4/ip_forward",
];

/// Fails at once where a node cannot be.
pub(super) fn check() -> anyhow::Result<()> {
    check_user()?;
    ensure!(
        fs::read_to_string("/proc/filesystems").is_ok_and(|all| all.contains("overlay")),
        "a node needs a kernel with overlayfs: /proc/filesystems does not name it"
    );
    Ok(())
}

pub(super) fn check_user() -> anyhow::Result<()> {
    ensure!(
        rustix::process::geteuid().is_root(),
        "a node needs namespaces, mounts and addresses: run this as root"
    );
    Ok(())
}

/// Gives the machine the node's address, and writes down its settings.
pub(super) fn prepare(place: &Place) -> anyhow::Result<()> {
    let before = place.join("settings");
    if !before.is_file() {
        let value = |name: &str| fs::read_to_string(format!("/proc/sys/{name}")).ok();
        let rows: String = SETTINGS
            .iter()
            .filter_map(|name| Some(format!("{name} {}\n", value(name)?.trim())))
            .collect();
        fs::write(&before, rows).with_context(|| format!("write {}", before.display()))?;
    }
    if !has_address()? {
        succeed(Command::new("ip").args(["address", "add", &address(), "dev", "lo"]))?;
    }
    Ok(())
}

/// Takes the address back, and puts the settings as they were.
pub(super) fn restore(place: &Place) -> anyhow::Result<()> {
    if has_address()? {
        succeed(Command::new("ip").args(["address", "delete", &address(), "dev", "lo"]))?;
    }
    let rows = fs::read_to_string(place.join("settings")).unwrap_or_default();
    for (name, value) in rows.lines().filter_map(|row| row.split_once(' ')) {
        let path = format!("/proc/sys/{name}");
        if fs::read_to_string(&path).is_ok_and(|now| now.trim() != value) {
            fs::write(&path, value).with_context(|| format!("write {path}"))?;
        }
    }
    Ok(())
}

fn address() -> String {
    format!("{NODE_ADDRESS}/32")
}

fn has_address() -> anyhow::Result<bool> {
    let all = output(Command::new("ip").args(["-oneline", "address", "show", "dev", "lo"]))?;
    Ok(all.split_whitespace().any(|word| word == address()))
}
