//! Bytes between connections, which wait, and stores, which block: a few pieces are on their way at a time.

use std::io::{self, Read};
use std::time::{Duration, Instant};

use axum::body::{Body, HttpBody as _};
use bytes::{Buf as _, Bytes};
use flowforge_model::status::Reason;
use flowforge_ports::artifacts::ArtifactError;
use futures_util::stream;
use http_body_util::BodyExt as _;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

use crate::Limits;
use crate::problem::{Code, Failure};

/// Bytes of one piece, and pieces that wait.
const PIECE: usize = 64 * 1024;
const WAITING: usize = 4;
/// A store that wants no more has said why; a pod that is still sending hears of it when it has sent the
/// rest. So much of that is taken, for so long.
const REST_BYTES: u64 = 1024 * 1024 * 1024;
const REST: Duration = Duration::from_secs(60);

/// What comes of a body.
pub(super) enum Piece {
    Data(Bytes),
    /// It came whole. A body that was cut has none.
    End,
}

/// The way from [`feed`] to an [`Inlet`].
pub(super) fn pipe() -> (mpsc::Sender<Piece>, mpsc::Receiver<Piece>) {
    mpsc::channel(WAITING)
}

/// Hands a body on to its end. Fails if it is cut, larger than it may be, or stands still.
pub(super) async fn feed(
    limits: &Limits,
    mut body: Body,
    to: mpsc::Sender<Piece>,
) -> Result<(), Failure> {
    let most = limits.artifact_bytes;
    let too_large =
        || Failure::new(Code::TooLarge, format!("an artifact has at most {most} bytes"));
    if body.size_hint().lower() > most {
        return Err(too_large());
    }
    let mut total: u64 = 0;
    // Since when nobody takes it any more, and from which byte on.
    let mut rest: Option<(Instant, u64)> = None;
    loop {
        let frame = match timeout(limits.body_timeout, body.frame()).await {
            Err(_) => return Err(Failure::new(Code::RequestTimeout, Code::RequestTimeout.text())),
            Ok(None) => break,
            Ok(Some(Err(_))) => {
                return Err(Failure::new(Code::BadRequest, "the body ended early"));
            }
            Ok(Some(Ok(frame))) => frame,
        };
        let Ok(data) = frame.into_data() else { continue };
        total = total.saturating_add(data.len() as u64);
        if total > most {
            return Err(too_large());
        }
        match rest {
            None if to.send(Piece::Data(data)).await.is_err() => {
                rest = Some((Instant::now(), total));
            }
            Some((since, from)) if since.elapsed() > REST || total - from > REST_BYTES => break,
            _ => {}
        }
    }
    // Whoever has gone has said why.
    to.send(Piece::End).await.ok();
    Ok(())
}

/// A body as a store reads it. Ends only where the body did.
pub(super) struct Inlet {
    from: mpsc::Receiver<Piece>,
    piece: Bytes,
    whole: bool,
}

impl Inlet {
    pub(super) fn new(from: mpsc::Receiver<Piece>) -> Self {
        Self { from, piece: Bytes::new(), whole: false }
    }
}

impl Read for Inlet {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() && !self.whole {
            match self.from.blocking_recv() {
                Some(Piece::Data(data)) => self.piece = data,
                Some(Piece::End) => self.whole = true,
                None => return Err(io::Error::other("the connection was cut")),
            }
        }
        let count = self.piece.len().min(buffer.len());
        self.piece.copy_to_slice(buffer.get_mut(..count).unwrap_or_default());
        Ok(count)
    }
}

/// What is known before an answer begins: whether there is anything, or why not.
pub(super) type Opened = oneshot::Receiver<Result<bool, ArtifactError>>;

/// Where a store's bytes go, as fast as the other end takes them.
pub(super) struct Outlet {
    opened: Option<oneshot::Sender<Result<bool, ArtifactError>>>,
    to: mpsc::Sender<io::Result<Bytes>>,
    gathered: Vec<u8>,
    patience: Duration,
    closing: watch::Receiver<bool>,
}

impl Outlet {
    /// Somebody who takes nothing for `patience` is cut off.
    pub(super) fn new(patience: Duration, closing: watch::Receiver<bool>) -> (Self, Opened, Body) {
        let (opened, open) = oneshot::channel();
        let (to, from) = mpsc::channel(WAITING);
        let body = Body::from_stream(stream::unfold(from, async |mut from: mpsc::Receiver<_>| {
            Some((from.recv().await?, from))
        }));
        let gathered = Vec::with_capacity(PIECE);
        (Self { opened: Some(opened), to, gathered, patience, closing }, open, body)
    }

    /// All of a reader.
    pub(super) fn pour(&mut self, from: &mut dyn Read) -> Result<(), ArtifactError> {
        // An object without bytes is one.
        self.open(Ok(true));
        let mut piece = vec![0; PIECE];
        loop {
            match from.read(&mut piece) {
                Ok(0) => return Ok(()),
                Ok(count) => self.write(piece.get(..count).unwrap_or_default())?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(broken(&error.to_string())),
            }
        }
    }

    /// Some bytes.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), ArtifactError> {
        self.open(Ok(true));
        self.gathered.extend_from_slice(bytes);
        if self.gathered.len() < PIECE { Ok(()) } else { self.flush() }
    }

    /// Ends the answer; where something went wrong it is cut, so that it does not look whole.
    pub(super) fn close(mut self, done: Result<(), ArtifactError>) {
        match done.and_then(|()| self.flush()) {
            Ok(()) => self.open(Ok(false)),
            Err(error) => {
                if self.opened.is_none() {
                    tracing::debug!(why = error.message, "an artifact was not sent");
                    // In its turn: what waits before it is sent first, or nobody is there.
                    let cut = io::Error::other("cut");
                    drop(
                        Handle::current().block_on(timeout(self.patience, self.to.send(Err(cut)))),
                    );
                }
                self.open(Err(error));
            }
        }
    }

    fn open(&mut self, what: Result<bool, ArtifactError>) {
        if let Some(opened) = self.opened.take() {
            opened.send(what).ok();
        }
    }

    fn flush(&mut self) -> Result<(), ArtifactError> {
        if self.gathered.is_empty() {
            return Ok(());
        }
        if *self.closing.borrow() {
            return Err(broken("the server is going down"));
        }
        let piece = Bytes::from(std::mem::replace(&mut self.gathered, Vec::with_capacity(PIECE)));
        match Handle::current().block_on(timeout(self.patience, self.to.send(Ok(piece)))) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(broken("the pod has gone")),
            Err(_) => Err(broken("the pod takes no more")),
        }
    }
}

/// Nobody hears of it but the log.
fn broken(why: &str) -> ArtifactError {
    ArtifactError { reason: Reason::ArtifactStore, transient: true, message: why.to_owned() }
}
