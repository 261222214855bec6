//! Artifacts of a machine that has no stores: a server that has them moves their bytes.
//!
//! Everything else is as where the stores are: packing, unpacking, parts, folders, bounds.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flowforge_model::artifact::{Artifact, Location, StageIn, StageOut};
use flowforge_ports::artifacts::{ArtifactError, Artifacts, Each};

use crate::fault::invalid;
use crate::fetch::Fetch;
use crate::keep::Keep;
use crate::meter::{Bounds, Meter};
use crate::objects::{Objects, Upload};
use crate::path::clean_key;
use crate::place::{Place, Places, about};

/// The way to a server that has the stores. An artifact goes by its name, which is all that the server
/// believes: it knows where the artifact is. `below` is a part of it, empty or with a slash before it.
pub trait Line: Send + Sync + 'static {
    /// What is at an input; none if nothing is, or a folder.
    ///
    /// # Errors
    /// See [`ArtifactError`].
    fn get(&self, input: &str, below: &str) -> Result<Option<Box<dyn Read>>, ArtifactError>;

    /// Tells every key below an input, as relative paths; of empty folders with a slash at the end, of
    /// an empty input itself the empty string.
    ///
    /// # Errors
    /// See [`ArtifactError`], and those of `each`.
    fn list(&self, input: &str, below: &str, each: &mut Each<'_>) -> Result<(), ArtifactError>;

    /// Begins to send an output. It appears, whole, when it is finished.
    ///
    /// # Errors
    /// See [`ArtifactError`].
    fn put(&self, output: &str, below: &str) -> Result<Box<dyn Upload>, ArtifactError>;
}

/// Moves artifacts between the local disk and a server. Packed bytes flow, nothing is put down but a zip.
pub struct Carried {
    line: Arc<dyn Line>,
    scratch: PathBuf,
}

impl Carried {
    /// Over this line. `scratch` is a directory for what has to be put down on the way; files in it have
    /// no name, so nothing is left.
    #[must_use]
    pub fn new(line: Arc<dyn Line>, scratch: PathBuf) -> Self {
        Self { line, scratch }
    }

    fn leg(&self, name: &str) -> Leg<'_> {
        Leg { carried: self, name: name.to_owned() }
    }
}

impl fmt::Debug for Carried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Carried").field("scratch", &self.scratch).finish_non_exhaustive()
    }
}

impl Artifacts for Carried {
    fn fetch(
        &self,
        input: &StageIn,
        to: &Path,
        stopped: &dyn Fn() -> bool,
    ) -> Result<bool, ArtifactError> {
        let meter = Meter::new(Bounds::default(), stopped);
        Fetch { places: &self.leg(&input.name), input, to, meter: &meter }
            .run()
            .map_err(|error| about("input", &input.name, error))
    }

    fn keep(
        &self,
        from: &Path,
        output: &StageOut,
        stopped: &dyn Fn() -> bool,
    ) -> Result<Option<Artifact>, ArtifactError> {
        let meter = Meter::new(Bounds::default(), stopped);
        Keep { places: &self.leg(&output.name), output, from, meter: &meter }
            .run()
            .map_err(|error| about("output", &output.name, error))
    }
}

/// The way of one artifact.
struct Leg<'c> {
    carried: &'c Carried,
    name: String,
}

impl Places for Leg<'_> {
    fn place<'a>(&'a self, location: &'a Location) -> Result<Place<'a>, ArtifactError> {
        let key = match location {
            Location::Raw { data } => return Ok(Place::Text(data)),
            Location::Repository { key } => clean_key(key)?,
            Location::S3(place) => clean_key(&place.key)?,
            // It has no key, and nothing below it.
            Location::Http(_) => "url",
        };
        let (line, name, root) =
            (Arc::clone(&self.carried.line), self.name.clone(), key.to_owned());
        Ok(Place::Objects(Arc::new(Far { line, name, root }), key))
    }

    fn scratch(&self) -> &Path {
        &self.carried.scratch
    }

    fn repository(&self) -> String {
        "the repository of the project".to_owned()
    }
}

/// What is at and below the place of one artifact.
struct Far {
    line: Arc<dyn Line>,
    name: String,
    root: String,
}

impl Far {
    fn below<'k>(&self, key: &'k str) -> Result<&'k str, ArtifactError> {
        let below = key.strip_prefix(&*self.root);
        below
            .filter(|below| below.is_empty() || below.starts_with('/'))
            .ok_or_else(|| invalid(format!("\"{key}\" is not below it")))
    }
}

impl Objects for Far {
    fn get(&self, key: &str) -> Result<Option<Box<dyn Read>>, ArtifactError> {
        self.line.get(&self.name, self.below(key)?)
    }

    fn create(&self, key: &str) -> Result<Box<dyn Upload>, ArtifactError> {
        self.line.put(&self.name, self.below(key)?)
    }

    fn list(&self, key: &str, each: &mut Each<'_>) -> Result<(), ArtifactError> {
        self.line.list(&self.name, self.below(key)?, each)
    }

    #[cfg(feature = "places")]
    fn name(&self) -> String {
        "the server".to_owned()
    }
}
