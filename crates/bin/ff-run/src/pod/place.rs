//! Which container of its pod this is, and what that one does of the attempt.
//!
//! Every container that a user wrote is started through this program, and each asks for itself whether the
//! pod may begin: the same pod gets the same answer again. One of them tells the end: an init container that
//! failed, the main container, or the last of a set. Sidecars tell nothing.

mod board;
mod member;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use flowforge_model::attempt::{FailureClass, Main, Process, Program, Report, Work, WorkOrder};
use flowforge_model::time::Millis;
use flowforge_ports::clock::{Clock as _, SystemClock};
use flowforge_process::Warden;

use super::exit_code;
use super::settings::Settings;
use board::Board;

/// A container's place in its pod.
#[derive(Debug)]
pub(super) enum Place {
    /// It is the only one.
    Alone,
    /// One of several.
    Seat(Seat),
}

/// One of several containers, from its begin to its end.
#[derive(Debug)]
pub(super) struct Seat {
    name: String,
    board: Board,
    /// It was stopped because another one failed, not because the pod was told to end.
    stopped: AtomicBool,
    /// While this is held, the others know that it runs.
    _held: File,
}

/// What a container is run with.
pub(super) struct With<'a> {
    /// The attempt.
    pub(super) order: &'a WorkOrder,
    /// Runs an order of one process to its end.
    pub(super) run: &'a dyn Fn(&WorkOrder) -> Report,
    /// Writes a line of ours into the log.
    pub(super) say: &'a dyn Fn(String),
    /// Waits for lines.
    pub(super) settle: &'a dyn Fn(),
    pub(super) warden: &'a Warden,
}

/// How a container ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) code: ExitCode,
    pub(super) at: Instant,
    pub(super) word: Word,
}

/// What is said of its end.
#[derive(Debug)]
pub(super) enum Word {
    /// This one tells how the attempt ended.
    Tell(Box<Report>),
    /// It did its part.
    Done,
    /// It was stopped because another one failed.
    Stopped,
}

/// What a process is of its program.
enum Part<'a> {
    Init(&'a Process),
    Main(&'a Process),
    Sidecar(&'a Process),
    Member,
}

impl Place {
    /// Lets the others know that this one runs. Fails with a code and why.
    pub(super) fn take(settings: &Settings) -> Result<Self, (&'static str, String)> {
        let Some(name) = &settings.container else {
            return Ok(Self::Alone);
        };
        let failed = |error: io::Error| {
            let path = settings.directory.display();
            ("no_resources", format!("containers cannot find each other in {path}: {error}"))
        };
        let board = Board::open(&settings.directory, name).map_err(failed)?;
        match board.begin(name).map_err(failed)? {
            Some(held) => {
                let stopped = AtomicBool::new(false);
                Ok(Self::Seat(Seat { name: name.clone(), board, stopped, _held: held }))
            }
            None => Err(("begun_before", format!("the container {name} has run in this pod"))),
        }
    }

    /// Its name, if there are others.
    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Self::Alone => None,
            Self::Seat(seat) => Some(&seat.name),
        }
    }

    /// Its number among the containers of the order, from 1; 0 if it is alone.
    pub(super) fn number(&self, order: &WorkOrder) -> u8 {
        let (Some(name), Work::Run(program)) = (self.name(), &order.work) else { return 0 };
        let at = program.processes().position(|process| process.name == name);
        at.and_then(|at| u8::try_from(at + 1).ok()).unwrap_or(0)
    }

    /// Whether it ends because another one failed.
    pub(super) fn stopped(&self) -> bool {
        match self {
            Self::Alone => false,
            Self::Seat(seat) => seat.stopped.load(Ordering::SeqCst),
        }
    }

    /// Where its own files are put.
    pub(super) fn scratch(&self, directory: &Path) -> PathBuf {
        match self {
            Self::Alone => directory.to_owned(),
            Self::Seat(seat) => seat.board.scratch(&seat.name),
        }
    }

    /// Does what this container does of the attempt.
    ///
    /// # Errors
    /// It cannot tell the others.
    pub(super) fn run(&self, with: &With<'_>) -> io::Result<Ended> {
        let (Self::Seat(seat), Work::Run(program)) = (self, &with.order.work) else {
            return Ok(alone(with));
        };
        match seat.part(program) {
            Some(Part::Init(process)) => seat.init(process, with),
            Some(Part::Main(process)) => seat.main(process, with),
            Some(Part::Sidecar(process)) => Ok(seat.sidecar(process, with)),
            Some(Part::Member) => seat.member(&program.main, with),
            // It refuses what is not its own.
            None => Ok(alone(with)),
        }
    }
}

