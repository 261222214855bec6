//! From the local disk to a place of artifacts.

use std::ffi::OsString;
#[cfg(feature = "places")]
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use flowforge_model::artifact::{Archive, Artifact, StageOut};
use flowforge_ports::artifacts::ArtifactError;
use rustix::fs::FileType;
use rustix::io::Errno;

use crate::archive::pack::{self, Found, Source};
use crate::fault::{disk, invalid, missing};
#[cfg(feature = "places")]
use crate::fetch::nameless;
use crate::meter::Meter;
use crate::objects::{Objects, Upload};
use crate::path::clean_key;
use crate::place::{Place, Places};
use crate::tree::{self, Standing, Tree};

/// One artifact on its way out.
pub(crate) struct Keep<'a> {
    pub(crate) places: &'a dyn Places,
    pub(crate) output: &'a StageOut,
    pub(crate) from: &'a Path,
    pub(crate) meter: &'a Meter<'a>,
}

impl Keep<'_> {
    /// None if it is optional and there is none.
    pub(crate) fn run(&self) -> Result<Option<Artifact>, ArtifactError> {
        let folder = self.from.parent().unwrap_or_else(|| Path::new("/"));
        let path = PathBuf::from(self.from.file_name().unwrap_or_default());
        let found = match Tree::open(folder) {
            Ok(tree) => self.find(&tree, &path)?.map(|found| (tree, found)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(self.unreadable(&error)),
        };
        let Some((tree, (path, standing))) = found else {
            if self.output.optional {
                return Ok(None);
            }
            let path = &self.output.path;
            return Err(missing(format!("the task wrote nothing to {path}")));
        };
        let name = Path::new(&self.output.path).file_name().map(ToOwned::to_owned);
        let source = Source {
            tree: &tree,
            path,
            standing,
            name: name.unwrap_or_else(|| OsString::from("artifact")),
            meter: self.meter,
        };
        match self.places.place(&self.output.location)? {
            Place::Objects(objects, key) => match self.output.archive {
                Archive::None => self.as_it_is(&source, &*objects, key)?,
                Archive::TarGz => pack::tar_gz(&source, objects.create(key)?)?.finish()?,
                Archive::Zip => pack::zip(&source, objects.create(key)?)?.finish()?,
            },
            #[cfg(feature = "places")]
            Place::Web(web) => web.put(self.put_down(&source)?)?,
            Place::Text(_) => {
                return Err(invalid("an output cannot be kept in the document: name a place"));
            }
        }
        Ok(Some(Artifact {
            location: self.output.location.clone(),
            archive: self.output.archive,
            sub_path: None,
        }))
    }

    /// What is at `path`, or where a link there leads if that is in the same folder.
    fn find(&self, tree: &Tree, path: &Path) -> Result<Option<(PathBuf, Standing)>, ArtifactError> {
        let cannot = |error: io::Error| self.unreadable(&error);
        match tree.look(path).map_err(cannot)? {
            Some(found) if found.kind == FileType::Symlink => {}
            found => return Ok(found.map(|found| (path.to_owned(), found))),
        }
        let led = tree.followed(path).and_then(|end| Ok(rustix::fs::fstat(&end)?));
        match led {
            Ok(stat) => Ok(Some((self.real(tree, path)?, tree::standing(&stat)))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) if error.raw_os_error() == Some(Errno::XDEV.raw_os_error()) => {
                Err(self.leads_out())
            }
            Err(error) => Err(cannot(error)),
        }
    }

    /// Follows links by their text; each is opened without following any in the end.
    fn real(&self, tree: &Tree, path: &Path) -> Result<PathBuf, ArtifactError> {
        let mut path = path.to_owned();
        // As many as Linux follows.
        for _ in 0..40 {
            let found = tree.look(&path).map_err(|error| self.unreadable(&error))?;
            if found.is_none_or(|found| found.kind != FileType::Symlink) {
                return Ok(path);
            }
            let target = tree.target(&path).map_err(|error| self.unreadable(&error))?;
            path = crate::path::led_to(&path, &target).ok_or_else(|| self.leads_out())?;
        }
        Err(self.leads_out())
    }

    fn leads_out(&self) -> ArtifactError {
        invalid(format!(
            "{} is a link that leads out of its folder: write a copy of what it leads to",
            self.output.path
        ))
    }

    fn unreadable(&self, error: &io::Error) -> ArtifactError {
        disk(&format!("cannot read {}", self.output.path), error)
    }

    #[cfg(feature = "places")]
    /// The whole in a file without a name: its size is sent before it.
    fn put_down(&self, source: &Source<'_>) -> Result<File, ArtifactError> {
        let cannot = |error: io::Error| disk("cannot put it down", &error);
        let mut file = nameless(self.places.scratch()).map_err(cannot)?;
        match self.output.archive {
            Archive::TarGz => pack::tar_gz(source, file),
            Archive::Zip => pack::zip(source, file),
            Archive::None if source.standing.kind != FileType::RegularFile => {
                Err(invalid("a folder without an archive cannot be put behind one URL"))
            }
            Archive::None => {
                let whole = Found { path: Path::new(""), standing: source.standing };
                io::copy(&mut source.open(&whole)?, &mut file).map_err(cannot)?;
                Ok(file)
            }
        }
    }

    /// One object for a file; for a folder one for each file and each empty folder in it.
    fn as_it_is(
        &self,
        source: &Source<'_>,
        objects: &dyn Objects,
        key: &str,
    ) -> Result<(), ArtifactError> {
        source.walk(&mut |found| {
            let key = match found.path.to_str() {
                Some("") => key.to_owned(),
                Some(below) => clean_key(&format!("{key}/{below}"))?.to_owned(),
                None => {
                    return Err(invalid(format!(
                        "the name \"{}\" in it is not UTF-8: keep it as an archive",
                        found.path.display()
                    )));
                }
            };
            match found.standing.kind {
                FileType::Directory => mark(source, found, objects, &key),
                FileType::Symlink => Err(invalid(format!(
                    "\"{}\" in it is a link: without an archive only files and folders can be kept",
                    found.path.display()
                ))),
                _ => send(source, found, objects.create(&key)?),
            }
        })
    }
}

fn mark(
    source: &Source<'_>,
    found: &Found<'_>,
    objects: &dyn Objects,
    key: &str,
) -> Result<(), ArtifactError> {
    let names = source.tree.names(&source.at(found.path));
    if names.map_err(|error| disk("cannot read a folder in it", &error))?.is_empty() {
        objects.create(&format!("{key}/"))?.finish()?;
    }
    Ok(())
}

fn send(
    source: &Source<'_>,
    found: &Found<'_>,
    mut upload: Box<dyn Upload>,
) -> Result<(), ArtifactError> {
    let mut file = source.open(found)?;
    io::copy(&mut file, &mut upload).map_err(|error| disk("cannot send it", &error))?;
    upload.finish()
}
