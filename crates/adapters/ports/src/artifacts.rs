//! Where artifacts are kept: a directory or an object store, and whatever a document names.

use std::path::Path;

use flowforge_model::artifact::{Artifact, StageIn, StageOut};
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
