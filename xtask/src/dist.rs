//! `cargo xtask dist`: release binaries in target/dist/, the runner of pods in target/pod/.

use std::env::consts::ARCH;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, ensure};

use crate::workspace::{build_release, cargo, succeed, target};

/// The programs a user runs.
const PROGRAMS: [&str; 3] = ["flowforge", "ffctl", "ff-run"];
/// Bytes of the runner of pods: every pod copies it before its task begins.
const POD_BYTES: u64 = 6_000_000;
/// Where a program says which loader it needs, if it needs one.
const LOADER: &[u8] = b"/ld-linux";

/// Builds and copies.
pub(crate) fn run() -> anyhow::Result<ExitCode> {
    let release = build_release()?;
    let folder = release.with_file_name("dist");
    for program in PROGRAMS {
        put(&release, &folder, program)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Builds the runner so that it runs in any image, also one without a C library.
pub(crate) fn pod() -> anyhow::Result<PathBuf> {
    let triple = format!("{ARCH}-unknown-linux-gnu");
    let mut build = cargo();
    build.args(["build", "--release", "-p", "ff-run", "--target", &triple]);
    // Only with a target named do the flags leave build scripts alone.
    succeed(build.env("RUSTFLAGS", "-C target-feature=+crt-static"))?;
    let target = target()?;
    let folder = target.join("pod");
    let bytes = put(&target.join(triple).join("release"), &folder, "ff-run")?;
    let program = folder.join("ff-run");
    let content = fs::read(&program).with_context(|| format!("read {}", program.display()))?;
    let loaded = content.windows(LOADER.len()).any(|window| window == LOADER);
    ensure!(!loaded, "{} is not linked statically", program.display());
    ensure!(bytes <= POD_BYTES, "{} has more than {POD_BYTES} bytes", program.display());
    Ok(program)
}

/// Copies a program into a folder, whoever runs the one that is there. Returns its size in bytes.
fn put(from: &Path, folder: &Path, program: &str) -> anyhow::Result<u64> {
    fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    let target = folder.join(program);
    // A copy in place would change a program that somebody runs.
    let staged = folder.join(format!(".{program}"));
    let bytes = fs::copy(from.join(program), &staged).with_context(|| format!("copy {program}"))?;
    fs::rename(&staged, &target).with_context(|| format!("put {program} in place"))?;
    println!("{} ({} KiB)", target.display(), bytes / 1024);
    Ok(bytes)
}
