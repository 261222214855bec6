//! What comes from Debian.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};

use crate::workspace::{succeed, which};

/// A file, and the package that has it.
pub(super) type Needed = (&'static str, &'static str);

pub(super) const NODE: &[Needed] = &[
    ("/usr/bin/containerd", "containerd"),
    ("/usr/sbin/runc", "runc"),
    ("/usr/lib/cni/bridge", "containernetworking-plugins"),
    ("/usr/sbin/iptables", "iptables"),
    // `busybox` may be one that needs libraries, which an image has not.
    ("/usr/share/doc/busybox-static", "busybox-static"),
    ("/usr/bin/openssl", "openssl"),
    ("/sbin/ip", "iproute2"),
    ("/usr/bin/cc", "gcc"),
    ("/usr/include/signal.h", "libc6-dev"),
    ("/usr/bin/python3", "python3"),
];
pub(super) const PYTHON: &[Needed] = &[("/usr/sbin/debootstrap", "debootstrap")];

/// Installs what is missing.
pub(super) fn need(wanted: &[Needed]) -> anyhow::Result<()> {
    let missing: Vec<&str> = wanted
        .iter()
        .filter(|(file, _)| !Path::new(file).exists())
        .map(|(_, package)| *package)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.join(" ");
    let Some(apt) = which("apt-get") else {
        bail!("the cluster needs the Debian packages {names}, and there is no apt-get");
    };
    eprintln!("installing {names} ...");
    succeed(Command::new(&apt).args(["update", "-qq"]))?;
    let mut install = Command::new(&apt);
    install
        .args(["install", "-y", "-qq", "--no-remove", "--no-install-recommends"])
        .args(&missing)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdout(std::io::stderr());
    succeed(&mut install).with_context(|| format!("install {names}"))
}
