//! One attempt, from the work order to the report.

use std::cell::OnceCell;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use flowforge_model::attempt::{Fact, FactKind, Failure, FailureClass, Report, Work, WorkOrder};
use flowforge_model::status::Reason;

use crate::capture::Captured;
use crate::command::{self, Argv};
use crate::launch::{Member, Setting};
use crate::program::{self, Outcome, Ran, Start};
use crate::runner::Context;
use crate::supervise::{Ask, Cause, Control, Ended};
use crate::survivors::end_marked;
use crate::volumes::Scratch;
use crate::{artifacts, environment, outputs};

/// Exit codes that mean that trying again may help: killed, terminated, connection lost (ssh and
/// Argo's list).
const TRANSIENT: [i32; 3] = [137, 143, 255];

/// Runs the attempt to its end and reports it. Its directories are removed after the report, so
/// that nothing waits for that.
pub(crate) fn run(context: &Context, order: &WorkOrder, control: &Control) {
    let settings = OnceCell::new();
    let done = attempt(context, order, control, &settings);
    let (report, outcome) = match done {
        Ok((report, outcome)) => (report, Some(outcome)),
        Err(Failure { class, reason, message }) => {
            (Report::failed(context.clock.now(), class, reason, message), None)
        }
    };
    context.facts.deliver(Fact { key: order.key, kind: FactKind::Finished(Box::new(report)) });
    drop(outcome);
}

/// The failure of an attempt that was told to end.
pub(crate) fn told(ask: Ask) -> Failure {
    ended_by(match ask {
        Ask::Interrupt | Ask::Stop => Cause::Stopped,
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

fn attempt<'s, 'a>(
    context: &'a Context,
    order: &'a WorkOrder,
    control: &Control,
    place: &'s OnceCell<Vec<Setting<'a>>>,
) -> Result<(Report, Outcome<'s>), Failure> {
    let program = match &order.work {
        Work::Run(program) => program,
        Work::Request(_) => return Err(not_possible("this is no process")),
        Work::Object(_) => return Err(no_kubernetes()),
    };
    outputs::check(&order.outputs)?;
    artifacts::check_outputs(&order.artifacts_out)?;
    let made = settings(context, order)?;
    let settings = place.get_or_init(|| made);
    let start = Start::default();
    let mut outcome = program::run(settings, program, control, &start);
    let report = report((context, order), &mut outcome, (&start, control));
    Ok((report, outcome))
}

/// What the processes of an attempt share; of a gang each member has its own.
fn settings<'a>(context: &'a Context, order: &'a WorkOrder) -> Result<Vec<Setting<'a>>, Failure> {
    let size = order.gang();
    let most = context.config.concurrency;
    if size.is_some_and(|size| usize::try_from(size).map_or(true, |size| size > most)) {
        return Err(not_possible(&format!(
            "all members of a gang run at one executor of local processes, and this one runs {most} \
             at a time: ask for fewer replicas, or raise the setting `executor.concurrency`"
        )));
    }
    let mut settings = Vec::new();
    for index in 0..size.unwrap_or(1) {
        let made = context.directories.create();
        let directory = made.map_err(|error| spawn_failed("no working directory", &error))?;
        let scratch = Scratch::new(&context.config, order, index);
        let member = size.map(|size| Member { index, size });
        settings.push(Setting { context, order, directory, scratch, member });
    }
    Ok(settings)
}

/// What is told of processes that have ended; collects what they left.
fn report(
    (context, order): (&Context, &WorkOrder),
    outcome: &mut Outcome<'_>,
    (start, control): (&Start, &Control),
) -> Report {
    let Outcome { failure, main, others } = outcome;
    if main.iter().chain(&*others).any(|ran| ran.escaped) {
        end_marked(&format!("{}={}", environment::ATTEMPT, order.attempt));
    }
    let ended = main.iter().chain(&*others).map(|ran| ran.finished_at).max();
    let mut report = Report {
        started_at: start.at(),
        finished_at: ended.unwrap_or_else(|| context.clock.now()),
        exit_code: main.as_ref().and_then(|ran| exit_code(ran.status)),
        failure: failure.take(),
        outputs: Vec::new(),
        artifacts: Vec::new(),
        result: None,
    };
    if let Some(main) = main {
        match &report.failure {
            None => report.failure = collect((context, order), main, &mut report, control).err(),
            // As in Argo: what a process left is there for who goes on in spite of its failure.
            Some(failure) if failure.reason == Reason::ExitCode => {
                collect_some((context, order), main, &mut report, control);
            }
            Some(_) => {}
        }
        report.result = main.captured.result.take();
    }
    report
}

fn collect(
    (context, order): (&Context, &WorkOrder),
    main: &Ran<'_>,
    report: &mut Report,
    control: &Control,
) -> Result<(), Failure> {
    let Some(places) = &main.places else {
        return Ok(());
    };
    let paths = &main.launch.paths;
    report.outputs = outputs::collect(places, &order.outputs, &paths.parameters)?;
    let outputs = &order.artifacts_out;
    let from = (places, control);
    report.artifacts = artifacts::keep(&*context.artifacts, from, outputs, &paths.artifacts)?;
    Ok(())
}

/// Collects what a process that failed has left; what is missing or cannot be kept is left out, the
/// failure stays the one it is.
fn collect_some(
    (context, order): (&Context, &WorkOrder),
    main: &Ran<'_>,
    report: &mut Report,
    control: &Control,
) {
    let Some(places) = &main.places else {
        return;
    };
    let paths = &main.launch.paths;
    report.outputs = outputs::collect_some(places, &order.outputs, &paths.parameters);
    let (from, artifacts) = ((places, control), &*context.artifacts);
    report.artifacts =
        artifacts::keep_some(artifacts, from, &order.artifacts_out, &paths.artifacts);
}

pub(crate) fn exit_code(status: ExitStatus) -> Option<i32> {
    status.code().or_else(|| Some(128 + status.signal()?))
}

pub(crate) fn verdict(ended: &Ended, captured: &Captured) -> Option<Failure> {
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

pub(crate) fn refused(error: &io::Error, argv: &Argv, path: &str) -> Failure {
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

pub(crate) fn not_possible(why: &str) -> Failure {
    Failure { class: FailureClass::Error, reason: Reason::NotPossible, message: why.to_owned() }
}

fn no_kubernetes() -> Failure {
    let message = "this executor has no Kubernetes to hold objects: run the workflow where kubernetes.tasks is \
                   kubernetes, or do it with a client in a script";
    let message = message.to_owned();
    Failure { class: FailureClass::Error, reason: Reason::NoKubernetes, message }
}

pub(crate) fn spawn_failed(what: &str, error: &io::Error) -> Failure {
    Failure {
        class: FailureClass::Error,
        reason: Reason::SpawnFailed,
        message: format!("{what}: {error}"),
    }
}
