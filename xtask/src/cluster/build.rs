//! The programs that Debian does not have in a version that will do: built once on a machine from
//! the modules in `test/cluster`, kept outside of the clone by version.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, ensure};

use super::place::lock;
use crate::workspace::{root, succeed, which};

/// Where programs and images are kept instead.
pub(super) const CACHE: &str = "FLOWFORGE_CLUSTER_CACHE";

/// A module whose programs are needed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Module {
    /// Its folder in `test/cluster`.
    folder: &'static str,
    /// What the folder's `go.mod` requires.
    path: &'static str,
    /// Where its commands are, below `path`.
    commands: Commands,
}

#[derive(Clone, Copy, Debug)]
enum Commands {
    /// The path is the command.
    Itself,
    /// `cmd/NAME`
    ByName,
    /// One of ours, in the folder.
    Ours,
}

pub(super) const KUBERNETES: Module =
    Module { folder: "kubernetes", path: "k8s.io/kubernetes", commands: Commands::ByName };
pub(super) const ETCD: Module =
    Module { folder: "etcd", path: "go.etcd.io/etcd/server/v3", commands: Commands::Itself };
pub(super) const KWOK: Module =
    Module { folder: "kwok", path: "sigs.k8s.io/kwok", commands: Commands::ByName };
pub(super) const COREDNS: Module =
    Module { folder: "coredns", path: "github.com/coredns/coredns", commands: Commands::Ours };
pub(super) const CRANE: Module = Module {
    folder: "crane",
    path: "github.com/google/go-containerregistry",
    commands: Commands::ByName,
};

/// The folder for what is kept between clusters.
pub(super) fn cache() -> anyhow::Result<PathBuf> {
    if let Some(given) = std::env::var_os(CACHE) {
        return std::path::absolute(given).with_context(|| format!("read {CACHE}"));
    }
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache"));
    let cache = cache.or_else(home);
    let cache = cache.with_context(|| format!("find a cache: set {CACHE}, there is no HOME"))?;
    Ok(cache.join("flowforge/cluster"))
}

/// The paths of programs, built if they are not there yet.
pub(super) fn programs(wanted: &[(Module, &str)]) -> anyhow::Result<Vec<PathBuf>> {
    let cache = cache()?;
    let programs = known(&cache, wanted)?;
    if programs.iter().any(|(.., path)| !path.is_file()) {
        build(&cache, &programs)?;
    }
    Ok(programs.into_iter().map(|(.., path)| path).collect())
}

/// Fails if some would have to be built, and nothing is there to build them with.
pub(super) fn check_possible(wanted: &[(Module, &str)]) -> anyhow::Result<()> {
    let built = known(&cache()?, wanted)?.iter().all(|(.., path)| path.is_file());
    if built { Ok(()) } else { check_go() }
}

fn check_go() -> anyhow::Result<()> {
    ensure!(which("go").is_some(), "`go` is missing: install Go 1.25 or later and try again");
    Ok(())
}

type Known<'a> = (Module, &'a str, String, PathBuf);

/// Where programs are, or will be.
fn known<'a>(cache: &Path, wanted: &[(Module, &'a str)]) -> anyhow::Result<Vec<Known<'a>>> {
    let mut programs = Vec::new();
    for (module, name) in wanted {
        let version = module.version()?;
        let path = cache.join(format!("{}-{version}", module.folder)).join(name);
        programs.push((*module, *name, version, path));
    }
    Ok(programs)
}

