//! One attempt in the container that this process is in: its root, its environment, its limits.
//!
//! The same capture, outputs and verdicts as for a local process. What a container has already is not
//! made again: there are no mounts, no roots and no limits here.

mod inputs;
mod oom;
mod warden;

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use flowforge_model::attempt::{Failure, FailureClass, Main, Process, Report, Work, WorkOrder};
use flowforge_model::status::Reason;
use flowforge_ports::artifacts::Artifacts;
use flowforge_ports::clock::Clock;
use flowforge_ports::logs::LogStore;

use crate::attempt::{exit_code, not_possible, refused, spawn_failed, verdict};
use crate::capture::Capture;
use crate::command::{Argv, CommandLine};
use crate::environment::{ATTEMPT, DEFAULT_PATH};
use crate::outputs::Places;
use crate::supervise::{Bounds, Cause, Ended, Running};
use crate::survivors::end_marked;
use crate::{artifacts, directory, mapping, outputs, variables};

pub use inputs::fetch_inputs;
use oom::Kills;
pub use warden::Warden;

/// Names a container of an attempt that several run: the attempt's id and its own name.
const CONTAINER: &str = "FLOWFORGE_CONTAINER_ID";

/// What an attempt finds in its container.
pub struct Container<'a> {
    /// A script is put here.
    pub scratch: &'a Path,
    /// What the image starts; used when the order names no command. Empty: not known.
    pub entrypoint: &'a [String],
    /// All that the task sees, but for the mark of its attempt.
    pub environment: &'a [(OsString, OsString)],
    /// From the polite signal to the hard one.
    pub grace: Duration,
    /// Where its output goes, beside this process's own.
    pub logs: &'a dyn LogStore,
    /// What time it is.
    pub clock: &'a dyn Clock,
    /// Its name, where several run the attempt. What it leaves is then found by this.
    pub name: Option<&'a str>,
    /// Which member of a gang it is. Its lines and failures say so, and only the first gives outputs.
    pub member: Option<u32>,
    /// Where its artifacts go.
    pub artifacts: &'a dyn Artifacts,
}

impl std::fmt::Debug for Container<'_> {
    /// Without the environment: it holds secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Container").field("scratch", &self.scratch).finish_non_exhaustive()
    }
}

/// Runs the attempt to its end. When this returns nothing that it started runs any more, unless that has
/// left its group and cleared its environment.
#[must_use]
pub fn run_contained(order: &WorkOrder, container: &Container<'_>, warden: &Warden) -> Report {
    let Some(index) = container.member else { return run_order(order, container, warden) };
    let report = if index == 0 {
        run_order(order, container, warden)
    } else {
        let (outputs, artifacts_out) = (Vec::new(), Vec::new());
        let order = WorkOrder { outputs, artifacts_out, ..order.clone() };
        run_order(&order, container, warden).of_another_member()
    };
    let failure = report.failure.map(|failure| failure.of_member(index));
    Report { failure, ..report }
}

fn run_order(order: &WorkOrder, container: &Container<'_>, warden: &Warden) -> Report {
    let begun = Begun::prepare(order, container).and_then(|prepared| prepared.begin(warden));
    match begun {
        Ok(begun) => begun.end(warden),
        Err(Failure { class, reason, message }) => {
            Report::failed(container.clock.now(), class, reason, message)
        }
    }
}

/// A process that is about to start.
struct Prepared<'a> {
    order: &'a WorkOrder,
    container: &'a Container<'a>,
    argv: Argv,
    path: String,
    cwd: PathBuf,
    places: Places,
    outputs: Vec<PathBuf>,
    artifacts: Vec<PathBuf>,
}

/// A process that runs.
struct Begun<'a> {
    prepared: Prepared<'a>,
    running: Running,
    kills: Kills,
}

