//! The images that pods of tests find on the node.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

use super::archive::{self, Content, Entry, Image};
use super::build::{self, CRANE, cache};
use super::config::{PAUSE, REGISTRY};
use super::kubectl::answer;
use super::parts::IMAGES;
use super::place::Place;
use super::{leftovers, packages, status};
use crate::workspace::{output, root, succeed};

/// Names under which manifests ask for a shell: what is behind them here is one busybox.
const BUSYBOX: &[&str] = &[
    "flowforge-test/busybox:latest",
    "library/busybox:latest",
    "library/alpine:latest",
    "library/alpine:3.7",
    "library/alpine:3.23",
];
/// What the registry has, and no node before it pulls it: the same busybox.
const PULLED: &str = "flowforge-test/pulled:latest";
/// The same for Python.
const PYTHON: &[&str] = &[
    "flowforge-test/python:latest",
    "library/python:latest",
    "library/python:3",
    "library/python:3.11-slim",
    "library/python:alpine3.6",
    "library/python:alpine3.23",
];
/// The Debian that Python comes from.
const SUITE: &str = "bookworm";
const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n";
const GROUP: &str = "root:x:0:\nnogroup:x:65534:\n";

/// Makes and takes in what a node needs, and what is asked for.
pub(super) fn all(place: &Place, python: bool, ff_run: Option<&Path>) -> anyhow::Result<()> {
    let images = Images { place, present: present(place)? };
    images.need(PAUSE, pause)?;
    images.need(&full(BUSYBOX[0]), busybox)?;
    if python && !images.present.contains(&full(PYTHON[0])) {
        import(place, &python_archive(&place.log("debootstrap"))?)?;
    }
    if let Some(program) = ff_run {
        let archive = place.join("images/sdk.tar");
        sdk(program, &archive)?;
        import(place, &archive)?;
    }
    publish(place)
}

/// Fills the registry, which knows nothing when it starts.
fn publish(place: &Place) -> anyhow::Result<()> {
    let archive = place.join("images/pulled.tar");
    if !archive.is_file() {
        busybox(&archive)?;
    }
    let crane = build::programs(&[(CRANE, IMAGES)])?.pop().context("find crane")?;
    let mut push = Command::new(crane);
    push.args(["push", "--insecure"]).arg(&archive).arg(format!("{REGISTRY}/{PULLED}"));
    answer(&mut push, b"").map(drop)
}

/// Refuses a program that an image without libraries cannot run.
pub(super) fn check_program(path: &Path) -> anyhow::Result<()> {
    let bytes = fs::read(path).with_context(|| format!("read --ff-run {}", path.display()))?;
    let name = path.display();
    let linked = interpreter(&bytes).with_context(|| format!("{name} is no program of Linux"))?;
    ensure!(
        !linked,
        "{name} needs libraries, which no image is sure to have: build it for a target with \
         static linking"
    );
    Ok(())
}

struct Images<'a> {
    place: &'a Place,
    present: Vec<String>,
}

impl Images<'_> {
    /// Makes an image and takes it in, unless the node has it.
    fn need(&self, name: &str, make: impl Fn(&Path) -> anyhow::Result<()>) -> anyhow::Result<()> {
        if self.present.iter().any(|present| present == name) {
            return Ok(());
        }
        let archive = self.place.join("images/made.tar");
        make(&archive)?;
        import(self.place, &archive)
    }
}

/// What containerd is told, in the namespace that the kubelet looks into.
pub(super) fn ctr(place: &Place) -> Command {
    let mut ctr = Command::new("ctr");
    ctr.arg("--address").arg(place.containerd()).args(["--namespace", "k8s.io"]);
    ctr
}

fn present(place: &Place) -> anyhow::Result<Vec<String>> {
    let names = output(ctr(place).args(["images", "list", "--quiet"]))?;
    Ok(names.lines().map(str::to_owned).collect())
}

fn import(place: &Place, archive: &Path) -> anyhow::Result<()> {
    output(ctr(place).args(["images", "import"]).arg(archive)).map(drop)
}

fn full(name: &str) -> String {
    format!("docker.io/{name}")
}

fn file(path: &str, content: Content) -> Entry {
    Entry { path: path.to_owned(), content }
}

fn pause(archive: &Path) -> anyhow::Result<()> {
    let program = archive.with_extension("program");
    let mut compiler = Command::new("cc");
    compiler.args(["-static", "-Os", "-s", "-o"]).arg(&program);
    succeed(compiler.arg(root().join("test/cluster/pause.c")))?;
    let image = Image { names: vec![PAUSE.to_owned()], command: &["/pause"] };
    archive::of_files(&image, &[file("/pause", Content::File(program, 0o755))], archive)
}

