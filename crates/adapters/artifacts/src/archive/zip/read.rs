//! Reading a zip.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;

use crc32fast::Hasher;
use flate2::read::DeflateDecoder;
use flowforge_model::limits;
use flowforge_ports::artifacts::ArtifactError;

use super::{
    CENTRAL, DEFLATED, END, END_64, EXTRA_64, KIND, KIND_LINK, LOCAL, LOCATOR_64, SEE_64, STORED,
};
use crate::fault::{damaged, invalid};
use crate::path::shown;
use crate::unpack::Unpacker;

/// Bytes of the end record without its comment, and with the longest.
const END_BYTES: u64 = 22;
const END_MOST: u64 = END_BYTES + 65_535;
/// Version made by: systems whose attributes hold a mode.
const UNIX: [u8; 2] = [3, 19];

/// Unpacks the zip in `file`.
pub(crate) fn unpack(file: &File, unpacker: &mut Unpacker<'_>) -> Result<(), ArtifactError> {
    let wrong = |error: io::Error| damaged("zip", &error);
    let length = file.metadata().map_err(wrong)?.len();
    let directory = Directory::find(file, length)?;
    let part = Part { file, at: directory.at, left: directory.bytes };
    let mut reader = BufReader::new(part);
    for _ in 0..directory.entries {
        let entry = Entry::read(&mut reader).map_err(wrong)?;
        entry.unpack(file, directory.at, unpacker)?;
    }
    Ok(())
}

fn broken(what: &str) -> ArtifactError {
    invalid(format!("the zip is damaged: {what}"))
}

/// A part of a file, read from where it is.
struct Part<'a> {
    file: &'a File,
    at: u64,
    left: u64,
}

impl Read for Part<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.file.read_at(buffer.get_mut(..most).unwrap_or(&mut []), self.at)?;
        self.at = self.at.saturating_add(count as u64);
        self.left = self.left.saturating_sub(count as u64);
        Ok(count)
    }
}

fn u16_of(reader: &mut dyn Read) -> io::Result<u16> {
    let mut bytes = [0; 2];
    reader.read_exact(&mut bytes)?;
    Ok(u16::from_le_bytes(bytes))
}

fn u32_of(reader: &mut dyn Read) -> io::Result<u32> {
    let mut bytes = [0; 4];
    reader.read_exact(&mut bytes)?;
    Ok(u32::from_le_bytes(bytes))
}

