//! What was taken in of whom, beside the segments of a log: so that a line which is shipped twice is
//! kept once, whatever died in between.
//!
//! Before lines are appended, a receipt says which these are and what the log's last number is. The
//! numbers of a log have no gaps, so whoever reads the receipts later sees from the next one, or from
//! the log itself, how many of the lines were really written. A receipt has 40 bytes, little-endian:
//!
//! ```text
//!  0 u32 CRC-32 of all other bytes      24 u64 the source's number of the first line
//!  4 u32 lines                          32 u64 number of the log's last line before them
//!  8 128 bits: the source
//! ```

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use flowforge_model::id::InstanceId;
use uuid::Uuid;

/// Bytes of a receipt.
const RECEIPT: usize = 40;
/// Receipts after which only what they amount to is kept, if there are twice as many as sources.
const MOST: usize = 1024;
const NAME: &str = "receipts";

/// The receipts of one log.
#[derive(Debug, Default)]
pub(crate) struct Receipts {
    /// The last number of each source that was taken in. A source is a start of an executor, or a
    /// pod: there may be as many as the workflow has attempts.
    known: BTreeMap<InstanceId, u64>,
    /// In the file.
    count: usize,
}

/// "These lines are about to be appended."
#[derive(Clone, Copy, Debug)]
pub(crate) struct Receipt {
    pub(crate) source: InstanceId,
    /// The source's number of the first line.
    pub(crate) seq: u64,
    pub(crate) lines: u32,
    /// Number of the log's last line before them.
    pub(crate) last: u64,
}

impl Receipts {
    /// Reads what is known of a log whose last line is `last`.
    pub(crate) fn load(dir: &Path, last: u64) -> io::Result<Self> {
        let bytes = match std::fs::read(dir.join(NAME)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            other => other?,
        };
        let (whole, _) = bytes.as_chunks::<RECEIPT>();
        // A torn one was never followed by its lines.
        let all: Vec<Receipt> = whole.iter().map_while(Receipt::decode).collect();
        let mut receipts = Self { known: BTreeMap::new(), count: all.len() };
        let after = all.iter().skip(1).map(|next| next.last).chain([last]);
        for (receipt, after) in all.iter().zip(after) {
            let written = after.saturating_sub(receipt.last).min(u64::from(receipt.lines));
            receipts.learn(receipt.source, (receipt.seq + written).saturating_sub(1));
        }
        let torn = bytes.len() != all.len() * RECEIPT;
        if torn || all.last().is_some_and(|receipt| receipt.lines > 0) {
            // What others append from now on must not count for it, and what is torn must not stay
            // before the next one.
            receipts.settle(dir, last)?;
        }
        Ok(receipts)
    }

    /// The last number of a source that was taken in; 0 if none was.
    pub(crate) fn known(&self, source: InstanceId) -> u64 {
        self.known.get(&source).copied().unwrap_or(0)
    }

    /// The lines of a receipt were appended.
    pub(crate) fn learn(&mut self, source: InstanceId, seq: u64) {
        let known = self.known.entry(source).or_default();
        *known = seq.max(*known);
    }

    /// Writes a receipt, before its lines.
    pub(crate) fn write(&mut self, dir: &Path, receipt: &Receipt) -> io::Result<()> {
        // Each source keeps one: what is settled must be as much as what is kept.
        if self.count >= MOST.max(2 * self.known.len()) {
            self.settle(dir, receipt.last)?;
        }
        let bytes = receipt.encode();
        let mut file = match open(dir, NAME, true) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                std::fs::create_dir_all(dir)?;
                open(dir, NAME, true)?
            }
            other => other?,
        };
        let whole = file.metadata()?.len();
        if let Err(error) = file.write_all(&bytes) {
            file.set_len(whole)?;
            return Err(error);
        }
        self.count += 1;
        Ok(())
    }

    /// Leaves only what the receipts amount to.
    pub(crate) fn settle(&mut self, dir: &Path, last: u64) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(self.known.len() * RECEIPT);
        for (source, seq) in &self.known {
            let settled = Receipt { source: *source, seq: seq + 1, lines: 0, last };
            bytes.extend_from_slice(&settled.encode());
        }
        let temporary = "receipts.tmp";
        open(dir, temporary, false)?.write_all(&bytes)?;
        std::fs::rename(dir.join(temporary), dir.join(NAME))?;
        self.count = self.known.len();
        Ok(())
    }
}

fn open(dir: &Path, name: &str, append: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).mode(0o600);
    if append {
        options.append(true)
    } else {
        options.write(true).truncate(true)
    };
    options.open(dir.join(name))
}

impl Receipt {
    fn encode(&self) -> [u8; RECEIPT] {
        let mut bytes = Vec::with_capacity(RECEIPT);
        bytes.extend_from_slice(&self.lines.to_le_bytes());
        bytes.extend_from_slice(self.source.0.as_bytes());
        bytes.extend_from_slice(&self.seq.to_le_bytes());
        bytes.extend_from_slice(&self.last.to_le_bytes());
        let mut whole = [0; RECEIPT];
        let (crc, rest) = whole.split_at_mut(4);
        crc.copy_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
        rest.copy_from_slice(&bytes);
        whole
    }

    fn decode(bytes: &[u8; RECEIPT]) -> Option<Self> {
        let (crc, rest) = bytes.split_first_chunk::<4>()?;
        let (lines, rest) = rest.split_first_chunk::<4>()?;
        let (source, rest) = rest.split_first_chunk::<16>()?;
        let (seq, rest) = rest.split_first_chunk::<8>()?;
        let last = rest.first_chunk::<8>()?;
        let intact = u32::from_le_bytes(*crc) == crc32fast::hash(bytes.get(4..)?);
        intact.then_some(Self {
            source: InstanceId(Uuid::from_bytes(*source)),
            seq: u64::from_le_bytes(*seq),
            lines: u32::from_le_bytes(*lines),
            last: u64::from_le_bytes(*last),
        })
    }
}
