//! Watching one process from its start to its end.

use std::io::{self, PipeReader, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use flowforge_ports::logs::Stream;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal};

use crate::capture::Capture;

/// After the process ended: how long pipes that others still hold are read.
const LINGER: Duration = Duration::from_millis(100);
/// Reads after that: what an ended process left in a pipe of the largest usual size (1 MiB) is
/// taken in even by a machine that was asleep, a flood from somebody else is not.
const LATE_READS: u32 = 64;
/// Bytes read at a time: what a pipe holds.
const READ_BYTES: usize = 64 * 1024;
/// Bytes read at a time until that was too little: most tasks print a few lines.
const FIRST_READ_BYTES: usize = 4 * 1024;

/// What others may ask of a running attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    /// As `Stop`, with the signal of a keyboard.
    Interrupt,
    /// End politely, then hard.
    Stop,
    /// End now.
    Kill,
}

/// Through which a worker is asked. One per worker, used for one attempt after the other.
#[derive(Debug)]
pub(crate) struct Control {
    asked: AtomicU8,
    wake: OwnedFd,
    /// Those of other processes of the same attempt: they are asked the same.
    others: Mutex<Vec<Arc<Control>>>,
}

impl Control {
    pub(crate) fn new() -> io::Result<Self> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        let wake = rustix::event::eventfd(0, flags)?;
        Ok(Self { asked: AtomicU8::new(0), wake, others: Mutex::default() })
    }

    /// Asks; the stronger demand wins.
    pub(crate) fn ask(&self, ask: Ask) {
        let level = match ask {
            Ask::Interrupt => 1,
            Ask::Stop => 2,
            Ask::Kill => 3,
        };
        self.asked.fetch_max(level, Ordering::SeqCst);
        // Can only fail if it was asked 2^64 times.
        rustix::io::write(&self.wake, &1_u64.to_ne_bytes()).ok();
        for other in &*self.others() {
            other.ask(ask);
        }
    }

    /// Another control that is asked what this one is asked, and was.
    pub(crate) fn another(&self) -> io::Result<Arc<Self>> {
        let other = Arc::new(Self::new()?);
        self.others().push(Arc::clone(&other));
        if let Some(ask) = self.asked() {
            other.ask(ask);
        }
        Ok(other)
    }

    fn others(&self) -> MutexGuard<'_, Vec<Arc<Self>>> {
        self.others.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sleeps, but not longer than until something is asked.
    pub(crate) fn sleep(&self, span: Duration) -> io::Result<()> {
        let until = Instant::now() + span;
        while self.asked().is_none() && Instant::now() < until {
            poll_until(&mut [PollFd::new(&self.wake, PollFlags::IN)], Some(until))?;
        }
        Ok(())
    }

    pub(crate) fn asked(&self) -> Option<Ask> {
        match self.asked.load(Ordering::SeqCst) {
            0 => None,
            1 => Some(Ask::Interrupt),
            2 => Some(Ask::Stop),
            _ => Some(Ask::Kill),
        }
    }

    /// Makes ready for the next attempt.
    pub(crate) fn reset(&self) {
        self.others().clear();
        if self.asked.swap(0, Ordering::SeqCst) != 0 {
            self.quiet();
        }
    }

    fn quiet(&self) {
        rustix::io::read(&self.wake, &mut [0_u8; 8]).ok();
    }
}

/// Why a process was told to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    Deadline,
    Stopped,
    ShutDown,
}

/// A process that runs, with the ends of its pipes.
pub(crate) struct Running {
    child: Child,
    pid: Pid,
    pidfd: OwnedFd,
    /// Keeps the writing ends open: the pipes do not wake the worker by closing, only the end of
    /// the process does, once.
    command: Command,
    pipes: Pipes,
}

/// The reading ends; `None` after the end of what can come.
struct Pipes {
    stdout: Option<PipeReader>,
    stderr: Option<PipeReader>,
    buffer: Vec<u8>,
}

/// The bounds of one attempt.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Ends it then.
    pub(crate) deadline: Option<Instant>,
    /// From the polite signal to the hard one.
    pub(crate) grace: Duration,
}

/// How a process ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    /// It was told to.
    pub(crate) cause: Option<Cause>,
    /// A process outside its group still holds its pipes.
    pub(crate) escaped: bool,
}

