//! What befalls a cluster as a whole.

use std::fs;

use anyhow::Context;

use super::config::NODE;
use super::parts::{API_SERVER, IMAGES, KUBELET};
use super::place::Place;
use super::process::Process;
use super::{Held, UpArguments, up};

/// A node that is not heard of, until this is dropped; its pods go on.
pub(crate) struct Silence(Process);

impl Drop for Silence {
    fn drop(&mut self) {
        self.0.pause(false);
    }
}

impl Held {
    /// Whether parts of it can be killed: it is one of ours.
    pub(crate) fn is_here(&self) -> bool {
        self.place.is_some()
    }

    /// The API server dies, and another one takes its place.
    pub(crate) fn replace_api_server(&self) -> anyhow::Result<()> {
        self.part(API_SERVER)?.kill()?;
        self.mend()
    }

    /// The node dies, and whoever looks after machines takes it off the list.
    pub(crate) fn lose_node(&self) -> anyhow::Result<()> {
        self.part(KUBELET)?.kill()?;
        self.kubectl()?.read(&["delete", "node", NODE]).map(drop)
    }

    /// The node says nothing any more, and does nothing that it is told.
    pub(crate) fn silence_node(&self) -> anyhow::Result<Silence> {
        let kubelet = self.part(KUBELET)?;
        kubelet.pause(true);
        Ok(Silence(kubelet))
    }

    /// The registry dies, with all that it knows.
    pub(crate) fn lose_registry(&self) -> anyhow::Result<()> {
        self.part(IMAGES)?.kill()
    }

    /// What a container of a pod left for its node to tell, whether the node tells it or not.
    pub(crate) fn last_word(&self, pod: &str, container: &str) -> anyhow::Result<String> {
        let folder = self.here()?.join("kubelet/pods").join(pod).join("containers").join(container);
        let files = fs::read_dir(&folder).with_context(|| format!("read {}", folder.display()))?;
        let mut said = String::new();
        for file in files {
            let path = file.context("read a container's folder")?.path();
            said +=
                &fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        }
        Ok(said)
    }

    /// Starts again what has died.
    pub(crate) fn mend(&self) -> anyhow::Result<()> {
        let wanted = UpArguments { nodes: 0, python: false, ff_run: None };
        up::run(self.here()?, &wanted).map(drop)
    }

    fn here(&self) -> anyhow::Result<&Place> {
        self.place.as_ref().context("it is somebody else's cluster")
    }

    fn part(&self, name: &str) -> anyhow::Result<Process> {
        let process = Process::running(&self.here()?.pid(name));
        process.with_context(|| format!("{name} does not run"))
    }
}
