//! Images as archives that containerd takes in, made without a container engine.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use crate::workspace::{output, succeed};

/// A file of an image.
#[derive(Debug)]
pub(super) struct Entry {
    /// Where it is in the image, from the root on.
    pub(super) path: String,
    pub(super) content: Content,
}

#[derive(Debug)]
pub(super) enum Content {
    /// A copy of a file of this machine, with these permissions.
    File(PathBuf, u32),
    Text(&'static str),
    /// A link to another path of the image.
    Link(&'static str),
    /// A folder with these permissions.
    Folder(u32),
}

/// What an image says about itself.
#[derive(Debug)]
pub(super) struct Image {
    /// In full: registry, repository and tag.
    pub(super) names: Vec<String>,
    /// What runs when a container names nothing.
    pub(super) command: &'static [&'static str],
}

/// Writes an image of a few files.
pub(super) fn of_files(image: &Image, files: &[Entry], archive: &Path) -> anyhow::Result<()> {
    let tree = archive.with_extension("tree");
    if tree.exists() {
        fs::remove_dir_all(&tree).with_context(|| format!("remove {}", tree.display()))?;
    }
    fs::create_dir_all(&tree).with_context(|| format!("make {}", tree.display()))?;
    for entry in files {
        put(&tree, entry).with_context(|| format!("put {} into an image", entry.path))?;
    }
    of_tree(image, &tree, archive)?;
    fs::remove_dir_all(&tree).with_context(|| format!("remove {}", tree.display()))
}

fn put(tree: &Path, entry: &Entry) -> anyhow::Result<()> {
    let path = tree.join(entry.path.trim_start_matches('/'));
    fs::create_dir_all(path.parent().context("a folder")?)?;
    let mode = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode));
    match &entry.content {
        Content::File(source, bits) => {
            fs::copy(source, &path).with_context(|| format!("copy {}", source.display()))?;
            mode(*bits)?;
        }
        Content::Text(text) => fs::write(&path, text)?,
        Content::Link(target) => symlink(target, &path)?,
        Content::Folder(bits) => {
            fs::create_dir_all(&path)?;
            mode(*bits)?;
        }
    }
    Ok(())
}

/// Writes an image of one layer, which is a folder. The same folder gives the same bytes.
pub(super) fn of_tree(image: &Image, tree: &Path, archive: &Path) -> anyhow::Result<()> {
    let parts = archive.with_extension("parts");
    fs::create_dir_all(&parts).with_context(|| format!("make {}", parts.display()))?;
    pack(
        &["--anchored", "--exclude=dev/*", "--exclude=var/cache/apt/*"],
        tree,
        &parts.join("layer.tar"),
    )?;
    let digest = digest(&parts.join("layer.tar"))?;
    write(&parts.join("config.json"), &config(image, &digest))?;
    write(&parts.join("manifest.json"), &manifest(image))?;
    let unfinished = archive.with_extension("unfinished");
    pack(&[], &parts, &unfinished)?;
    fs::rename(&unfinished, archive).with_context(|| format!("put {} there", archive.display()))?;
    fs::remove_dir_all(&parts).with_context(|| format!("remove {}", parts.display()))
}

fn config(image: &Image, digest: &str) -> Value {
    json!({
        "architecture": std::env::consts::ARCH.replace("x86_64", "amd64").replace("aarch64", "arm64"),
        "os": "linux",
        "created": "1970-01-01T00:00:00Z",
        "config": {
            "Cmd": image.command,
            "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
        },
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{digest}")]},
        "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "cargo xtask cluster"}],
    })
}

fn manifest(image: &Image) -> Value {
    json!([{"Config": "config.json", "RepoTags": image.names, "Layers": ["layer.tar"]}])
}

fn write(path: &Path, value: &Value) -> anyhow::Result<()> {
    fs::write(path, value.to_string()).with_context(|| format!("write {}", path.display()))
}

fn pack(options: &[&str], folder: &Path, archive: &Path) -> anyhow::Result<()> {
    let mut tar = Command::new("tar");
    tar.args(["--create", "--sort=name", "--mtime=@0", "--owner=0", "--group=0"])
        .args(["--numeric-owner", "--file"])
        .arg(archive)
        .args(options)
        .arg("--directory")
        .arg(folder);
    // Names without `./` are what readers of such archives look for.
    let entries = fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        names.push(entry.context("read a folder")?.file_name());
    }
    names.sort();
    succeed(tar.arg("--").args(names))
}

fn digest(path: &Path) -> anyhow::Result<String> {
    let line = output(Command::new("sha256sum").arg("--binary").arg(path))?;
    let digest = line.split(' ').next().unwrap_or_default();
    ensure!(digest.len() == 64, "sha256sum says {line:?}");
    Ok(digest.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_has_its_files_and_their_digest() {
        let base = std::env::temp_dir().join(format!("flowforge-image-{}", std::process::id()));
        fs::create_dir_all(&base).unwrap();
        fs::write(base.join("program"), "works").unwrap();
        let image = Image { names: vec!["example/name:1".to_owned()], command: &["sh"] };
        let entry = |path: &str, content| Entry { path: path.to_owned(), content };
        let files = [
            entry("/bin/program", Content::File(base.join("program"), 0o755)),
            entry("/bin/other", Content::Link("program")),
            entry("/tmp", Content::Folder(0o1777)),
            entry("/etc/passwd", Content::Text("root:x:0:0::/:/bin/sh\n")),
        ];
        let (one, two) = (base.join("one.tar"), base.join("two.tar"));
        of_files(&image, &files, &one).unwrap();
        of_files(&image, &files, &two).unwrap();
        assert_eq!(digest(&one).unwrap(), digest(&two).unwrap(), "the same bytes each time");
        succeed(Command::new("tar").arg("-xf").arg(&one).arg("-C").arg(&base)).unwrap();
        let json = |name: &str| -> Value {
            serde_json::from_slice(&fs::read(base.join(name)).unwrap()).unwrap()
        };
        assert_eq!(json("manifest.json")[0]["RepoTags"][0], "example/name:1");
        let layer = base.join("layer.tar");
        let said = format!("sha256:{}", digest(&layer).unwrap());
        assert_eq!(json("config.json")["rootfs"]["diff_ids"][0], said.as_str());
        let listed =
            output(Command::new("tar").args(["-tv", "--numeric-owner", "-f"]).arg(&layer)).unwrap();
        for (bits, path) in [
            ("-rwxr-xr-x 0/0", "bin/program"),
            ("lrwxrwxrwx 0/0", "bin/other -> program"),
            ("drwxrwxrwt 0/0", "tmp/"),
        ] {
            let found = |line: &&str| line.starts_with(bits) && line.ends_with(path);
            assert!(listed.lines().any(|line| found(&line)), "{path}: {listed}");
        }
        fs::remove_dir_all(&base).unwrap();
    }
}
