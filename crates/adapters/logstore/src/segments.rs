//! Logs in files, one directory per workflow.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flowforge_model::id::{InstanceId, WorkflowId};
use flowforge_ports::logs::{Intake, LogCursor, LogLine, LogPage, LogQuery, LogStore, Shipment};

use crate::frame::{Draft, Encoder};
use crate::index::{Index, Step, load};
use crate::query::Matcher;
use crate::receipts::Receipt;
use crate::scan::Scan;
use crate::seal;

/// Bytes after which a segment is full: bounds what a reopened log reads through.
const ROLL_BYTES: u64 = 64 * 1024 * 1024;
/// Indexes kept in memory. One more costs a pass over that log's files when it is next used.
const INDEXES: usize = 1024;
/// zstd's level for what is appended: it must keep up with tasks that print.
const APPEND_LEVEL: i32 = 1;
/// Encoders kept between calls, about 1 MiB each.
const ENCODERS: usize = 4;

/// Logs in files: `DIR/WORKFLOW/NNNNNN.seg`, frames of checked, compressed lines.
///
/// Guarantees: what `append` returned is in the kernel's hands and survives this process; a torn
/// end is ignored and cut off by the next append; a sealed segment was synced. No file stays open
/// between calls. One process at a time may use a directory.
pub struct SegmentLogs {
    dir: PathBuf,
    roll_bytes: u64,
    cache: Mutex<Cache>,
    encoders: Mutex<Vec<Encoder>>,
}

#[derive(Default)]
struct Cache {
    /// The log, and the call it was last used in.
    logs: HashMap<WorkflowId, (Arc<Log>, u64)>,
    calls: u64,
}

/// The log of one workflow.
pub(crate) struct Log {
    pub(crate) dir: PathBuf,
    /// Not known until the files were looked at.
    index: Mutex<Option<Index>>,
    /// Held while segments are merged or removed; taken before `index`.
    pub(crate) sealing: Mutex<()>,
}

impl SegmentLogs {
    /// Logs below `dir`, which is created if it is missing.
    ///
    /// # Errors
    /// The disk's own.
    pub fn open(dir: &Path) -> io::Result<Self> {
        Self::with_roll(dir, ROLL_BYTES)
    }

    /// As [`Self::open`], with segments of about `roll_bytes` bytes.
    pub(crate) fn with_roll(dir: &Path, roll_bytes: u64) -> io::Result<Self> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        Ok(Self {
            dir: dir.to_owned(),
            roll_bytes,
            cache: Mutex::default(),
            encoders: Mutex::default(),
        })
    }

    /// Of which workflows there is a log.
    ///
    /// # Errors
    /// The disk's own.
    pub fn workflows(&self) -> io::Result<Vec<WorkflowId>> {
        let entries = std::fs::read_dir(&self.dir)?;
        let names = entries.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>()?;
        Ok(names.iter().filter_map(|name| name.to_str()?.parse().ok()).collect())
    }

    /// Whether something was appended to a log since it was last sealed. Reads some bytes of its
    /// files.
    ///
    /// # Errors
    /// The disk's own.
    pub fn live(&self, workflow: WorkflowId) -> io::Result<bool> {
        seal::live(&self.dir.join(workflow.to_string()))
    }

    fn log(&self, workflow: WorkflowId) -> Arc<Log> {
        let mut cache = lock(&self.cache);
        cache.calls += 1;
        let calls = cache.calls;
        if let Some((log, used)) = cache.logs.get_mut(&workflow) {
            *used = calls;
            return Arc::clone(log);
        }
        if cache.logs.len() >= INDEXES {
            cache.forget_oldest();
        }
        let log = Arc::new(Log {
            dir: self.dir.join(workflow.to_string()),
            index: Mutex::default(),
            sealing: Mutex::default(),
        });
        cache.logs.insert(workflow, (Arc::clone(&log), calls));
        log
    }

    fn drafts(&self, mut lines: &[LogLine]) -> io::Result<Vec<Draft>> {
        let pooled = lock(&self.encoders).pop();
        let mut encoder = match pooled {
            Some(encoder) => encoder,
            None => Encoder::new(APPEND_LEVEL)?,
        };
        let mut drafts = Vec::new();
        while !lines.is_empty() {
            let (draft, count) = encoder.draft(lines)?;
            drafts.push(draft);
            lines = lines.get(count..).unwrap_or(&[]);
        }
        let mut pool = lock(&self.encoders);
        if pool.len() < ENCODERS {
            pool.push(encoder);
        }
        Ok(drafts)
    }
}

