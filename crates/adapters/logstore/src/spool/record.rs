//! Records of a spool: a shipment in JSON, as it goes over the wire, behind a head of twelve bytes:
//! bytes of the text, CRC-32 of lines and text, and lines, little-endian.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use flowforge_model::id::WorkflowId;
use flowforge_ports::logs::{LogLine, SHIPPED_LINES};

const HEAD: usize = 12;
/// Bytes shipped at once; one record has fewer.
const BATCH_BYTES: usize = 1024 * 1024;
/// Bytes of text in one record: six times as many in JSON if all are control characters.
const PIECE_BYTES: usize = 128 * 1024;
/// What a line takes beside its text.
const LINE_BYTES: usize = 100;

/// Lines of one record, whose numbers are still open.
#[derive(Debug)]
pub(super) struct Piece {
    workflow: WorkflowId,
    /// A JSON list.
    json: String,
    pub(super) lines: usize,
}

/// Cuts lines into records.
pub(super) fn pieces(workflow: WorkflowId, lines: &[LogLine]) -> io::Result<Vec<Piece>> {
    let mut pieces = Vec::new();
    let mut rest = lines;
    while !rest.is_empty() {
        let mut bytes = 0;
        let fits = |line: &&LogLine| {
            bytes += line.text.len() + LINE_BYTES;
            bytes <= PIECE_BYTES
        };
        let count = rest.iter().take(SHIPPED_LINES).take_while(fits).count().max(1);
        let (now, later) = rest.split_at(count);
        let json = serde_json::to_string(now)?;
        if json.len() >= BATCH_BYTES - 4 * HEAD - LINE_BYTES {
            let what = "a log line is longer than a line may be";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        pieces.push(Piece { workflow, json, lines: count });
        rest = later;
    }
    Ok(pieces)
}

impl Piece {
    /// The record, with the number of its first line.
    pub(super) fn number(&self, seq: u64) -> Vec<u8> {
        let Self { workflow, json, lines } = self;
        let text = format!("{{\"workflow\":\"{workflow}\",\"seq\":{seq},\"lines\":{json}}}");
        let lines = u32::try_from(*lines).unwrap_or(u32::MAX).to_le_bytes();
        let length = u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes();
        let crc = checksum(lines, text.as_bytes()).to_le_bytes();
        [&length[..], &crc, &lines, text.as_bytes()].concat()
    }
}

fn checksum(lines: [u8; 4], text: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&lines);
    hasher.update(text);
    hasher.finalize()
}

/// Records one after the other, read from a file.
#[derive(Debug)]
pub(super) struct Records {
    bytes: Vec<u8>,
    at: usize,
}

impl Records {
    /// Those between two places of a file that are shipped at once.
    pub(super) fn read(file: &File, from: u64, end: u64) -> io::Result<Self> {
        let left = usize::try_from(end.saturating_sub(from)).unwrap_or(usize::MAX);
        let mut bytes = vec![0; left.min(BATCH_BYTES)];
        file.read_exact_at(&mut bytes, from)?;
        Ok(Self { bytes, at: 0 })
    }

    /// The text of the next record with its lines and bytes, if it is whole and its lines may join
    /// `lines` others.
    pub(super) fn next(&mut self, lines: usize) -> Option<(&str, usize, u64)> {
        let rest = self.bytes.get(self.at..)?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let (crc, rest) = rest.split_first_chunk::<4>()?;
        let (count, rest) = rest.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let text = rest.get(..length)?;
        let more = usize::try_from(u32::from_le_bytes(*count)).ok()?;
        if u32::from_le_bytes(*crc) != checksum(*count, text) || lines + more > SHIPPED_LINES {
            return None;
        }
        self.at += HEAD + length;
        Some((std::str::from_utf8(text).ok()?, more, (HEAD + length) as u64))
    }
}
