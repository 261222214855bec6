//! Reading a tar: ustar with the extensions of GNU (long names, large sizes) and PAX.
//!
//! Everything that may be long is bounded before it is read: the extra headers of an entry are
//! held in memory, and an archive can claim that they are as large as it likes. The size that a
//! PAX header gives wins over the other, as the standard says: readers that disagree on it can be
//! shown different files (RUSTSEC-2026-0068).

use std::io::{self, Read};

use flowforge_model::limits;
use flowforge_ports::artifacts::ArtifactError;
use tar::{EntryType, Header};

use crate::fault::{damaged, invalid};
use crate::path::shown;
use crate::unpack::Unpacker;

/// Bytes of a header; contents are padded to a multiple.
pub(crate) const BLOCK: usize = 512;

type Block = [u8; BLOCK];

/// What headers before an entry say about it.
#[derive(Debug, Default)]
struct Extra {
    name: Option<Vec<u8>>,
    target: Option<Vec<u8>>,
    size: Option<u64>,
}

/// Whether a block is the header of an entry: its sum is right.
pub(crate) fn is_header(block: &Block) -> bool {
    let header = Header::from_byte_slice(block);
    let sum = |byte: (usize, &u8)| {
        // The sum is taken with spaces in its own place.
        let blank = (148..156).contains(&byte.0);
        if blank { u32::from(b' ') } else { u32::from(*byte.1) }
    };
    let blank = block.iter().all(|byte| *byte == 0);
    !blank && header.cksum().ok() == Some(block.iter().enumerate().map(sum).sum())
}

/// Unpacks a tar. What follows its end is read and ignored, so that a damaged end is seen.
pub(crate) fn unpack(
    reader: &mut dyn Read,
    unpacker: &mut Unpacker<'_>,
) -> Result<(), ArtifactError> {
    let mut extra = Extra::default();
    while let Some(block) = next_block(reader)? {
        if block.iter().all(|byte| *byte == 0) {
            break;
        }
        if !is_header(&block) {
            return Err(invalid("the tar is damaged: the sum of a header is wrong"));
        }
        let header = Header::from_byte_slice(&block);
        let size = header.entry_size().map_err(|error| damaged("tar", &error))?;
        match header.entry_type() {
            EntryType::GNULongName => extra.name = Some(long(reader, size, unpacker)?),
            EntryType::GNULongLink => extra.target = Some(long(reader, size, unpacker)?),
            EntryType::XHeader => pax(&held(reader, size, unpacker)?, &mut extra)?,
            EntryType::XGlobalHeader => global(&held(reader, size, unpacker)?)?,
            _ => entry(header, std::mem::take(&mut extra), reader, unpacker)?,
        }
    }
    io::copy(reader, &mut io::sink()).map_err(|error| damaged("tar", &error))?;
    Ok(())
}

fn entry(
    header: &Header,
    extra: Extra,
    reader: &mut dyn Read,
    unpacker: &mut Unpacker<'_>,
) -> Result<(), ArtifactError> {
    let wrong = |error: io::Error| damaged("tar", &error);
    let name = extra.name.unwrap_or_else(|| header.path_bytes().into_owned());
    let mode = header.mode().map_err(wrong)?;
    let target = || {
        let short = || header.link_name_bytes().map(std::borrow::Cow::into_owned);
        extra.target.or_else(short).unwrap_or_default()
    };
    match header.entry_type() {
        // Before there was a type for folders they were told by their name.
        EntryType::Regular if name.ends_with(b"/") => unpacker.folder(&name, mode),
        EntryType::Regular | EntryType::Continuous => {
            let size = extra.size.map_or_else(|| header.entry_size().map_err(wrong), Ok)?;
            unpacker.file(&name, mode, size, reader)?;
            padding(reader, size)
        }
        EntryType::Directory => unpacker.folder(&name, mode),
        EntryType::Symlink => unpacker.link(&name, &target()),
        EntryType::Link => unpacker.hard_link(&name, &target()),
        EntryType::Char | EntryType::Block => refuse(&name, "a device"),
        EntryType::Fifo => refuse(&name, "a named pipe"),
        EntryType::GNUSparse => refuse(&name, "a sparse file: pack it without --sparse"),
        other => refuse(&name, &format!("of the unknown type {:?}", char::from(other.as_byte()))),
    }
}

