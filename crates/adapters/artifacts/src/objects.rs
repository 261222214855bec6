//! A place of objects: keys, and the bytes at each.

mod directory;
mod memory;
mod s3;

pub(crate) use directory::Directory;
pub(crate) use memory::Memory;
pub use s3::{Bucket, Keys};
pub(crate) use s3::{Received, S3};

use std::io::{Read, Write};

use flowforge_ports::artifacts::ArtifactError;

/// A place of objects. Keys are clean (see [`crate::path::clean_key`]); one that ends with a slash
/// marks an empty folder.
pub(crate) trait Objects: Send + Sync {
    /// What is at a key; none if nothing is, or a folder.
    fn get(&self, key: &str) -> Result<Option<Box<dyn Read>>, ArtifactError>;

    /// Begins a new object. It appears, whole, when it is finished, in place of an older one; it
    /// never appears if it is dropped before.
    fn create(&self, key: &str) -> Result<Box<dyn Upload>, ArtifactError>;

    /// Tells every key below the folder `key`, without it; also that of the marker of an empty
    /// folder, which ends with a slash. The marker of `key` itself is the empty string.
    fn list(&self, key: &str, each: &mut Each<'_>) -> Result<(), ArtifactError>;

    /// What people call it.
    fn name(&self) -> String;
}

/// Takes one key.
pub(crate) type Each<'a> = dyn FnMut(&str) -> Result<(), ArtifactError> + 'a;

/// An object on its way in.
pub(crate) trait Upload: Write {
    /// Makes it appear. Durable when it returns.
    fn finish(self: Box<Self>) -> Result<(), ArtifactError>;
}
