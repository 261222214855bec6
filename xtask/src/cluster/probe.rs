//! Whether a node can run on this machine, found out before anything is built for one.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};

use super::place::Place;
use super::{PLACE, build, images, node, packages, parts, up};
use crate::test::Lack;
use crate::workspace::target;

/// What is made to find out, and goes at once.
const NAME: &str = "flowforge-probe";
/// What the kubelet divides between pods.
const CONTROLLERS: [&str; 4] = ["cpu", "cpuset", "memory", "pids"];
const GROUPS: &str = "/sys/fs/cgroup";
/// Settings that the parts write when they start.
const WRITTEN: [&str; 2] = ["/proc/sys/vm/overcommit_memory", "/proc/sys/net/ipv4/ip_forward"];

/// In namespaces of its own, in a folder of its own.
const MOUNTS: &str = "mkdir lower upper work all
mount -t overlay -o lowerdir=lower,upperdir=upper,workdir=work none all";
/// What a network of pods and the proxy of services are made of.
const NETWORK: &str = "ip link add flowforge-probe type bridge
ip link add ff-probe0 type veth peer name ff-probe1
ip link set ff-probe0 master flowforge-probe
iptables -t nat -N FF-PROBE
iptables -t nat -A FF-PROBE -m comment --comment probe -j MARK --or-mark 0x4000
iptables -t nat -A FF-PROBE -m addrtype --dst-type LOCAL -j MASQUERADE
iptables -t filter -A FORWARD -m conntrack --ctstate INVALID -j DROP";

/// Why no cluster with Python's image can be started here, if so. Installs Debian's packages that are
/// missing, since whether they can be had is part of the answer.
pub(crate) fn lack() -> Option<Lack> {
    let missing = |outcome: anyhow::Result<()>| outcome.err().map(|e| Lack::Missing(said(&e)));
    let denied = |outcome: anyhow::Result<()>| outcome.err().map(|e| Lack::Denied(said(&e)));
    missing(node::check_user())
        .or_else(|| denied(kernel()))
        .or_else(|| missing(programs()))
        .or_else(|| denied(with_programs()))
}

fn said(error: &anyhow::Error) -> String {
    format!("{error:#}").replace('\n', " ")
}

/// What is asked of the kernel alone.
fn kernel() -> anyhow::Result<()> {
    let folder = Folder::new()?;
    apart(MOUNTS, &folder.0).context("namespaces and overlay mounts")?;
    groups().context("control groups")?;
    for setting in WRITTEN {
        OpenOptions::new().write(true).open(setting).with_context(|| format!("write {setting}"))?;
    }
    Ok(())
}

fn programs() -> anyhow::Result<()> {
    // Nothing is installed in vain.
    build::check_possible(&parts::BUILT)?;
    let place = Place::new(std::env::var_os(PLACE).map(PathBuf::from).as_deref())?;
    if up::running(&place).is_empty() {
        parts::check_addresses(&place)?;
    }
    packages::need(packages::NODE)?;
    if !images::python_is_there()? {
        packages::need(packages::PYTHON)?;
    }
    Ok(())
}

/// What is asked with the programs that a node has.
fn with_programs() -> anyhow::Result<()> {
    let folder = Folder::new()?;
    apart(NETWORK, &folder.0).context("bridges and rules of the firewall")?;
    container(&folder.0).context("containers with a limit of memory")
}

/// Carries out a script in namespaces that go with it.
fn apart(script: &str, folder: &Path) -> anyhow::Result<()> {
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "--net", "--pid", "--ipc", "--uts", "--fork", "sh", "-ec", script])
        .env("PATH", parts::path())
        .current_dir(folder);
    quiet(&mut command)
}

/// Whether a group can be made whose memory is limited.
fn groups() -> anyhow::Result<()> {
    let root = Path::new(GROUPS);
    let Ok(known) = fs::read_to_string(root.join("cgroup.controllers")) else {
        // Version 1: a hierarchy for each.
        return CONTROLLERS.iter().try_for_each(|name| made(&root.join(name), |_| Ok(())));
    };
    let lacking = CONTROLLERS.iter().find(|name| !known.split_whitespace().any(|n| n == **name));
    if let Some(lacking) = lacking {
        bail!("{GROUPS}/cgroup.controllers does not name {lacking}");
    }
    // As the kubelet hands them down.
    let down = root.join("cgroup.subtree_control");
    let before = fs::read_to_string(&down).context("read cgroup.subtree_control")?;
    let new = || CONTROLLERS.iter().filter(|name| !before.split_whitespace().any(|n| n == **name));
    let write = |sign: &str| -> std::io::Result<()> {
        new().try_for_each(|name| fs::write(&down, format!("{sign}{name}")))
    };
    let outcome = write("+").context("hand controllers down").and_then(|()| {
        made(root, |group| {
            let limit = group.join("memory.max");
            ensure!(limit.is_file(), "{} is missing", limit.display());
            Ok(())
        })
    });
    drop(write("-"));
    outcome
}

/// Looks at a group that goes at once.
fn made(parent: &Path, look: impl Fn(&Path) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let group = parent.join(NAME);
    fs::create_dir_all(&group).with_context(|| format!("make {}", group.display()))?;
    let outcome = look(&group);
    fs::remove_dir(&group).with_context(|| format!("remove {}", group.display()))?;
    outcome
}

/// Runs one as containerd would.
fn container(folder: &Path) -> anyhow::Result<()> {
    let programs = folder.join("root/bin");
    fs::create_dir_all(&programs).context("make a root")?;
    fs::copy("/bin/busybox", programs.join("busybox")).context("copy busybox")?;
    let runc = || {
        let mut command = Command::new("runc");
        command.current_dir(folder).env("PATH", parts::path());
        command
    };
    quiet(runc().arg("spec"))?;
    let path = folder.join("config.json");
    let mut spec: Value = serde_json::from_str(&fs::read_to_string(&path).context("read a spec")?)
        .context("read a spec")?;
    spec["root"]["path"] = json!("root");
    spec["process"]["terminal"] = json!(false);
    spec["process"]["args"] = json!(["/bin/busybox", "true"]);
    // Root may lack the right to raise one.
    spec["process"]["rlimits"] = json!([]);
    spec["linux"]["cgroupsPath"] = json!(format!("/{NAME}"));
    spec["linux"]["resources"]["memory"] = json!({"limit": 64 << 20});
    fs::write(&path, spec.to_string()).context("write a spec")?;
    let outcome = quiet(runc().args(["--root", "state", "run", NAME]));
    if outcome.is_err() {
        drop(quiet(runc().args(["--root", "state", "delete", "--force", NAME])));
    }
    outcome
}

/// Runs a program; what it says is the error, if it fails.
fn quiet(command: &mut Command) -> anyhow::Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let ended = command.stdin(Stdio::null()).output().with_context(|| format!("start {name}"))?;
    let said = String::from_utf8_lossy(&ended.stderr);
    ensure!(ended.status.success(), "{name}: {}: {}", ended.status, said.trim());
    Ok(())
}

/// A folder that goes when this is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> anyhow::Result<Self> {
        let path = target()?.join(format!("{NAME}-{}", std::process::id()));
        fs::create_dir_all(&path).with_context(|| format!("make {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}
