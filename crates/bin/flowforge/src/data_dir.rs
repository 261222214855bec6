//! The folder a server keeps everything in.
//!
//! ```text
//! lock           held while a server runs; its process id inside
//! id             names this folder for ever; tasks carry it
//! flowforge.db   all workflows
//! logs/          what tasks wrote
//! log-spool/     what tasks wrote, on its way to the log aggregator
//! work/          where tasks run
//! artifacts/     files that tasks left for others
//! volumes/       claims, below their project; those of workflows below workflows/
//! secrets/       read for tasks: NAME/KEY. Made by whoever has some.
//! scratch/       files on their way; none of them has a name
//! endpoint.json  where the server answers, while it does
//! ```

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use uuid::Uuid;

/// A data directory that no other server uses.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    id: Uuid,
    /// Held until this is dropped, or the process ends in whatever way.
    _lock: File,
}

impl DataDir {
    /// Creates the folder if need be and takes hold of it.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .with_context(|| format!("cannot create the data directory {}", path.display()))?;
        let path = path
            .canonicalize()
            .with_context(|| format!("cannot use the data directory {}", path.display()))?;
        let lock = lock(&path)?;
        let id = identity(&path.join("id"))?;
        Ok(Self { path, id, _lock: lock })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Names the folder: tasks of all servers that ever used it carry this.
    pub(crate) fn id(&self) -> Uuid {
        self.id
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.path.join("flowforge.db")
    }

    pub(crate) fn logs(&self) -> PathBuf {
        self.path.join("logs")
    }

    pub(crate) fn log_spool(&self) -> PathBuf {
        self.path.join("log-spool")
    }

    pub(crate) fn work(&self) -> PathBuf {
        self.path.join("work")
    }

    pub(crate) fn artifacts(&self) -> PathBuf {
        self.path.join("artifacts")
    }

    pub(crate) fn scratch(&self) -> PathBuf {
        self.path.join("scratch")
    }

    pub(crate) fn volumes(&self) -> PathBuf {
        self.path.join("volumes")
    }

    pub(crate) fn secrets(&self) -> PathBuf {
        self.path.join("secrets")
    }

    /// Removes what attempts of a server that was killed left where they ran: no attempt begins
    /// there again. Call it when none of them lives any more.
    pub(crate) fn clear_work(&self) {
        let path = self.work();
        match std::fs::remove_dir_all(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                tracing::warn!(%error, path = %path.display(), "cannot be removed");
            }
        }
    }

    /// Says where the server answers, whole or not at all. Readable by its owner only.
    pub(crate) fn publish(&self, url: &str, token: &str) -> anyhow::Result<Endpoint> {
        let text = serde_json::json!({ "url": url, "token": token }).to_string();
        let path = self.path.join("endpoint.json");
        write_whole(&path, text.as_bytes())
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Endpoint { path })
    }
}

/// `endpoint.json`; removed when dropped.
#[derive(Debug)]
pub(crate) struct Endpoint {
    path: PathBuf,
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!(%error, path = %self.path.display(), "cannot be removed");
        }
    }
}

fn lock(path: &Path) -> anyhow::Result<File> {
    let name = path.join("lock");
    let mut file = private()
        .read(true)
        .write(true)
        .truncate(false)
        .open(&name)
        .with_context(|| format!("cannot open {}", name.display()))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => {
            let mut pid = String::new();
            file.read_to_string(&mut pid)?;
            bail!(
                "the data directory {} is in use by another flowforge, process {}: stop it, or \
                 choose another --data-dir",
                path.display(),
                pid.trim()
            );
        }
        Err(error) => {
            return Err(error).with_context(|| format!("cannot lock {}", name.display()));
        }
    }
    file.set_len(0)?;
    writeln!(file, "{}", std::process::id())?;
    Ok(file)
}

/// Reads the folder's name, or gives it one.
fn identity(path: &Path) -> anyhow::Result<Uuid> {
    match std::fs::read_to_string(path) {
        Ok(text) => Uuid::parse_str(text.trim())
            .with_context(|| format!("{} does not hold an id", path.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let id = Uuid::now_v7();
            write_whole(path, id.to_string().as_bytes())
                .with_context(|| format!("cannot write {}", path.display()))?;
            Ok(id)
        }
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// Writes a file of its own and renames it over `path`: a reader never sees half of it.
fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let new = path.with_extension("new");
    let mut file = private().write(true).truncate(true).open(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&new, path)
}

/// Files for their owner only.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.create(true).mode(0o600);
    options
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_second_server_is_told_who_has_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let first = DataDir::open(folder.path()).unwrap();
        let error = DataDir::open(folder.path()).unwrap_err().to_string();
        let pid = format!("process {}:", std::process::id());
        assert!(error.contains(&pid), "{error}");
        let id = first.id();
        drop(first);
        assert_eq!(DataDir::open(folder.path()).unwrap().id(), id, "kept");
    }

    #[test]
    fn nothing_stays_of_attempts_of_a_dead_server() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataDir::open(folder.path()).unwrap();
        data.clear_work();
        std::fs::create_dir_all(data.work().join("attempt/deep")).unwrap();
        data.clear_work();
        assert!(!data.work().exists());
    }

    #[test]
    fn the_endpoint_is_private_and_gone_with_its_server() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataDir::open(&folder.path().join("new/deep")).unwrap();
        let endpoint = data.publish("http://127.0.0.1:1", "secret").unwrap();
        let path = data.path().join("endpoint.json");
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, r#"{"token":"secret","url":"http://127.0.0.1:1"}"#);
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        drop(endpoint);
        assert!(!path.exists());
    }
}
