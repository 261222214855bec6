//! The processes of one attempt in their order: those of `init` one after the other, then the
//! main one, the members of a container set as a small graph, or those of a gang all at once, with the
//! sidecars beside them.

mod gang;
mod set;
mod sidecars;

use std::process::ExitStatus;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use flowforge_model::attempt::{Fact, FactKind, Failure, Main, Process, Program};
use flowforge_model::time::Timestamp;

use crate::attempt::{spawn_failed, told, verdict};
use crate::capture::{Capture, Captured};
use crate::launch::{Launch, Launched, Part, Setting};
use crate::outputs::Places;
use crate::probe;
use crate::supervise::{Bounds, Control};

/// Bytes of the stack of a thread for one of several processes, as of a worker's.
const STACK_BYTES: usize = 1024 * 1024;

/// The first start of an attempt, which all its processes share.
#[derive(Debug, Default)]
pub(crate) struct Start(OnceLock<(Instant, Timestamp)>);

/// How a process ended.
pub(crate) struct Ran<'a> {
    pub(crate) status: ExitStatus,
    pub(crate) failure: Option<Failure>,
    pub(crate) captured: Captured,
    /// A process outside its group still held its pipes.
    pub(crate) escaped: bool,
    pub(crate) finished_at: Timestamp,
    pub(crate) places: Option<Places>,
    pub(crate) launch: Launch<'a>,
}

/// How the processes of an attempt ended.
#[derive(Default)]
pub(crate) struct Outcome<'a> {
    /// The failure of the first that failed.
    pub(crate) failure: Option<Failure>,
    /// The process whose outputs and exit code are the attempt's, or the first that failed.
    pub(crate) main: Option<Ran<'a>>,
    /// The others. Their files stay until the attempt has ended.
    pub(crate) others: Vec<Ran<'a>>,
}

impl Start {
    /// When the first process started, if one did.
    pub(crate) fn at(&self) -> Option<Timestamp> {
        self.0.get().map(|(_, at)| *at)
    }

    /// Notes that a process has started, and reports the first one.
    fn note(&self, setting: &Setting<'_>) -> Instant {
        let (instant, _) = self.0.get_or_init(|| {
            let at = setting.context.clock.now();
            let kind = FactKind::Started(at);
            setting.context.facts.deliver(Fact { key: setting.order.key, kind });
            (Instant::now(), at)
        });
        *instant
    }
}

/// Runs everything.
pub(crate) fn run<'a>(
    settings: &'a [Setting<'_>],
    program: &Program,
    control: &Control,
    start: &Start,
) -> Outcome<'a> {
    let mut outcome = Outcome::default();
    let Some(setting) = settings.first() else { return outcome };
    for process in &program.init {
        let done = named(process, run_one(setting, (process, Part::Other), control, start));
        let failed = outcome.take(done, false);
        if failed {
            return outcome;
        }
    }
    let main = |outcome: &mut Outcome<'a>| match &program.main {
        Main::One(process) => {
            let part = if program.is_one() { Part::Alone } else { Part::Main };
            outcome.take(run_one(setting, (process, part), control, start), true);
        }
        Main::Set { members, retries, wait } => {
            let tries = (*retries, Duration::from(*wait));
            set::run(setting, (members, tries), (control, start), outcome);
        }
        Main::Gang { process, .. } => gang::run(settings, process, (control, start), outcome),
    };
    sidecars::beside(setting, &program.sidecars, control, &mut outcome, main);
    outcome
}

impl<'a> Outcome<'a> {
    /// Takes the end of a process in. True if it failed.
    fn take(&mut self, done: Result<Ran<'a>, Failure>, is_main: bool) -> bool {
        let failure = match &done {
            Ok(ran) => ran.failure.clone(),
            Err(failure) => Some(failure.clone()),
        };
        let failed = failure.is_some();
        let first = failed && self.failure.is_none();
        if first {
            self.failure = failure;
        }
        match done {
            // Of a failure the exit code is that of the process that failed first.
            Ok(ran) if first || (is_main && self.failure.is_none()) => {
                self.others.extend(self.main.replace(ran));
            }
            Ok(ran) => self.others.push(ran),
            Err(_) if first => self.others.extend(self.main.take()),
            Err(_) => {}
        }
        failed
    }
}

/// Runs one process from its preparation to its end.
fn run_one<'a>(
    setting: &'a Setting<'_>,
    (process, part): (&Process, Part),
    control: &Control,
    start: &Start,
) -> Result<Ran<'a>, Failure> {
    let launch = Launch::prepare(setting, (process, part), control)?;
    live(setting, launch, control, Some(start))
}

/// Runs one process beside the main ones: the attempt has not begun with it, and its time is theirs.
fn run_beside<'a>(
    setting: &'a Setting<'_>,
    process: &Process,
    control: &Control,
) -> Result<Ran<'a>, Failure> {
    let launch = Launch::prepare(setting, (process, Part::Other), control)?;
    live(setting, launch, control, None)
}

/// Runs one process from its start to its end.
fn live<'a>(
    setting: &'a Setting<'_>,
    launch: Launch<'a>,
    control: &Control,
    start: Option<&Start>,
) -> Result<Ran<'a>, Failure> {
    let context = setting.context;
    if let Some(ask) = control.asked() {
        return Err(told(ask));
    }
    let daemon = setting.order.daemon.as_deref().filter(|_| launch.part != Part::Other);
    daemon.map_or(Ok(()), probe::check)?;
    let Launched { running, places } = launch.start(setting)?;
    let started = start.map(|start| start.note(setting));
    let span = setting.order.deadline.map(Duration::from);
    let bounds = Bounds {
        deadline: started.zip(span).and_then(|(started, span)| started.checked_add(span)),
        grace: Duration::from(context.config.grace),
    };
    let mut capture = Capture::new(&*context.logs, &*context.clock, setting.order.key);
    if let Some(member) = setting.member {
        capture = capture.of_member(member.index);
    }
    let watch = || running.watch(control, &bounds, &mut capture);
    let ended = match daemon {
        Some(daemon) => probe::beside(setting, daemon, control, watch),
        None => watch(),
    };
    let finished_at = context.clock.now();
    let captured = capture.finish(finished_at);
    let ended = ended.map_err(|error| spawn_failed("lost sight of the process", &error))?;
    Ok(Ran {
        status: ended.status,
        failure: verdict(&ended, &captured),
        captured,
        escaped: ended.escaped,
        finished_at,
        places,
        launch,
    })
}

/// Says which container of several it was.
fn named<'a>(process: &Process, ran: Result<Ran<'a>, Failure>) -> Result<Ran<'a>, Failure> {
    let name = |failure: Failure| failure.of_container(&process.name);
    match ran {
        Ok(ran) => Ok(Ran { failure: ran.failure.map(name), ..ran }),
        Err(failure) => Err(name(failure)),
    }
}