fn u64_of(reader: &mut dyn Read) -> io::Result<u64> {
    let mut bytes = [0; 8];
    reader.read_exact(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

fn bytes_of(reader: &mut dyn Read, count: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; count];
    reader.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Where the list of entries is.
struct Directory {
    at: u64,
    bytes: u64,
    entries: u64,
}

impl Directory {
    fn find(file: &File, length: u64) -> Result<Self, ArtifactError> {
        let end = Self::end(file, length)?;
        let directory = Self::read(file, end).map_err(|error| damaged("zip", &error))?;
        let stops = directory.at.checked_add(directory.bytes);
        if stops.is_none_or(|stops| stops > end) {
            return Err(broken("its directory lies outside of it"));
        }
        // The least an entry takes; a count that lies is not worth a loop.
        if directory.entries > directory.bytes / 46 {
            return Err(broken("its directory has fewer entries than it says"));
        }
        Ok(directory)
    }

    /// The place of the end record: the last whose comment reaches the end of the file.
    fn end(file: &File, length: u64) -> Result<u64, ArtifactError> {
        let tail = length.min(END_MOST);
        let mut bytes = Vec::new();
        Part { file, at: length - tail, left: tail }
            .read_to_end(&mut bytes)
            .map_err(|error| damaged("zip", &error))?;
        let fits = |at: usize| {
            let record = bytes.get(at..)?;
            let (mark, rest) = record.split_first_chunk::<4>()?;
            let comment = u16::from_le_bytes(*rest.get(16..)?.first_chunk()?);
            let whole = record.len() as u64 == END_BYTES + u64::from(comment);
            (u32::from_le_bytes(*mark) == END && whole).then_some(at as u64)
        };
        let found = (0..bytes.len()).rev().find_map(fits);
        found
            .map(|at| length - tail + at)
            .ok_or_else(|| invalid("it is no zip, or its end is missing"))
    }

    fn read(file: &File, end: u64) -> io::Result<Self> {
        let mut record = Part { file, at: end + 10, left: 10 };
        let entries = u16_of(&mut record)?;
        let (bytes, at) = (u32_of(&mut record)?, u32_of(&mut record)?);
        let see_64 = entries == u16::MAX || bytes == SEE_64 || at == SEE_64;
        let large = if see_64 { Self::read_64(file, end)? } else { None };
        Ok(large.unwrap_or(Self {
            at: u64::from(at),
            bytes: u64::from(bytes),
            entries: u64::from(entries),
        }))
    }

    /// None if there is no such record: 65,535 may be meant.
    fn read_64(file: &File, end: u64) -> io::Result<Option<Self>> {
        let Some(locator) = end.checked_sub(20) else {
            return Ok(None);
        };
        let mut locator = Part { file, at: locator, left: 20 };
        if u32_of(&mut locator)? != LOCATOR_64 {
            return Ok(None);
        }
        let _disk = u32_of(&mut locator)?;
        let mut record = Part { file, at: u64_of(&mut locator)?, left: 56 };
        if u32_of(&mut record)? != END_64 {
            return Err(io::Error::other("the record of its large directory is missing"));
        }
        bytes_of(&mut record, 28)?;
        let (entries, bytes) = (u64_of(&mut record)?, u64_of(&mut record)?);
        Ok(Some(Self { at: u64_of(&mut record)?, bytes, entries }))
    }
}

/// One line of the directory.
struct Entry {
    name: Vec<u8>,
    encrypted: bool,
    method: u16,
    sum: u32,
    packed: u64,
    size: u64,
    /// Place of its local header.
    at: u64,
    /// Kind and permission bits, if it was made where there are such.
    mode: Option<u32>,
}

impl Entry {
    fn read(reader: &mut dyn Read) -> io::Result<Self> {
        if u32_of(reader)? != CENTRAL {
            return Err(io::Error::other("an entry of its directory is missing"));
        }
        let [_, system] = u16_of(reader)?.to_le_bytes();
        let _needed = u16_of(reader)?;
        let (flags, method) = (u16_of(reader)?, u16_of(reader)?);
        let _changed = u32_of(reader)?;
        let (sum, packed, size) = (u32_of(reader)?, u32_of(reader)?, u32_of(reader)?);
        let (name, extra, comment) = (u16_of(reader)?, u16_of(reader)?, u16_of(reader)?);
        let (_disk, _text) = (u16_of(reader)?, u16_of(reader)?);
        let (attributes, at) = (u32_of(reader)?, u32_of(reader)?);
        let name = bytes_of(reader, usize::from(name))?;
        let extra = bytes_of(reader, usize::from(extra))?;
        bytes_of(reader, usize::from(comment))?;
        let mut large = large_sizes(&extra);
        let mut whole = |short: u32| {
            if short == SEE_64 { u64_of(&mut large) } else { Ok(u64::from(short)) }
        };
        let (size, packed, at) = (whole(size)?, whole(packed)?, whole(at)?);
        let mode = UNIX.contains(&system).then_some(attributes >> 16);
        Ok(Self { name, encrypted: flags & 1 != 0, method, sum, packed, size, at, mode })
    }

    fn unpack(
        &self,
        file: &File,
        end: u64,
        unpacker: &mut Unpacker<'_>,
    ) -> Result<(), ArtifactError> {
        let name = shown(&self.name);
        if self.encrypted {
            return Err(invalid(format!("\"{name}\" in it is encrypted")));
        }
        let kind = self.mode.map_or(0, |mode| mode & KIND);
        let mode = self.mode.filter(|mode| mode & 0o777 != 0);
        if self.name.ends_with(b"/") {
            return unpacker.folder(&self.name, mode.unwrap_or(0o755));
        }
        let content = self.content(file, end)?;
        let mut content: Box<dyn Read + '_> = match self.method {
            STORED if self.packed == self.size => Box::new(content),
            DEFLATED => Box::new(DeflateDecoder::new(content)),
            STORED => return Err(broken("a stored file has two sizes")),
            other => {
                return Err(invalid(format!(
                    "\"{name}\" in it is packed by method {other}: use stored or deflated"
                )));
            }
        };
        let meter = unpacker.meter();
        let mut content = Checked {
            inner: meter.unpacking(&mut *content),
            hasher: Hasher::new(),
            left: self.size,
            sum: self.sum,
        };
        match kind {
            KIND_LINK => {
                let most = limits::ARTIFACT_HEADER_BYTES;
                if self.size > most {
                    return Err(invalid(format!("the link \"{name}\" has more than {most} bytes")));
                }
                let mut target = Vec::new();
                content.read_to_end(&mut target).map_err(|error| damaged("zip", &error))?;
                unpacker.link(&self.name, &target)
            }
            0 | super::KIND_FILE => {
                unpacker.file(&self.name, mode.unwrap_or(0o644), self.size, &mut content)?;
                // The sum is looked at by the read that finds the end.
                io::copy(&mut content, &mut io::sink())
                    .map_err(|error| damaged("zip", &error))
                    .map(|_| ())
            }
            _ => Err(invalid(format!("\"{name}\" in it is a device, a pipe or a socket"))),
        }
    }

    /// Its packed bytes.
    fn content<'a>(&self, file: &'a File, end: u64) -> Result<Part<'a>, ArtifactError> {
        let read = || {
            let mut header = Part { file, at: self.at, left: 30 };
            let mark = u32_of(&mut header)?;
            bytes_of(&mut header, 22)?;
            let (name, extra) = (u16_of(&mut header)?, u16_of(&mut header)?);
            io::Result::Ok((mark, 30 + u64::from(name) + u64::from(extra)))
        };
        let (mark, skip) = read().map_err(|error| damaged("zip", &error))?;
        if mark != LOCAL {
            return Err(broken("the header of a file is missing"));
        }
        let at = self.at.checked_add(skip);
        let stops = at.and_then(|at| at.checked_add(self.packed));
        match at {
            Some(at) if stops.is_some_and(|stops| stops <= end) => {
                Ok(Part { file, at, left: self.packed })
            }
            _ => Err(broken("a file lies outside of it")),
        }
    }
}

/// The values of the extra field of large sizes.
fn large_sizes(mut extra: &[u8]) -> &[u8] {
    while let Some((id, rest)) = extra.split_first_chunk::<2>() {
        let Some((length, rest)) = rest.split_first_chunk::<2>() else {
            break;
        };
        let length = usize::from(u16::from_le_bytes(*length));
        let Some((values, rest)) = rest.split_at_checked(length) else {
            break;
        };
        if u16::from_le_bytes(*id) == EXTRA_64 {
            return values;
        }
        extra = rest;
    }
    &[]
}

/// A content whose size and sum are known.
struct Checked<R> {
    inner: R,
    hasher: Hasher,
    left: u64,
    sum: u32,
}

impl<R: Read> Read for Checked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let count = self.inner.read(buffer)?;
        let Some(left) = self.left.checked_sub(count as u64) else {
            return Err(io::Error::other("a file is larger than it says"));
        };
        self.left = left;
        self.hasher.update(buffer.get(..count).unwrap_or(&[]));
        if count == 0 && (self.left > 0 || self.hasher.clone().finalize() != self.sum) {
            return Err(io::Error::other("the size or the sum of a file is wrong"));
        }
        Ok(count)
    }
}
