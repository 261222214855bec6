//! The bounds of one artifact, counted while its bytes flow.

use std::cell::Cell;
use std::io::{self, Read};

use flowforge_model::limits;
use flowforge_ports::artifacts::ArtifactError;

use crate::fault::{invalid, stopped, through};

/// What one artifact may hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Files, folders and links.
    pub(crate) entries: u64,
    /// Bytes, unpacked.
    pub(crate) bytes: u64,
    /// Bytes that it may unpack to whatever its packed size is.
    pub(crate) free: u64,
    /// Times the packed size beyond that.
    pub(crate) ratio: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            entries: limits::ARTIFACT_ENTRIES,
            bytes: limits::ARTIFACT_BYTES,
            free: limits::ARTIFACT_BYTES_FREE,
            ratio: limits::ARTIFACT_RATIO,
        }
    }
}

/// Counts one artifact on its way.
pub(crate) struct Meter<'a> {
    bounds: Bounds,
    stopped: &'a dyn Fn() -> bool,
    entries: Cell<u64>,
    packed: Cell<u64>,
    unpacked: Cell<u64>,
}

impl<'a> Meter<'a> {
    pub(crate) fn new(bounds: Bounds, stopped: &'a dyn Fn() -> bool) -> Self {
        let zero = || Cell::new(0);
        Self { bounds, stopped, entries: zero(), packed: zero(), unpacked: zero() }
    }

    /// One more file, folder, link or header.
    pub(crate) fn entry(&self) -> Result<(), ArtifactError> {
        self.entries.set(self.entries.get().saturating_add(1));
        if self.entries.get() > self.bounds.entries {
            return Err(invalid(format!(
                "it has more than {} files, folders and links: keep a data set of this size on a \
                 volume",
                self.bounds.entries
            )));
        }
        self.go_on()
    }

    /// Whether the caller still wants it.
    pub(crate) fn go_on(&self) -> Result<(), ArtifactError> {
        if (self.stopped)() { Err(stopped()) } else { Ok(()) }
    }

    /// Whether `more` bytes may follow.
    pub(crate) fn room(&self, more: u64) -> Result<(), ArtifactError> {
        let wanted = self.unpacked.get().saturating_add(more);
        if wanted > self.bounds.bytes {
            return Err(invalid(format!(
                "it unpacks to more than {} bytes: keep a data set of this size on a volume",
                self.bounds.bytes
            )));
        }
        Ok(())
    }

    /// Bytes were unpacked.
    pub(crate) fn unpacked(&self, bytes: u64) -> Result<(), ArtifactError> {
        self.room(bytes)?;
        let total = self.unpacked.get().saturating_add(bytes);
        self.unpacked.set(total);
        let ratio = self.packed.get().saturating_mul(self.bounds.ratio);
        if total > self.bounds.free.max(ratio) {
            return Err(invalid(format!(
                "it unpacks to more than {} times its size: it looks like a bomb",
                self.bounds.ratio
            )));
        }
        Ok(())
    }

    /// Counts what is read as packed bytes.
    pub(crate) fn packed<R: Read>(&self, inner: R) -> Packed<'_, R> {
        Packed { meter: self, inner }
    }

    /// Counts what is read as unpacked bytes.
    pub(crate) fn unpacking<R: Read>(&self, inner: R) -> Unpacking<'_, R> {
        Unpacking { meter: self, inner }
    }
}

/// Made by [`Meter::packed`].
pub(crate) struct Packed<'a, R> {
    meter: &'a Meter<'a>,
    inner: R,
}

impl<R: Read> Read for Packed<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.meter.go_on().map_err(through)?;
        let count = self.inner.read(buffer)?;
        let packed = self.meter.packed.get().saturating_add(count as u64);
        self.meter.packed.set(packed);
        if packed > self.meter.bounds.bytes {
            let most = self.meter.bounds.bytes;
            return Err(through(invalid(format!("it has more than {most} bytes"))));
        }
        Ok(count)
    }
}

/// Made by [`Meter::unpacking`].
pub(crate) struct Unpacking<'a, R> {
    meter: &'a Meter<'a>,
    inner: R,
}

impl<R: Read> Read for Unpacking<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.meter.unpacked(count as u64).map_err(through)?;
        Ok(count)
    }
}
