//! Executors whose tasks are pods of a cluster.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use flowforge_cluster::{
    Access, Asked, Cluster, ClusterConfig, ClusterPorts, ClusterRunner, Endpoints, Limits, Project,
    Projects, Sdk, Security, Stray,
};
use flowforge_model::attempt::AttemptKey;
use flowforge_model::id::{EntityId, InstanceId};
use flowforge_model::quota::Dimension;
use flowforge_ports::clock::SystemClock;
use flowforge_ports::organization::Organizations;
use flowforge_ports::pods::Pods as _;
use flowforge_ports::queue::ClusterName;
use flowforge_ports::runner::FactSink;
use flowforge_store::PostgresStore;
use tokio::runtime::Handle;

use crate::claims::Stands;
use crate::config::{KubernetesSettings, Settings};
use crate::executors::GRACE;

/// Pods made and deleted, a second and at once.
const REQUESTS: (u32, u32) = (200, 400);
/// How often it is looked for pods that nobody needs any more, and for changed keys of the cluster.
const TIDY: Duration = Duration::from_secs(60);
/// Characters of a label's value.
const LABEL: usize = 63;
/// Attempts asked about at once.
const ASKED: usize = 500;

/// Projects as clusters see them.
struct Owners {
    store: Arc<PostgresStore>,
    settings: KubernetesSettings,
}

impl Projects for Owners {
    fn project(&self, id: EntityId) -> Asked<'_> {
        Box::pin(async move {
            let organization =
                self.store.organization().await.map_err(|error| error.to_string())?;
            let Some(project) = organization.node(id) else { return Ok(None) };
            let tenant = organization.node(project.tenant);
            let above = organization.above(project).map(|node| node.id);
            let ids: Vec<EntityId> = std::iter::once(id).chain(above).collect();
            let quota = organization.quota_of(project).map(|named| &named.quota);
            let limit = |dimension| quota.and_then(|quota| quota.limit(dimension));
            let baseline = self.settings.baseline || self.settings.baseline_projects.contains(&id);
            let security = if baseline { Security::Baseline } else { Security::Restricted };
            Ok(Some(Project {
                tenant: project.tenant,
                names: (
                    tenant.map(|tenant| tenant.name.clone()).unwrap_or_default(),
                    project.name.clone(),
                ),
                security,
                grants: self.settings.grants(&ids),
                pull_secrets: self.settings.pull_secrets.clone(),
                redis: false,
                limits: Limits {
                    cpu: limit(Dimension::CpuRequest),
                    memory: limit(Dimension::MemoryRequest),
                    gpu: limit(Dimension::Gpu),
                    pods: limit(Dimension::Pods),
                },
            }))
        })
    }
}

/// Reaches the cluster, writes down whose tokens its pods show, and runs what it is given as pods.
pub(super) async fn runner(
    store: &Arc<PostgresStore>,
    settings: &Settings,
    sink: Arc<dyn FactSink>,
) -> anyhow::Result<(ClusterRunner, Pods)> {
    let kubernetes = &settings.kubernetes;
    needed(&kubernetes.sdk_image, "kubernetes.sdk_image")?;
    needed(&kubernetes.api_endpoint, "kubernetes.api_endpoint")?;
    let cluster = connect(kubernetes).await?;
    let keys = cluster.keys(settings.cluster.as_str()).await?;
    store.put_cluster(keys).await.context("write down the cluster's keys")?;
    let name = name(store, settings).await?;
    let config = config(settings, name.clone());
    let projects = Owners { store: Arc::clone(store), settings: kubernetes.clone() };
    let clock = Arc::new(SystemClock);
    let ports = ClusterPorts { facts: sink, clock, projects: Arc::new(projects) };
    let runner = ClusterRunner::new(cluster.clone(), config, ports, &Handle::current())?;
    Ok((runner, Pods { store: Arc::clone(store), cluster, keys: settings.cluster.clone(), name }))
}

/// Whether the network of the cluster keeps the pods of projects apart, as their policies say.
pub(crate) async fn keeps_projects_apart(settings: &Settings) -> anyhow::Result<bool> {
    needed(&settings.kubernetes.sdk_image, "kubernetes.sdk_image")?;
    let cluster = connect(&settings.kubernetes).await?;
    let config = config(settings, settings.cluster.to_string());
    Ok(cluster.keeps_projects_apart(&config).await?)
}

fn needed(value: &str, path: &str) -> anyhow::Result<()> {
    ensure!(!value.is_empty(), "{path} is not set: pods need it (docs/operate/kubernetes.md)");
    Ok(())
}

