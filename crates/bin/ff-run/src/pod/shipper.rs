//! Lines on their way to the server: kept in bounds while it is away, sent in the order they were
//! written, each numbered once.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use flowforge_model::attempt::AttemptKey;
use flowforge_model::id::WorkflowId;
use flowforge_ports::clock::{Clock as _, SystemClock};
use flowforge_ports::logs::{
    LogCursor, LogLine, LogPage, LogQuery, LogStore, SHIPPED_LINES, Stream,
};
use flowforge_ports::pod_calls::{LINES_TEXT_BYTES, Lines};

use super::backoff::Backoff;
use super::server::{Server, Trouble};

/// How often it is looked whether there is time left.
const GLANCE: Duration = Duration::from_millis(200);
/// Bytes of lines that wait: they count against the task's own limit of memory.
const WAITING: usize = 8 * 1024 * 1024;
/// A task that writes faster than a server takes is held up, but at most for this long at a time.
const HELD_UP: Duration = Duration::from_secs(5);

/// The log of one attempt, seen from its pod.
///
/// Guarantees: lines arrive in order and once, as long as the server comes back before too many wait.
/// What has no room then, and what the server refuses, is counted and said in a line of
/// [`Stream::System`] at its place.
#[derive(Debug)]
pub(super) struct Shipper {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    server: Server,
    key: AttemptKey,
    container: u8,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    /// What was not taken yet, what is under way included.
    lines: VecDeque<LogLine>,
    bytes: usize,
    /// Number of the first of them.
    seq: u64,
    /// Dropped since the last line.
    lost: u64,
    /// The last request was not answered well.
    away: bool,
}

impl Shipper {
    /// Ships lines of a container of an attempt from a thread of its own until the process ends.
    pub(super) fn start(server: Server, key: AttemptKey, container: u8) -> io::Result<Self> {
        let state = State { lines: VecDeque::new(), bytes: 0, seq: 1, lost: 0, away: false };
        let state = Mutex::new(state);
        let shared = Arc::new(Shared { server, key, container, state, changed: Condvar::new() });
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("log-shipper".to_owned());
        thread.spawn(move || theirs.ship())?;
        Ok(Self { shared })
    }

    /// Writes a line of ours.
    pub(super) fn say(&self, text: String) {
        self.shared.lock().push(self.shared.line(text));
        self.shared.changed.notify_all();
    }

    /// Waits until the server has everything, at most for `patience`, and not when there is no time for it.
    pub(super) fn settle(&self, patience: Duration, hurry: impl Fn() -> bool) {
        let until = Instant::now() + patience;
        let mut state = self.shared.lock();
        self.shared.own_up(&mut state);
        while !state.lines.is_empty() {
            let left = until.checked_duration_since(Instant::now());
            let Some(left) = left.filter(|_| !hurry()) else { return };
            state = self.shared.wait(state, left.min(GLANCE));
        }
    }
}

impl LogStore for Shipper {
    fn append(&self, _workflow: WorkflowId, lines: &[LogLine]) -> io::Result<()> {
        let shared = &self.shared;
        let until = Instant::now() + HELD_UP;
        let mut state = shared.lock();
        for line in lines {
            while state.bytes + size(line) > WAITING && !state.away {
                let Some(left) = until.checked_duration_since(Instant::now()) else { break };
                state = shared.wait(state, left);
            }
            if state.bytes + size(line) > WAITING {
                state.lost += 1;
                continue;
            }
            shared.own_up(&mut state);
            state.push(line.clone());
        }
        drop(state);
        shared.changed.notify_all();
        Ok(())
    }

    fn read(&self, _: WorkflowId, _: &LogQuery, _: LogCursor, _: usize) -> io::Result<LogPage> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn seal(&self, _workflow: WorkflowId) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn delete(&self, _workflow: WorkflowId) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>, left: Duration) -> MutexGuard<'a, State> {
        let (state, _) =
            self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner);
        state
    }

    /// Says in the log how many lines are missing here.
    fn own_up(&self, state: &mut State) {
        if state.lost == 0 {
            return;
        }
        let text = format!(
            "{} lines are missing here: the server was away, or did not take them",
            std::mem::take(&mut state.lost)
        );
        state.push(self.line(text));
    }

    /// A line of ours.
    fn line(&self, text: String) -> LogLine {
        let AttemptKey { node, number: attempt, .. } = self.key;
        let (at, stream) = (SystemClock.now(), Stream::System);
        LogLine { at, node, attempt, stream, text, cut: false }
    }

    fn ship(&self) {
        let mut backoff = Backoff::new(Duration::MAX);
        loop {
            let mut state = self.lock();
            while state.lines.is_empty() {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            let shipment = state.first(self.container, self.key.workflow);
            drop(state);
            match self.send(&shipment) {
                Ok(()) => {
                    backoff = Backoff::new(Duration::MAX);
                    self.done(&shipment, false);
                }
                Err(trouble) if trouble.refuses_lines() => self.done(&shipment, true),
                Err(_) => {
                    self.lock().away = true;
                    self.changed.notify_all();
                    if let Some(pause) = backoff.next(Duration::MAX) {
                        std::thread::sleep(pause);
                    }
                }
            }
        }
    }

    fn send(&self, shipment: &Lines) -> Result<(), Trouble> {
        let body = serde_json::to_vec(shipment)
            .map_err(|error| Trouble::away("bad_request", error.to_string()))?;
        self.server.lines(&body)
    }

    /// These lines are the server's, or `refused` by it.
    fn done(&self, shipment: &Lines, refused: bool) {
        let mut state = self.lock();
        state.away = false;
        for line in &shipment.lines {
            state.bytes -= size(line);
            state.lines.pop_front();
            state.seq += 1;
        }
        if refused {
            state.lost += shipment.lines.len() as u64;
        }
        drop(state);
        self.changed.notify_all();
    }
}

impl State {
    fn push(&mut self, line: LogLine) {
        self.bytes += size(&line);
        self.lines.push_back(line);
    }

    /// As many of the first lines as are sent at once.
    fn first(&self, container: u8, workflow: WorkflowId) -> Lines {
        let mut bytes = 0;
        let fits = |line: &&LogLine| {
            bytes += line.text.len();
            bytes <= LINES_TEXT_BYTES
        };
        let lines = self.lines.iter().take(SHIPPED_LINES).take_while(fits).cloned().collect();
        Lines { container, workflow, seq: self.seq, lines }
    }
}

fn size(line: &LogLine) -> usize {
    line.text.len() + size_of::<LogLine>()
}
