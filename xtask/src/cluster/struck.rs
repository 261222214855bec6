//! What befalls a cluster as a whole.

use anyhow::Context;

use super::config::NODE;
use super::parts::API_SERVER;
use super::place::Place;
use super::process::Process;
use super::{Held, UpArguments, up};

impl Held {
    /// Whether parts of it can be killed: it is one of ours.
    pub(crate) fn is_here(&self) -> bool {
        self.place.is_some()
    }

    /// The API server dies, and another one takes its place.
    pub(crate) fn replace_api_server(&self) -> anyhow::Result<()> {
        kill(self.here()?, API_SERVER)?;
        self.mend()
    }

    /// The node dies, and whoever looks after machines takes it off the list.
    pub(crate) fn lose_node(&self) -> anyhow::Result<()> {
        kill(self.here()?, "kubelet")?;
        self.kubectl()?.read(&["delete", "node", NODE]).map(drop)
    }

    /// Starts again what has died.
    pub(crate) fn mend(&self) -> anyhow::Result<()> {
        let wanted = UpArguments { nodes: 0, python: false, ff_run: None };
        up::run(self.here()?, &wanted).map(drop)
    }

    fn here(&self) -> anyhow::Result<&Place> {
        self.place.as_ref().context("it is somebody else's cluster")
    }
}

fn kill(place: &Place, part: &str) -> anyhow::Result<()> {
    let process = Process::running(&place.pid(part));
    process.with_context(|| format!("{part} does not run"))?.kill()
}