impl Cache {
    /// Drops the index that was used longest ago. One in use stays: two indexes of one log would
    /// overwrite each other's lines.
    fn forget_oldest(&mut self) {
        let idle = self.logs.iter().filter(|(_, (log, _))| Arc::strong_count(log) == 1);
        let oldest = idle.min_by_key(|(_, (_, used))| *used).map(|(id, _)| *id);
        if let Some(id) = oldest {
            self.logs.remove(&id);
        }
    }
}

impl Log {
    /// Does something with the index, which is read from the files the first time.
    pub(crate) fn with<R>(&self, work: impl FnOnce(&mut Index) -> io::Result<R>) -> io::Result<R> {
        let mut index = lock(&self.index);
        match &mut *index {
            Some(index) => work(index),
            none => work(none.insert(load(&self.dir)?)),
        }
    }
}

impl LogStore for SegmentLogs {
    fn append(&self, workflow: WorkflowId, lines: &[LogLine]) -> io::Result<()> {
        if lines.is_empty() {
            return Ok(());
        }
        let mut drafts = self.drafts(lines)?;
        let log = self.log(workflow);
        log.with(|index| index.append(&log.dir, &mut drafts, self.roll_bytes))
    }

    fn read(
        &self,
        workflow: WorkflowId,
        query: &LogQuery,
        after: LogCursor,
        limit: usize,
    ) -> io::Result<LogPage> {
        let matcher = Matcher::new(query);
        let log = self.log(workflow);
        let mut scan = Scan::new(&matcher, after, limit)?;
        loop {
            let next = scan.page.next.0;
            let span = log.with(|index| {
                if scan.full() {
                    scan.page.end = next >= index.last();
                    return Ok(None);
                }
                match index.next(&log.dir, next, &matcher) {
                    Step::Scan(source, span) => scan.open(&source).map(|()| Some(span)),
                    Step::End(last) => {
                        scan.page.next = LogCursor(next.max(last));
                        scan.page.end = true;
                        Ok(None)
                    }
                }
            })?;
            match span {
                Some(span) => scan.span(&span)?,
                None => return Ok(scan.page),
            }
        }
    }

    fn seal(&self, workflow: WorkflowId) -> io::Result<()> {
        seal::seal(&self.log(workflow))
    }

    fn delete(&self, workflow: WorkflowId) -> io::Result<()> {
        let log = self.log(workflow);
        let _sealing = lock(&log.sealing);
        log.with(|index| {
            match std::fs::remove_dir_all(&log.dir) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            *index = Index::default();
            Ok(())
        })
    }

    /// Writes a file into the directory, and removes it.
    fn ready(&self) -> io::Result<()> {
        let probe = self.dir.join(".ready");
        std::fs::write(&probe, b"ready")?;
        match std::fs::remove_file(&probe) {
            // Somebody else asked at the same time.
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

impl Intake for SegmentLogs {
    fn take_in(&self, source: InstanceId, shipment: &Shipment) -> io::Result<()> {
        let log = self.log(shipment.workflow);
        log.with(|index| {
            let known = index.receipts.known(source).saturating_sub(shipment.seq.saturating_sub(1));
            let new = usize::try_from(known).ok().and_then(|known| shipment.lines.get(known..));
            let new = new.unwrap_or(&[]);
            if new.is_empty() {
                return Ok(());
            }
            // Under the lock: only here it is known which lines are new.
            let mut drafts = self.drafts(new)?;
            let lines = u32::try_from(new.len()).map_err(io::Error::other)?;
            let (seq, last) = (shipment.seq + known, index.last());
            index.receipts.write(&log.dir, &Receipt { source, seq, lines, last })?;
            match index.append(&log.dir, &mut drafts, self.roll_bytes) {
                Ok(()) => {
                    index.receipts.learn(source, seq + u64::from(lines) - 1);
                    Ok(())
                }
                Err(error) => {
                    index.receipts.settle(&log.dir, last)?;
                    Err(error)
                }
            }
        })
    }
}

impl fmt::Debug for SegmentLogs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SegmentLogs").field("dir", &self.dir).finish_non_exhaustive()
    }
}

/// A panic elsewhere leaves these values whole: they change in single steps.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
