//! The programs that hold the tests, built in one go.
//!
//! What packages share is built with the features that all chosen packages want, so each choice of packages
//! would build much of it anew: all are chosen, and a tier runs the programs that it is about.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail, ensure};
use serde::Deserialize;

use super::tally::{self, Tally};
use crate::workspace::{cargo, describe, root};

/// Some of them.
pub(super) struct Programs(Vec<Program>);

/// What cargo says of something that it has built, or found to be new enough.
#[derive(Clone, Debug, Deserialize)]
struct Program {
    manifest_path: PathBuf,
    target: Target,
    profile: Profile,
    executable: Option<PathBuf>,
}

#[derive(Clone, Debug, Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
struct Profile {
    test: bool,
}

impl Programs {
    /// All of the workspace, with cargo's own progress.
    pub(super) fn build() -> anyhow::Result<Self> {
        let mut command = cargo();
        command.args(["test", "--workspace", "--no-run"]);
        command.args(["--message-format", "json-render-diagnostics"]);
        let line = describe(&command);
        let output = command.stderr(Stdio::inherit()).output();
        let output = output.with_context(|| format!("start {line}"))?;
        ensure!(output.status.success(), "{line}: {}", output.status);
        let told = String::from_utf8(output.stdout).context("read what cargo has built")?;
        Ok(Self(told.lines().filter_map(of_tests).collect()))
    }

    /// Those of packages in a folder.
    pub(super) fn within(&self, folder: &str) -> Self {
        let folder = root().join(folder);
        self.those(|program| program.manifest_path.starts_with(&folder))
    }

    /// Those of packages elsewhere.
    pub(super) fn outside(&self, folder: &str) -> Self {
        let folder = root().join(folder);
        self.those(|program| !program.manifest_path.starts_with(&folder))
    }

    /// Those of libraries.
    pub(super) fn libraries(&self) -> Self {
        self.those(|program| program.target.is("lib"))
    }

    /// Those that a package has beside its code under this name.
    pub(super) fn named(&self, name: &str) -> Self {
        self.those(|program| program.target.name == name && program.target.is("test"))
    }

    fn those(&self, wanted: impl Fn(&Program) -> bool) -> Self {
        Self(self.0.iter().filter(|program| wanted(program)).cloned().collect())
    }

    /// Runs all of them, one after the other, with these arguments and variables.
    pub(super) fn run(
        &self,
        arguments: &[&str],
        variables: &[(&str, &OsStr)],
    ) -> anyhow::Result<Tally> {
        let mut tally = Tally::default();
        for program in &self.0 {
            let mut command = program.command()?;
            command.args(arguments).envs(variables.iter().copied());
            println!("-- {}", program.target.name);
            tally.add(&run(command)?);
        }
        Ok(tally)
    }
}

fn of_tests(line: &str) -> Option<Program> {
    let program: Program = serde_json::from_str(line).ok()?;
    (program.profile.test && program.executable.is_some()).then_some(program)
}

impl Target {
    fn is(&self, kind: &str) -> bool {
        self.kind.iter().any(|one| one == kind)
    }
}

impl Program {
    /// As cargo starts it.
    fn command(&self) -> anyhow::Result<Command> {
        let folder = self.manifest_path.parent().context("the folder of a package")?;
        let mut command = Command::new(self.executable.as_deref().unwrap_or(Path::new("")));
        command.current_dir(folder).env("CARGO_MANIFEST_DIR", folder);
        if std::io::stdout().is_terminal() {
            command.args(["--color", "always"]);
        }
        Ok(command)
    }
}

/// Runs tests, shows what they say, and counts them.
pub(super) fn run(mut command: Command) -> anyhow::Result<Tally> {
    let line = describe(&command);
    let mut child =
        command.stdout(Stdio::piped()).spawn().with_context(|| format!("start {line}"))?;
    let mut tally = Tally::default();
    let output = child.stdout.take().context("read what tests say")?;
    let mut screen = std::io::stdout().lock();
    for bytes in BufReader::new(output).split(b'\n') {
        let bytes = bytes.context("read what tests say")?;
        let text = String::from_utf8_lossy(&bytes);
        tally.read(&text);
        // Sixty lines "running 0 tests ... ok. 0 passed" would bury the others.
        if !tally::empty(&text) {
            writeln!(screen, "{text}").context("write to standard output")?;
        }
    }
    drop(screen);
    let status = child.wait().with_context(|| format!("wait for {line}"))?;
    if !status.success() && tally.failed == 0 {
        bail!("{line}: {status}");
    }
    Ok(tally)
}

#[cfg(test)]
mod tests {
    use super::of_tests;

    #[test]
    fn what_is_no_program_of_tests_is_passed_over() {
        let built = |test: bool, executable: &str| {
            let line = format!(
                r#"{{"reason":"compiler-artifact","manifest_path":"/a/Cargo.toml",
                "target":{{"name":"a","kind":["lib"]}},"profile":{{"test":{test}}},"executable":{executable}}}"#
            );
            of_tests(&line).map(|program| program.target.name)
        };
        assert_eq!(built(true, r#""/a/a""#).as_deref(), Some("a"));
        assert_eq!(built(false, r#""/a/a""#), None);
        assert_eq!(built(true, "null"), None);
        assert!(of_tests(r#"{"reason":"build-finished","success":true}"#).is_none());
    }
}
