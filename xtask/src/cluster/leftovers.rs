//! What pods leave when a cluster goes: processes, mounts, a device, rules of the firewall, groups of
//! processes, and files outside of its directory. Only what is this cluster's is touched.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};

use super::config::BRIDGE;
use super::place::Place;
use super::process::Process;
use crate::workspace::output;

/// What containerd knows of each running container, and of each pod.
const BUNDLES: &str = "run/containerd/io.containerd.runtime.v2.task/k8s.io";
const SANDBOXES: &str = "containerd/io.containerd.grpc.v1.cri/sandboxes";
/// Where a kubelet hears of devices, wherever its directory is.
const PLUGINS: &str = "/var/lib/kubelet/device-plugins/kubelet.sock";
/// Folders that the parts make outside of the cluster's directory.
const MADE: [&str; 4] =
    ["/var/lib/cni", "/var/lib/kubelet", "/var/log/containers", "/usr/libexec/kubernetes"];

/// Removes all of it.
pub(super) fn remove(place: &Place) -> anyhow::Result<()> {
    kill_pods(place)?;
    unmount(place.root())?;
    if Path::new("/sys/class/net").join(BRIDGE).exists() {
        output(Command::new("ip").args(["link", "delete", BRIDGE]))?;
    }
    for family in ["iptables", "ip6tables"] {
        forget_rules(family)?;
    }
    remove_groups()?;
    remove_files(place)
}

/// Kills shims that outlived containerd, with the containers below them.
fn kill_pods(place: &Place) -> anyhow::Result<()> {
    let socket = place.containerd();
    // All are known before the first is killed: then its children are no longer below it.
    for pid in below(&parents()?, |pid| shim(pid, &socket)) {
        if let Some(process) = Process::find(pid) {
            process.kill()?;
        }
    }
    // A shim that is killed leaves its socket in a folder that all of the machine share.
    for bundle in entries(&place.join(BUNDLES))? {
        let address = fs::read_to_string(bundle.join("address")).unwrap_or_default();
        if let Some(path) = address.strip_prefix("unix://") {
            drop(fs::remove_file(path));
        }
    }
    Ok(())
}

/// The processes that are chosen, and all below them.
fn below(parents: &BTreeMap<u32, u32>, chosen: impl Fn(u32) -> bool) -> Vec<u32> {
    let pids = parents.keys().copied();
    pids.filter(|pid| ancestors(*pid, parents).any(&chosen)).collect()
}

fn shim(pid: u32, socket: &Path) -> bool {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let mut words = line.split(|byte| *byte == 0);
    words.next().is_some_and(|program| program.ends_with(b"containerd-shim-runc-v2"))
        && words.any(|word| word == socket.as_os_str().as_encoded_bytes())
}

/// Each process and its parent.
fn parents() -> anyhow::Result<BTreeMap<u32, u32>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir("/proc").context("look at processes")? {
        let name = entry.context("look at processes")?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let fields = stat.rsplit(')').next().unwrap_or_default();
        if let Some(parent) = fields.split_whitespace().nth(1).and_then(|text| text.parse().ok()) {
            all.insert(pid, parent);
        }
    }
    Ok(all)
}

/// A process and those above it.
fn ancestors(pid: u32, parents: &BTreeMap<u32, u32>) -> impl Iterator<Item = u32> {
    std::iter::successors(Some(pid), |pid| parents.get(pid).copied()).take_while(|pid| *pid > 1)
}

/// Unmounts everything below a folder, the deepest first.
pub(super) fn unmount(folder: &Path) -> anyhow::Result<()> {
    let table = fs::read_to_string("/proc/self/mountinfo").context("look at mounts")?;
    for path in mounts(&table, folder).iter().rev() {
        let flags = rustix::mount::UnmountFlags::DETACH;
        match rustix::mount::unmount(path, flags) {
            // One that lay on another that went.
            Ok(()) | Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOENT) => {}
            Err(error) => {
                return Err(error).with_context(|| format!("unmount {}", path.display()));
            }
        }
    }
    Ok(())
}

/// Where something is mounted below a folder, in the order in which it was.
fn mounts(table: &str, folder: &Path) -> Vec<PathBuf> {
    let points = table.lines().filter_map(|line| line.split(' ').nth(4));
    // Blanks are written in octal.
    let paths = points.map(|point| PathBuf::from(point.replace("\\040", " ")));
    paths.filter(|path| path.starts_with(folder) && path != folder).collect()
}

/// Removes the chains of kube-proxy, whose own clean-up leaves a few.
fn forget_rules(family: &str) -> anyhow::Result<()> {
    let save = Command::new(format!("{family}-save")).stderr(Stdio::null()).output();
    // A machine without the program, or a kernel without the family, has no rules.
    let Ok(save) = save else { return Ok(()) };
    let orders = forgetting(&String::from_utf8_lossy(&save.stdout));
    if orders.is_empty() {
        return Ok(());
    }
    let program = format!("{family}-restore");
    let mut restore = Command::new(&program)
        .arg("--noflush")
        .stdin(Stdio::piped())
        .spawn()
        .with_context(|| format!("start {program}"))?;
    let mut pipe = restore.stdin.take().context("speak to the firewall")?;
    pipe.write_all(orders.as_bytes()).context("speak to the firewall")?;
    drop(pipe);
    let status = restore.wait().context("wait for the firewall")?;
    ensure!(status.success(), "{program}: {status}");
    Ok(())
}

