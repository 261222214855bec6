//! Speaking to the cluster: kubectl of its version, which also knows how to wait for something.

use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Output, Stdio};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::Value;

use super::build::{self, KUBERNETES};
use crate::workspace::describe;

#[derive(Debug)]
pub(crate) struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
}

impl Kubectl {
    pub(super) fn new(kubeconfig: PathBuf) -> anyhow::Result<Self> {
        let mut programs = build::programs(&[(KUBERNETES, "kubectl")])?;
        Ok(Self { program: programs.pop().context("find kubectl")?, kubeconfig })
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments).env("KUBECONFIG", &self.kubeconfig);
        command
    }

    /// Runs it with our own streams; its end is ours.
    pub(super) fn pass(&self, arguments: &[&str]) -> anyhow::Result<ExitCode> {
        let status = self.command(arguments).status().context("start kubectl")?;
        let code = status.code().and_then(|code| u8::try_from(code).ok());
        Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
    }

    /// What it prints; its failure is an error that says why.
    pub(crate) fn read(&self, arguments: &[&str]) -> anyhow::Result<String> {
        answer(&mut self.command(arguments), b"")
    }

    pub(crate) fn json(&self, arguments: &[&str]) -> anyhow::Result<Value> {
        let all: Vec<&str> = arguments.iter().copied().chain(["--output=json"]).collect();
        serde_json::from_str(&self.read(&all)?).context("read kubectl's answer")
    }

    /// Makes or changes objects.
    pub(crate) fn apply(&self, objects: &Value) -> anyhow::Result<()> {
        let mut command = self.command(&["apply", "--server-side", "--filename=-"]);
        answer(&mut command, objects.to_string().as_bytes()).map(drop)
    }

    /// Watches until objects are as `what` says (`create`, `condition=Ready`, ...).
    pub(crate) fn wait(
        &self,
        objects: &[&str],
        what: &str,
        patience: Duration,
    ) -> anyhow::Result<()> {
        let (what, patience) =
            (format!("--for={what}"), format!("--timeout={}s", patience.as_secs()));
        let all: Vec<&str> = ["wait", &what, &patience].iter().chain(objects).copied().collect();
        self.read(&all).map(drop)
    }

    /// Gathers what it prints, which does not end by itself: of a watch.
    pub(crate) fn follow(&self, arguments: &[&str]) -> anyhow::Result<Followed> {
        let mut command = self.command(arguments);
        let line = describe(&command);
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let mut child = child.with_context(|| format!("start {line}"))?;
        let mut output = child.stdout.take().context("read what kubectl prints")?;
        let said = thread::spawn(move || {
            let mut said = String::new();
            output.read_to_string(&mut said).map(|_| said)
        });
        Ok(Followed { child, said: Some(said) })
    }

    /// Whether the API server is ready; otherwise why not.
    pub(super) fn ready(&self) -> Result<(), String> {
        if !self.kubeconfig.is_file() {
            return Err("it has made no certificate yet".to_owned());
        }
        let asked = self.read(&["get", "--raw=/readyz", "--request-timeout=2s"]);
        asked.map(drop).map_err(|error| format!("{error:#}"))
    }
}

/// Dropping it ends it.
pub(crate) struct Followed {
    child: Child,
    said: Option<JoinHandle<std::io::Result<String>>>,
}

impl Followed {
    /// What it has printed until now.
    pub(crate) fn end(mut self) -> anyhow::Result<String> {
        self.child.kill().context("end kubectl")?;
        let said = self.said.take().and_then(|said| said.join().ok()).context("read kubectl")?;
        said.context("read what kubectl printed")
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// What a program prints; its failure is an error that says why.
pub(super) fn answer(command: &mut Command, input: &[u8]) -> anyhow::Result<String> {
    let run = |command: &mut Command| -> std::io::Result<Output> {
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        if let Some(mut pipe) = child.stdin.take() {
            pipe.write_all(input)?;
        }
        child.wait_with_output()
    };
    let output = run(command).with_context(|| format!("run {}", describe(command)))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}: {}", describe(command), said.trim());
    String::from_utf8(output.stdout).context("read an answer")
}