impl Begun<'_> {
    fn prepare<'a>(
        order: &'a WorkOrder,
        container: &'a Container<'a>,
    ) -> Result<Prepared<'a>, Failure> {
        let process = only(order, container.member)?;
        outputs::check(&order.outputs)?;
        artifacts::check_outputs(&order.artifacts_out)?;
        inputs::check(&order.artifacts_in)?;
        let known = known(container.environment);
        let process = &*variables::in_command(process, &known);
        let cwd = working_directory(process, container.scratch)
            .map_err(|e| spawn_failed("no working directory", &e))?;
        let script = process.script.as_ref();
        let script = script
            .map(|source| directory::stage(container.scratch, source))
            .transpose()
            .map_err(|error| spawn_failed("the script cannot be written", &error))?;
        let path = known.iter().rev().find(|(name, _)| name == "PATH");
        let path = path.map_or(DEFAULT_PATH, |(_, path)| path).to_owned();
        let line = CommandLine {
            path: path.clone(),
            command: command(process, container.entrypoint)?.to_vec(),
            args: process.args.clone(),
            script,
            cwd: cwd.clone(),
            ..CommandLine::default()
        };
        let settle = |path: &String| mapping::settle(Path::new(path), &[]);
        Ok(Prepared {
            order,
            container,
            argv: line.resolve()?,
            path,
            places: Places::shared(&cwd)?,
            cwd,
            outputs: order.outputs.iter().map(|output| settle(&output.path)).collect(),
            artifacts: order.artifacts_out.iter().map(|output| settle(&output.path)).collect(),
        })
    }

    /// Watches the process to its end and collects what it left.
    fn end(self, warden: &Warden) -> Report {
        let Self { prepared, running, kills } = self;
        let Prepared { order, container, .. } = prepared;
        let clock = container.clock;
        let started_at = clock.now();
        let deadline = order.deadline.and_then(|span| Instant::now().checked_add(span.into()));
        let bounds = Bounds { deadline, grace: container.grace };
        let capture = Capture::new(container.logs, clock, order.key).copied();
        let mut capture = match container.member {
            Some(index) => capture.of_member(index),
            None => capture,
        };
        let ended = running.watch(warden.control(), &bounds, &mut capture);
        let finished_at = clock.now();
        let captured = capture.finish(finished_at);
        let (name, value) = mark(order, container);
        end_marked(&format!("{name}={value}"));
        let ended = match ended {
            Ok(ended) => ended,
            Err(error) => {
                let Failure { class, reason, message } =
                    spawn_failed("lost sight of the process", &error);
                return Report {
                    started_at: Some(started_at),
                    ..Report::failed(finished_at, class, reason, message)
                };
            }
        };
        let mut report = Report {
            started_at: Some(started_at),
            finished_at,
            exit_code: exit_code(ended.status),
            failure: told(&ended).or_else(|| verdict(&ended, &captured)).map(|f| kills.explain(f)),
            outputs: Vec::new(),
            artifacts: Vec::new(),
            result: captured.result,
        };
        prepared.collect(&mut report, warden);
        report
    }
}

impl<'a> Prepared<'a> {
    fn begin(self, warden: &Warden) -> Result<Begun<'a>, Failure> {
        if warden.asked() {
            return Err(told_to_end());
        }
        let kills = Kills::before();
        warden.watches_nothing();
        let running = Running::spawn(self.command())
            .map_err(|error| refused(&error, &self.argv, &self.path))?;
        warden.watches(running.pid());
        Ok(Begun { prepared: self, running, kills })
    }

    /// Takes what the process has left. As in Argo, what one that failed has left is there, too, for who
    /// goes on in spite of its failure.
    fn collect(&self, report: &mut Report, warden: &Warden) {
        let Self { order, container, places, .. } = self;
        let from = (places, warden.control());
        let outputs = (&*order.artifacts_out, &*self.artifacts);
        match &report.failure {
            None => {
                let collected = outputs::collect(places, &order.outputs, &self.outputs);
                let kept = collected.and_then(|all| {
                    report.outputs = all;
                    artifacts::keep(container.artifacts, from, outputs.0, outputs.1)
                });
                match kept {
                    Ok(all) => report.artifacts = all,
                    Err(_) if warden.asked() => report.failure = Some(told_to_end()),
                    Err(failure) => report.failure = Some(failure),
                }
            }
            Some(failure) if matches!(failure.reason, Reason::ExitCode | Reason::OomKilled) => {
                report.outputs = outputs::collect_some(places, &order.outputs, &self.outputs);
                report.artifacts =
                    artifacts::keep_some(container.artifacts, from, outputs.0, outputs.1);
            }
            Some(_) => {}
        }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.argv.program);
        if let Some((name, arguments)) = self.argv.words.split_first() {
            command.arg0(name).args(arguments);
        }
        let environment = self.container.environment.iter();
        let (name, value) = mark(self.order, self.container);
        command
            .env_clear()
            .envs(environment.map(|(name, value)| (name, value)))
            .env(ATTEMPT, self.order.attempt.to_string())
            .env(name, value)
            .current_dir(&self.cwd)
            .stdin(Stdio::null())
            .process_group(0);
        command
    }
}

