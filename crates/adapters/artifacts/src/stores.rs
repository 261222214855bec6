//! All places of artifacts together: the implementation of the port.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flowforge_http::{Allow, Client, secret_value};
use flowforge_model::artifact::{Artifact, Location, S3Location, SecretKey, StageIn, StageOut};
use flowforge_ports::artifacts::{ArtifactError, Artifacts};
use flowforge_ports::secrets::Secrets;

use crate::fault::{invalid, secret_missing};
use crate::fetch::Fetch;
use crate::keep::Keep;
use crate::meter::{Bounds, Meter};
use crate::objects::{Bucket, Directory, Keys, Memory, Objects, S3};
use crate::path::clean_key;
use crate::place::{Place, Places, about};
use crate::web::Web;

/// Where the project keeps its artifacts.
#[derive(Clone, Debug)]
pub enum Repository {
    /// Below a directory of this machine, which is made.
    Directory(PathBuf),
    /// In a bucket.
    Bucket(Bucket),
    /// In memory, gone with the process: for tests.
    Memory,
}

/// What [`Stores`] are made of.
pub struct Setup {
    /// The repository of the project.
    pub repository: Repository,
    /// A directory for what has to be put down on the way. Made when needed; files in it have no
    /// name, so nothing is left.
    pub scratch: PathBuf,
    /// Asks for what documents name: only where they may.
    pub client: Client,
    /// Keys and headers that documents name.
    pub secrets: Arc<dyn Secrets>,
}

impl Setup {
    /// A repository and nothing else: no other place may be asked, and there is no secret.
    #[must_use]
    pub fn alone(repository: Repository, scratch: PathBuf) -> Self {
        let client = Client::new(Allow::default());
        Self { repository, scratch, client, secrets: Arc::new(NoSecrets) }
    }
}

struct NoSecrets;

impl Secrets for NoSecrets {
    fn secret(&self, _name: &str) -> Option<BTreeMap<String, Vec<u8>>> {
        None
    }
}

impl fmt::Debug for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Setup").field("repository", &self.repository).finish_non_exhaustive()
    }
}

/// Moves artifacts between the local disk and where they are kept.
pub struct Stores {
    pub(crate) repository: Arc<dyn Objects>,
    pub(crate) scratch: PathBuf,
    client: Client,
    secrets: Arc<dyn Secrets>,
    pub(crate) bounds: Bounds,
}

impl Stores {
    /// Opens the repository.
    ///
    /// # Errors
    /// The directory's own.
    pub fn open(setup: Setup) -> io::Result<Self> {
        let repository: Arc<dyn Objects> = match setup.repository {
            Repository::Directory(path) => Arc::new(Directory::open(&path)?),
            // Whoever wrote the configuration named it.
            Repository::Bucket(bucket) => {
                Arc::new(S3::new(bucket, Client::new(Allow::everything())))
            }
            Repository::Memory => Arc::new(Memory::default()),
        };
        let Setup { scratch, client, secrets, .. } = setup;
        Ok(Self { repository, scratch, client, secrets, bounds: Bounds::default() })
    }

    fn bucket(&self, place: &S3Location) -> Result<Bucket, ArtifactError> {
        let read = |key: &SecretKey| {
            let value = secret_value(key, &*self.secrets).map_err(secret_missing)?;
            String::from_utf8(value).map_err(|_| {
                secret_missing(format!("the key {} of the secret {} is no text", key.key, key.name))
            })
        };
        let keys = match (&place.access_key, &place.secret_key) {
            (Some(access), Some(secret)) => {
                Some(Keys { access: read(access)?, secret: read(secret)? })
            }
            (None, None) => None,
            _ => return Err(invalid("of accessKeySecret and secretKeySecret only one is given")),
        };
        Ok(Bucket {
            endpoint: place.endpoint.clone(),
            bucket: place.bucket.clone(),
            region: place.region.clone(),
            insecure: place.insecure,
            keys,
        })
    }
}

impl Places for Stores {
    fn place<'a>(&'a self, location: &'a Location) -> Result<Place<'a>, ArtifactError> {
        Ok(match location {
            Location::Repository { key } => {
                Place::Objects(Arc::clone(&self.repository), clean_key(key)?)
            }
            Location::S3(place) => {
                let bucket = self.bucket(place)?;
                Place::Objects(
                    Arc::new(S3::new(bucket, self.client.clone())),
                    clean_key(&place.key)?,
                )
            }
            Location::Http(place) => {
                Place::Web(Web { client: &self.client, secrets: &*self.secrets, place })
            }
            Location::Raw { data } => Place::Text(data),
        })
    }

    fn scratch(&self) -> &Path {
        &self.scratch
    }

    fn repository(&self) -> String {
        self.repository.name()
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
        Fetch { places: self, input, to, meter: &meter }
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
        Keep { places: self, output, from, meter: &meter }
            .run()
            .map_err(|error| about("output", &output.name, error))
    }
}

impl fmt::Debug for Stores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stores")
            .field("repository", &self.repository.name())
            .field("scratch", &self.scratch)
            .finish_non_exhaustive()
    }
}
