//! The bytes of artifacts, to and from the server.

use std::fmt::Write as _;
use std::io::{self, BufRead as _, BufReader, Read, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use flowforge_artifacts::{Line, Upload};
use flowforge_model::limits;
use flowforge_model::status::Reason;
use flowforge_ports::artifacts::{ArtifactError, Each};
use flowforge_ports::pod_calls::Unmoved;
use ureq::{BodyReader, SendBody};

use super::server::{Server, Trouble, Unsent};

/// Bytes of one piece, and pieces that wait to be sent.
const PIECE: usize = 64 * 1024;
const WAITING: usize = 4;
/// Bytes of a list of keys: it is held as a whole, so that a server is never asked while it answers.
const LIST_BYTES: u64 = 256 * 1024 * 1024;

/// The server, and what has kept it from doing its part.
#[derive(Clone)]
pub(super) struct ServerLine {
    server: Server,
    trouble: Arc<Mutex<Option<Trouble>>>,
}

impl ServerLine {
    pub(super) fn new(server: Server) -> Self {
        Self { server, trouble: Arc::default() }
    }

    /// What the server last failed with, if anything went wrong for want of it.
    pub(super) fn trouble(&self) -> Option<Trouble> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn forget(&self) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn failed(&self, unsent: Unsent) -> ArtifactError {
        match unsent {
            Unsent::Said(Unmoved { reason, transient, message }) => {
                ArtifactError { reason, transient, message }
            }
            Unsent::Trouble(trouble) => {
                let message = trouble.why.clone();
                *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(trouble);
                ArtifactError { reason: Reason::ArtifactStore, transient: true, message }
            }
        }
    }

    /// A connection that broke while bytes came.
    fn broke(&self, error: &io::Error) -> io::Error {
        let why = format!("the server broke off: {error}");
        io::Error::other(self.failed(Unsent::Trouble(Trouble::away("server_away", why))))
    }
}

impl Line for ServerLine {
    fn get(&self, input: &str, below: &str) -> Result<Option<Box<dyn Read>>, ArtifactError> {
        let body = self.server.get(&path("inputs", input, below));
        let body = body.map_err(|unsent| self.failed(unsent))?;
        Ok(body.map(|body| -> Box<dyn Read> {
            Box::new(Coming { line: self.clone(), inner: body.into_reader() })
        }))
    }

    fn list(&self, input: &str, below: &str, each: &mut Each<'_>) -> Result<(), ArtifactError> {
        let body = self.server.get(&path("lists", input, below));
        let Some(body) = body.map_err(|unsent| self.failed(unsent))? else {
            return Ok(());
        };
        let mut keys = Vec::new();
        let mut left = LIST_BYTES;
        for line in BufReader::new(body.into_reader().take(LIST_BYTES)).lines() {
            let line = line.map_err(|error| {
                let why = format!("the server broke off: {error}");
                self.failed(Unsent::Trouble(Trouble::away("server_away", why)))
            })?;
            left = left.saturating_sub(line.len() as u64 + 1);
            if left == 0 || keys.len() as u64 > limits::ARTIFACT_ENTRIES {
                return Err(invalid(
                    "it has too many files: keep a data set of this size on a volume",
                ));
            }
            let key: String = serde_json::from_str(&line)
                .map_err(|error| invalid(&format!("its list of files cannot be read: {error}")))?;
            keys.push(key);
        }
        keys.iter().try_for_each(|key| each(key))
    }

    fn put(&self, output: &str, below: &str) -> Result<Box<dyn Upload>, ArtifactError> {
        let (to, from) = sync_channel(WAITING);
        let (server, path) = (self.server.clone(), path("artifacts", output, below));
        let send = move || {
            let mut body = Outgoing { from, piece: Vec::new(), at: 0, whole: false };
            server.put(&path, SendBody::from_reader(&mut body))
        };
        let worker = std::thread::Builder::new().name("artifact".to_owned()).spawn(send);
        let worker = worker.map_err(|error| ArtifactError {
            reason: Reason::ArtifactStore,
            transient: true,
            message: format!("no thread to send it with: {error}"),
        })?;
        let gathered = Vec::with_capacity(PIECE);
        Ok(Box::new(Sending { line: self.clone(), to, gathered, sent: 0, worker: Some(worker) }))
    }
}

/// An object that comes.
struct Coming {
    line: ServerLine,
    inner: BodyReader<'static>,
}

impl Read for Coming {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer).map_err(|error| match error.kind() {
            io::ErrorKind::Interrupted => error,
            _ => self.line.broke(&error),
        })
    }
}

