//! A place of objects: keys, and the bytes at each.

#[cfg(feature = "places")]
mod directory;
#[cfg(feature = "places")]
mod memory;
#[cfg(feature = "places")]
mod s3;

#[cfg(feature = "places")]
pub(crate) use directory::Directory;
#[cfg(feature = "places")]
pub(crate) use memory::Memory;
#[cfg(feature = "places")]
pub use s3::{Bucket, Keys};
#[cfg(feature = "places")]
pub(crate) use s3::{Received, S3};

use std::io::{Read, Write};

use flowforge_ports::artifacts::{ArtifactError, Each};

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
    #[cfg(feature = "places")]
    fn name(&self) -> String;
}

/// An object on its way in.
pub trait Upload: Write {
    /// Makes it appear. Durable when it returns.
    ///
    /// # Errors
    /// The store's own.
    fn finish(self: Box<Self>) -> Result<(), ArtifactError>;
}