fn build(cache: &Path, programs: &[Known<'_>]) -> anyhow::Result<()> {
    check_go()?;
    let lock = lock(cache)?;
    // Somebody else may have built some while this waited.
    let missing: Vec<_> = programs.iter().filter(|(.., path)| !path.is_file()).collect();
    // Gigabytes that nobody needs again once all of them are there. After a failure they save the
    // next attempt what was done.
    let scratch = cache.join("building");
    for (at, (module, name, version, path)) in (1_usize..).zip(&missing) {
        let begun = Instant::now();
        eprintln!("building {name} {version} ({at} of {}) ...", missing.len());
        module.build(name, version, path, &scratch)?;
        eprintln!("built {name} in {:.0} s", begun.elapsed().as_secs_f64());
    }
    if scratch.exists() {
        fs::remove_dir_all(&scratch).with_context(|| format!("remove {}", scratch.display()))?;
    }
    drop(lock);
    Ok(())
}

impl Module {
    fn home(self) -> PathBuf {
        root().join("test/cluster").join(self.folder)
    }

    fn version(self) -> anyhow::Result<String> {
        let file = self.home().join("go.mod");
        let text = fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
        let found = version(&text, self.path);
        found.with_context(|| format!("find the version of {} in {}", self.path, file.display()))
    }

    fn build(self, name: &str, version: &str, path: &Path, scratch: &Path) -> anyhow::Result<()> {
        let program = scratch.join(name);
        let package = match self.commands {
            Commands::Itself => self.path.to_owned(),
            Commands::ByName => format!("{}/cmd/{name}", self.path),
            Commands::Ours => ".".to_owned(),
        };
        let mut go = Command::new("go");
        go.current_dir(self.home())
            .args(["build", "-mod=readonly", "-trimpath"])
            .arg(format!("-ldflags={}", self.link_flags(version)))
            .arg("-o")
            .arg(&program)
            .arg(package)
            .env("CGO_ENABLED", "0")
            .env("GOCACHE", scratch.join("cache"));
        succeed(&mut go)?;
        let folder = path.parent().context("a folder for programs")?;
        fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
        fs::rename(&program, path).with_context(|| format!("put {} there", path.display()))
    }

    /// Without its version a server of Kubernetes says v0.0.0, and clients misjudge it.
    fn link_flags(self, version: &str) -> String {
        let small = "-s -w";
        if self.folder != KUBERNETES.folder {
            return small.to_owned();
        }
        let mut numbers = version.trim_start_matches('v').split('.');
        let (major, minor) = (numbers.next().unwrap_or("0"), numbers.next().unwrap_or("0"));
        let set =
            |name: &str, value: &str| format!("-X k8s.io/component-base/version.{name}={value}");
        let all = [set("gitVersion", version), set("gitMajor", major), set("gitMinor", minor)];
        format!("{small} {}", all.join(" "))
    }
}

/// The version that a `go.mod` requires of a module.
fn version(text: &str, module: &str) -> Option<String> {
    let of = |line: &str| {
        let line = line.trim();
        let line = line.strip_prefix("require ").unwrap_or(line);
        let version = line.strip_prefix(module)?.strip_prefix(' ')?;
        Some(version.split(' ').next()?.to_owned())
    };
    text.lines().find_map(of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_that_of_the_module_itself() {
        let text = "require k8s.io/kubernetes v1.34.4\n\nrequire (\n\tk8s.io/api v9 // indirect\n)\n\
                    replace (\n\tk8s.io/api => k8s.io/api v0.34.4\n)\n";
        assert_eq!(version(text, "k8s.io/kubernetes").as_deref(), Some("v1.34.4"));
        assert_eq!(version(text, "k8s.io/api").as_deref(), Some("v9"));
        assert_eq!(version(text, "k8s.io"), None);
    }

    #[test]
    fn each_module_says_its_version() {
        for module in [KUBERNETES, ETCD, KWOK, COREDNS, CRANE] {
            assert!(module.version().unwrap().starts_with('v'), "{module:?}");
        }
    }

    #[test]
    fn a_server_of_kubernetes_knows_its_version() {
        let flags = KUBERNETES.link_flags("v1.34.4");
        for part in ["gitVersion=v1.34.4", "gitMajor=1", "gitMinor=34"] {
            assert!(flags.contains(part), "{flags}");
        }
        assert_eq!(ETCD.link_flags("v3.6.6"), "-s -w");
    }
}
