//! Where artifacts are kept: a directory or an object store, and whatever a document names.

use std::io::Read;
use std::path::Path;

use flowforge_model::artifact::{Artifact, Location, StageIn, StageOut};
use flowforge_model::status::Reason;

/// Why an artifact could not be moved.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ArtifactError {
    /// `ArtifactMissing`, `ArtifactInvalid`, `ArtifactStore`, `SecretMissing`, `HttpFailed`, or
    /// `Stopped` if the caller wanted no more.
    pub reason: Reason,
    /// Trying again may help: the store did not answer.
    pub transient: bool,
    /// For people: which artifact, what happened and what to do. Holds no secret.
    pub message: String,
}

/// Moves artifacts between their stores and the local disk. Calls block, need less than 256 KiB of
/// stack in a release build, and are made from threads that may.
///
/// All policy is here: what is optional, the mode of files, the part below `subPath`, packing and
/// unpacking, every limit. The caller only knows where on this machine a task sees the path.
pub trait Artifacts: Send + Sync + 'static {
    /// Puts what a task asked for at `to`, unpacked: a file, or a folder if it is one. The folders
    /// above `to` are made. A file or an empty folder at `to` is replaced, a full folder is an
    /// error. Nothing unpacked, nor any link in it, leads out of `to`. After an error nothing new
    /// is at `to`. False if it is optional and there is none: nothing was put there.
    ///
    /// `stopped` is asked between chunks; true ends the call soon with [`Reason::Stopped`].
    ///
    /// # Errors
    /// See [`ArtifactError`].
    fn fetch(
        &self,
        input: &StageIn,
        to: &Path,
        stopped: &dyn Fn() -> bool,
    ) -> Result<bool, ArtifactError>;

    /// Keeps the file or folder at `from` as `output` says, packed, and tells where it is now.
    /// Durable when it returns. A link at `from` is followed if it stays in the folder it is in;
    /// links below are kept as links, unless they lead out of `from`, which is an error. None if
    /// it is optional and there is nothing at `from`.
    ///
    /// `stopped` is as for [`Artifacts::fetch`].
    ///
    /// # Errors
    /// See [`ArtifactError`].
    fn keep(
        &self,
        from: &Path,
        output: &StageOut,
        stopped: &dyn Fn() -> bool,
    ) -> Result<Option<Artifact>, ArtifactError>;
}

/// Takes one key.
pub type Each<'a> = dyn FnMut(&str) -> Result<(), ArtifactError> + 'a;

/// Artifacts as they are kept, for machines that have no stores and pack and unpack for themselves. `below`
/// is a part of what is at a location: empty, or a path with a slash before it; it never leads elsewhere.
/// Calls block; nothing is held in memory as a whole.
pub trait ArtifactBytes: Send + Sync + 'static {
    /// The bytes of an object; none if nothing is there, or a folder. The reader fails with an
    /// [`ArtifactError`] inside if the store breaks off.
    ///
    /// # Errors
    /// See [`ArtifactError`].
    fn read(
        &self,
        location: &Location,
        below: &str,
    ) -> Result<Option<Box<dyn Read>>, ArtifactError>;

    /// Tells the key of every object of a folder, relative to it; of an empty folder with a slash at its
    /// end, of the folder itself, if it is empty, the empty string.
    ///
    /// # Errors
    /// See [`ArtifactError`], and those of `each`.
    fn list(
        &self,
        location: &Location,
        below: &str,
        each: &mut Each<'_>,
    ) -> Result<(), ArtifactError>;

    /// Keeps an object, which appears, whole and durable, when `data` has ended, in place of an older one.
    /// Where `data` fails nothing appears. `below` with a slash at its end marks an empty folder.
    ///
    /// # Errors
    /// See [`ArtifactError`].
    fn write(
        &self,
        location: &Location,
        below: &str,
        data: &mut dyn Read,
    ) -> Result<(), ArtifactError>;
}
