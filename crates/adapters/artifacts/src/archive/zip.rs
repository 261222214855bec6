//! Zip archives in constant memory: a reader over a file and a writer in one pass.
//!
//! Stored and deflated entries, large ones (zip64) included. Nothing of the directory is held:
//! an archive may claim ten million entries and takes no more memory than one.

mod read;
mod write;

pub(crate) use read::unpack;
pub(crate) use write::ZipWriter;

const LOCAL: u32 = 0x0403_4b50;
const DESCRIPTOR: u32 = 0x0807_4b50;
const CENTRAL: u32 = 0x0201_4b50;
const END: u32 = 0x0605_4b50;
const END_64: u32 = 0x0606_4b50;
const LOCATOR_64: u32 = 0x0706_4b50;

const STORED: u16 = 0;
const DEFLATED: u16 = 8;
/// The extra field of large sizes.
const EXTRA_64: u16 = 1;
/// A 32-bit field that says: see there.
const SEE_64: u32 = u32::MAX;
/// The mode's bits that say what a thing is, and those of a link and a folder.
const KIND: u32 = 0o170_000;
const KIND_LINK: u32 = 0o120_000;
const KIND_FOLDER: u32 = 0o040_000;
const KIND_FILE: u32 = 0o100_000;
