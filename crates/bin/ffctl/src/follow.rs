//! Streams of the server, read on threads of their own, that come back after a cut; and signals.

use std::io::Read as _;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use flowforge_wire::{Event, LogLine};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::sse::{Frame, Parser};

/// A server that restarts is back within seconds; after this long we give up.
const PATIENCE: Duration = Duration::from_secs(60);
/// The first pause before coming back; each is twice the one before, up to [`PAUSE_MOST`].
const PAUSE_FIRST: Duration = Duration::from_millis(50);
const PAUSE_MOST: Duration = Duration::from_secs(2);
/// What waits to be shown; a reader that is ahead waits.
const WAITING: usize = 1024;

/// Something that happened while we wait.
#[derive(Debug)]
pub(crate) enum Signal {
    /// A status changed.
    Event(Box<Event>),
    /// A task wrote a line.
    Line(Box<LogLine>),
    /// A stream is over: the workflow has ended and all was sent.
    End(Feed),
    /// The connection was cut; it is tried again.
    Lost(String),
    /// It is there again.
    Found,
    /// A stream cannot go on.
    Failed(Failure),
    /// Somebody wants us to end.
    Stop(i32),
}

/// What a stream carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Feed {
    Events,
    /// Events of which only the end is wanted: the others are not even decoded.
    EventsEnd,
    Logs,
}

/// Where everything that happens arrives.
pub(crate) struct Inbox {
    sender: SyncSender<Signal>,
    receiver: Receiver<Signal>,
}

/// A stream to read.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) feed: Feed,
    pub(crate) workflow: String,
    pub(crate) query: Vec<(String, String)>,
    /// The id of the last event that is known.
    pub(crate) after: Option<String>,
}

impl Inbox {
    /// From now on SIGINT, SIGTERM and SIGHUP arrive here; a second one ends this process.
    pub(crate) fn with_signals() -> Result<Self, Failure> {
        let failed = |error| Failure::new(Exit::Negative, format!("watch for signals: {error}"));
        let inbox = Self::new();
        let seen = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            let code = i32::from(Exit::Signal(signal).code());
            signal_hook::flag::register_conditional_shutdown(signal, code, Arc::clone(&seen))
                .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&seen)))
                .map_err(failed)?;
        }
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).map_err(failed)?;
        let sender = inbox.sender.clone();
        spawn("signals", move || {
            for signal in signals.forever() {
                if sender.send(Signal::Stop(signal)).is_err() {
                    return;
                }
            }
        })?;
        Ok(inbox)
    }

    /// Without signals.
    pub(crate) fn new() -> Self {
        let (sender, receiver) = sync_channel(WAITING);
        Self { sender, receiver }
    }

    /// Reads a stream from now on.
    pub(crate) fn follow(&self, client: Client, wanted: Wanted) -> Result<(), Failure> {
        let sender = self.sender.clone();
        spawn("stream", move || keep(client, wanted, &sender))
    }

    /// The next thing that happens, if it does until then.
    pub(crate) fn next(&self, until: Option<Instant>) -> Option<Signal> {
        let Some(until) = until else {
            return self.receiver.recv().ok();
        };
        let wait = until.saturating_duration_since(Instant::now());
        self.receiver.recv_timeout(wait).ok()
    }
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<(), Failure> {
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(body)
        .map(|_| ())
        .map_err(|error| Failure::new(Exit::Negative, format!("start a thread: {error}")))
}

/// Nobody listens any more, or the stream is over.
struct Over;

/// Reads a stream to its end, over as many connections as it takes.
fn keep(mut client: Client, mut wanted: Wanted, sender: &SyncSender<Signal>) {
    let mut lost: Option<Instant> = None;
    let mut pause = PAUSE_FIRST;
    loop {
        let mut heard = false;
        let failure = match read(&client, &mut wanted, &mut heard, sender, lost.is_some()) {
            Ok(Over) => return,
            Err(failure) => failure,
        };
        if heard {
            (lost, pause) = (None, PAUSE_FIRST);
        }
        let coming_back = lost.is_some();
        let since = *lost.get_or_insert_with(Instant::now);
        // A server that restarts may have a new token that we read a moment too early.
        let passing =
            failure.passing() || (coming_back && client.may_move() && failure.exit() == Exit::Auth);
        if !passing || since.elapsed() > PATIENCE {
            // If nobody listens any more, nobody needs to know.
            let _sent = sender.send(Signal::Failed(failure));
            return;
        }
        if !coming_back {
            let why = match failure {
                Failure::Told { message, .. } => message,
                Failure::Refused { problem, .. } => problem.title,
                Failure::Absent { url } => format!("no server answers at {url}"),
                Failure::Closed => String::new(),
            };
            if sender.send(Signal::Lost(why)).is_err() {
                return;
            }
        }
        thread::sleep(pause);
        pause = (pause * 2).min(PAUSE_MOST);
        if let Ok(moved) = client.again() {
            client = moved;
        }
    }
}

/// Reads one connection; an error is a cut, or for good.
fn read(
    client: &Client,
    wanted: &mut Wanted,
    heard: &mut bool,
    sender: &SyncSender<Signal>,
    coming_back: bool,
) -> Result<Over, Failure> {
    let path = match wanted.feed {
        Feed::Events | Feed::EventsEnd => "events",
        Feed::Logs => "logs",
    };
    let path = format!("/api/v1/workflows/{}/{path}", wanted.workflow);
    let query: Vec<(&str, &str)> = wanted.query.iter().map(|(k, v)| (&**k, &**v)).collect();
    let mut body = client.stream(&path, &query, wanted.after.as_deref())?;
    *heard = true;
    if coming_back && sender.send(Signal::Found).is_err() {
        return Ok(Over);
    }
    let mut parser = Parser::default();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let cut = |why: &str| Failure::new(Exit::Server, format!("the stream broke off{why}"));
        let length = match body.read(&mut buffer) {
            Ok(0) => return Err(cut("")),
            Ok(length) => length,
            Err(error) => return Err(cut(&format!(": {error}"))),
        };
        let bytes = buffer.get(..length).unwrap_or_default();
        let frames = parser.push(bytes).map_err(|_| cut(": too large a frame"))?;
        for frame in frames {
            if frame.event == "error" {
                return Err(cut(": the server failed"));
            }
            let end = frame.event == "end";
            if end || frame.id.is_some() {
                wanted.after.clone_from(&frame.id);
            }
            if let Some(signal) = decode(wanted.feed, &frame)
                && sender.send(signal).is_err()
            {
                return Ok(Over);
            }
            if end {
                return Ok(Over);
            }
        }
    }
}

/// What a frame says; nothing if it is of a kind that this client does not know.
fn decode(feed: Feed, frame: &Frame) -> Option<Signal> {
    if frame.event == "end" {
        return Some(Signal::End(feed));
    }
    match feed {
        Feed::EventsEnd => None,
        Feed::Events => serde_json::from_str(&frame.data).ok().map(Signal::Event),
        Feed::Logs => serde_json::from_str(&frame.data).ok().map(Signal::Line),
    }
}
