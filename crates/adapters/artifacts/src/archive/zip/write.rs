//! Writing a zip in one pass: sizes follow the content they are of.

use std::io::{self, Read, Write};

use crc32fast::Hasher;
use flate2::Compression;
use flate2::write::DeflateEncoder;

use super::{
    CENTRAL, DEFLATED, DESCRIPTOR, END, END_64, EXTRA_64, KIND_FILE, KIND_FOLDER, KIND_LINK, LOCAL,
    LOCATOR_64, SEE_64, STORED,
};

/// Sizes follow the content; the name is UTF-8.
const FLAGS_STREAMED: u16 = 0x0808;
const FLAGS_KNOWN: u16 = 0x0800;
/// Version 4.5 knows large sizes. The high byte says that attributes hold a Unix mode.
const VERSION: u16 = 45;
const MADE_BY: u16 = 0x0300 | VERSION;
/// The first of January 1980, the earliest there is: equal files give equal archives.
const CHANGED: u32 = 0x0021_0000;

/// Writes a zip.
pub(crate) struct ZipWriter<W: Write> {
    into: Counted<W>,
    /// The directory, as it will be written.
    directory: Vec<u8>,
    entries: u64,
}

/// What is known of one entry in the end.
struct Line<'a> {
    name: &'a [u8],
    flags: u16,
    method: u16,
    sum: u32,
    packed: u64,
    size: u64,
    at: u64,
    mode: u32,
}

impl<W: Write> ZipWriter<W> {
    pub(crate) fn new(into: W) -> Self {
        Self { into: Counted { inner: into, count: 0 }, directory: Vec::new(), entries: 0 }
    }

    pub(crate) fn folder(&mut self, name: &[u8], mode: u32) -> io::Result<()> {
        let name = [name, b"/"].concat();
        self.known(&name, KIND_FOLDER | mode, &[])
    }

    pub(crate) fn link(&mut self, name: &[u8], target: &[u8]) -> io::Result<()> {
        self.known(name, KIND_LINK | 0o777, target)
    }

    pub(crate) fn file(&mut self, name: &[u8], mode: u32, data: &mut dyn Read) -> io::Result<()> {
        let at = self.into.count;
        self.local(name, FLAGS_STREAMED, DEFLATED, (0, 0))?;
        let begun = self.into.count;
        let mut data = Summed { inner: data, hasher: Hasher::new(), count: 0 };
        let mut packer = DeflateEncoder::new(&mut self.into, Compression::fast());
        io::copy(&mut data, &mut packer)?;
        packer.finish()?;
        let (sum, size) = (data.hasher.finalize(), data.count);
        let packed = self.into.count - begun;
        let mut after = Vec::with_capacity(24);
        after.extend(DESCRIPTOR.to_le_bytes());
        after.extend(sum.to_le_bytes());
        if let (Ok(packed), Ok(size)) = (u32::try_from(packed), u32::try_from(size)) {
            after.extend(packed.to_le_bytes());
            after.extend(size.to_le_bytes());
        } else {
            after.extend(packed.to_le_bytes());
            after.extend(size.to_le_bytes());
        }
        self.into.write_all(&after)?;
        let mode = KIND_FILE | mode;
        let (flags, method) = (FLAGS_STREAMED, DEFLATED);
        self.list(&Line { name, flags, method, sum, packed, size, at, mode })
    }