/// By what processes of the attempt are found that left its group: a variable of theirs.
fn mark(order: &WorkOrder, container: &Container<'_>) -> (&'static str, String) {
    match (container.name, container.member) {
        (Some(name), _) => (CONTAINER, format!("{}/{name}", order.attempt)),
        // Members are not always in pods that hide them from one another.
        (None, Some(member)) => (CONTAINER, format!("{}/{member}", order.attempt)),
        (None, None) => (ATTEMPT, order.attempt.to_string()),
    }
}

/// The only process of an order or of a member of it, if that is all there is to do.
fn only(order: &WorkOrder, member: Option<u32>) -> Result<&Process, Failure> {
    let Work::Run(program) = &order.work else {
        return Err(not_possible("a pod sends no HTTP request: those are for the server"));
    };
    let process = match &program.main {
        Main::One(process) => process,
        Main::Gang { process, size } if member.is_some_and(|index| index < *size) => process,
        Main::Gang { size, .. } => {
            let why = format!("this pod was not told which of the {size} members of a gang it is");
            return Err(not_possible(&why));
        }
        Main::Set { .. } => {
            let why = "this container of a container set was not told which one it is";
            return Err(not_possible(why));
        }
    };
    if let Some(other) = program.init.iter().chain(&program.sidecars).next() {
        let why = format!("this container was not told whether it is {}", other.name);
        return Err(not_possible(&why));
    }
    Ok(process)
}

fn command<'a>(process: &'a Process, entrypoint: &'a [String]) -> Result<&'a [String], Failure> {
    let command = if process.command.is_empty() { entrypoint } else { &process.command };
    if command.is_empty() {
        let why = format!(
            "no command is set, and what the image {:?} starts is not known here: set `command`",
            process.image
        );
        return Err(not_possible(&why));
    }
    Ok(command)
}

/// Where the process begins: where its image does, unless it says where. Runtimes make what is not there.
fn working_directory(process: &Process, scratch: &Path) -> std::io::Result<PathBuf> {
    let here = std::env::current_dir()?;
    let writable = rustix::fs::access(&here, rustix::fs::Access::WRITE_OK).is_ok();
    let here = begins(here, writable, scratch);
    let wanted = process.working_dir.as_deref().unwrap_or("");
    let there = if wanted.is_empty() { here } else { here.join(wanted) };
    if !there.is_dir() {
        std::fs::create_dir_all(&there)?;
    }
    Ok(there)
}

/// An image that says nothing begins in `/`, where only root can write: an empty directory does instead, as
/// local processes have one, so that files may be named without a path.
fn begins(image: PathBuf, writable: bool, scratch: &Path) -> PathBuf {
    if image == Path::new("/") && !writable { scratch.join("work") } else { image }
}

/// Variables that can be put into texts.
fn known(environment: &[(OsString, OsString)]) -> Vec<(String, String)> {
    let text = |text: &OsString| text.to_str().map(str::to_owned);
    environment.iter().filter_map(|(name, value)| Some((text(name)?, text(value)?))).collect()
}

/// The pod was told to end. Whoever wanted the attempt stopped knows; else its node is going down, and
/// it is to be repeated elsewhere.
fn told(ended: &Ended) -> Option<Failure> {
    (ended.cause == Some(Cause::Stopped)).then(told_to_end)
}

fn told_to_end() -> Failure {
    Failure {
        class: FailureClass::Lost,
        reason: Reason::Lost,
        message: "the pod was told to end while its task ran".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_nobody_can_write_a_task_begins_in_a_directory_of_its_own() {
        let scratch = Path::new("/flowforge");
        assert_eq!(begins("/".into(), false, scratch), Path::new("/flowforge/work"));
        assert_eq!(begins("/".into(), true, scratch), Path::new("/"));
        assert_eq!(begins("/app".into(), false, scratch), Path::new("/app"));
    }
}
