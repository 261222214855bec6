//! From bytes of two pipes to log lines, in constant memory.

use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use flowforge_model::attempt::AttemptKey;
use flowforge_model::limits;
use flowforge_model::time::Timestamp;
use flowforge_ports::clock::Clock;
use flowforge_ports::logs::{LogLine, LogStore, Stream};
use rustix::io::Errno;

/// Lines are handed on when they take this many bytes,
const BATCH_BYTES: usize = 256 * 1024;
/// or when the first of them has waited for this long,
const BATCH_AGE: Duration = Duration::from_millis(200);
/// or when nothing more came for this long.
const BATCH_QUIET: Duration = Duration::from_millis(20);
/// Characters of standard error that explain a failure.
const HINT_CHARS: usize = 200;

/// The output of one attempt.
pub(crate) struct Capture<'l> {
    logs: &'l dyn LogStore,
    clock: &'l dyn Clock,
    key: AttemptKey,
    stdout: Splitter,
    stderr: Splitter,
    /// The end of standard output: between one and two times `RESULT_BYTES` once there is more.
    tail: Vec<u8>,
    /// The last line of standard error with something on it.
    hint: String,
    batch: Vec<LogLine>,
    batch_bytes: usize,
    first: Option<Instant>,
    latest: Option<Instant>,
    lost: u64,
    /// Before each line: which member of a gang wrote it.
    prefix: String,
    /// What comes is written to this process's own output as well, until that cannot be written.
    copied: bool,
}

/// An unfinished line.
#[derive(Debug, Default)]
struct Splitter {
    /// At most `LOG_LINE_BYTES`.
    partial: Vec<u8>,
}

impl<'l> Capture<'l> {
    pub(crate) fn new(logs: &'l dyn LogStore, clock: &'l dyn Clock, key: AttemptKey) -> Self {
        Self {
            logs,
            clock,
            key,
            stdout: Splitter::default(),
            stderr: Splitter::default(),
            tail: Vec::new(),
            hint: String::new(),
            batch: Vec::new(),
            batch_bytes: 0,
            first: None,
            latest: None,
            lost: 0,
            prefix: String::new(),
            copied: false,
        }
    }

    /// Lines begin with the number of the member of a gang that wrote them.
    pub(crate) fn of_member(self, index: u32) -> Self {
        Self { prefix: format!("[{index}] "), ..self }
    }

    /// Copies what comes to this process's own standard output and error.
    pub(crate) fn copied(self) -> Self {
        Self { copied: true, ..self }
    }

    /// Takes what was read from one pipe.
    pub(crate) fn take(&mut self, stream: Stream, bytes: &[u8]) {
        let at = self.clock.now();
        self.copied = self.copied && copy(stream, bytes).is_ok();
        if stream == Stream::Stdout {
            self.keep_tail(bytes);
        }
        let now = Instant::now();
        self.first.get_or_insert(now);
        self.latest = Some(now);
        let mut rest = bytes;
        while let Some(place) = memchr::memchr(b'\n', rest) {
            let (line, tail) = rest.split_at(place);
            rest = tail.get(1..).unwrap_or(&[]);
            let whole = line.len() <= limits::LOG_LINE_BYTES;
            if whole && self.splitter(stream).partial.is_empty() {
                self.push(stream, line, false, at);
            } else {
                self.part(stream, line, at);
                self.end_line(stream, at);
            }
        }
        self.part(stream, rest, at);
        if self.batch_bytes >= BATCH_BYTES {
            self.flush();
        }
    }

    /// When [`Self::flush`] is due; `None` if nothing waits.
    pub(crate) fn due(&self) -> Option<Instant> {
        if self.batch.is_empty() {
            return None;
        }
        let aged = self.first? + BATCH_AGE;
        Some(aged.min(self.latest? + BATCH_QUIET))
    }

    /// Hands the lines on. A log that cannot be written does not fail the task: its lines are
    /// counted and lost.
    pub(crate) fn flush(&mut self) {
        if !self.batch.is_empty() {
            if let Err(error) = self.logs.append(self.key.workflow, &self.batch) {
                if self.lost == 0 {
                    tracing::error!(workflow = %self.key.workflow, %error, "log lines are lost");
                }
                self.lost = self.lost.saturating_add(self.batch.len() as u64);
            }
            self.batch.clear();
            self.batch_bytes = 0;
        }
        self.first = None;
        self.latest = None;
    }

    /// Both pipes ended: hands on what is left. Returns the result and the hint.
    pub(crate) fn finish(mut self, at: Timestamp) -> Captured {
        for stream in [Stream::Stdout, Stream::Stderr] {
            if !self.splitter(stream).partial.is_empty() {
                self.end_line(stream, at);
            }
        }
        self.flush();
        Captured { result: result(&self.tail), hint: self.hint }
    }

