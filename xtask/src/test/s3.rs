//! The tier `s3`: artifacts in the buckets of a real server, versitygw, built from `test/s3`.
//!
//! The program is kept outside of the clone by its version: it is built once on a machine.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, ensure};

use super::{Programs, Tally};
use crate::workspace::{root, succeed, which};

/// The module with the server's program.
const MODULE: &str = "github.com/versity/versitygw";

pub(super) fn missing() -> Option<String> {
    which("go").is_none().then(|| "go is missing".to_owned())
}

pub(super) fn run() -> anyhow::Result<Tally> {
    let server = built()?;
    let programs = Programs::build()?.within("crates/adapters/artifacts");
    let server = ("FLOWFORGE_TEST_S3", server.as_os_str());
    let tally = programs.run(&["--ignored", "tests::s3"], &[server])?;
    ensure!(tally.passed + tally.failed > 0, "no test of a bucket ran");
    Ok(tally)
}

/// The server's program, built if it is not there yet.
fn built() -> anyhow::Result<PathBuf> {
    let module = root().join("test/s3");
    let needs = fs::read_to_string(module.join("go.mod")).context("read test/s3/go.mod")?;
    let version = version(&needs).context("find the server's version in test/s3/go.mod")?;
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache"));
    let cache = cache.or_else(home).context("find a cache: there is no HOME")?.join("flowforge");
    let server = cache.join(format!("versitygw-{version}"));
    if server.is_file() {
        return Ok(server);
    }
    fs::create_dir_all(&cache).with_context(|| format!("make {}", cache.display()))?;
    let scratch = cache.join(format!("building-{}", std::process::id()));
    let program = scratch.join("versitygw");
    let mut go = Command::new("go");
    go.current_dir(module)
        .args(["build", "-mod=readonly", "-trimpath", "-ldflags=-s -w", "-o"])
        .arg(&program)
        .arg(format!("{MODULE}/cmd/versitygw"))
        .env("CGO_ENABLED", "0")
        // A gigabyte that nobody needs again.
        .env("GOCACHE", scratch.join("cache"));
    let done = succeed(&mut go).and_then(|()| {
        fs::rename(&program, &server).with_context(|| format!("put {} there", server.display()))
    });
    fs::remove_dir_all(&scratch).with_context(|| format!("remove {}", scratch.display()))?;
    done.map(|()| server)
}

fn version(needs: &str) -> Option<String> {
    let line =
        needs.lines().find_map(|line| line.trim().strip_prefix(MODULE)?.strip_prefix(' '))?;
    Some(line.split(' ').next()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn the_version_is_that_of_the_server() {
        let needs = "require (\n\tgithub.com/versity/other v9 // indirect\n\t\
                     github.com/versity/versitygw v1.8.0 // indirect\n)\n";
        assert_eq!(version(needs).as_deref(), Some("v1.8.0"));
    }
}
