//! Server-sent events: a source that is read, a hub that wakes, and an end.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use flowforge_model::id::WorkflowId;
use futures_util::stream;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, sleep_until};

use crate::Shared;
use crate::hub::Follower;
use crate::problem::{Code, Failure};
use crate::query::{Query, digits};

/// Busy workflows are read this often at most: people cannot see more, and the store has more to
/// do than to be watched.
const PAUSE: Duration = Duration::from_millis(20);

/// What is read on and on.
pub(crate) trait Source: Send + 'static {
    /// Reads what is new.
    fn read(&mut self, shared: &Arc<Shared>)
    -> impl Future<Output = Result<Piece, Failure>> + Send;

    /// How long to wait before reading on without having been woken.
    fn patience(&self, shared: &Shared) -> Duration;
}

/// Something new.
#[derive(Debug, Default)]
pub(crate) struct Piece {
    /// Finished events of the stream.
    pub(crate) text: String,
    /// There is more to be had at once.
    pub(crate) more: bool,
    /// Nothing more can come: the final status.
    pub(crate) end: Option<&'static str>,
}

impl Piece {
    /// Adds one event.
    pub(crate) fn push(&mut self, kind: &str, id: u64, data: &impl Serialize) {
        // JSON has no line breaks, so one `data:` line holds all of it.
        let data = serde_json::to_string(data).unwrap_or_default();
        let written = write!(self.text, "event: {kind}\nid: {id}\ndata: {data}\n\n");
        debug_assert!(written.is_ok());
    }
}

/// Answers with a stream.
pub(crate) fn respond<S: Source>(
    shared: Arc<Shared>,
    id: WorkflowId,
    source: S,
) -> Result<Response, Failure> {
    let Ok(permit) = Arc::clone(&shared.streams).try_acquire_owned() else {
        return Err(Failure::new(Code::TooManyStreams, Code::TooManyStreams.text()));
    };
    let state = Stream {
        follower: shared.hub.follow(id),
        closing: shared.closing.watch(),
        source,
        begun: false,
        over: false,
        next_read: Instant::now(),
        beat: Instant::now() + shared.config.limits.heartbeat,
        shared,
        _permit: permit,
    };
    let pieces = stream::unfold(state, |mut state| async move {
        let piece = state.next().await?;
        Some((Ok::<_, Infallible>(Bytes::from(piece)), state))
    });
    let mut response = Body::from_stream(pieces).into_response();
    let kind = HeaderValue::from_static("text/event-stream");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    let unbuffered = HeaderValue::from_static("no");
    response.headers_mut().insert("x-accel-buffering", unbuffered);
    Ok(response)
}

struct Stream<S> {
    shared: Arc<Shared>,
    source: S,
    follower: Follower,
    closing: watch::Receiver<bool>,
    begun: bool,
    over: bool,
    next_read: Instant,
    beat: Instant,
    _permit: OwnedSemaphorePermit,
}

impl<S: Source> Stream<S> {
    /// The next bytes to send; none when the stream is over.
    async fn next(&mut self) -> Option<String> {
        if self.over {
            return None;
        }
        if !self.begun {
            // Sends the head on its way, and says when to come back.
            self.begun = true;
            return Some(retry_after());
        }
        loop {
            if *self.closing.borrow() {
                self.over = true;
                return Some(retry_after());
            }
            sleep_until(self.next_read).await;
            match self.source.read(&self.shared).await {
                Ok(piece) => {
                    if !piece.more {
                        self.next_read = Instant::now() + PAUSE;
                    }
                    if let Some(text) = self.finished(piece) {
                        self.beat = Instant::now() + self.shared.config.limits.heartbeat;
                        return Some(text);
                    }
                }
                Err(failure) => {
                    self.over = true;
                    let code = failure.code.slug();
                    return Some(format!("event: error\ndata: {{\"code\":\"{code}\"}}\n\n"));
                }
            }
            let again = Instant::now() + self.source.patience(&self.shared);
            tokio::select! {
                () = self.follower.woken() => {}
                () = sleep_until(again) => {}
                _ = self.closing.changed() => {}
                () = sleep_until(self.beat) => {
                    self.beat = Instant::now() + self.shared.config.limits.heartbeat;
                    return Some(":\n\n".to_owned());
                }
            }
        }
    }

    fn finished(&mut self, piece: Piece) -> Option<String> {
        let mut text = piece.text;
        if let Some(status) = piece.end {
            self.over = true;
            let written = write!(text, "event: end\ndata: {{\"status\":\"{status}\"}}\n\n");
            debug_assert!(written.is_ok());
        }
        (!text.is_empty()).then_some(text)
    }
}

/// Tells a client when to come back if the stream breaks: 1 to 2 s, not all at once.
fn retry_after() -> String {
    let random = uuid::Uuid::now_v7().as_u128() % 1000;
    format!("retry: {}\n\n", 1000 + random)
}

/// The place to go on from: `Last-Event-ID` of a client that comes back, else `after`.
pub(crate) fn resume_point(query: &Query, headers: &HeaderMap) -> Result<u64, Failure> {
    let refused = || {
        let detail = "`Last-Event-ID` is the number of an event of this stream";
        Failure::new(Code::BadCursor, detail)
    };
    if let Some(last) = headers.get("last-event-id") {
        let text = last.to_str().map_err(|_| refused())?;
        return digits(text).ok_or_else(refused);
    }
    Ok(query.read("after", digits)?.unwrap_or(0))
}

/// The first of the offered media types that `Accept` admits.
pub(crate) fn negotiate(
    headers: &HeaderMap,
    offers: &[&'static str],
) -> Result<&'static str, Failure> {
    let mut ranges = Vec::new();
    for value in headers.get_all(ACCEPT) {
        ranges.extend(value.to_str().unwrap_or("").split(','));
    }
    let first = offers.first().copied().unwrap_or("application/json");
    if ranges.is_empty() {
        return Ok(first);
    }
    for range in ranges {
        let mut parts = range.split(';').map(str::trim);
        let wanted = parts.next().unwrap_or("").to_ascii_lowercase();
        if parts.any(|q| matches!(q, "q=0" | "q=0.0" | "q=0.00" | "q=0.000")) {
            continue;
        }
        let admits = |offer: &&&str| {
            wanted == "*/*"
                || wanted == **offer
                || wanted
                    .strip_suffix("/*")
                    .is_some_and(|kind| offer.split('/').next() == Some(kind))
        };
        if let Some(offer) = offers.iter().find(admits) {
            return Ok(offer);
        }
    }
    let detail = format!("available as {}", offers.join(", "));
    Err(Failure::new(Code::NotAcceptable, detail))
}

/// Adds `Retry-After` where coming back makes sense.
pub(crate) fn add_retry_after(response: &mut Response, code: Code) {
    if matches!(
        code,
        Code::TooManyStreams | Code::Unavailable | Code::LogsUnavailable | Code::QueueUnavailable
    ) {
        let soon = HeaderValue::from_static("2");
        response.headers_mut().insert(RETRY_AFTER, soon);
    }
}
