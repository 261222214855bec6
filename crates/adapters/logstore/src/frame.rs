//! The form of lines on disk.
//!
//! A frame is a head of [`HEAD`] bytes and a payload: lines one after the other, as they are or as
//! one zstd frame. All numbers are little-endian. The head:
//!
//! ```text
//!  0 u32 bytes of the payload as stored      24 i64 earliest line, ms since the epoch
//!  4 u32 CRC-32 of all other bytes           32 i64 latest line
//!  8 u64 number of the first line            40 u64 Bloom filter of the nodes
//! 16 u32 lines                               48 u32 1 = the payload is compressed
//! 20 u32 bytes of the payload as written
//! ```
//!
//! A line: a byte (stream, bit 2 = cut), then node, attempt, milliseconds since the frame's
//! earliest line and bytes of text as LEB128 numbers, then the text.

use std::io;

use flowforge_model::id::NodeIx;
use flowforge_model::time::Timestamp;
use flowforge_ports::logs::{LogLine, Stream};

use crate::query::Summary;

/// Bytes of a head.
pub(crate) const HEAD: usize = 52;
/// A frame is closed when its lines take this many bytes: zstd gains little beyond.
pub(crate) const FRAME_BYTES: usize = 256 * 1024;
/// Smaller payloads are stored as they are: zstd's own head would eat the gain.
const PACK_FROM: usize = 512;
/// No payload is larger: a line of `LOG_LINE_BYTES` over a full frame, with room to spare. Guards
/// the reader against a damaged length.
const PAYLOAD_MAX: usize = 16 * 1024 * 1024;

/// A frame's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) stored: u32,
    pub(crate) crc: u32,
    pub(crate) first: u64,
    pub(crate) lines: u32,
    pub(crate) raw: u32,
    pub(crate) summary: Summary,
    pub(crate) packed: bool,
}

impl Head {
    /// Reads a head; `None` if the bytes are too few or cannot be one.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        let head = Self {
            stored: u32::from_le_bytes(take(&mut rest)?),
            crc: u32::from_le_bytes(take(&mut rest)?),
            first: u64::from_le_bytes(take(&mut rest)?),
            lines: u32::from_le_bytes(take(&mut rest)?),
            raw: u32::from_le_bytes(take(&mut rest)?),
            summary: Summary {
                min_at: i64::from_le_bytes(take(&mut rest)?),
                max_at: i64::from_le_bytes(take(&mut rest)?),
                node_bits: u64::from_le_bytes(take(&mut rest)?),
            },
            packed: u32::from_le_bytes(take(&mut rest)?) == 1,
        };
        let sane = head.stored > 0
            && head.lines > 0
            && head.stored as usize <= PAYLOAD_MAX
            && head.raw as usize <= PAYLOAD_MAX;
        sane.then_some(head)
    }

    /// Bytes of the whole frame.
    pub(crate) fn total(&self) -> usize {
        HEAD + self.stored as usize
    }

    /// Number of the last line.
    pub(crate) fn last(&self) -> u64 {
        self.first + u64::from(self.lines) - 1
    }

    /// Whether `frame`, head included, is what was written.
    pub(crate) fn intact(&self, frame: &[u8]) -> bool {
        frame.len() == self.total() && checksum(frame) == self.crc
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (bytes, tail) = rest.split_first_chunk::<N>()?;
    *rest = tail;
    Some(*bytes)
}

fn checksum(frame: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(frame.get(..4).unwrap_or(&[]));
    hasher.update(frame.get(8..).unwrap_or(&[]));
    hasher.finalize()
}

/// A frame whose line numbers are still open: encoded and compressed before any lock is taken.
#[derive(Debug)]
pub(crate) struct Draft {
    /// The frame, head included.
    pub(crate) bytes: Vec<u8>,
    pub(crate) lines: u32,
    pub(crate) summary: Summary,
}

impl Draft {
    /// Fills in the number of the first line and the checksum.
    pub(crate) fn number(&mut self, first: u64) {
        put(&mut self.bytes, 8, &first.to_le_bytes());
        let crc = checksum(&self.bytes);
        put(&mut self.bytes, 4, &crc.to_le_bytes());
    }
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    if let Some(place) = bytes.get_mut(at..at + value.len()) {
        place.copy_from_slice(value);
    }
}

/// Encodes lines; keeps zstd's working memory from one call to the next.
pub(crate) struct Encoder {
    zstd: zstd::bulk::Compressor<'static>,
    raw: Vec<u8>,
}

impl Encoder {
    pub(crate) fn new(level: i32) -> io::Result<Self> {
        Ok(Self { zstd: zstd::bulk::Compressor::new(level)?, raw: Vec::new() })
    }