fn refuse(name: &[u8], what: &str) -> Result<(), ArtifactError> {
    Err(invalid(format!("\"{}\" in it is {what}", shown(name))))
}

/// The next block; none at the end, which some writers do not mark.
fn next_block(reader: &mut dyn Read) -> Result<Option<Block>, ArtifactError> {
    let mut block = [0; BLOCK];
    let mut filled = 0;
    while let Some(rest) = block.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match reader.read(rest) {
            Ok(0) if filled == 0 => return Ok(None),
            Ok(0) => return Err(invalid("the tar is damaged: it ends within a header")),
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(damaged("tar", &error)),
        }
    }
    Ok(Some(block))
}

/// Reads what fills the last block of a content of `size` bytes.
fn padding(reader: &mut dyn Read, size: u64) -> Result<(), ArtifactError> {
    let fill = size.next_multiple_of(BLOCK as u64) - size;
    let read = io::copy(&mut reader.take(fill), &mut io::sink());
    if read.map_err(|error| damaged("tar", &error))? < fill {
        return Err(invalid("the tar is damaged: it ends within a file"));
    }
    Ok(())
}

/// The content of an extra header.
fn held(
    reader: &mut dyn Read,
    size: u64,
    unpacker: &Unpacker<'_>,
) -> Result<Vec<u8>, ArtifactError> {
    unpacker.meter().entry()?;
    if size > limits::ARTIFACT_HEADER_BYTES {
        let most = limits::ARTIFACT_HEADER_BYTES;
        return Err(invalid(format!("an extra header in it has more than {most} bytes")));
    }
    let mut bytes = Vec::new();
    let read = reader.take(size).read_to_end(&mut bytes);
    if (read.map_err(|error| damaged("tar", &error))? as u64) < size {
        return Err(invalid("the tar is damaged: it ends within a header"));
    }
    padding(reader, size)?;
    Ok(bytes)
}

/// A long name of GNU: ends with a zero byte.
fn long(
    reader: &mut dyn Read,
    size: u64,
    unpacker: &Unpacker<'_>,
) -> Result<Vec<u8>, ArtifactError> {
    let mut bytes = held(reader, size, unpacker)?;
    if bytes.last() == Some(&0) {
        bytes.pop();
    }
    Ok(bytes)
}

/// Takes over what a PAX header says about the next entry. What only describes it (times, owners,
/// attributes) is not kept.
fn pax(bytes: &[u8], extra: &mut Extra) -> Result<(), ArtifactError> {
    records(bytes, |key, value| {
        match key {
            b"path" => extra.name = Some(value.to_vec()),
            b"linkpath" => extra.target = Some(value.to_vec()),
            b"size" => {
                let size = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
                extra.size = Some(size.ok_or_else(|| invalid("a size in the tar is no number"))?);
            }
            key if key.starts_with(b"GNU.sparse") => {
                return Err(invalid("it holds a sparse file: pack it without --sparse"));
            }
            _ => {}
        }
        Ok(())
    })
}

/// Git and others write a comment for all entries. A name or size for all makes no sense.
fn global(bytes: &[u8]) -> Result<(), ArtifactError> {
    records(bytes, |key, _| match key {
        b"path" | b"linkpath" | b"size" => {
            Err(invalid("a header of the tar gives all entries the same name or size"))
        }
        _ => Ok(()),
    })
}

/// Every `length key=value\n`; the length counts all of it.
fn records(
    mut bytes: &[u8],
    mut each: impl FnMut(&[u8], &[u8]) -> Result<(), ArtifactError>,
) -> Result<(), ArtifactError> {
    while !bytes.is_empty() {
        let broken = || invalid("the tar is damaged: a PAX header cannot be read");
        let blank = bytes.iter().position(|byte| *byte == b' ').ok_or_else(broken)?;
        let (digits, _) = bytes.split_at(blank);
        let length: usize = std::str::from_utf8(digits)
            .ok()
            .and_then(|text| text.parse().ok())
            .ok_or_else(broken)?;
        let (record, rest) = bytes.split_at_checked(length).ok_or_else(broken)?;
        let record = record.get(blank + 1..).and_then(|record| record.strip_suffix(b"\n"));
        let record = record.ok_or_else(broken)?;
        let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(broken)?;
        let (key, value) = record.split_at(equals);
        each(key, value.get(1..).unwrap_or(&[]))?;
        bytes = rest;
    }
    Ok(())
}