impl Running {
    /// Starts the process in a group of its own.
    pub(crate) fn spawn(mut command: Command) -> io::Result<Self> {
        let (stdout, writer) = io::pipe()?;
        command.stdout(Stdio::from(writer));
        let (stderr, writer) = io::pipe()?;
        command.stderr(Stdio::from(writer));
        let mut child = command.spawn()?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let watched = pid
            .ok_or(Errno::SRCH)
            .and_then(|pid| Ok((pid, rustix::process::pidfd_open(pid, PidfdFlags::empty())?)));
        match watched {
            Ok((pid, pidfd)) => Ok(Self {
                child,
                pid,
                pidfd,
                command,
                pipes: Pipes { stdout: Some(stdout), stderr: Some(stderr), buffer: Vec::new() },
            }),
            Err(error) => {
                // Out of open files: a process that cannot be watched must not run.
                child.kill()?;
                child.wait()?;
                Err(error.into())
            }
        }
    }

    /// The number of the process.
    pub(crate) fn pid(&self) -> Pid {
        self.pid
    }

    /// Closes this side's copy of what the process was given as its standard input.
    pub(crate) fn let_go_of_stdin(&mut self) {
        self.command.stdin(Stdio::null());
    }

    /// Ends a process that is not to be watched.
    pub(crate) fn abandon(mut self) {
        let ended = signal_group(self.pid, Signal::KILL).and_then(|()| self.child.wait());
        if let Err(error) = ended {
            tracing::warn!(%error, "cannot end a process that did not become a task");
        }
    }

    /// Waits for the end of the process and takes its output in. Whatever else is in its group is
    /// killed when it ends, as the rest of a container is.
    pub(crate) fn watch(
        mut self,
        control: &Control,
        bounds: &Bounds,
        capture: &mut Capture<'_>,
    ) -> io::Result<Ended> {
        let mut stopping = Stopping::default();
        let attended = self.attend(control, bounds, &mut stopping, capture);
        // Before it is reaped: until then its number cannot name another group. Also if it could
        // not be attended to: what nobody watches must not run.
        signal_group(self.pid, Signal::KILL)?;
        let status = self.child.wait()?;
        attended?;
        drop(self.command);
        let escaped = !self.pipes.drain(capture)?;
        Ok(Ended { status, cause: stopping.cause, escaped })
    }

    fn attend(
        &mut self,
        control: &Control,
        bounds: &Bounds,
        stopping: &mut Stopping,
        capture: &mut Capture<'_>,
    ) -> io::Result<()> {
        loop {
            let timers = [stopping.next(bounds), capture.due()];
            let ready = self.wait(control, timers.into_iter().flatten().min())?;
            if ready.exited {
                return Ok(());
            }
            if ready.asked {
                control.quiet();
            }
            self.pipes.read(&ready.pipes, capture)?;
            if let Some(signal) = stopping.signal(control.asked(), bounds) {
                signal_group(self.pid, signal)?;
            }
            if capture.due().is_some_and(|due| due <= Instant::now()) {
                capture.flush();
            }
        }
    }

    /// Sleeps until something happens. The process is looked at first: if it has ended, all it
    /// wrote is in the pipes.
    fn wait(&self, control: &Control, until: Option<Instant>) -> io::Result<Ready> {
        let mut fds = Vec::with_capacity(4);
        fds.push(PollFd::new(&self.pidfd, PollFlags::IN));
        fds.push(PollFd::new(&control.wake, PollFlags::IN));
        self.pipes.watched(&mut fds);
        let fired = poll_until(&mut fds, until)?;
        let is = |place: usize| fired && fds.get(place).is_some_and(|fd| !fd.revents().is_empty());
        Ok(Ready { exited: is(0), asked: is(1), pipes: [is(2), is(3)] })
    }
}

struct Ready {
    exited: bool,
    asked: bool,
    pipes: [bool; 2],
}

