//! One attempt, from the work order to the report.

use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use flowforge_model::attempt::{Fact, FactKind, Failure, FailureClass, Report, WorkOrder};
use flowforge_model::status::Reason;

use crate::capture::{Capture, Captured};
use crate::command::{self, Argv};
use crate::directory::Directory;
use crate::environment;
use crate::outputs::Outputs;
use crate::runner::Context;
use crate::supervise::{Ask, Bounds, Cause, Control, Ended, Running};
use crate::survivors::end_marked;

/// Exit codes that mean that trying again may help: killed, terminated, connection lost (ssh and
/// Argo's list).
const TRANSIENT: [i32; 3] = [137, 143, 255];

/// Runs the attempt to its end and reports it. Its directory is removed after the report, so that
/// nothing waits for that.
pub(crate) fn run(context: &Context, order: &WorkOrder, control: &Control) {
    let mut directory = None;
    let report = attempt(context, order, control, &mut directory).unwrap_or_else(|failure| {
        let Failure { class, reason, message } = failure;
        Report::failed(context.clock.now(), class, reason, message)
    });
    context.facts.deliver(Fact { key: order.key, kind: FactKind::Finished(Box::new(report)) });
}

/// The failure of an attempt that was told to end.
pub(crate) fn told(ask: Ask) -> Failure {
    ended_by(match ask {
        Ask::Stop => Cause::Stopped,
        Ask::Kill => Cause::ShutDown,
    })
}

fn ended_by(cause: Cause) -> Failure {
    let (class, reason, message) = match cause {
        Cause::Stopped => (FailureClass::Stopped, Reason::Stopped, "stopped"),
        Cause::ShutDown => (FailureClass::Lost, Reason::Lost, "the server shut down"),
        Cause::Deadline => {
            (FailureClass::User, Reason::Deadline, "stopped: it ran longer than its deadline")
        }
    };
    Failure { class, reason, message: message.to_owned() }
}

fn attempt<'a>(
    context: &'a Context,
    order: &WorkOrder,
    control: &Control,
    place: &mut Option<Directory<'a>>,
) -> Result<Report, Failure> {
    let config = &context.config;
    let process = order.main().ok_or_else(|| not_possible("this is no process"))?;
    let made = context
        .directories
        .create(process)
        .map_err(|error| spawn_failed("no working directory", &error))?;
    let directory = place.insert(made);
    let outputs = Outputs::prepare(&order.outputs, &directory.cwd)?;
    let environment = environment::build(config, (order, process), &directory.path)?;
    let path = environment::path(&environment);
    let argv = command::resolve(process, directory.script.as_deref(), path, &directory.cwd)?;
    let command = prepare(&argv, &environment, directory);
    if let Some(ask) = control.asked() {
        return Err(told(ask));
    }
    let running = Running::spawn(command).map_err(|error| refused(&error, &argv, path))?;
    let started = Instant::now();
    let started_at = context.clock.now();
    context.facts.deliver(Fact { key: order.key, kind: FactKind::Started(started_at) });
    let bounds = Bounds {
        deadline: order.deadline.and_then(|span| started.checked_add(span.into())),
        grace: Duration::from(config.grace),
    };
    let mut capture = Capture::new(&*context.logs, &*context.clock, order.key);
    let ended = running.watch(control, &bounds, &mut capture);
    let finished_at = context.clock.now();
    let captured = capture.finish(finished_at);
    let ended = ended.map_err(|error| spawn_failed("lost sight of the process", &error))?;
    if ended.escaped {
        end_marked(&format!("{}={}", environment::ATTEMPT, order.attempt));
    }
    let mut report = Report {
        started_at: Some(started_at),
        finished_at,
        exit_code: exit_code(ended.status),
        failure: verdict(&ended, &captured),
        outputs: Vec::new(),
        artifacts: Vec::new(),
        result: captured.result,
    };
    if let (None, Some(outputs)) = (&report.failure, outputs) {
        match outputs.collect(&order.outputs) {
            Ok(values) => report.outputs = values,
            Err(failure) => report.failure = Some(failure),
        }
    }
    Ok(report)
}

/// The standard library spawns such a command without `fork`: an absolute program, no closure to
/// run in the child, no other user.
fn prepare(
    argv: &Argv,
    environment: &environment::Environment,
    directory: &Directory<'_>,
) -> Command {
    let mut command = Command::new(&argv.program);
    if let Some((name, arguments)) = argv.words.split_first() {
        command.arg0(name).args(arguments);
    }
    command
        .env_clear()
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .current_dir(&directory.cwd)
        .stdin(Stdio::null())
        .process_group(0);
    command
}

fn exit_code(status: ExitStatus) -> Option<i32> {
    status.code().or_else(|| Some(128 + status.signal()?))
}

fn verdict(ended: &Ended, captured: &Captured) -> Option<Failure> {
    if let Some(cause) = ended.cause {
        return Some(ended_by(cause));
    }
    if ended.status.success() {
        return None;
    }
    let transient = exit_code(ended.status).is_some_and(|code| TRANSIENT.contains(&code));
    let mut message = match ended.status.signal() {
        Some(signal) => format!("killed by signal {signal}{}", signal_name(signal)),
        None => format!("exit code {}", ended.status.code().unwrap_or(-1)),
    };
    if !captured.hint.is_empty() {
        message.push_str(": ");
        message.push_str(&captured.hint);
    }
    Some(Failure {
        class: if transient { FailureClass::Transient } else { FailureClass::User },
        reason: Reason::ExitCode,
        message,
    })
}

fn signal_name(signal: i32) -> String {
    let name = match signal {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        24 => "SIGXCPU",
        25 => "SIGXFSZ",
        31 => "SIGSYS",
        _ => return String::new(),
    };
    format!(" ({name})")
}

fn refused(error: &io::Error, argv: &Argv, path: &str) -> Failure {
    use io::ErrorKind as K;
    match error.kind() {
        K::ArgumentListTooLong => Failure {
            class: FailureClass::Error,
            reason: Reason::ArgumentTooLong,
            message: "arguments and environment together are longer than Linux takes: \
                      pass them in a file"
                .to_owned(),
        },
        // The program was there a moment ago: its interpreter is not, or it is no program.
        K::NotFound | K::PermissionDenied | K::NotADirectory => {
            let name = argv.program.to_string_lossy();
            command::not_found(&name, path)
        }
        _ if error.raw_os_error() == Some(rustix::io::Errno::NOEXEC.raw_os_error()) => {
            let name = argv.program.to_string_lossy();
            command::not_found(&name, path)
        }
        _ => spawn_failed("cannot start the process", error),
    }
}

fn not_possible(why: &str) -> Failure {
    Failure { class: FailureClass::Error, reason: Reason::NotPossible, message: why.to_owned() }
}

fn spawn_failed(what: &str, error: &io::Error) -> Failure {
    Failure {
        class: FailureClass::Error,
        reason: Reason::SpawnFailed,
        message: format!("{what}: {error}"),
    }
}