fn alone(with: &With<'_>) -> Ended {
    let report = (with.run)(with.order);
    let (code, at) = (exit_code(&report), Instant::now());
    (with.settle)();
    Ended { code, at, word: Word::Tell(Box::new(report)) }
}

impl Seat {
    fn part<'a>(&self, program: &'a Program) -> Option<Part<'a>> {
        let called = |all: &'a [Process]| all.iter().find(|process| process.name == self.name);
        if let Some(process) = called(&program.init) {
            return Some(Part::Init(process));
        }
        if let Some(process) = called(&program.sidecars) {
            return Some(Part::Sidecar(process));
        }
        match &program.main {
            Main::One(process) if program.is_one() || process.name != self.name => None,
            Main::One(process) => Some(Part::Main(process)),
            Main::Gang { .. } => None,
            Main::Set { members, .. } => members
                .iter()
                .any(|member| member.process.name == self.name)
                .then_some(Part::Member),
        }
    }

    /// One before the main container: the first that fails ends the attempt.
    fn init(&self, process: &Process, with: &With<'_>) -> io::Result<Ended> {
        let mut report = (with.run)(&self.own(process, with.order)?);
        let (code, at) = (exit_code(&report), Instant::now());
        report.failure = report.failure.map(|failure| failure.of_container(&self.name));
        report.started_at = self.board.started()?;
        (with.settle)();
        let failed = report.failure.is_some();
        // What comes after it must not begin, whatever it made of its stop.
        let code = if failed && code == ExitCode::SUCCESS { ExitCode::FAILURE } else { code };
        let word = if failed { Word::Tell(Box::new(report)) } else { Word::Done };
        Ok(Ended { code, at, word })
    }

    fn main(&self, process: &Process, with: &With<'_>) -> io::Result<Ended> {
        let mut report = (with.run)(&self.own(process, with.order)?);
        let (code, at) = (exit_code(&report), Instant::now());
        report.started_at = self.board.started()?;
        (with.settle)();
        Ok(Ended { code, at, word: Word::Tell(Box::new(report)) })
    }

    /// One beside the main container: how it ends changes nothing. The attempt's time is not its own: it ends
    /// with the main container.
    fn sidecar(&self, process: &Process, with: &With<'_>) -> Ended {
        let own = WorkOrder { deadline: None, ..self.alone(process, with.order) };
        let report = (with.run)(&own);
        let (code, at) = (exit_code(&report), Instant::now());
        if let Some(failure) = report.failure.filter(|one| one.class != FailureClass::Lost) {
            let failure = failure.of_container(&self.name);
            (with.say)(format!("a sidecar has ended: {}", failure.message));
        }
        // It is told to end when the main container has: its last lines are waited for all the same.
        self.stopped.store(true, Ordering::SeqCst);
        (with.settle)();
        Ended { code, at, word: Word::Done }
    }

    /// The part of an order that is this container's. Its time is what is left of the attempt's.
    fn own(&self, process: &Process, order: &WorkOrder) -> io::Result<WorkOrder> {
        let now = SystemClock.now();
        let started = self.board.start(&self.name, now)?;
        let left = |all: Millis| Millis(all.0.saturating_sub(now.since(started).0));
        let deadline = order.deadline.map(left);
        Ok(WorkOrder { deadline, ..self.alone(process, order) })
    }

    /// An order with this process alone, and with what comes in and goes out only if it is the main one.
    fn alone(&self, process: &Process, order: &WorkOrder) -> WorkOrder {
        let mut own = WorkOrder { work: Work::one(process.clone()), ..order.clone() };
        if process.name != MAIN {
            own.outputs.clear();
            own.artifacts_in.clear();
            own.artifacts_out.clear();
        }
        own
    }
}

/// The container that the inputs and outputs are of.
const MAIN: &str = "main";
