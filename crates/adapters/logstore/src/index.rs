//! What is remembered of a log: its segments, and for each run of about [`SPAN_BYTES`] of file
//! the lines in it. About 80 bytes per 64 KiB of log, whatever the size of the appends.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::frame::{Draft, HEAD, Head};
use crate::query::{Matcher, Summary};
use crate::receipts::Receipts;

/// A span is closed when it has this many bytes: what a reader fetches at a time.
const SPAN_BYTES: u64 = 64 * 1024;
/// A file begins with this: the format, its version and whether more may be appended.
pub(crate) const LIVE: &[u8; 8] = b"fflog1L\n";
/// As [`LIVE`], for a file that is complete and synced.
pub(crate) const SEALED: &[u8; 8] = b"fflog1S\n";
/// Where the first frame begins.
pub(crate) const START: u64 = LIVE.len() as u64;
/// Bytes read at a time while the index is rebuilt.
const WINDOW: usize = 256 * 1024;

/// Frames that stand together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) offset: u64,
    pub(crate) bytes: u64,
    /// Number of the last line.
    pub(crate) last: u64,
    pub(crate) summary: Summary,
}

/// One file.
#[derive(Debug)]
pub(crate) struct Segment {
    /// Its name is this number; rising.
    pub(crate) number: u64,
    /// Different for every content a file ever had while this program runs.
    pub(crate) content: u64,
    pub(crate) sealed: bool,
    /// Nothing more is appended: it is sealed, or about to be.
    pub(crate) closed: bool,
    /// Behind the last good frame. What follows is torn and will be cut off.
    pub(crate) end: u64,
    /// Nothing torn follows.
    pub(crate) clean: bool,
    pub(crate) spans: Vec<Span>,
}

impl Segment {
    pub(crate) fn new(number: u64, sealed: bool) -> Self {
        static CONTENT: AtomicU64 = AtomicU64::new(0);
        Self {
            number,
            content: CONTENT.fetch_add(1, Ordering::Relaxed),
            sealed,
            closed: sealed,
            end: START,
            clean: true,
            spans: Vec::new(),
        }
    }

    pub(crate) fn path(&self, dir: &Path) -> PathBuf {
        dir.join(format!("{:06}.seg", self.number))
    }

    /// Number of the last line; 0 if there is none.
    pub(crate) fn last(&self) -> u64 {
        self.spans.last().map_or(0, |span| span.last)
    }

    /// Takes the next frame in.
    pub(crate) fn add(&mut self, bytes: u64, last: u64, summary: &Summary) {
        let offset = self.end;
        self.end += bytes;
        match self.spans.last_mut() {
            Some(span) if span.bytes < SPAN_BYTES => {
                span.bytes += bytes;
                span.last = last;
                span.summary.merge(summary);
            }
            _ => self.spans.push(Span { offset, bytes, last, summary: *summary }),
        }
    }
}

/// What a reader does next.
pub(crate) enum Step {
    /// Read this span of this file.
    Scan(Source, Span),
    /// Nothing up to this line can match, and nothing follows.
    End(u64),
}

/// A file to read from, by path until it is opened.
pub(crate) struct Source {
    pub(crate) content: u64,
    pub(crate) path: PathBuf,
}

/// The index of one log.
#[derive(Debug, Default)]
pub(crate) struct Index {
    /// By number, and so by line.
    pub(crate) segments: Vec<Segment>,
    /// What was taken in of others.
    pub(crate) receipts: Receipts,
}

impl Index {
    /// Number of the last line; 0 if there is none.
    pub(crate) fn last(&self) -> u64 {
        self.segments.iter().rev().map(Segment::last).find(|&last| last > 0).unwrap_or(0)
    }

    /// The first span with a line after `after` that may match.
    pub(crate) fn next(&self, dir: &Path, after: u64, matcher: &Matcher<'_>) -> Step {
        let first = self.segments.partition_point(|s| s.last() <= after);
        for segment in self.segments.iter().skip(first) {
            let from = segment.spans.partition_point(|span| span.last <= after);
            let mut spans = segment.spans.iter().skip(from);
            if let Some(span) = spans.find(|span| matcher.may_match(&span.summary)) {
                let source = Source { content: segment.content, path: segment.path(dir) };
                return Step::Scan(source, *span);
            }
        }
        Step::End(self.last())
    }

