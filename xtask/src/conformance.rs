//! `cargo xtask conformance DIR TSV`: other people's manifests on the real server.
//!
//! Templates and config maps of the directory are stored first, as their authors would; programs
//! of images that a machine does not have are stood in for by `test/conformance/shims`.

pub(crate) mod golden;
mod table;

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};

use crate::client::Client;
use crate::server::Server;
use crate::test::Tally;
use crate::workspace::{build_release, root};
use table::{Expected, Row};

/// How often the server is asked how things stand.
const LOOK: Duration = Duration::from_millis(300);
/// What a manifest may take in the test suite: the longest of Argo's that are not called long
/// sleep for two and a half minutes behind a lock.
const TIER_PATIENCE: Duration = Duration::from_secs(400);
/// What is given to a suspension that asks for a value.
const GIVEN: &str = "conformance";

/// Manifests of the corpus that its table runs and that need what few machines have, and what that is.
const READ: &[(&str, &str)] = &[(
    "variables-showcase.yaml",
    "the netcat of Alpine, which takes one connection after the other",
)];

/// What is to be tried.
#[derive(Debug)]
pub(crate) struct Trial {
    pub(crate) directory: PathBuf,
    pub(crate) table: PathBuf,
    /// Only rows whose name holds this.
    pub(crate) only: Option<String>,
    /// A manifest that takes longer has failed.
    pub(crate) patience: Duration,
    /// Leave out rows that the table calls long.
    pub(crate) short: bool,
    /// What needs more than most machines have need only be read.
    pub(crate) exceptions: bool,
}

/// A row that was submitted.
struct Pending {
    row: Row,
    id: String,
    begun: Instant,
}

pub(crate) fn run(trial: &Trial) -> anyhow::Result<ExitCode> {
    let tally = try_all(trial)?;
    println!("{} passed, {} failed", tally.passed, tally.failed);
    let good = tally.failed == 0 && tally.passed > 0;
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Our manifests, and those of a corpus beside the project where there is one.
pub(crate) fn tier() -> anyhow::Result<Tally> {
    let own = root().join("test/conformance");
    let corpus = root().join("../shared/corpus/argo");
    let mut tables = vec![(own.join("manifests"), own.join("manifests.tsv"))];
    if corpus.is_dir() {
        tables.push((corpus.clone(), corpus.join("examples.tsv")));
    }
    let mut tally = Tally::default();
    for (directory, table) in tables {
        let patience = TIER_PATIENCE;
        let (short, exceptions) = (true, true);
        let trial = Trial { directory, table, only: None, patience, short, exceptions };
        tally.add(&try_all(&trial)?);
    }
    Ok(tally)
}

pub(crate) fn try_all(trial: &Trial) -> anyhow::Result<Tally> {
    let mut rows = table::read(&trial.table, &trial.directory)?;
    rows.retain(|row| trial.only.as_ref().is_none_or(|only| row.name.contains(only)));
    rows.retain(|row| !(trial.short && row.long));
    for row in rows.iter_mut().filter(|_| trial.exceptions) {
        if let Some((file, what)) = READ.iter().find(|(file, _)| row.file.ends_with(file)) {
            println!("note    {file} need only be read: it needs {what}");
            row.expected = Expected::Read;
        }
    }
    ensure!(!rows.is_empty(), "no row of {} is to be tried", trial.table.display());
    let release = build_release()?;
    let data = release.with_file_name("conformance");
    if data.exists() {
        fs::remove_dir_all(&data).context("remove what an earlier trial left")?;
    }
    copy_secrets(&data.join("secrets"))?;
    let shims = root().join("test/conformance/shims");
    let server = Server::start_beside(&release, &data, &shims)?;
    store_fixtures(&server, &trial.directory)?;
    let mut tally = Tally::default();
    let (read, runnable): (Vec<Row>, Vec<Row>) =
        rows.into_iter().partition(|row| row.expected == Expected::Read);
    let mut pending = Vec::new();
    for row in runnable {
        match submit(&server, &row) {
            Ok(id) => pending.push(Pending { row, id, begun: Instant::now() }),
            Err(error) => tally.count(Err(error.context(row.name))),
        }
    }
    for row in read {
        let outcome = lint(&server, &row);
        tally.count(outcome.map(|how| format!("{} ({how})", row.name)).context(row.name.clone()));
    }
    wait(&server, pending, trial.patience, &mut tally)?;
    server.stop()?;
    Ok(tally)
}

/// Secrets are files: one folder each, one file a key.
fn copy_secrets(to: &Path) -> anyhow::Result<()> {
    let from = root().join("test/conformance/secrets");
    // Secrets that everybody can read are not used.
    DirBuilder::new().recursive(true).mode(0o700).create(to).context("make the secrets")?;
    for secret in fs::read_dir(from).context("read the secrets")? {
        let secret = secret.context("read the secrets")?;
        let folder = to.join(secret.file_name());
        fs::create_dir_all(&folder).context("make a secret")?;
        for key in fs::read_dir(secret.path()).context("read a secret")? {
            let key = key.context("read a secret")?;
            fs::copy(key.path(), folder.join(key.file_name())).context("make a secret")?;
        }
    }
    Ok(())
}

/// Stores what the manifests refer to. A file that is refused here is not lost: its own row, and
/// those that need it, fail.
fn store_fixtures(server: &Server, directory: &Path) -> anyhow::Result<()> {
    let own = root().join("test/conformance/fixtures.yaml");
    let mut files = vec![own];
    collect(directory, &mut files)?;
    for file in files {
        let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        let stored = ["WorkflowTemplate", "ClusterWorkflowTemplate", "ConfigMap"];
        let holds =
            |kind: &&str| text.lines().any(|line| line.trim_end() == format!("kind: {kind}"));
        if !stored.iter().any(holds) {
            continue;
        }
        let output = ffctl(server, &["template", "apply"], &file, &[])?;
        if !output.status.success() {
            println!("note    {} is not stored: {}", file.display(), said(&output));
        }
    }
    Ok(())
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let mut entries = fs::read_dir(directory)
        .with_context(|| format!("read {}", directory.display()))?
        .collect::<Result<Vec<_>, _>>()
        .with_context(|| format!("read {}", directory.display()))?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|e| e == "yaml" || e == "yml") {
            files.push(path);
        }
    }
    Ok(())
}

