//! Where the workspace is, what cargo knows about it, and running programs in it.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail, ensure};
use serde::Deserialize;

/// The folder with the root `Cargo.toml`.
pub(crate) fn root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own).to_path_buf()
}

/// The cargo that started this program.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// Runs a program to its end with our own streams; its failure is an error.
pub(crate) fn succeed(command: &mut Command) -> anyhow::Result<()> {
    let line = describe(command);
    let status = command.status().with_context(|| format!("start {line}"))?;
    ensure!(status.success(), "{line}: {status}");
    Ok(())
}

/// Runs a program to its end and returns what it printed.
pub(crate) fn output(command: &mut Command) -> anyhow::Result<String> {
    let line = describe(command);
    let output =
        command.stderr(Stdio::inherit()).output().with_context(|| format!("start {line}"))?;
    ensure!(output.status.success(), "{line}: {}", output.status);
    String::from_utf8(output.stdout).with_context(|| format!("read the output of {line}"))
}

/// A command as a person would type it.
pub(crate) fn describe(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let name = program.file_name().unwrap_or(program.as_os_str());
    std::iter::once(name)
        .chain(command.get_args())
        .map(OsStr::to_string_lossy)
        .collect::<Vec<_>>()
        .join(" ")
}

/// The path of an executable of this name, if PATH has one.
pub(crate) fn which(program: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|directory| directory.join(program))
        .find(|path| path.is_file())
}

/// A CI machine says so with `CI=true`: nothing may be skipped there.
pub(crate) fn on_ci() -> bool {
    std::env::var_os("CI").is_some_and(|value| value == "true")
}

/// Installs a Debian package if `program` is missing.
pub(crate) fn need(program: &str, package: &str) -> anyhow::Result<()> {
    if which(program).is_some() {
        return Ok(());
    }
    let Some(apt) = which("apt-get") else {
        bail!("`{program}` is missing: install it and try again");
    };
    eprintln!("installing {package} ...");
    succeed(Command::new(&apt).args(["update", "-qq"]))?;
    let mut install = Command::new(&apt);
    install
        .args(["install", "-y", "-qq", "--no-install-recommends", package])
        .env("DEBIAN_FRONTEND", "noninteractive");
    succeed(&mut install).with_context(|| format!("install {package}, which has `{program}`"))
}

/// What users run, as cargo is told.
pub(crate) const PROGRAMS: [&str; 6] = ["-p", "flowforge", "-p", "ffctl", "-p", "ff-run"];

/// Builds the programs in release form, with cargo's own progress, and returns their folder.
pub(crate) fn build_release() -> anyhow::Result<PathBuf> {
    succeed(cargo().args(["build", "--release"]).args(PROGRAMS))?;
    Ok(target()?.join("release"))
}

/// Where cargo puts what it builds.
pub(crate) fn target() -> anyhow::Result<PathBuf> {
    let target: Target =
        serde_json::from_str(&metadata_json(&["--no-deps"])?).context("read cargo's metadata")?;
    Ok(target.target_directory)
}

#[derive(Deserialize)]
struct Target {
    target_directory: PathBuf,
}

/// What `cargo metadata` tells.
#[derive(Debug, Deserialize)]
pub(crate) struct Metadata {
    /// All packages of the build, ours included.
    pub(crate) packages: Vec<Package>,
    /// Ids of ours.
    pub(crate) workspace_members: Vec<String>,
}

/// One package.
#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) license: Option<String>,
    pub(crate) manifest_path: PathBuf,
    pub(crate) dependencies: Vec<Dependency>,
}

/// One line of a package's dependencies.
#[derive(Debug, Deserialize)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// `dev` or `build`; none for a normal one.
    pub(crate) kind: Option<String>,
}

impl Metadata {
    /// Of this workspace, for this kind of machine.
    pub(crate) fn load() -> anyhow::Result<Self> {
        let host = output(Command::new("rustc").arg("-vV"))?
            .lines()
            .find_map(|line| line.strip_prefix("host: ").map(str::to_owned))
            .context("find the host in `rustc -vV`")?;
        // Offline first: the answer must not depend on a registry being there. On a fresh clone
        // some packages are not downloaded yet.
        let json = metadata_json(&["--offline", "--filter-platform", &host])
            .or_else(|_| metadata_json(&["--filter-platform", &host]))?;
        serde_json::from_str(&json).context("read cargo's metadata")
    }

    /// Our own packages, by name.
    pub(crate) fn members(&self) -> Vec<&Package> {
        let mut members: Vec<_> = self
            .packages
            .iter()
            .filter(|package| self.workspace_members.contains(&package.id))
            .collect();
        members.sort_by(|a, b| a.name.cmp(&b.name));
        members
    }
}

/// The names of all crates that are compiled for something of ours. The metadata also names those
/// that a feature which is off would bring.
pub(crate) fn built() -> anyhow::Result<BTreeSet<String>> {
    let tree = |extra: &[&str]| {
        let mut command = cargo();
        command.args(["tree", "--quiet", "--workspace", "--prefix", "none", "--format", "{p}"]);
        command.args(["--edges", "normal,build,dev"]).args(extra);
        output(&mut command)
    };
    let text = tree(&["--offline"]).or_else(|_| tree(&[]))?;
    Ok(text.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect())
}

fn metadata_json(extra: &[&str]) -> anyhow::Result<String> {
    let mut command = cargo();
    command.args(["metadata", "--quiet", "--format-version", "1"]);
    command.args(extra);
    let output = command.output().context("start cargo metadata")?;
    ensure!(
        output.status.success(),
        "cargo metadata: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    String::from_utf8(output.stdout).context("read cargo's metadata")
}