    /// Writes drafts to the end of the log: into the last segment, or into a new one if that is
    /// closed or has `roll` bytes.
    pub(crate) fn append(&mut self, dir: &Path, drafts: &mut [Draft], roll: u64) -> io::Result<()> {
        let mut bytes = Vec::new();
        let mut last = self.last();
        let mut frames = Vec::with_capacity(drafts.len());
        for draft in drafts {
            draft.number(last + 1);
            last += u64::from(draft.lines);
            bytes.extend_from_slice(&draft.bytes);
            frames.push((draft.bytes.len() as u64, last, draft.summary));
        }
        let open = self.segments.last();
        if !open.is_some_and(|segment| !segment.closed && segment.end < roll) {
            let number = open.map_or(0, |segment| segment.number) + 1;
            create(dir, number)?;
            self.segments.push(Segment::new(number, false));
        }
        let Some(segment) = self.segments.last_mut() else {
            return Err(io::Error::other("no segment to append to"));
        };
        let file = OpenOptions::new().write(true).open(segment.path(dir))?;
        if !segment.clean {
            file.set_len(segment.end)?;
            segment.clean = true;
        }
        if let Err(error) = file.write_all_at(&bytes, segment.end) {
            segment.clean = false;
            return Err(error);
        }
        for (bytes, last, summary) in frames {
            segment.add(bytes, last, &summary);
        }
        Ok(())
    }
}

/// Creates an empty live segment, with its directory.
fn create(dir: &Path, number: u64) -> io::Result<()> {
    let path = Segment::new(number, false).path(dir);
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let file = match options.open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            std::fs::create_dir_all(dir)?;
            options.open(&path)?
        }
        other => other?,
    };
    file.write_all_at(LIVE, 0)
}

/// Rebuilds the index from the files. Leftovers of a seal that was cut short are removed.
pub(crate) fn load(dir: &Path) -> io::Result<Index> {
    let mut index = Index::default();
    let entries = match std::fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(index),
        other => other?,
    };
    let mut numbers = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        if let Some(number) = name.strip_suffix(".seg").and_then(|n| n.parse().ok()) {
            numbers.push(number);
        } else if name.ends_with(".tmp") {
            std::fs::remove_file(dir.join(&*name))?;
        }
    }
    numbers.sort_unstable();
    for number in numbers {
        let path = Segment::new(number, false).path(dir);
        let (segment, first) = load_segment(&path, number)?;
        let known = index.last();
        if first.is_some_and(|first| first <= known) {
            // A seal died between its rename and the removal of what it had merged.
            std::fs::remove_file(&path)?;
            continue;
        }
        if first.is_some_and(|first| first != known + 1) {
            tracing::warn!(path = %path.display(), "log lines are missing before this segment");
        }
        index.segments.push(segment);
    }
    index.receipts = Receipts::load(dir, index.last())?;
    Ok(index)
}

/// Reads one file up to its first damaged frame. Also returns the number of its first line.
fn load_segment(path: &Path, number: u64) -> io::Result<(Segment, Option<u64>)> {
    let file = File::open(path)?;
    let len = file.metadata()?.len();
    let mut window = Window { file: &file, start: 0, bytes: Vec::new() };
    let sealed = window.get(0, SEALED.len())? == SEALED;
    let mut segment = Segment::new(number, sealed);
    if !sealed && window.get(0, LIVE.len())? != LIVE {
        // Died while it was created: the next append writes it anew.
        create(path.parent().unwrap_or(path), number)?;
        return Ok((segment, None));
    }
    let mut first = None;
    while segment.end < len {
        let Some(head) = Head::parse(window.get(segment.end, HEAD)?) else {
            break;
        };
        // Numbers rise; a seal after damage keeps the gap the damage left.
        let follows = head.first > segment.last();
        if !follows || !head.intact(window.get(segment.end, head.total())?) {
            break;
        }
        first = first.or(Some(head.first));
        segment.add(head.total() as u64, head.last(), &head.summary);
    }
    segment.clean = segment.end == len;
    if !segment.clean {
        let torn = len - segment.end;
        tracing::warn!(path = %path.display(), torn, "ignored a torn end of a log");
    }
    Ok((segment, first))
}

/// A file read forwards in large pieces.
struct Window<'f> {
    file: &'f File,
    start: u64,
    bytes: Vec<u8>,
}

impl Window<'_> {
    /// `count` bytes at `offset`; fewer at the end of the file.
    fn get(&mut self, offset: u64, count: usize) -> io::Result<&[u8]> {
        let skip = offset.checked_sub(self.start).map(usize::try_from);
        let within = |skip: usize, have: usize| skip + count <= have;
        let skip = match skip {
            Some(Ok(skip)) if within(skip, self.bytes.len()) => skip,
            _ => {
                self.bytes.resize(WINDOW.max(count), 0);
                let have = read_up_to(self.file, &mut self.bytes, offset)?;
                self.bytes.truncate(have);
                self.start = offset;
                0
            }
        };
        let end = (skip + count).min(self.bytes.len());
        Ok(self.bytes.get(skip..end).unwrap_or(&[]))
    }
}

fn read_up_to(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut have = 0;
    while have < buffer.len() {
        let read = file.read_at(&mut buffer[have..], offset + have as u64)?;
        if read == 0 {
            break;
        }
        have += read;
    }
    Ok(have)
}
