//! `cargo xtask dist`: release binaries in target/dist/.

use std::fs;
use std::process::ExitCode;

use anyhow::Context;

use crate::workspace::build_release;

/// The programs a user runs.
const PROGRAMS: [&str; 3] = ["flowforge", "ffctl", "ff-run"];

/// Builds and copies.
pub(crate) fn run() -> anyhow::Result<ExitCode> {
    let release = build_release()?;
    let folder = release.with_file_name("dist");
    fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    for program in PROGRAMS {
        let target = folder.join(program);
        // A copy in place would change a program that somebody runs.
        let staged = folder.join(format!(".{program}"));
        let bytes =
            fs::copy(release.join(program), &staged).with_context(|| format!("copy {program}"))?;
        fs::rename(&staged, &target).with_context(|| format!("put {program} in place"))?;
        println!("{} ({} KiB)", target.display(), bytes / 1024);
    }
    Ok(ExitCode::SUCCESS)
}
