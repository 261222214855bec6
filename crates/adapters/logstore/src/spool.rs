//! Lines that wait on this disk until an aggregator has taken them in.
//!
//! `DIR/SOURCE/NUMBER.spool`: a source is one start of a server, so that numbers of lines need not be
//! remembered beyond it; a number is that of the first line in the file. What an earlier start left is
//! shipped first. Files are removed when all of their lines were acknowledged; nothing else is
//! written about how far that is: after a restart up to one file is shipped again, and known.

mod loss;
mod record;

use std::collections::VecDeque;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use flowforge_model::id::{InstanceId, WorkflowId};
use flowforge_ports::logs::{LogLine, Shipment, Shipments, Stream};
use uuid::Uuid;

use loss::Losses;
use record::{Piece, Records};

/// Bytes of a file, if the spool is not a small one.
const FILE_BYTES: u64 = 4 * 1024 * 1024;

/// Lines on their way.
#[derive(Debug)]
pub(crate) struct Spool {
    /// Of this source.
    dir: PathBuf,
    source: InstanceId,
    /// Bytes of all files.
    most: u64,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    /// The oldest first.
    files: VecDeque<Stored>,
    /// The last of the files, if it may still grow.
    open: Option<File>,
    /// Of the first file: bytes that were acknowledged.
    done: u64,
    /// Of all files.
    bytes: u64,
    /// Number of the next line.
    next: u64,
    losses: Losses,
    /// Nothing is appended any more; what is there is shipped until then.
    closing: Option<Instant>,
}

#[derive(Debug)]
struct Stored {
    source: InstanceId,
    path: PathBuf,
    /// What follows is torn.
    len: u64,
}

/// What is shipped next.
#[derive(Debug)]
pub(crate) struct Batch {
    /// As [`flowforge_ports::logs::Shipments`] in JSON.
    pub(crate) body: String,
    pub(crate) lines: usize,
    bytes: u64,
}

impl Spool {
    /// A spool below `dir` of at most `most` bytes, with what earlier sources left.
    pub(crate) fn open(dir: &Path, most: u64) -> io::Result<Self> {
        let files = left(dir)?;
        let source = InstanceId(Uuid::now_v7());
        let own = dir.join(source.to_string());
        DirBuilder::new().recursive(true).mode(0o700).create(&own)?;
        let state = State {
            bytes: files.iter().map(|file| file.len).sum(),
            files,
            open: None,
            done: 0,
            next: 1,
            losses: Losses::default(),
            closing: None,
        };
        Ok(Self { dir: own, source, most, state: Mutex::new(state), changed: Condvar::new() })
    }

    /// Keeps lines until they are acknowledged. What cannot be kept is dropped and counted; a line in
    /// the log says so as soon as that can be kept.
    pub(crate) fn append(&self, workflow: WorkflowId, lines: &[LogLine]) -> io::Result<()> {
        let pieces = record::pieces(workflow, lines)?;
        let mut state = self.lock();
        let mut kept = 0;
        let added = self.add(&mut state, workflow, &pieces, &mut kept);
        state.losses.count(workflow, lines.get(kept..).unwrap_or(&[]));
        drop(state);
        self.changed.notify_all();
        added
    }

    /// Counts in `kept` the lines for which there was room.
    fn add(
        &self,
        state: &mut State,
        workflow: WorkflowId,
        pieces: &[Piece],
        kept: &mut usize,
    ) -> io::Result<()> {
        self.tell_loss(state, workflow)?;
        for piece in pieces {
            if state.losses.has(workflow) || !self.write(state, piece)? {
                break;
            }
            *kept += piece.lines;
        }
        Ok(())
    }

