//! Where a cluster keeps its files.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

use crate::workspace::target;

/// The name of a socket may have 107 bytes, and the longest below has these.
const LONGEST_SOCKET: &str = "run/containerd/containerd.sock.ttrpc";
const SOCKET: usize = 107;

/// The directory of one cluster. Everything in it but `logs` goes when the cluster goes.
#[derive(Clone, Debug)]
pub(super) struct Place {
    root: PathBuf,
}

impl Place {
    pub(super) fn new(given: Option<&Path>) -> anyhow::Result<Self> {
        let root = match given {
            Some(path) => std::path::absolute(path).context("name the cluster's directory")?,
            None => target()?.join("cluster"),
        };
        let longest = root.join(LONGEST_SOCKET);
        ensure!(
            longest.as_os_str().len() <= SOCKET,
            "{} is too long a name for sockets below it: give a shorter --dir",
            root.display()
        );
        Ok(Self { root })
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// A file or directory in it.
    pub(super) fn join(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The same as text, for the arguments of programs.
    pub(super) fn text(&self, name: &str) -> String {
        self.join(name).display().to_string()
    }

    pub(super) fn kubeconfig(&self) -> PathBuf {
        self.join("kubeconfig")
    }

    /// What a part says.
    pub(super) fn log(&self, part: &str) -> PathBuf {
        self.join("logs").join(format!("{part}.log"))
    }

    /// Which process a part is.
    pub(super) fn pid(&self, part: &str) -> PathBuf {
        self.join("pids").join(part)
    }

    pub(super) fn containerd(&self) -> PathBuf {
        self.join("run/containerd/containerd.sock")
    }

    /// Keeps others from starting or ending it until this is dropped.
    pub(super) fn lock(&self) -> anyhow::Result<File> {
        lock(&self.join("logs"))
    }

    pub(super) fn create(&self) -> anyhow::Result<()> {
        for name in ["logs", "pids", "config", "images", "registry", "run/containerd"] {
            let path = self.join(name);
            fs::create_dir_all(&path).with_context(|| format!("make {}", path.display()))?;
        }
        Ok(())
    }

    /// Removes all but the logs, which tell why something did not start.
    pub(super) fn clear(&self) -> anyhow::Result<()> {
        let Ok(entries) = fs::read_dir(&self.root) else { return Ok(()) };
        for entry in entries {
            let path = entry.context("read the cluster's directory")?.path();
            if path.ends_with("logs") {
                continue;
            }
            let removed =
                if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            removed.with_context(|| format!("remove {}", path.display()))?;
        }
        Ok(())
    }
}

/// Waits until nobody else works in a folder; others wait until this is dropped.
pub(super) fn lock(folder: &Path) -> anyhow::Result<File> {
    let lock = || {
        fs::create_dir_all(folder)?;
        let file = File::create(folder.join("lock"))?;
        file.lock()?;
        Ok(file)
    };
    let locked: std::io::Result<File> = lock();
    locked.with_context(|| format!("lock {}", folder.display()))
}

/// Writes a file that only its owner may read. Whoever reads it meanwhile finds the earlier one.
pub(super) fn write_secret(path: &Path, text: &str) -> anyhow::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;

    let new = path.with_extension("new");
    let write = || {
        // The mode counts only for a file that is made.
        drop(fs::remove_file(&new));
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(text.as_bytes())?;
        fs::rename(&new, path)
    };
    write().with_context(|| format!("write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_too_deep_for_sockets_is_refused() {
        let deep = format!("/{}", "d".repeat(90));
        let error = Place::new(Some(Path::new(&deep))).unwrap_err().to_string();
        assert!(error.contains("--dir"), "{error}");
        assert!(Place::new(Some(Path::new("/short"))).is_ok());
    }

    #[test]
    fn all_but_the_logs_goes() {
        let root = std::env::temp_dir().join(format!("flowforge-place-{}", std::process::id()));
        let place = Place::new(Some(&root)).unwrap();
        place.create().unwrap();
        fs::write(place.log("a"), "said").unwrap();
        write_secret(&place.kubeconfig(), "first").unwrap();
        write_secret(&place.kubeconfig(), "token").unwrap();
        let mode = fs::metadata(place.kubeconfig()).unwrap();
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode.permissions()) & 0o777, 0o600);
        place.clear().unwrap();
        let left: Vec<_> = fs::read_dir(&root).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left, ["logs"]);
        assert_eq!(fs::read_to_string(place.log("a")).unwrap(), "said");
        fs::remove_dir_all(&root).unwrap();
    }
}
