//! All places of artifacts together: the implementation of the port.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use flowforge_model::artifact::{Artifact, Location, StageIn, StageOut};
use flowforge_model::status::Reason;
use flowforge_ports::artifacts::{ArtifactError, Artifacts};

use crate::fetch::Fetch;
use crate::keep::Keep;
use crate::meter::{Bounds, Meter};
use crate::objects::{Directory, Memory, Objects};
use crate::path::clean_key;

/// Where the project keeps its artifacts.
#[derive(Clone, Debug)]
pub enum Repository {
    /// Below a directory of this machine, which is made.
    Directory(PathBuf),
    /// In memory, gone with the process: for tests.
    Memory,
}

/// What [`Stores`] are made of.
#[derive(Debug)]
pub struct Setup {
    /// The repository of the project.
    pub repository: Repository,
    /// A directory for what has to be put down on the way. Made when needed; files in it have no
    /// name, so nothing is left.
    pub scratch: PathBuf,
}

/// Moves artifacts between the local disk and where they are kept.
pub struct Stores {
    pub(crate) repository: Box<dyn Objects>,
    pub(crate) scratch: PathBuf,
    pub(crate) bounds: Bounds,
}

impl Stores {
    /// Opens the repository.
    ///
    /// # Errors
    /// The directory's own.
    pub fn open(setup: Setup) -> io::Result<Self> {
        let repository: Box<dyn Objects> = match &setup.repository {
            Repository::Directory(path) => Box::new(Directory::open(path)?),
            Repository::Memory => Box::new(Memory::default()),
        };
        Ok(Self { repository, scratch: setup.scratch, bounds: Bounds::default() })
    }

    /// The objects that a location is among, and its key there.
    pub(crate) fn objects<'a>(
        &'a self,
        location: &'a Location,
    ) -> Result<(&'a dyn Objects, &'a str), ArtifactError> {
        match location {
            Location::Repository { key } => Ok((&*self.repository, clean_key(key)?)),
            Location::S3(_) | Location::Http(_) | Location::Raw { .. } => Err(ArtifactError {
                reason: Reason::NotPossible,
                transient: false,
                message: "this place cannot be reached".to_owned(),
            }),
        }
    }
}

impl Artifacts for Stores {
    fn fetch(
        &self,
        input: &StageIn,
        to: &Path,
        stopped: &dyn Fn() -> bool,
    ) -> Result<bool, ArtifactError> {
        let meter = Meter::new(self.bounds, stopped);
        Fetch { stores: self, input, to, meter: &meter }
            .run()
            .map_err(|error| about("input", &input.name, error))
    }

    fn keep(
        &self,
        from: &Path,
        output: &StageOut,
        stopped: &dyn Fn() -> bool,
    ) -> Result<Option<Artifact>, ArtifactError> {
        let meter = Meter::new(self.bounds, stopped);
        Keep { stores: self, output, from, meter: &meter }
            .run()
            .map_err(|error| about("output", &output.name, error))
    }
}

/// Says which artifact it is about.
fn about(side: &str, name: &str, mut error: ArtifactError) -> ArtifactError {
    if error.reason != Reason::Stopped {
        error.message = format!("{side} artifact {name}: {}", error.message);
    }
    error
}

impl fmt::Debug for Stores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stores")
            .field("repository", &self.repository.name())
            .field("scratch", &self.scratch)
            .finish_non_exhaustive()
    }
}