    /// Encodes the first lines of `lines`, until a frame is full. Returns how many it took, at
    /// least one of a list that is not empty.
    pub(crate) fn draft(&mut self, lines: &[LogLine]) -> io::Result<(Draft, usize)> {
        let mut count = 0;
        let mut bytes = 0;
        let mut summary = Summary::EMPTY;
        for line in lines {
            if bytes >= FRAME_BYTES {
                break;
            }
            count += 1;
            bytes += line.text.len() + 8;
            summary.add(line.at, line.node);
        }
        self.raw.clear();
        for line in lines.get(..count).unwrap_or(&[]) {
            encode_line(&mut self.raw, line, summary.min_at);
        }
        let lines = u32::try_from(count).map_err(io::Error::other)?;
        Ok((self.pack(lines, summary)?, count))
    }

    fn pack(&mut self, lines: u32, summary: Summary) -> io::Result<Draft> {
        let too_large = || io::Error::new(io::ErrorKind::InvalidInput, "log line too large");
        let mut payload = None;
        if self.raw.len() >= PACK_FROM {
            payload = Some(self.zstd.compress(&self.raw)?).filter(|z| z.len() < self.raw.len());
        }
        let packed = payload.is_some();
        let payload = payload.as_deref().unwrap_or(&self.raw);
        if self.raw.len() > PAYLOAD_MAX {
            return Err(too_large());
        }
        let stored = u32::try_from(payload.len()).map_err(|_| too_large())?;
        let raw = u32::try_from(self.raw.len()).map_err(|_| too_large())?;
        let mut bytes = Vec::with_capacity(HEAD + payload.len());
        bytes.extend_from_slice(&stored.to_le_bytes());
        bytes.extend_from_slice(&[0; 12]);
        bytes.extend_from_slice(&lines.to_le_bytes());
        bytes.extend_from_slice(&raw.to_le_bytes());
        bytes.extend_from_slice(&summary.min_at.to_le_bytes());
        bytes.extend_from_slice(&summary.max_at.to_le_bytes());
        bytes.extend_from_slice(&summary.node_bits.to_le_bytes());
        bytes.extend_from_slice(&u32::from(packed).to_le_bytes());
        bytes.extend_from_slice(payload);
        Ok(Draft { bytes, lines, summary })
    }
}

fn encode_line(out: &mut Vec<u8>, line: &LogLine, base: i64) {
    let stream = match line.stream {
        Stream::Stdout => 0,
        Stream::Stderr => 1,
        Stream::System => 2,
    };
    out.push(stream | (u8::from(line.cut) << 2));
    leb128(out, u64::from(line.node.0));
    leb128(out, u64::from(line.attempt));
    leb128(out, line.at.0.abs_diff(base));
    leb128(out, line.text.len() as u64);
    out.extend_from_slice(line.text.as_bytes());
}

fn leb128(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(0x80 | u8::try_from(value & 0x7f).unwrap_or(0));
        value >>= 7;
    }
    out.push(u8::try_from(value).unwrap_or(0));
}

/// Decodes payloads; keeps zstd's working memory.
pub(crate) struct Decoder {
    zstd: zstd::bulk::Decompressor<'static>,
    raw: Vec<u8>,
}

impl Decoder {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { zstd: zstd::bulk::Decompressor::new()?, raw: Vec::new() })
    }

    /// The lines of a frame, still encoded.
    pub(crate) fn unpack<'a>(&'a mut self, head: &Head, payload: &'a [u8]) -> io::Result<&'a [u8]> {
        if !head.packed {
            return Ok(payload);
        }
        self.raw.clear();
        self.raw.reserve(head.raw as usize);
        self.zstd.decompress_to_buffer(payload, &mut self.raw)?;
        Ok(&self.raw)
    }
}

/// One line, its text still where it was read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawLine<'a> {
    pub(crate) at: Timestamp,
    pub(crate) node: NodeIx,
    pub(crate) attempt: u32,
    pub(crate) stream: Stream,
    pub(crate) cut: bool,
    pub(crate) text: &'a [u8],
}

impl RawLine<'_> {
    pub(crate) fn to_line(self) -> LogLine {
        LogLine {
            at: self.at,
            node: self.node,
            attempt: self.attempt,
            stream: self.stream,
            text: String::from_utf8_lossy(self.text).into_owned(),
            cut: self.cut,
        }
    }
}

/// Takes the next line off `rest`; `None` if it is damaged.
pub(crate) fn next_line<'a>(rest: &mut &'a [u8], base: i64) -> Option<RawLine<'a>> {
    let (&flags, tail) = rest.split_first()?;
    *rest = tail;
    let stream = match flags & 3 {
        0 => Stream::Stdout,
        1 => Stream::Stderr,
        _ => Stream::System,
    };
    let node = NodeIx(u32::try_from(number(rest)?).ok()?);
    let attempt = u32::try_from(number(rest)?).ok()?;
    let at = Timestamp(base.wrapping_add_unsigned(number(rest)?));
    let bytes = usize::try_from(number(rest)?).ok()?;
    let (text, tail) = rest.split_at_checked(bytes)?;
    *rest = tail;
    Some(RawLine { at, node, attempt, stream, cut: flags & 4 != 0, text })
}

fn number(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, tail) = rest.split_first()?;
        *rest = tail;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}
