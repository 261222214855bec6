//! From a place of artifacts to the local disk.

use std::fs::File;
use std::io::{self, Cursor, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::read::MultiGzDecoder;
use flowforge_model::artifact::{Archive, Artifact, Location, StageIn};
use flowforge_ports::artifacts::ArtifactError;

use crate::archive::{HEAD_BYTES, is_tar_gz, tar, zip};
use crate::fault::{damaged, disk, missing};
use crate::meter::Meter;
use crate::objects::Objects;
use crate::path::{clean_key, clean_path};
use crate::place::{Place, Places};
use crate::unpack::{Permissions, Top, Unpacker};

/// The name of a file until it is in its place.
const ALONE: &[u8] = b"file";

/// One artifact on its way in.
pub(crate) struct Fetch<'a> {
    pub(crate) places: &'a dyn Places,
    pub(crate) input: &'a StageIn,
    pub(crate) to: &'a Path,
    pub(crate) meter: &'a Meter<'a>,
}

impl Fetch<'_> {
    /// False if it is optional and there is none.
    pub(crate) fn run(&self) -> Result<bool, ArtifactError> {
        let place = match &self.input.artifact {
            None => None,
            Some(artifact) => {
                self.make_way()?;
                if self.put(artifact)? { None } else { Some(artifact) }
            }
        };
        match (place, &self.input.artifact) {
            (None, Some(_)) => Ok(true),
            _ if self.input.optional => Ok(false),
            (None, None) => Err(missing("nothing gives it: name a place for it, or pass one")),
            (Some(artifact), _) => Err(self.not_there(artifact)),
        }
    }

    fn make_way(&self) -> Result<(), ArtifactError> {
        let folder = self.to.parent().unwrap_or_else(|| Path::new("/"));
        std::fs::create_dir_all(folder)
            .map_err(|error| disk(&format!("cannot make the folder {}", folder.display()), &error))
    }

    /// False if there is none.
    fn put(&self, artifact: &Artifact) -> Result<bool, ArtifactError> {
        let sub = artifact.sub_path.as_deref().filter(|sub| !sub.is_empty());
        let (objects, key) = match self.places.place(&artifact.location)? {
            Place::Objects(objects, key) => (objects, key),
            // Argo, too, has no parts of a text.
            Place::Text(_) if sub.is_some() => return Ok(false),
            Place::Text(text) => return self.as_it_is(&mut Cursor::new(text)),
            #[cfg(feature = "places")]
            Place::Web(web) => {
                return match web.get(sub)? {
                    Some(object) => self.unpack(object, artifact.archive, None),
                    None => Ok(false),
                };
            }
        };
        let objects = &*objects;
        if let Some(sub) = sub {
            // The part may be an object of its own: Argo knows no other.
            let part = format!("{key}/{sub}");
            let part = clean_key(&part)?;
            if self.object_or_folder(objects, part, artifact.archive)? {
                return Ok(true);
            }
            // Behind a URL a part has a URL of its own, or is none.
            if matches!(artifact.location, Location::Http(_)) {
                return Ok(false);
            }
            let sub = clean_path(sub.as_bytes())?;
            let Some(object) = objects.get(key)? else {
                return Ok(false);
            };
            return self.unpack(object, artifact.archive, Some(&sub));
        }
        self.object_or_folder(objects, key, artifact.archive)
    }

    fn object_or_folder(
        &self,
        objects: &dyn Objects,
        key: &str,
        archive: Archive,
    ) -> Result<bool, ArtifactError> {
        match objects.get(key)? {
            Some(object) => self.unpack(object, archive, None),
            None => self.folder(objects, key),
        }
    }

    fn unpack(
        &self,
        object: Box<dyn Read>,
        archive: Archive,
        sub: Option<&Path>,
    ) -> Result<bool, ArtifactError> {
        let mut object = self.meter.packed(object);
        match archive {
            Archive::None if sub.is_some() => Ok(false),
            Archive::None => self.as_it_is(&mut object),
            Archive::TarGz => {
                let mut head = Vec::new();
                let read = object.by_ref().take(HEAD_BYTES).read_to_end(&mut head);
                read.map_err(|error| damaged("artifact", &error))?;
                let packed = is_tar_gz(&head);
                let mut whole = Cursor::new(head).chain(object);
                match (packed, sub) {
                    (false, None) => self.as_it_is(&mut whole),
                    (false, Some(_)) => Ok(false),
                    (true, sub) => {
                        let mut unpacker = Unpacker::new(self.to, self.meter)?;
                        let mut tar = self.meter.unpacking(MultiGzDecoder::new(whole));
                        tar::unpack(&mut tar, &mut unpacker)?;
                        unpacker.place(Top::Only, sub, self.permissions(), self.to)
                    }
                }
            }
            Archive::Zip => {
                let file = self.put_down(&mut object)?;
                let mut unpacker = Unpacker::new(self.to, self.meter)?;
                zip::unpack(&file, &mut unpacker)?;
                unpacker.place(Top::Only, sub, self.permissions(), self.to)
            }
        }
    }

    fn as_it_is(&self, data: &mut dyn Read) -> Result<bool, ArtifactError> {
        let mut unpacker = Unpacker::new(self.to, self.meter)?;
        unpacker.whole(ALONE, data)?;
        unpacker.place(Top::Only, None, self.permissions(), self.to)
    }

    /// A folder that was kept as one object per file. False if there is no such.
    fn folder(&self, objects: &dyn Objects, key: &str) -> Result<bool, ArtifactError> {
        let mut unpacker = None;
        objects.list(key, &mut |below| {
            let unpacker = match &mut unpacker {
                Some(unpacker) => unpacker,
                none => none.insert(Unpacker::new(self.to, self.meter)?),
            };
            if below.is_empty() || below.ends_with('/') {
                return unpacker.folder(below.as_bytes(), 0o755);
            }
            // Gone since it was listed, if it is none.
            let Some(object) = objects.get(&format!("{key}/{below}"))? else {
                return Ok(());
            };
            let mut object = self.meter.packed(object);
            unpacker.whole(below.as_bytes(), &mut object)
        })?;
        match unpacker {
            Some(unpacker) => unpacker.place(Top::Folder, None, self.permissions(), self.to),
            None => Ok(false),
        }
    }

    /// Writes it to a file without a name.
    fn put_down(&self, object: &mut dyn Read) -> Result<File, ArtifactError> {
        let cannot = |error: io::Error| disk("cannot put it down", &error);
        let mut file = nameless(self.places.scratch()).map_err(cannot)?;
        let mut chunk = vec![0; 64 * 1024];
        loop {
            let count = match object.read(&mut chunk) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(damaged("artifact", &error)),
            };
            file.write_all(chunk.get(..count).unwrap_or(&[])).map_err(cannot)?;
        }
        file.rewind().map_err(cannot)?;
        Ok(file)
    }

    fn permissions(&self) -> Permissions {
        Permissions { mode: self.input.mode, recurse: self.input.recurse }
    }

    fn not_there(&self, artifact: &Artifact) -> ArtifactError {
        let part = match &artifact.sub_path {
            Some(sub) => format!("the part \"{sub}\" of "),
            None => String::new(),
        };
        let place = match &artifact.location {
            Location::Repository { key } => {
                format!("\"{key}\" in {}", self.places.repository())
            }
            Location::S3(place) => {
                format!("\"{}\" in the bucket {} at {}", place.key, place.bucket, place.endpoint)
            }
            Location::Http(place) => place.url.clone(),
            Location::Raw { .. } => "its text".to_owned(),
        };
        missing(format!("there is no {part}{place}"))
    }
}

/// A file that is gone when it is closed.
pub(crate) fn nameless(folder: &Path) -> io::Result<File> {
    static MADE: AtomicU64 = AtomicU64::new(0);
    std::fs::create_dir_all(folder)?;
    let number = MADE.fetch_add(1, Ordering::Relaxed);
    let path: PathBuf = folder.join(format!(".flowforge-{}-{number}", std::process::id()));
    let file = File::options().read(true).write(true).create_new(true).open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}