/// What goes from whoever packs to the thread that sends.
enum Piece {
    Data(Vec<u8>),
    /// All of it was said. A body without this is cut, and the server keeps nothing.
    End,
}

/// An object that goes.
struct Sending {
    line: ServerLine,
    to: SyncSender<Piece>,
    gathered: Vec<u8>,
    sent: u64,
    /// None when it has been heard.
    worker: Option<JoinHandle<Result<(), Unsent>>>,
}

impl Sending {
    fn send(&mut self, piece: Piece) -> Result<(), ArtifactError> {
        match self.to.send(piece) {
            Ok(()) => Ok(()),
            // It has ended before its time, with an error.
            Err(_) => self.hear(),
        }
    }

    fn hear(&mut self) -> Result<(), ArtifactError> {
        let done = self.worker.take().map(JoinHandle::join);
        match done {
            Some(Ok(Ok(()))) => Ok(()),
            Some(Ok(Err(unsent))) => Err(self.line.failed(unsent)),
            Some(Err(_)) | None => {
                let why = "the sending of it ended early".to_owned();
                Err(self.line.failed(Unsent::Trouble(Trouble::away("server_away", why))))
            }
        }
    }

    fn flush_piece(&mut self) -> Result<(), ArtifactError> {
        if self.gathered.is_empty() {
            return Ok(());
        }
        self.sent = self.sent.saturating_add(self.gathered.len() as u64);
        if self.sent > limits::ARTIFACT_BYTES {
            return Err(invalid(&format!("it has more than {} bytes", limits::ARTIFACT_BYTES)));
        }
        let piece = std::mem::replace(&mut self.gathered, Vec::with_capacity(PIECE));
        self.send(Piece::Data(piece))
    }
}

impl Write for Sending {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = PIECE.saturating_sub(self.gathered.len()).max(1);
        let count = bytes.len().min(room);
        self.gathered.extend_from_slice(bytes.get(..count).unwrap_or_default());
        if self.gathered.len() >= PIECE {
            self.flush_piece().map_err(io::Error::other)?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Upload for Sending {
    fn finish(mut self: Box<Self>) -> Result<(), ArtifactError> {
        self.flush_piece()?;
        self.send(Piece::End)?;
        self.hear()
    }
}

/// A body as it is sent.
struct Outgoing {
    from: Receiver<Piece>,
    piece: Vec<u8>,
    at: usize,
    whole: bool,
}

impl Read for Outgoing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at >= self.piece.len() && !self.whole {
            match self.from.recv() {
                Ok(Piece::Data(piece)) => (self.piece, self.at) = (piece, 0),
                Ok(Piece::End) => self.whole = true,
                Err(_) => return Err(io::Error::other("given up")),
            }
        }
        let left = self.piece.get(self.at..).unwrap_or_default();
        let count = left.len().min(buffer.len());
        let into = buffer.get_mut(..count).unwrap_or_default();
        into.copy_from_slice(left.get(..count).unwrap_or_default());
        self.at = self.at.saturating_add(count);
        Ok(count)
    }
}

fn invalid(why: &str) -> ArtifactError {
    let message = why.to_owned();
    ArtifactError { reason: Reason::ArtifactInvalid, transient: false, message }
}

/// Below the attempt.
fn path(what: &str, name: &str, below: &str) -> String {
    let mut path = format!("{what}/{}", encoded(name));
    if !below.is_empty() {
        path.push_str("?below=");
        path.push_str(&encoded(below));
    }
    path
}

/// Every byte that could mean something to a URL.
fn encoded(text: &str) -> String {
    let mut all = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            all.push(char::from(byte));
        } else {
            write!(all, "%{byte:02X}").ok();
        }
    }
    all
}
