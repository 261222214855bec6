//! What pods leave when a cluster goes: processes, mounts, a device, rules of the firewall, groups of
//! processes, and files outside of its directory. Only what is this cluster's is touched.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};

use super::config::{BRIDGE, NETWORK};
use super::place::Place;
use super::process::Process;
use crate::workspace::output;

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
    let parents = parents()?;
    let socket = place.containerd();
    for (pid, parent) in &parents {
        let ours = shim(*pid, &socket) || ancestors(*parent, &parents).any(|up| shim(up, &socket));
        if ours && let Some(process) = Process::find(*pid) {
            process.kill()?;
        }
    }
    Ok(())
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
fn unmount(folder: &Path) -> anyhow::Result<()> {
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
    for entry in fs::read_dir(base).into_iter().flatten() {
        roots.push(entry.context("look at groups of processes")?.path().join("kubepods"));
    }
    for root in roots {
        remove_folders(&root);
    }
    Ok(())
}

/// Removes folders from the deepest on, and none that is still needed.
fn remove_folders(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_folders(&entry.path());
        }
    }
    // The kernel refuses this while a process is in the group.
    drop(fs::remove_dir(folder));
}

/// Removes what CNI remembers of our network, and links to logs of pods that went.
fn remove_files(place: &Place) -> anyhow::Result<()> {
    let remembered = |path: &Path| {
        path.file_name().is_some_and(|name| {
            name.as_encoded_bytes().starts_with(format!("{NETWORK}-").as_bytes())
        })
    };
    let linked =
        |path: &Path| fs::read_link(path).is_ok_and(|target| target.starts_with(place.root()));
    remove_if("/var/lib/cni/results", remembered)?;
    remove_if("/var/log/containers", linked)
}

fn remove_if(folder: &str, ours: impl Fn(&Path) -> bool) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.with_context(|| format!("read {folder}"))?.path();
        if ours(&path) {
            fs::remove_file(&path).with_context(|| format!("remove {}", path.display()))?;
        }
    }
    Ok(())
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
    }
}
