//! What roles may do in a cluster, as the file that is shipped says it.

use std::path::Path;

use serde_json::json;

use super::kubectl::Kubectl;
use super::place::write_secret;
use crate::workspace::root;

const FILE: &str = "deploy/kubernetes/rbac.yaml";
const NAMESPACE: &str = "--namespace=flowforge-system";
/// The account of executors.
pub(crate) const EXECUTOR: &str = "flowforge-executor";
/// The account of status collectors.
pub(crate) const COLLECTOR: &str = "flowforge-status-collector";

impl Kubectl {
    /// Gives an account its rights, and writes a kubeconfig that has these and no others.
    pub(crate) fn grant(&self, account: &str, kubeconfig: &Path) -> anyhow::Result<()> {
        let file = root().join(FILE).display().to_string();
        self.read(&["apply", "--server-side", "--filename", &file])?;
        let token = self.read(&["create", "token", account, NAMESPACE, "--duration=4h"])?;
        let mut config = self.json(&["config", "view", "--raw", "--minify", "--flatten"])?;
        config["users"][0]["user"] = json!({"token": token.trim()});
        write_secret(kubeconfig, &config.to_string())
    }
}