fn busybox(archive: &Path) -> anyhow::Result<()> {
    let program = PathBuf::from("/bin/busybox");
    let applets = output(Command::new(&program).arg("--list-full"))?;
    let mut files = vec![
        file("/bin/busybox", Content::File(program, 0o755)),
        file("/etc/passwd", Content::Text(PASSWD)),
        file("/etc/group", Content::Text(GROUP)),
        file("/tmp", Content::Folder(0o1777)),
        file("/root", Content::Folder(0o700)),
    ];
    let linked = applets.lines().filter(|applet| *applet != "bin/busybox");
    files.extend(linked.map(|applet| file(applet, Content::Link("/bin/busybox"))));
    let names = BUSYBOX.iter().map(|name| full(name)).collect();
    archive::of_files(&Image { names, command: &["sh"] }, &files, archive)
}

/// What tasks find everything of ours in, at `/flowforge`.
fn sdk(program: &Path, archive: &Path) -> anyhow::Result<()> {
    let names = vec![full(concat!("flowforge/sdk:", env!("CARGO_PKG_VERSION")))];
    let image = Image { names, command: &["/flowforge/ff-run"] };
    let program = Content::File(program.to_path_buf(), 0o755);
    archive::of_files(&image, &[file("/flowforge/ff-run", program)], archive)
}

/// Whether it need not be made.
pub(super) fn python_is_there() -> anyhow::Result<bool> {
    Ok(python_path()?.is_file())
}

fn python_path() -> anyhow::Result<PathBuf> {
    Ok(cache()?.join(format!("images/python-{SUITE}.tar")))
}

/// A small Debian with Python, made once on a machine: it takes a minute.
fn python_archive(log: &Path) -> anyhow::Result<PathBuf> {
    let folder = cache()?.join("images");
    let archive = python_path()?;
    if archive.is_file() {
        return Ok(archive);
    }
    packages::need(packages::PYTHON)?;
    let tree = folder.join("python-tree");
    if tree.exists() {
        // An attempt that was cut off may have left something mounted.
        leftovers::unmount(&tree)?;
        fs::remove_dir_all(&tree).with_context(|| format!("remove {}", tree.display()))?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
    eprintln!("making an image with Python ...");
    let mut debootstrap = Command::new("debootstrap");
    debootstrap.args(["--variant=minbase", "--include=python3", SUITE]).arg(&tree);
    // It says some hundred lines, of which only the last of a failure matter.
    let out = File::create(log).with_context(|| format!("open {}", log.display()))?;
    debootstrap.stdout(out.try_clone().context("share a log")?).stderr(out);
    succeed(&mut debootstrap).with_context(|| status::end_of(log))?;
    std::os::unix::fs::symlink("python3", tree.join("usr/bin/python")).context("link python")?;
    let names = PYTHON.iter().map(|name| full(name)).collect();
    archive::of_tree(&Image { names, command: &["python3"] }, &tree, &archive)?;
    fs::remove_dir_all(&tree).with_context(|| format!("remove {}", tree.display()))?;
    Ok(archive)
}

/// Whether a program asks for a dynamic linker; nothing if it is no 64-bit ELF of this byte order.
fn interpreter(bytes: &[u8]) -> Option<bool> {
    const INTERPRETER: u32 = 3;
    let number = |at: usize, size: usize| -> Option<u64> {
        let digits = bytes.get(at..at.checked_add(size)?)?;
        Some(digits.iter().rev().fold(0, |sum, byte| (sum << 8) | u64::from(*byte)))
    };
    if bytes.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let table = usize::try_from(number(32, 8)?).ok()?;
    let (size, count) = (number(54, 2)?, number(56, 2)?);
    for index in 0..count {
        let at = table.checked_add(usize::try_from(index.checked_mul(size)?).ok()?)?;
        if number(at, 4)? == u64::from(INTERPRETER) {
            return Some(true);
        }
    }
    Some(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_with_libraries_is_told_from_one_without() {
        let own = fs::read(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(interpreter(&own), Some(true), "tests are linked dynamically");
        assert_eq!(interpreter(b"#!/bin/sh\n"), None);
        // A header with one segment, which is to be loaded.
        let mut small = b"\x7fELF\x02\x01".to_vec();
        small.resize(64 + 56, 0);
        small[32] = 64;
        small[54] = 56;
        small[56] = 1;
        small[64] = 1;
        assert_eq!(interpreter(&small), Some(false));
        small[64] = 3;
        assert_eq!(interpreter(&small), Some(true));
        assert_eq!(interpreter(&small[..64]), None, "cut off");
    }
}