fn ffctl(server: &Server, before: &[&str], file: &Path, after: &[&str]) -> anyhow::Result<Output> {
    let mut command: Command = server.ffctl();
    command.args(before).arg(file).args(after).stdin(Stdio::null());
    command.output().context("start ffctl")
}

/// The first lines of what a program complained about.
fn said(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    let lines = errors.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.take(4).collect::<Vec<_>>().join(" | ")
}

fn submit(server: &Server, row: &Row) -> anyhow::Result<String> {
    let output = ffctl(server, &["submit"], &row.file, &["-o", "json"])?;
    ensure!(output.status.success(), "refused: {}", said(&output));
    let workflow: Value = serde_json::from_slice(&output.stdout).context("read ffctl's answer")?;
    Ok(workflow["id"].as_str().context("an id")?.to_owned())
}

/// A file that is not run here: read without a loss, or refused by name.
fn lint(server: &Server, row: &Row) -> anyhow::Result<&'static str> {
    let output = ffctl(server, &["lint"], &row.file, &["-o", "json"])?;
    if output.status.success() {
        return Ok("read");
    }
    let report: Value = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("read ffctl's answer: {}", said(&output)))?;
    let mut codes = Vec::new();
    findings(&report, &mut codes);
    ensure!(!codes.is_empty(), "refused without a reason: {}", said(&output));
    let unnamed = codes.iter().find(|code| !NAMED.contains(&code.as_str()));
    match unnamed {
        Some(code) => bail!("{code}: {}", said(&output)),
        None => Ok("refused by name"),
    }
}

/// Codes of refusals that name what is not supported, or what is not there.
const NAMED: &[&str] = &["unsupported", "missing_template", "missing_config_map", "duplicate_key"];

/// The codes of all errors in a report, wherever they stand in it.
fn findings(value: &Value, codes: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| findings(item, codes)),
        Value::Object(map) => {
            for (key, inner) in map {
                if key == "errors" {
                    let list = inner.as_array().into_iter().flatten();
                    codes.extend(list.filter_map(|e| e["code"].as_str()).map(str::to_owned));
                } else if key != "warnings" {
                    findings(inner, codes);
                }
            }
        }
        _ => {}
    }
}

fn wait(
    server: &Server,
    mut pending: Vec<Pending>,
    patience: Duration,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    let client = Client::new(server.url(), server.token())?;
    while !pending.is_empty() {
        thread::sleep(LOOK);
        let mut open = Vec::new();
        for one in pending {
            let workflow = client.json("GET", &format!("/workflows/{}", one.id), "")?;
            let status = workflow["status"].as_str().unwrap_or("");
            if matches!(status, "SUCCEEDED" | "FAILED" | "CANCELLED") {
                tally.count(judge(&one, status, &workflow));
            } else if one.begun.elapsed() > patience {
                let error =
                    format!("{}: still {status} after {} s", one.row.name, patience.as_secs());
                tally.count(Err(anyhow::anyhow!(error)));
            } else {
                if one.row.interaction {
                    resume(&client, &one.id)?;
                }
                open.push(one);
            }
        }
        pending = open;
    }
    Ok(())
}

fn judge(one: &Pending, status: &str, workflow: &Value) -> anyhow::Result<String> {
    let fits = match one.row.expected {
        Expected::Succeeded => status == "SUCCEEDED",
        Expected::Failed => status == "FAILED",
        Expected::Any => status != "CANCELLED",
        Expected::Read => false,
    };
    let name = &one.row.name;
    let message = workflow["message"].as_str().unwrap_or("");
    ensure!(fits, "{name}: {status}, not {:?}: {message}", one.row.expected);
    Ok(format!("{name} ({status}, {:.1} s)", one.begun.elapsed().as_secs_f64()))
}

/// Does what a person would: gives every waiting suspension its values and lets it go on.
fn resume(client: &Client, id: &str) -> anyhow::Result<()> {
    let page =
        client.json("GET", &format!("/workflows/{id}/tasks?status=RUNNING&limit=1000"), "")?;
    for task in page["items"].as_array().into_iter().flatten() {
        if task["reason"] != "suspended" {
            continue;
        }
        // What a person reads there too.
        let asked = task["message"].as_str().and_then(|m| m.strip_prefix("needs a value for "));
        let names = asked.into_iter().flat_map(|names| names.split(", "));
        let outputs: serde_json::Map<String, Value> =
            names.map(|name| (name.to_owned(), json!(GIVEN))).collect();
        let body = json!({"task": task["name"], "outputs": outputs});
        client.json("POST", &format!("/workflows/{id}/resume"), &body.to_string())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_errors_are_found_and_those_of_warnings_are_not() {
        let report = json!([{"file": "a", "errors": [{"code": "x"}], "warnings": [{"code": "y"}]}]);
        let mut codes = Vec::new();
        findings(&report, &mut codes);
        assert_eq!(codes, ["x"]);
    }
}
