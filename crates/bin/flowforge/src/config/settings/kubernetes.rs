//! Executors that run tasks as pods.

use std::net::SocketAddr;

use flowforge_cluster::{Bounds, Pull};
use flowforge_model::id::EntityId;
use flowforge_model::time::Millis;

use super::Setting;
use super::grants::{Granted, Nodes};
use super::values::{address, file, list, name, pause, server, show_span, word};

/// What runs tasks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Runs {
    /// Local processes.
    #[default]
    Processes,
    /// Pods of a cluster.
    Pods,
}

/// The cluster whose pods run tasks, and what they may.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct KubernetesSettings {
    pub(crate) runs: Runs,
    /// A file that says where the cluster is; empty inside of one.
    pub(crate) kubeconfig: String,
    /// The image that holds the runner.
    pub(crate) sdk_image: String,
    /// Where API servers listen for pods; nowhere if it is not said.
    pub(crate) listen: Option<SocketAddr>,
    /// Where pods reach that.
    pub(crate) api_endpoint: String,
    /// Tasks may run as root inside their containers.
    pub(crate) baseline: bool,
    /// Those of these projects may, whatever holds for others.
    pub(crate) baseline_projects: Vec<EntityId>,
    /// Registries that images may come from; empty: all.
    pub(crate) registries: Granted,
    /// Secrets of the namespaces that images are pulled with.
    pub(crate) pull_secrets: Vec<String>,
    /// Keys of taints that pods may tolerate; empty: all but the cluster's own.
    pub(crate) tolerations: Granted,
    /// Priority classes that pods may have.
    pub(crate) priority_classes: Granted,
    /// Schedulers that pods may name beside the cluster's.
    pub(crate) schedulers: Granted,
    /// Accounts of their namespaces whose rights pods may have.
    pub(crate) service_accounts: Granted,
    /// Runtime classes that pods may have.
    pub(crate) runtime_classes: Granted,
    /// Labels of the nodes that pods go to.
    pub(crate) nodes: Nodes,
    pub(crate) pull: Pull,
    /// Networks that tasks must not reach.
    pub(crate) forbidden: Vec<String>,
    /// For how long the members of a gang wait for nodes, if it is said.
    pub(crate) gang_bind: Option<Millis>,
    /// For how long an image is fetched again, if it is said.
    pub(crate) pull_timeout: Option<Millis>,
    /// How long a pod that should be gone may be there before its node counts as lost, if it is said.
    pub(crate) node_timeout: Option<Millis>,
}

impl KubernetesSettings {
    /// How long things of pods may take.
    pub(crate) fn bounds(&self) -> Bounds {
        let bounds = Bounds::default();
        Bounds {
            bind: self.gang_bind.unwrap_or(bounds.bind),
            pull: self.pull_timeout.unwrap_or(bounds.pull),
            node: self.node_timeout.unwrap_or(bounds.node),
            ..bounds
        }
    }
}

const RUNS: &[(&str, Runs)] = &[("processes", Runs::Processes), ("kubernetes", Runs::Pods)];
const SECURITY: &[(&str, bool)] = &[("restricted", false), ("baseline", true)];
const PULLS: &[(&str, Pull)] = &[
    ("by-tag", Pull::ByTag),
    ("if-not-present", Pull::IfNotPresent),
    ("always", Pull::Always),
    ("never", Pull::Never),
];

pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        path: "kubernetes.tasks",
        secret: false,
        set: |s, v| word(v, RUNS).map(|runs| s.kubernetes.runs = runs),
        get: |s| name(&s.kubernetes.runs, RUNS),
    },
    Setting {
        path: "kubernetes.kubeconfig",
        secret: false,
        set: |s, v| file(v).map(|path| s.kubernetes.kubeconfig = path),
        get: |s| s.kubernetes.kubeconfig.clone(),
    },
    Setting {
        path: "kubernetes.sdk_image",
        secret: false,
        set: |s, v| image(v).map(|image| s.kubernetes.sdk_image = image),
        get: |s| s.kubernetes.sdk_image.clone(),
    },
    Setting {
        path: "kubernetes.listen",
        secret: false,
        set: |s, v| address(v).map(|listen| s.kubernetes.listen = listen),
        get: |s| s.kubernetes.listen.map(|address| address.to_string()).unwrap_or_default(),
    },
    Setting {
        path: "kubernetes.api_endpoint",
        secret: false,
        set: |s, v| endpoint(v).map(|url| s.kubernetes.api_endpoint = url),
        get: |s| s.kubernetes.api_endpoint.clone(),
    },
    Setting {
        path: "kubernetes.pod_security",
        secret: false,
        set: |s, v| word(v, SECURITY).map(|baseline| s.kubernetes.baseline = baseline),
        get: |s| name(&s.kubernetes.baseline, SECURITY),
    },
    Setting {
        path: "kubernetes.baseline_projects",
        secret: false,
        set: |s, v| projects(v).map(|projects| s.kubernetes.baseline_projects = projects),
        get: |s| {
            let all = s.kubernetes.baseline_projects.iter().map(ToString::to_string);
            all.collect::<Vec<_>>().join(", ")
        },
    },
    Setting {
        path: "kubernetes.registries",
        secret: false,
        set: |s, v| v.parse().map(|granted| s.kubernetes.registries = granted),
        get: |s| s.kubernetes.registries.to_string(),
    },
    Setting {
        path: "kubernetes.pull_secrets",
        secret: false,
        set: |s, v| list(v).map(|secrets| s.kubernetes.pull_secrets = secrets),
        get: |s| s.kubernetes.pull_secrets.join(", "),
    },
    Setting {
        path: "kubernetes.tolerations",
        secret: false,
        set: |s, v| v.parse().map(|granted| s.kubernetes.tolerations = granted),
        get: |s| s.kubernetes.tolerations.to_string(),
    },
    Setting {
        path: "kubernetes.priority_classes",
        secret: false,
        set: |s, v| v.parse().map(|granted| s.kubernetes.priority_classes = granted),
        get: |s| s.kubernetes.priority_classes.to_string(),
    },
    Setting {
        path: "kubernetes.schedulers",
        secret: false,
        set: |s, v| v.parse().map(|granted| s.kubernetes.schedulers = granted),
        get: |s| s.kubernetes.schedulers.to_string(),
    },
    Setting {
        path: "kubernetes.service_accounts",
        secret: false,
        set: |s, v| v.parse().map(|granted| s.kubernetes.service_accounts = granted),
        get: |s| s.kubernetes.service_accounts.to_string(),
    },
    Setting {
        path: "kubernetes.runtime_classes",
        secret: false,
        set: |s, v| v.parse().map(|granted| s.kubernetes.runtime_classes = granted),
        get: |s| s.kubernetes.runtime_classes.to_string(),
    },
    Setting {
        path: "kubernetes.node_selector",
        secret: false,
        set: |s, v| v.parse().map(|nodes| s.kubernetes.nodes = nodes),
        get: |s| s.kubernetes.nodes.to_string(),
    },
    Setting {
        path: "kubernetes.pull_policy",
        secret: false,
        set: |s, v| word(v, PULLS).map(|pull| s.kubernetes.pull = pull),
        get: |s| name(&s.kubernetes.pull, PULLS),
    },
    Setting {
        path: "kubernetes.forbidden",
        secret: false,
        set: |s, v| list(v).map(|networks| s.kubernetes.forbidden = networks),
        get: |s| s.kubernetes.forbidden.join(", "),
    },
    Setting {
        path: "kubernetes.gang_bind_timeout",
        secret: false,
        set: |s, v| pause(v).map(|span| s.kubernetes.gang_bind = Some(span)),
        get: |s| show_span(Some(s.kubernetes.bounds().bind)),
    },
    Setting {
        path: "kubernetes.pull_timeout",
        secret: false,
        set: |s, v| pause(v).map(|span| s.kubernetes.pull_timeout = Some(span)),
        get: |s| show_span(Some(s.kubernetes.bounds().pull)),
    },
    Setting {
        path: "kubernetes.node_timeout",
        secret: false,
        set: |s, v| pause(v).map(|span| s.kubernetes.node_timeout = Some(span)),
        get: |s| show_span(Some(s.kubernetes.bounds().node)),
    },
];

/// By id: a name could be given to another project.
fn projects(value: &str) -> Result<Vec<EntityId>, String> {
    let ids = list(value)?.into_iter().map(|id| {
        id.parse().map_err(|_| {
            format!("a list of ids of projects, as `ffctl project list` shows them: {id:?} is none")
        })
    });
    ids.collect()
}

fn image(value: &str) -> Result<String, String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:/@".contains(&byte);
    if value.bytes().all(fits) {
        Ok(value.to_owned())
    } else {
        Err("an image such as registry/flowforge/sdk:1".to_owned())
    }
}

/// Pods speak no TLS.
fn endpoint(value: &str) -> Result<String, String> {
    server(value)
        .filter(|url| !url.starts_with("https://"))
        .ok_or_else(|| "a URL such as http://flowforge.example:8081 that pods reach".to_owned())
}
