//! The bytes of artifacts as they are kept, for machines that have no stores.

use std::fs::File;
use std::io::{self, Read};

use flowforge_model::artifact::Location;
use flowforge_ports::artifacts::{ArtifactBytes, ArtifactError, Each};

use crate::fault::{disk, invalid};
use crate::fetch::nameless;
use crate::path::clean_key;
use crate::place::{Place, Places as _};
use crate::stores::Stores;

impl ArtifactBytes for Stores {
    fn read(
        &self,
        location: &Location,
        below: &str,
    ) -> Result<Option<Box<dyn Read>>, ArtifactError> {
        match self.place(location)? {
            Place::Objects(objects, key) => objects.get(clean_key(&joined(key, below)?)?),
            Place::Web(web) => match below.strip_prefix('/').filter(|sub| !sub.is_empty()) {
                None => web.get(None),
                Some(sub) => web.get(Some(part(sub)?)),
            },
            Place::Text(_) => Err(in_the_document()),
        }
    }

    fn list(
        &self,
        location: &Location,
        below: &str,
        each: &mut Each<'_>,
    ) -> Result<(), ArtifactError> {
        match self.place(location)? {
            Place::Objects(objects, key) => objects.list(clean_key(&joined(key, below)?)?, each),
            // Servers of the web have no lists.
            Place::Web(_) => Ok(()),
            Place::Text(_) => Err(in_the_document()),
        }
    }

    fn write(
        &self,
        location: &Location,
        below: &str,
        data: &mut dyn Read,
    ) -> Result<(), ArtifactError> {
        match self.place(location)? {
            Place::Objects(objects, key) => {
                let key = joined(key, below)?;
                let clean = clean_key(&key)?;
                if clean.len() < key.len() {
                    // The marker of an empty folder.
                    return objects.create(&key)?.finish();
                }
                let mut upload = objects.create(clean)?;
                io::copy(data, &mut upload).map_err(|error| disk("cannot keep it", &error))?;
                upload.finish()
            }
            Place::Web(_) if !below.is_empty() => {
                Err(invalid("a folder without an archive cannot be put behind one URL"))
            }
            Place::Web(web) => web.put(self.put_down(data)?),
            Place::Text(_) => Err(in_the_document()),
        }
    }
}

impl Stores {
    /// A URL is told the size before the bytes.
    fn put_down(&self, data: &mut dyn Read) -> Result<File, ArtifactError> {
        let cannot = |error: io::Error| disk("cannot put it down", &error);
        let mut file = nameless(&self.scratch).map_err(cannot)?;
        io::copy(data, &mut file).map_err(cannot)?;
        Ok(file)
    }
}

/// Of what is behind a URL nothing is fetched beside it: its headers may be secrets that whoever names the part
/// does not know.
fn part(sub: &str) -> Result<&str, ArtifactError> {
    if sub.contains(['?', '#']) {
        return Err(invalid("a part of what is behind a URL has no `?` and no `#`"));
    }
    clean_key(sub)
}

fn joined(key: &str, below: &str) -> Result<String, ArtifactError> {
    if below.is_empty() || below.starts_with('/') {
        return Ok(format!("{key}{below}"));
    }
    Err(invalid("what is below an artifact begins with a slash"))
}

fn in_the_document() -> ArtifactError {
    invalid("it is in the document, and nowhere else")
}