/// What removes the chains that `save` shows, and the rules that lead to them.
fn forgetting(save: &str) -> String {
    let mut orders = String::new();
    for table in save.split("*").skip(1) {
        let Some(name) = table.lines().next() else { continue };
        let ours = |chain: &str| chain.starts_with("KUBE-");
        let chains: Vec<&str> = table
            .lines()
            .filter_map(|line| line.strip_prefix(':')?.split(' ').next())
            .filter(|chain| ours(chain))
            .collect();
        if chains.is_empty() {
            continue;
        }
        orders.push_str(&format!("*{name}\n"));
        // Naming a chain empties it, so that no rule leads from one to another.
        orders.extend(chains.iter().map(|chain| format!(":{chain} - [0:0]\n")));
        for rule in table.lines().filter_map(|line| line.strip_prefix("-A ")) {
            let mut words = rule.split(' ');
            if !words.next().is_some_and(ours) && words.any(ours) {
                orders.push_str(&format!("-D {rule}\n"));
            }
        }
        orders.extend(chains.iter().map(|chain| format!("-X {chain}\n")));
        orders.push_str("COMMIT\n");
    }
    orders
}

/// Removes the kubelet's groups of processes; those with a process in them stay.
fn remove_groups() -> anyhow::Result<()> {
    let base = Path::new("/sys/fs/cgroup");
    let mut roots = vec![base.join("kubepods")];
    roots.extend(entries(base)?.iter().map(|hierarchy| hierarchy.join("kubepods")));
    roots.iter().for_each(|root| remove_folders(root));
    Ok(())
}

/// Removes folders from the deepest on, and none that has something in it.
fn remove_folders(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_folders(&entry.path());
        }
    }
    // The kernel refuses this also while a process is in the group that a folder stands for.
    drop(fs::remove_dir(folder));
}

/// Removes what CNI remembers of our pods, links to their logs, and folders that were made for them.
fn remove_files(place: &Place) -> anyhow::Result<()> {
    let pods = entries(&place.join(SANDBOXES))?;
    for path in entries(Path::new("/var/lib/cni/results"))? {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let ours = |pod: &PathBuf| {
            pod.file_name().is_some_and(|pod| name.contains(&*pod.to_string_lossy()))
        };
        if pods.iter().any(ours) {
            fs::remove_file(&path).with_context(|| format!("remove {}", path.display()))?;
        }
    }
    for path in entries(Path::new("/var/log/containers"))? {
        if fs::read_link(&path).is_ok_and(|target| target.starts_with(place.root())) {
            fs::remove_file(&path).with_context(|| format!("remove {}", path.display()))?;
        }
    }
    // Nobody answers there unless another kubelet runs.
    let refused = |error: std::io::Error| error.kind() == std::io::ErrorKind::ConnectionRefused;
    if UnixStream::connect(PLUGINS).is_err_and(refused) {
        drop(fs::remove_file(PLUGINS));
    }
    MADE.iter().for_each(|folder| remove_folders(Path::new(folder)));
    Ok(())
}

/// What is in a folder; nothing if there is none.
fn entries(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let path = |entry: std::io::Result<fs::DirEntry>| Ok(entry?.path());
    let all: std::io::Result<Vec<PathBuf>> =
        fs::read_dir(folder).into_iter().flatten().map(path).collect();
    all.with_context(|| format!("read {}", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_mounts_below_the_folder_are_ours() {
        let table = "1 0 8:1 / / rw - ext4 a rw\n\
                     2 1 0:5 / /a/b rw - tmpfs t rw\n\
                     3 1 0:5 / /a/b/c\\040d rw - tmpfs t rw\n\
                     4 1 0:5 / /a/bc rw - tmpfs t rw\n";
        assert_eq!(mounts(table, Path::new("/a/b")), [PathBuf::from("/a/b/c d")]);
    }

    #[test]
    fn chains_of_kubernetes_go_with_the_rules_that_lead_to_them_and_no_others() {
        let save = "# made by hand\n*nat\n:OUTPUT ACCEPT [0:0]\n:KUBE-SERVICES - [0:0]\n\
                    :MINE - [0:0]\n-A OUTPUT -m comment --comment \"a b\" -j KUBE-SERVICES\n\
                    -A OUTPUT -j MINE\n-A KUBE-SERVICES -j RETURN\nCOMMIT\n\
                    *filter\n:INPUT ACCEPT [0:0]\n-A INPUT -j ACCEPT\nCOMMIT\n";
        assert_eq!(
            forgetting(save),
            "*nat\n:KUBE-SERVICES - [0:0]\n\
             -D OUTPUT -m comment --comment \"a b\" -j KUBE-SERVICES\n\
             -X KUBE-SERVICES\nCOMMIT\n"
        );
    }

    #[test]
    fn a_process_has_all_ancestors_but_the_first() {
        let parents = BTreeMap::from([(4, 3), (3, 2), (2, 1)]);
        assert_eq!(ancestors(4, &parents).collect::<Vec<_>>(), [4, 3, 2]);
        let parents = BTreeMap::from([(9, 1), (2, 9), (3, 2), (4, 1)]);
        assert_eq!(below(&parents, |pid| pid == 9), [2, 3, 9], "whatever their numbers are");
    }
}
