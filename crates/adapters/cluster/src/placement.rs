//! What a pod needs beside its work order: where it goes, and what its project may.

use std::collections::BTreeMap;

use flowforge_model::id::EntityId;
use flowforge_model::plan::PullPolicy;
use flowforge_model::time::Millis;

/// Where the pods of one project go and what they may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// Which member of a gang it is.
    pub member: Option<u32>,
    /// The cluster's name in the settings of its executors: letters, digits, `-`, `_`, `.`, at most
    /// 63, as a label takes them.
    pub cluster: String,
    /// The namespace.
    pub namespace: String,
    /// The service account, which has no rights; its token names the pod.
    pub service_account: String,
    /// The project's tenant.
    pub tenant: EntityId,
    /// Puts the runner into the pod.
    pub sdk: Sdk,
    /// Where tasks find what they need.
    pub endpoints: Endpoints,
    /// How strict the pod is with what runs in it.
    pub security: Security,
    /// Secrets of the namespace that images are pulled with.
    pub pull_secrets: Vec<String>,
    /// What documents may ask of pods.
    pub grants: Grants,
    /// When images are pulled.
    pub pull: Pull,
    /// What images start whose documents name no command: the image as documents write it, with or
    /// without tag, and its entrypoint.
    pub entrypoints: Vec<(String, Vec<String>)>,
    /// Claims made for the order's workflow: the volume's name in the document, the claim's in the
    /// namespace.
    pub workflow_claims: BTreeMap<String, String>,
    /// From the polite signal to the hard one.
    pub grace: Millis,
    /// The cluster ends what runs this much longer than its deadline, in case nobody else does.
    pub slack: Millis,
}

/// What the documents of a project may ask of pods that others would feel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    /// Registries, or paths below them, that images may come from: `registry.example:5000/team`,
    /// `docker.io/library`. None: all.
    pub registries: Option<Vec<String>>,
    /// Keys of taints that pods may tolerate. None: all but those of the cluster's own.
    pub tolerations: Option<Vec<String>>,
    /// Priority classes: who has a higher one may take the place of others.
    pub priority_classes: Vec<String>,
    /// Schedulers beside the cluster's.
    pub schedulers: Vec<String>,
    /// Accounts of the namespace whose rights pods may have.
    pub service_accounts: Vec<String>,
    /// Runtime classes: what stands between a container and its node.
    pub runtime_classes: Vec<String>,
    /// Labels of the nodes that pods go to, whatever is asked for: a document chooses among those.
    pub nodes: BTreeMap<String, String>,
}

/// The image that holds the runner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sdk {
    /// The image.
    pub image: String,
    /// What of it copies the runner into the directory that is its last argument, which is added.
    pub command: Vec<String>,
}

/// Where tasks find what they need.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoints {
    /// `FLOWFORGE_API_ENDPOINT`.
    pub api: String,
    /// `FLOWFORGE_REDIS_ENDPOINT`: empty unless the project may.
    pub redis: String,
    /// `FLOWFORGE_LOG_ENDPOINT`.
    pub log: String,
}

/// A pod security standard of Kubernetes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Security {
    /// An ordinary user, 10001 where nothing else is said, without capabilities.
    #[default]
    Restricted,
    /// The image's user, which may be root inside the container. For projects that were granted it.
    Baseline,
}

/// When images are pulled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pull {
    /// What the cluster does by itself: `latest` always, others when they are not there.
    #[default]
    ByTag,
    /// When they are not on the node.
    IfNotPresent,
    /// Each time.
    Always,
    /// Never: they must be there.
    Never,
}

impl Security {
    /// The standard's name in labels of namespaces.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Restricted => "restricted",
            Self::Baseline => "baseline",
        }
    }
}

impl Pull {
    /// What a container has that its document wants pulled so. `Always` and `Never` hold whatever
    /// documents say: with images that are on a node they are about who may have them.
    pub(crate) fn policy(self, wanted: Option<PullPolicy>) -> Option<&'static str> {
        let policy = match self {
            Self::ByTag => wanted,
            Self::IfNotPresent => Some(wanted.unwrap_or(PullPolicy::IfNotPresent)),
            Self::Always => Some(PullPolicy::Always),
            Self::Never => Some(PullPolicy::Never),
        };
        policy.map(PullPolicy::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_decides_unless_the_settings_say_always_or_never() {
        let wanted = Some(PullPolicy::Never);
        let policies = [Pull::ByTag, Pull::IfNotPresent, Pull::Always, Pull::Never]
            .map(|pull| (pull.policy(None), pull.policy(wanted)));
        assert_eq!(
            policies,
            [
                (None, Some("Never")),
                (Some("IfNotPresent"), Some("Never")),
                (Some("Always"), Some("Always")),
                (Some("Never"), Some("Never")),
            ]
        );
    }
}