/// Sleeps; false if the time came or a signal interrupted.
fn poll_until(fds: &mut [PollFd<'_>], until: Option<Instant>) -> io::Result<bool> {
    let timeout = until.map(|at| {
        let left = at.saturating_duration_since(Instant::now());
        Timespec::try_from(left).unwrap_or(Timespec { tv_sec: 3600, tv_nsec: 0 })
    });
    match poll(fds, timeout.as_ref()) {
        Ok(count) => Ok(count > 0),
        Err(Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn signal_group(group: Pid, signal: Signal) -> io::Result<()> {
    match rustix::process::kill_process_group(group, signal) {
        // All members are gone, or became another user's.
        Ok(()) | Err(Errno::SRCH | Errno::PERM) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The way from a demand to the end.
#[derive(Debug, Default)]
struct Stopping {
    cause: Option<Cause>,
    /// When politeness ends; none before the polite signal and after the hard one.
    kill_at: Option<Instant>,
    killed: bool,
}

impl Stopping {
    /// The next moment at which [`Self::signal`] may have something to say.
    fn next(&self, bounds: &Bounds) -> Option<Instant> {
        match self.cause {
            None => bounds.deadline,
            Some(_) => self.kill_at,
        }
    }

    /// The signal to send now.
    fn signal(&mut self, asked: Option<Ask>, bounds: &Bounds) -> Option<Signal> {
        let now = Instant::now();
        if asked == Some(Ask::Kill) && !self.killed {
            self.cause.get_or_insert(Cause::ShutDown);
            return self.kill();
        }
        if self.cause.is_none() {
            let late = bounds.deadline.is_some_and(|deadline| now >= deadline);
            self.cause = match asked {
                Some(_) => Some(Cause::Stopped),
                None if late => Some(Cause::Deadline),
                None => return None,
            };
            self.kill_at = Some(now + bounds.grace);
            let interrupted = asked == Some(Ask::Interrupt);
            return Some(if interrupted { Signal::INT } else { Signal::TERM });
        }
        let over = self.kill_at.is_some_and(|at| now >= at);
        if over { self.kill() } else { None }
    }

    fn kill(&mut self) -> Option<Signal> {
        self.killed = true;
        self.kill_at = None;
        Some(Signal::KILL)
    }
}

impl Pipes {
    fn watched<'a>(&'a self, fds: &mut Vec<PollFd<'a>>) {
        let open = self.stdout.iter().chain(&self.stderr);
        fds.extend(open.map(|pipe| PollFd::from_borrowed_fd(pipe.as_fd(), PollFlags::IN)));
    }

    /// Reads once from each pipe that is ready.
    fn read(&mut self, ready: &[bool; 2], capture: &mut Capture<'_>) -> io::Result<()> {
        let buffer = &mut self.buffer;
        let pipes = [(Stream::Stdout, &mut self.stdout), (Stream::Stderr, &mut self.stderr)];
        for ((stream, pipe), ready) in pipes.into_iter().zip(ready) {
            let Some(open) = pipe.as_mut().filter(|_| *ready) else {
                continue;
            };
            if buffer.is_empty() {
                buffer.resize(FIRST_READ_BYTES, 0);
            }
            match open.read(buffer) {
                Ok(0) => *pipe = None,
                Ok(count) => {
                    capture.take(stream, buffer.get(..count).unwrap_or(&[]));
                    if count == buffer.len() {
                        buffer.resize(READ_BYTES, 0);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads what is left. False if somebody still holds a pipe when the time is over.
    fn drain(&mut self, capture: &mut Capture<'_>) -> io::Result<bool> {
        let until = Instant::now() + LINGER;
        let mut late = 0;
        while self.stdout.is_some() || self.stderr.is_some() {
            let mut fds = Vec::with_capacity(2);
            self.watched(&mut fds);
            let fired = poll_until(&mut fds, Some(until))?;
            if Instant::now() >= until {
                if !fired || late == LATE_READS {
                    return Ok(false);
                }
                late += 1;
            }
            let mut ready = fds.iter().map(PollFd::revents).collect::<Vec<_>>().into_iter();
            let mut data = [false; 2];
            let pipes = [&mut self.stdout, &mut self.stderr];
            for (pipe, data) in pipes.into_iter().zip(&mut data) {
                if pipe.is_none() {
                    continue;
                }
                let flags = ready.next().unwrap_or(PollFlags::empty());
                *data = flags.contains(PollFlags::IN);
                if !flags.is_empty() && !*data {
                    *pipe = None;
                }
            }
            self.read(&data, capture)?;
        }
        Ok(true)
    }
}