    /// Waits for something to ship; none when the spool is closed.
    pub(crate) fn next(&self) -> io::Result<Option<Batch>> {
        let mut state = self.lock();
        loop {
            self.tidy(&mut state)?;
            let waiting = state.files.front().filter(|file| file.len > state.done);
            if state.closing.is_some_and(|until| waiting.is_none() || Instant::now() >= until) {
                return Ok(None);
            }
            if let Some(Stored { source, path, len }) = waiting {
                let (source, path, from, len) = (*source, path.clone(), state.done, *len);
                drop(state);
                match batch(source, &path, from, len) {
                    Ok(batch) if batch.lines > 0 => return Ok(Some(batch)),
                    Err(error) if !gone(&error) => return Err(error),
                    Ok(_) | Err(_) => {}
                }
                tracing::error!(path = %path.display(), from, "spooled log lines are unreadable");
                state = self.lock();
                state.done = len;
                continue;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// A batch is where it belongs.
    pub(crate) fn acknowledge(&self, batch: &Batch) -> io::Result<()> {
        let mut state = self.lock();
        state.done += batch.bytes;
        let tidied = self.tidy(&mut state);
        drop(state);
        self.changed.notify_all();
        tidied
    }

    /// The aggregator never takes this batch in: its lines count as dropped.
    pub(crate) fn give_up(&self, batch: &Batch) -> io::Result<()> {
        let sent: Shipments = serde_json::from_str(&batch.body)?;
        let mut state = self.lock();
        for Shipment { workflow, mut lines, .. } in sent.shipments {
            // What tells of a loss may be refused as well: that is not told again.
            lines.retain(|line| line.stream != Stream::System);
            state.losses.count(workflow, &lines);
        }
        Ok(())
    }

    /// Waits until all that was appended is acknowledged, at most for `patience`. Whether it is.
    pub(crate) fn settled(&self, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        let mut state = self.lock();
        while state.waits() {
            let Some(left) = until.checked_duration_since(Instant::now()) else {
                return false;
            };
            let woken = self.changed.wait_timeout(state, left);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// Pauses for `pause`; whether the spool was closed meanwhile, or before.
    pub(crate) fn pause(&self, pause: Duration) -> bool {
        let until = Instant::now() + pause;
        let mut state = self.lock();
        while state.closing.is_none() {
            let Some(left) = until.checked_duration_since(Instant::now()) else {
                return false;
            };
            let woken = self.changed.wait_timeout(state, left);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// Nothing is appended any more: ship what is there, for at most `patience`.
    pub(crate) fn close(&self, patience: Duration) {
        self.lock().closing.get_or_insert(Instant::now() + patience);
        self.changed.notify_all();
    }

    /// Removes files of which everything was acknowledged, and uses the room.
    fn tidy(&self, state: &mut State) -> io::Result<()> {
        let mut freed = false;
        while state.files.front().is_some_and(|file| state.done >= file.len) {
            let growing = state.files.len() == 1 && state.open.is_some();
            if growing && state.closing.is_none() && state.bytes < self.file_bytes() / 16 {
                break;
            }
            let Some(file) = state.files.pop_front() else { break };
            if growing {
                state.open = None;
            }
            state.bytes -= file.len;
            state.done = 0;
            freed = true;
            if let Err(error) = std::fs::remove_file(&file.path) {
                tracing::warn!(path = %file.path.display(), %error, "shipped logs stay");
            }
            let folder = file.path.parent();
            if let Some(folder) = folder.filter(|_| file.source != self.source || growing) {
                // Perhaps other files of that source are still in it: then it stays.
                drop(std::fs::remove_dir(folder));
            }
        }
        let told = if freed || !state.waits() { state.losses.workflows() } else { Vec::new() };
        for workflow in told {
            self.tell_loss(state, workflow)?;
        }
        Ok(())
    }

    fn tell_loss(&self, state: &mut State, workflow: WorkflowId) -> io::Result<()> {
        if let Some(line) = state.losses.line(workflow) {
            for piece in record::pieces(workflow, &[line])? {
                if self.write(state, &piece)? {
                    state.losses.told(workflow);
                }
            }
        }
        Ok(())
    }

    /// Whether there was room.
    fn write(&self, state: &mut State, piece: &Piece) -> io::Result<bool> {
        let record = piece.number(state.next);
        let size = record.len() as u64;
        if state.bytes + size > self.most {
            return Ok(false);
        }
        if state.files.back().is_some_and(|file| file.len >= self.file_bytes()) {
            state.open = None;
        }
        if state.open.is_none() {
            let path = self.dir.join(format!("{:020}.spool", state.next));
            state.open = Some(create(&path)?);
            state.files.push_back(Stored { source: self.source, path, len: 0 });
        }
        let (Some(file), Some(stored)) = (&state.open, state.files.back_mut()) else {
            return Err(io::Error::other("no file to append to"));
        };
        if let Err(error) = file.write_all_at(&record, stored.len) {
            // What is torn stays behind the end; the next line begins a new file.
            state.open = None;
            if stored.len == 0
                && let Some(empty) = state.files.pop_back()
            {
                // That file will have the same name.
                drop(std::fs::remove_file(empty.path));
            }
            return Err(error);
        }
        stored.len += size;
        state.bytes += size;
        state.next += piece.lines as u64;
        Ok(true)
    }

    /// A quarter of a small spool: room comes back by whole files.
    fn file_bytes(&self) -> u64 {
        FILE_BYTES.min(self.most / 4)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves the state whole: it changes in single steps.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Something is not acknowledged yet.
    fn waits(&self) -> bool {
        self.files.len() > 1 || self.files.front().is_some_and(|file| file.len > self.done)
    }
}

/// Reading it again will not help.
fn gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof)
}

fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    match options.open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let folder = path.parent().unwrap_or(path);
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            options.open(path)
        }
        other => other,
    }
}

/// What earlier sources left, in the order it was written: names sort by time.
fn left(dir: &Path) -> io::Result<VecDeque<Stored>> {
    let mut files = VecDeque::new();
    for folder in sorted(dir)? {
        let name = folder.file_name().and_then(|name| name.to_str());
        let Some(source) = name.and_then(|name| name.parse().ok()) else { continue };
        let all = sorted(&folder)?;
        if all.is_empty() {
            std::fs::remove_dir(&folder)?;
        }
        for path in all {
            let len = std::fs::metadata(&path)?.len();
            files.push_back(Stored { source, path, len });
        }
    }
    Ok(files)
}

fn sorted(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    paths.sort_unstable();
    Ok(paths)
}

/// The records of a file between two places, as many as are shipped at once.
fn batch(source: InstanceId, path: &Path, from: u64, len: u64) -> io::Result<Batch> {
    let mut records = Records::read(&File::open(path)?, from, len)?;
    let mut batch =
        Batch { body: format!("{{\"source\":\"{source}\",\"shipments\":["), lines: 0, bytes: 0 };
    while let Some((text, lines, size)) = records.next(batch.lines) {
        if batch.lines > 0 {
            batch.body.push(',');
        }
        batch.body.push_str(text);
        batch.lines += lines;
        batch.bytes += size;
    }
    batch.body.push_str("]}");
    Ok(batch)
}