fn config(settings: &Settings, name: String) -> ClusterConfig {
    let kubernetes = &settings.kubernetes;
    ClusterConfig {
        name,
        sdk: Sdk {
            image: kubernetes.sdk_image.clone(),
            command: ["/flowforge/ff-run", "install"].map(str::to_owned).into(),
        },
        endpoints: Endpoints {
            api: kubernetes.api_endpoint.clone(),
            redis: String::new(),
            log: kubernetes.api_endpoint.clone(),
        },
        pull: kubernetes.pull,
        entrypoints: settings.images.clone(),
        grace: GRACE,
        bounds: kubernetes.bounds(),
        requests_per_second: REQUESTS.0,
        burst: REQUESTS.1,
        forbidden: kubernetes.forbidden.clone(),
    }
}

/// The way to the cluster of the settings.
pub(super) async fn connect(settings: &KubernetesSettings) -> anyhow::Result<Cluster> {
    let access = match settings.kubeconfig.as_str() {
        "" => Access::InCluster,
        path => Access::Kubeconfig(PathBuf::from(path)),
    };
    Cluster::connect(&access).await.context("kubernetes.kubeconfig")
}

/// What the pods of this installation are called by there.
pub(super) async fn name(store: &PostgresStore, settings: &Settings) -> anyhow::Result<String> {
    let installation = store.installation().await.context("read who we are")?;
    label(&settings.cluster, installation)
}

/// What pods of these executors are called by: others may use the cluster, and the queue's name, too.
fn label(cluster: &ClusterName, installation: InstanceId) -> anyhow::Result<String> {
    let number = installation.0.simple().to_string();
    let number = number.get(..8).unwrap_or_default();
    let name = format!("{cluster}-{number}");
    ensure!(
        name.len() <= LABEL,
        "role.cluster: {cluster} has more than {} characters, too many for a label of Kubernetes",
        LABEL - 9
    );
    Ok(name)
}

/// The pods of a cluster that are ours.
pub(super) struct Pods {
    store: Arc<PostgresStore>,
    cluster: Cluster,
    /// Under which name its keys are written down.
    keys: ClusterName,
    /// What its pods are called by.
    name: String,
}

impl Pods {
    /// Deletes those of attempts that are over and claims of workflows that are, and writes down keys that
    /// changed, now and again.
    pub(super) async fn tidy(self) {
        loop {
            tokio::time::sleep(TIDY).await;
            let all =
                [self.renew_keys().await, self.remove_strays().await, self.remove_claims().await];
            for done in all {
                if let Err(error) = done {
                    let error = format!("{error:#}");
                    tracing::warn!(error, "the cluster cannot be tidied");
                }
            }
        }
    }

    async fn renew_keys(&self) -> anyhow::Result<()> {
        let keys = self.cluster.keys(self.keys.as_str()).await?;
        Ok(self.store.put_cluster(keys).await?)
    }

    async fn remove_strays(&self) -> anyhow::Result<()> {
        let pods = self.cluster.pods(&self.name).await?;
        for some in pods.chunks(ASKED) {
            let keys: Vec<AttemptKey> = some.iter().map(|pod| pod.attempt).collect();
            let over = self.store.over(&keys).await?;
            for stray in some.iter().filter(|pod: &&Stray| over.contains(&pod.attempt)) {
                let attempt = stray.attempt;
                tracing::info!(?attempt, "deletes a pod that nobody needs any more");
                // One that stays keeps none of the others.
                if let Err(error) = self.cluster.remove(stray).await {
                    tracing::warn!(%error, ?attempt, "a pod cannot be deleted");
                }
            }
        }
        Ok(())
    }

    /// Deletes claims of workflows that succeeded or were deleted, as local ones are.
    async fn remove_claims(&self) -> anyhow::Result<()> {
        let claims = self.cluster.claims(&self.name).await?;
        let mut stands = HashMap::new();
        for claim in claims {
            let workflow = claim.workflow;
            let stands = match stands.entry(workflow) {
                Entry::Occupied(known) => *known.get(),
                Entry::Vacant(new) => *new.insert(Stands::of(&*self.store, workflow).await),
            };
            if stands == Stands::Needed {
                continue;
            }
            tracing::info!(%workflow, "deletes a claim that its workflow does not need any more");
            if let Err(error) = self.cluster.remove_claim(&claim).await {
                tracing::warn!(%error, %workflow, "a claim cannot be deleted");
            }
        }
        Ok(())
    }
}