    fn keep_tail(&mut self, bytes: &[u8]) {
        let from = bytes.len().saturating_sub(limits::RESULT_BYTES);
        self.tail.extend_from_slice(bytes.get(from..).unwrap_or(&[]));
        if self.tail.len() > 2 * limits::RESULT_BYTES {
            self.tail.drain(..self.tail.len() - limits::RESULT_BYTES);
        }
    }

    fn splitter(&mut self, stream: Stream) -> &mut Splitter {
        match stream {
            Stream::Stderr => &mut self.stderr,
            Stream::Stdout | Stream::System => &mut self.stdout,
        }
    }

    /// Adds to the unfinished line, which is cut as often as it grows too long.
    fn part(&mut self, stream: Stream, mut bytes: &[u8], at: Timestamp) {
        loop {
            let partial = &mut self.splitter(stream).partial;
            let room = limits::LOG_LINE_BYTES - partial.len().min(limits::LOG_LINE_BYTES);
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            partial.extend_from_slice(now);
            if later.is_empty() {
                return;
            }
            bytes = later;
            let keep = split_character(partial);
            let whole = partial.len() - keep.len();
            let line = std::mem::replace(partial, keep);
            self.push(stream, line.get(..whole).unwrap_or(&[]), true, at);
        }
    }

    fn end_line(&mut self, stream: Stream, at: Timestamp) {
        let mut line = std::mem::take(&mut self.splitter(stream).partial);
        self.push(stream, &line, false, at);
        line.clear();
        self.splitter(stream).partial = line;
    }

    fn push(&mut self, stream: Stream, bytes: &[u8], cut: bool, at: Timestamp) {
        let text = String::from_utf8_lossy(bytes);
        if stream == Stream::Stderr && !text.trim().is_empty() {
            self.hint.clear();
            let shown = text.trim().chars().take(HINT_CHARS);
            self.hint.extend(shown.map(|c| if c.is_control() { ' ' } else { c }));
        }
        let mut rest = &*text;
        let most = limits::LOG_LINE_BYTES - self.prefix.len();
        // Replaced bytes take three times their room.
        while rest.len() > most {
            let (now, later) = rest.split_at(rest.floor_char_boundary(most));
            self.line(stream, now, true, at);
            rest = later;
        }
        self.line(stream, rest, cut, at);
    }

    fn line(&mut self, stream: Stream, text: &str, cut: bool, at: Timestamp) {
        let text = format!("{}{text}", self.prefix);
        self.batch_bytes += text.len() + size_of::<LogLine>();
        self.batch.push(LogLine {
            at,
            node: self.key.node,
            attempt: self.key.number,
            stream,
            text,
            cut,
        });
        if self.batch_bytes >= 2 * BATCH_BYTES {
            self.flush();
        }
    }
}

/// Writes without the buffers of the standard library: what is shown is shown at once.
fn copy(stream: Stream, bytes: &[u8]) -> io::Result<()> {
    let (out, err) = (io::stdout(), io::stderr());
    let to = match stream {
        Stream::Stderr => err.as_fd(),
        Stream::Stdout | Stream::System => out.as_fd(),
    };
    let mut rest = bytes;
    while !rest.is_empty() {
        match rustix::io::write(to, rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => rest = rest.get(count..).unwrap_or(&[]),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// What is left of the output at the end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Captured {
    /// The end of standard output; `None` if there was none.
    pub(crate) result: Option<String>,
    /// The last words on standard error, or nothing.
    pub(crate) hint: String,
}

/// The bytes of a character that is only begun at the end.
fn split_character(bytes: &[u8]) -> Vec<u8> {
    let from = bytes.len().saturating_sub(3);
    let end = bytes.get(from..).unwrap_or(&[]);
    let begun = end.iter().rposition(|byte| byte & 0xc0 == 0xc0);
    let tail = begun.and_then(|place| end.get(place..)).unwrap_or(&[]);
    let cut = std::str::from_utf8(tail).is_err_and(|error| error.error_len().is_none());
    if cut { tail.to_vec() } else { Vec::new() }
}

fn result(tail: &[u8]) -> Option<String> {
    if tail.is_empty() {
        return None;
    }
    let from = tail.len().saturating_sub(limits::RESULT_BYTES);
    let mut bytes = tail.get(from..).unwrap_or(&[]);
    if from > 0 {
        // Begin with a whole character.
        let skip = bytes.iter().take(3).take_while(|byte| **byte & 0xc0 == 0x80);
        bytes = bytes.get(skip.count()..).unwrap_or(&[]);
    }
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let mut text = String::from_utf8_lossy(bytes).into_owned();
    if text.len() > limits::RESULT_BYTES {
        let excess = text.len() - limits::RESULT_BYTES;
        text.drain(..text.ceil_char_boundary(excess));
    }
    Some(text)
}
