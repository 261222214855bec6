//! Where artifacts are kept: a directory or an object store, and whatever a document names.

use std::path::Path;

use flowforge_model::artifact::{Artifact, StageOut};
use flowforge_model::status::Reason;

/// Why an artifact could not be moved.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ArtifactError {
    /// `ArtifactMissing`, `ArtifactInvalid`, `ArtifactStore` or `SecretMissing`.
    pub reason: Reason,
    /// Trying again may help: the store did not answer.
    pub transient: bool,
    /// For people: what happened and what to do. Holds no secret.
    pub message: String,
}

/// Moves artifacts between their stores and the local disk. Calls block and are made from threads
/// that may.
pub trait Artifacts: Send + Sync + 'static {
    /// Fetches an artifact, unpacked, to `to`: a file, or a folder if it is one. Nothing is there
    /// before; nothing is left there after an error. What is unpacked never leaves `to`.
    ///
    /// # Errors
    /// See [`ArtifactError`].
    fn fetch(&self, artifact: &Artifact, to: &Path) -> Result<(), ArtifactError>;

    /// Keeps the file or folder at `from` as `out` says, packed, and tells where it is now.
    ///
    /// # Errors
    /// See [`ArtifactError`].
    fn keep(&self, from: &Path, out: &StageOut) -> Result<Artifact, ArtifactError>;
}
