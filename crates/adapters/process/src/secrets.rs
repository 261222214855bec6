//! Secrets as files: `NAME/KEY` below one directory.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use flowforge_ports::secrets::Secrets;

/// A secret is a folder, each of its keys a file in it; the whole content is the value. A folder
/// or file that every user of the machine may read is not used, and a warning says so.
#[derive(Clone, Debug)]
pub struct DirectorySecrets {
    folder: PathBuf,
}

/// Bytes of one value: what Kubernetes takes.
const VALUE_BYTES: u64 = 1024 * 1024;
/// What other users of the machine may do.
const OTHERS: u32 = 0o007;

impl DirectorySecrets {
    /// Secrets below this folder, which need not be there.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }
}

impl Secrets for DirectorySecrets {
    fn secret(&self, name: &str) -> Option<BTreeMap<String, Vec<u8>>> {
        if !plain(name) || !private(&self.folder) {
            return None;
        }
        let folder = self.folder.join(name);
        if !private(&folder) {
            return None;
        }
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
            if !private(&path) {
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

/// It is there and kept from the other users of this machine, by its own permissions.
fn private(path: &Path) -> bool {
    let Ok(meta) = path.metadata() else {
        return false;
    };
    let open = meta.permissions().mode() & OTHERS != 0;
    if open {
        let path = path.display();
        tracing::warn!(%path, "not used as a secret: everybody may read it (chmod o-rwx)");
    }
    !open
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
    fn a_secret_is_what_its_folder_holds_and_nobody_else_may_read() {
        let dir = tempfile::tempdir().unwrap();
        let secrets = DirectorySecrets::new(dir.path().join("secrets"));
        assert_eq!(secrets.secret("db"), None);
        let folder = dir.path().join("secrets/db");
        fs::create_dir_all(&folder).unwrap();
        fs::create_dir(folder.join("sub")).unwrap();
        write(&folder.join("password"), b"hunter2\n", 0o600);
        write(&folder.join("key"), &[0, 255], 0o440);
        write(&folder.join("open"), b"everybody", 0o644);
        let modes = [(0o755, 0o700), (0o700, 0o701)];
        for (outer, inner) in modes {
            fs::set_permissions(folder.parent().unwrap(), Permissions::from_mode(outer)).unwrap();
            fs::set_permissions(&folder, Permissions::from_mode(inner)).unwrap();
            assert_eq!(secrets.secret("db"), None);
        }
        fs::set_permissions(&folder, Permissions::from_mode(0o700)).unwrap();
        let found = secrets.secret("db").unwrap();
        let pairs: Vec<(&str, &[u8])> = found.iter().map(|(k, v)| (&**k, &**v)).collect();
        assert_eq!(pairs, [("key", &[0, 255][..]), ("password", b"hunter2\n")]);
        for name in ["", ".", "..", "../secrets/db", "db/sub", "none"] {
            assert_eq!(secrets.secret(name), None, "{name}");
        }
    }
}
