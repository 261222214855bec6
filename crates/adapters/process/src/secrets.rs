//! Secrets as files: `NAME/KEY` below one directory.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use flowforge_ports::secrets::Secrets;

/// A secret is a folder, each of its keys a file in it; the whole content is the value. A file that
/// every user of the machine can reach and read is not used, and a warning says so.
#[derive(Clone, Debug)]
pub struct DirectorySecrets {
    folder: PathBuf,
}

/// Bytes of one value: what Kubernetes takes.
const VALUE_BYTES: u64 = 1024 * 1024;
/// What lets other users of the machine read a file, and pass through a folder.
const READ: u32 = 0o004;
const PASS: u32 = 0o001;

impl DirectorySecrets {
    /// Secrets below this folder, which need not be there.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }
}

impl Secrets for DirectorySecrets {
    fn secret(&self, name: &str) -> Option<BTreeMap<String, Vec<u8>>> {
        if !plain(name) {
            return None;
        }
        let folder = self.folder.join(name).canonicalize().ok()?;
        let mut keys = BTreeMap::new();
        for entry in fs::read_dir(&folder).ok()?.flatten() {
            let (Ok(key), path) = (entry.file_name().into_string(), entry.path()) else {
                continue;
            };
            // Kubernetes mounts secrets with bookkeeping beside them.
            let fits = |meta: &fs::Metadata| meta.is_file() && meta.len() <= VALUE_BYTES;
            if key.starts_with("..") || !path.metadata().is_ok_and(|meta| fits(&meta)) {
                continue;
            }
            if exposed(&path) {
                let path = path.display();
                tracing::warn!(%path, "not used as a secret: everybody can read it (chmod o-r)");
                continue;
            }
            match fs::read(&path) {
                Ok(value) => drop(keys.insert(key, value)),
                Err(error) => tracing::warn!(path = %path.display(), %error, "no secret is read"),
            }
        }
        Some(keys)
    }
}

/// A name that is one part of a path.
pub(crate) fn plain(name: &str) -> bool {
    !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\0'])
}

/// Every user of this machine can read the file: nothing on the way to it keeps them out.
fn exposed(path: &Path) -> bool {
    let Ok(path) = path.canonicalize() else {
        return false;
    };
    let mode = |path: &Path| path.metadata().map_or(0, |meta| meta.permissions().mode());
    open_to_all(mode(&path), path.ancestors().skip(1).map(mode))
}

fn open_to_all(file: u32, mut folders: impl Iterator<Item = u32>) -> bool {
    file & READ != 0 && folders.all(|folder| folder & PASS != 0)
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;

    use super::*;

    fn write(path: &Path, content: &[u8], mode: u32) {
        fs::write(path, content).unwrap();
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_secret_is_what_its_folder_holds() {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), Permissions::from_mode(0o700)).unwrap();
        let secrets = DirectorySecrets::new(dir.path().join("secrets"));
        assert_eq!(secrets.secret("db"), None);
        let folder = dir.path().join("secrets/db");
        fs::create_dir_all(folder.join("sub")).unwrap();
        write(&folder.join("password"), b"hunter2\n", 0o600);
        // Nobody else passes through the folders above.
        write(&folder.join("key"), &[0, 255], 0o644);
        write(&folder.join("..data"), b"bookkeeping", 0o600);
        let found = secrets.secret("db").unwrap();
        let pairs: Vec<(&str, &[u8])> = found.iter().map(|(k, v)| (&**k, &**v)).collect();
        assert_eq!(pairs, [("key", &[0, 255][..]), ("password", b"hunter2\n")]);
        for name in ["", ".", "..", "../secrets/db", "db/sub", "none"] {
            assert_eq!(secrets.secret(name), None, "{name}");
        }
    }

    #[test]
    fn a_file_is_exposed_when_nothing_on_the_way_keeps_others_out() {
        let cases = [
            (0o644, &[0o755, 0o755][..], true),
            (0o640, &[0o755, 0o755], false),
            (0o644, &[0o700, 0o755], false),
            (0o644, &[0o755, 0o750], false),
            (0o604, &[0o711, 0o1777], true),
            (0, &[0o755], false),
        ];
        for (file, folders, expected) in cases {
            let open = open_to_all(file, folders.iter().copied());
            assert_eq!(open, expected, "{file:o} {folders:?}");
        }
    }
}
