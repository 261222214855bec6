//! How a cluster is reached.

use std::path::PathBuf;
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::ClusterError;

/// To connect, and to answer one request other than a watch.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Where the address and the credentials of a cluster are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// This process runs in the cluster: its service account.
    InCluster,
    /// A file as `kubectl` has it.
    Kubeconfig(PathBuf),
}

/// A connection to a cluster. Cheap to clone.
#[derive(Clone)]
pub struct Cluster {
    pub(crate) client: Client,
}

impl Cluster {
    /// Reads credentials; asks nothing yet.
    ///
    /// # Errors
    /// `Access`.
    pub async fn connect(access: &Access) -> Result<Self, ClusterError> {
        let wrong = |why: String| ClusterError::Access { why };
        let mut config = match access {
            Access::InCluster => Config::incluster().map_err(|error| wrong(told(&error)))?,
            Access::Kubeconfig(path) => {
                let file = Kubeconfig::read_from(path).map_err(|error| wrong(told(&error)))?;
                Config::from_custom_kubeconfig(file, &KubeConfigOptions::default())
                    .await
                    .map_err(|error| wrong(format!("{}: {}", path.display(), told(&error))))?
            }
        };
        // It would send a POST again that may have been done (docs/decisions/0017).
        config.default_retry = false;
        config.connect_timeout = Some(PATIENCE);
        let client = Client::try_from(config).map_err(|error| wrong(told(&error)))?;
        Ok(Self { client })
    }
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").finish_non_exhaustive()
    }
}

/// An error with what caused it.
pub(crate) fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        next = error.source();
    }
    text
}
