//! Turning the segments of a workflow that is over into one small, synced file.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use flowforge_ports::logs::{LogCursor, LogLine, LogQuery};

use crate::frame::{Encoder, FRAME_BYTES};
use crate::index::{SEALED, Segment, Source, Span};
use crate::query::Matcher;
use crate::scan::Scan;
use crate::segments::{Log, lock};

/// zstd's level for what is kept: written once, read seldom.
const SEAL_LEVEL: i32 = 3;

/// Merges all live segments into one sealed one. Appends and reads go on meanwhile. If the
/// program dies in between, the old files or the new one are whole; [`crate::index::load`] sees
/// which.
pub(crate) fn seal(log: &Log) -> io::Result<()> {
    let _sealing = lock(&log.sealing);
    let parts = log.with(|index| {
        let live = index.segments.iter_mut().filter(|s| !s.sealed && s.last() > 0);
        Ok(live.map(|segment| Part::close(segment, &log.dir)).collect::<Vec<_>>())
    })?;
    let Some(number) = parts.first().map(|part| part.number) else {
        return Ok(());
    };
    let temporary = log.dir.join("seal.tmp");
    let merged = merge(&parts, &temporary, number)?;
    log.with(|index| {
        let place = merged.path(&log.dir);
        std::fs::rename(&temporary, place)?;
        for part in parts.iter().skip(1) {
            std::fs::remove_file(&part.source.path)?;
        }
        let merged_parts = |segment: &Segment| parts.iter().any(|p| p.number == segment.number);
        index.segments.retain(|segment| !merged_parts(segment));
        let at = index.segments.partition_point(|s| s.number < number);
        index.segments.insert(at, merged);
        Ok(())
    })?;
    File::open(&log.dir)?.sync_all()
}

/// Whether any segment of a log is not sealed.
pub(crate) fn live(dir: &Path) -> io::Result<bool> {
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == "seg") {
            let mut head = Vec::new();
            File::open(path)?.take(SEALED.len() as u64).read_to_end(&mut head)?;
            if head != SEALED {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// A live segment to merge.
struct Part {
    number: u64,
    source: Source,
    spans: Vec<Span>,
}

impl Part {
    fn close(segment: &mut Segment, dir: &Path) -> Self {
        segment.closed = true;
        Self {
            number: segment.number,
            source: Source { content: segment.content, path: segment.path(dir) },
            spans: segment.spans.clone(),
        }
    }
}

fn merge(parts: &[Part], temporary: &PathBuf, number: u64) -> io::Result<Segment> {
    let query = LogQuery::default();
    let matcher = Matcher::new(&query);
    let mut scan = Scan::new(&matcher, LogCursor(0), usize::MAX)?;
    let mut out = Merged::create(temporary, number)?;
    for part in parts {
        scan.open(&part.source)?;
        for span in &part.spans {
            scan.span(span)?;
            for (cursor, line) in scan.page.lines.drain(..) {
                out.push(cursor.0, line)?;
            }
        }
    }
    out.finish()
}

/// A sealed file while it is written.
struct Merged {
    file: BufWriter<File>,
    encoder: Encoder,
    segment: Segment,
    lines: Vec<LogLine>,
    bytes: usize,
    /// Number of the last of `lines`.
    last: u64,
}

impl Merged {
    fn create(path: &PathBuf, number: u64) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = BufWriter::new(options.open(path)?);
        file.write_all(SEALED)?;
        Ok(Self {
            file,
            encoder: Encoder::new(SEAL_LEVEL)?,
            segment: Segment::new(number, true),
            lines: Vec::new(),
            bytes: 0,
            last: 0,
        })
    }

    fn push(&mut self, number: u64, line: LogLine) -> io::Result<()> {
        if self.bytes >= FRAME_BYTES || (self.last != 0 && number != self.last + 1) {
            self.flush()?;
        }
        self.bytes += line.text.len() + 8;
        self.last = number;
        self.lines.push(line);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut rest = &self.lines[..];
        while !rest.is_empty() {
            let (mut draft, count) = self.encoder.draft(rest)?;
            draft.number(self.last + 1 - rest.len() as u64);
            rest = rest.get(count..).unwrap_or(&[]);
            self.file.write_all(&draft.bytes)?;
            let last = self.last - rest.len() as u64;
            self.segment.add(draft.bytes.len() as u64, last, &draft.summary);
        }
        self.lines.clear();
        self.bytes = 0;
        Ok(())
    }

    fn finish(mut self) -> io::Result<Segment> {
        self.flush()?;
        self.file.flush()?;
        self.file.get_ref().sync_all()?;
        Ok(self.segment)
    }
}
