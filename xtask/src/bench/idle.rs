//! A server with nothing to do.

use std::path::Path;
use std::thread;
use std::time::Duration;

use super::Row;
use crate::server::Server;

const SUITE: &str = "idle";
/// How long it is watched.
const WATCH: Duration = Duration::from_secs(20);

pub(super) fn run(release: &Path, scratch: &Path) -> anyhow::Result<Vec<Row>> {
    let server = Server::start(release, &scratch.join("idle"))?;
    let before = server.cpu_seconds()?;
    // Time itself is what is measured here: nothing is to happen.
    thread::sleep(WATCH);
    let used = server.cpu_seconds()? - before;
    let rows = vec![
        Row::plain(SUITE, "dev server", ("memory", "MiB"), server.memory_mib()?),
        Row::plain(SUITE, "dev server", ("of a core", "%"), 100.0 * used / WATCH.as_secs_f64()),
    ];
    server.stop()?;
    Ok(rows)
}
