//! What the tests share: a place to work in, and orders to move something.

mod conformance;
mod folders;
mod hostile_tar;
mod hostile_zip;
mod paths;
mod s3;
mod server;
mod web;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flowforge_http::{Allow, Client};
use flowforge_model::artifact::{Archive, Artifact, Location, StageIn, StageOut};
use flowforge_model::status::Reason;
use flowforge_ports::artifacts::{ArtifactError, Artifacts};
use flowforge_ports::secrets::Secrets;
use tempfile::TempDir;

use crate::meter::Bounds;
use crate::{Repository, Setup, Stores};

/// A folder and stores that work in it.
pub(super) struct Bench {
    pub(super) folder: TempDir,
    pub(super) stores: Stores,
}

impl Bench {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let repository = Repository::Directory(folder.path().join("kept"));
        let stores = stores(repository, folder.path().join("scratch"), "");
        Self { stores, folder }
    }

    /// Bounds that are soon reached.
    pub(super) fn small() -> Self {
        let mut bench = Self::new();
        bench.stores.bounds =
            Bounds { entries: 1000, bytes: 1024 * 1024, free: 64 * 1024, ratio: 20 };
        bench
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes files by path and content; a path that ends with a slash is a folder.
    pub(super) fn write(&self, files: &[(&str, &str)]) {
        for (name, content) in files {
            let path = self.path(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            if name.ends_with('/') {
                std::fs::create_dir_all(path).unwrap();
            } else {
                std::fs::write(path, content).unwrap();
            }
        }
    }

    pub(super) fn keep(
        &self,
        from: &str,
        key: &str,
        archive: Archive,
    ) -> Result<Option<Artifact>, ArtifactError> {
        self.stores.keep(&self.path(from), &output(from, key, archive), &|| false)
    }

    pub(super) fn fetch(&self, artifact: Artifact, to: &str) -> Result<bool, ArtifactError> {
        self.stores.fetch(&input(artifact), &self.path(to), &|| false)
    }

    /// Unpacks bytes that somebody put into the repository; nothing may be left of a failure.
    pub(super) fn unpack(&self, archive: Archive, bytes: &[u8]) -> Result<String, String> {
        self.write(&[("kept/key", "")]);
        std::fs::write(self.path("kept/key"), bytes).unwrap();
        let outcome = self.fetch(at("key", archive), "in/put");
        match outcome {
            Ok(_) => {
                let tree = tree(&self.path("in/put"));
                let put = self.path("in/put");
                if put.is_dir() {
                    std::fs::remove_dir_all(put).unwrap();
                } else {
                    std::fs::remove_file(put).unwrap();
                }
                Ok(tree)
            }
            Err(error) => {
                assert_eq!(error.reason, Reason::ArtifactInvalid, "{error}");
                let left: Vec<_> = std::fs::read_dir(self.path("in")).unwrap().collect();
                assert!(left.is_empty(), "left behind: {left:?}");
                Err(error.message.strip_prefix("input artifact data: ").unwrap().to_owned())
            }
        }
    }
}

/// Stores that may ask whom the list allows, and know one secret: `keys`.
pub(super) fn stores(repository: Repository, scratch: PathBuf, allow: &str) -> Stores {
    let client = Client::new(Allow::parse(allow).unwrap());
    Stores::open(Setup { repository, scratch, client, secrets: Arc::new(OneSecret) }).unwrap()
}

pub(super) struct OneSecret;

impl Secrets for OneSecret {
    fn secret(&self, name: &str) -> Option<BTreeMap<String, Vec<u8>>> {
        let pair = |key: &str, value: &str| (key.to_owned(), value.as_bytes().to_vec());
        (name == "keys").then(|| BTreeMap::from([pair("access", "user\n"), pair("secret", "pass")]))
    }
}

pub(super) fn at(key: &str, archive: Archive) -> Artifact {
    Artifact { location: Location::Repository { key: key.to_owned() }, archive, sub_path: None }
}

pub(super) fn part(key: &str, archive: Archive, sub: &str) -> Artifact {
    Artifact { sub_path: Some(sub.to_owned()), ..at(key, archive) }
}

pub(super) fn input(artifact: Artifact) -> StageIn {
    StageIn {
        name: "data".to_owned(),
        path: "/data".to_owned(),
        artifact: Some(artifact),
        optional: false,
        mode: None,
        recurse: false,
    }
}

pub(super) fn output(path: &str, key: &str, archive: Archive) -> StageOut {
    StageOut {
        name: "result".to_owned(),
        path: path.to_owned(),
        location: Location::Repository { key: key.to_owned() },
        archive,
        optional: false,
    }
}

/// A file or folder as text: `name=content`, `name->target`, `name/`.
pub(super) fn tree(path: &Path) -> String {
    let mut lines = Vec::new();
    lines_of(path, "", &mut lines);
    lines.join(" ")
}

fn lines_of(path: &Path, name: &str, lines: &mut Vec<String>) {
    let found = std::fs::symlink_metadata(path).unwrap();
    if found.is_symlink() {
        lines.push(format!("{name}->{}", std::fs::read_link(path).unwrap().display()));
    } else if found.is_dir() {
        lines.push(format!("{name}/"));
        let mut below: Vec<_> =
            std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        below.sort();
        for entry in below {
            let entry = entry.to_str().unwrap();
            lines_of(&path.join(entry), &format!("{name}/{entry}"), lines);
        }
    } else {
        lines.push(format!("{name}={}", std::fs::read_to_string(path).unwrap()));
    }
}