    /// Writes the directory.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        let at = self.into.count;
        self.into.write_all(&self.directory)?;
        let bytes = self.directory.len() as u64;
        let end = self.into.count;
        let mut record = Vec::with_capacity(98);
        let small = (u16::try_from(self.entries), u32::try_from(bytes), u32::try_from(at));
        let (entries, short_bytes, short_at) = match small {
            (Ok(entries), Ok(bytes), Ok(at)) if entries != u16::MAX && at != SEE_64 => {
                (entries, bytes, at)
            }
            _ => {
                record.extend(END_64.to_le_bytes());
                record.extend(44_u64.to_le_bytes());
                record.extend(MADE_BY.to_le_bytes());
                record.extend(VERSION.to_le_bytes());
                record.extend([0; 8]);
                for value in [self.entries, self.entries, bytes, at] {
                    record.extend(value.to_le_bytes());
                }
                record.extend(LOCATOR_64.to_le_bytes());
                record.extend([0; 4]);
                record.extend(end.to_le_bytes());
                record.extend(1_u32.to_le_bytes());
                (u16::MAX, SEE_64, SEE_64)
            }
        };
        record.extend(END.to_le_bytes());
        record.extend([0; 4]);
        record.extend(entries.to_le_bytes());
        record.extend(entries.to_le_bytes());
        record.extend(short_bytes.to_le_bytes());
        record.extend(short_at.to_le_bytes());
        record.extend([0; 2]);
        self.into.write_all(&record)?;
        Ok(self.into.inner)
    }

    /// Writes something small, as it is.
    fn known(&mut self, name: &[u8], mode: u32, content: &[u8]) -> io::Result<()> {
        let at = self.into.count;
        let sum = crc32fast::hash(content);
        let size = u32::try_from(content.len()).map_err(io::Error::other)?;
        self.local(name, FLAGS_KNOWN, STORED, (sum, size))?;
        self.into.write_all(content)?;
        let (packed, size) = (u64::from(size), u64::from(size));
        let (flags, method) = (FLAGS_KNOWN, STORED);
        self.list(&Line { name, flags, method, sum, packed, size, at, mode })
    }

    fn local(
        &mut self,
        name: &[u8],
        flags: u16,
        method: u16,
        (sum, size): (u32, u32),
    ) -> io::Result<()> {
        let mut header = Vec::with_capacity(30 + name.len());
        header.extend(LOCAL.to_le_bytes());
        header.extend(VERSION.to_le_bytes());
        header.extend(flags.to_le_bytes());
        header.extend(method.to_le_bytes());
        header.extend(CHANGED.to_le_bytes());
        header.extend(sum.to_le_bytes());
        header.extend(size.to_le_bytes());
        header.extend(size.to_le_bytes());
        header.extend(name_bytes(name)?.to_le_bytes());
        header.extend([0; 2]);
        header.extend(name);
        self.into.write_all(&header)
    }

    fn list(&mut self, line: &Line<'_>) -> io::Result<()> {
        let values = [line.size, line.packed, line.at];
        let large: Vec<u64> =
            values.into_iter().filter(|value| *value >= u64::from(SEE_64)).collect();
        let extra = if large.is_empty() { 0 } else { 4 + 8 * large.len() };
        let short = |value: u64| u32::try_from(value).unwrap_or(SEE_64).to_le_bytes();
        let list = &mut self.directory;
        list.extend(CENTRAL.to_le_bytes());
        list.extend(MADE_BY.to_le_bytes());
        list.extend(VERSION.to_le_bytes());
        list.extend(line.flags.to_le_bytes());
        list.extend(line.method.to_le_bytes());
        list.extend(CHANGED.to_le_bytes());
        list.extend(line.sum.to_le_bytes());
        list.extend(short(line.packed));
        list.extend(short(line.size));
        list.extend(name_bytes(line.name)?.to_le_bytes());
        list.extend(u16::try_from(extra).map_err(io::Error::other)?.to_le_bytes());
        list.extend([0; 6]);
        list.extend((line.mode << 16).to_le_bytes());
        list.extend(short(line.at));
        list.extend(line.name);
        if extra > 0 {
            list.extend(EXTRA_64.to_le_bytes());
            list.extend(u16::try_from(extra - 4).map_err(io::Error::other)?.to_le_bytes());
            list.extend(large.into_iter().flat_map(u64::to_le_bytes));
        }
        self.entries += 1;
        Ok(())
    }
}

fn name_bytes(name: &[u8]) -> io::Result<u16> {
    u16::try_from(name.len()).map_err(io::Error::other)
}

struct Counted<W> {
    inner: W,
    count: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(buffer)?;
        self.count = self.count.saturating_add(count as u64);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

struct Summed<R> {
    inner: R,
    hasher: Hasher,
    count: u64,
}

impl<R: Read> Read for Summed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hasher.update(buffer.get(..count).unwrap_or(&[]));
        self.count = self.count.saturating_add(count as u64);
        Ok(count)
    }
}
