//! Whether the network of a cluster heeds policies: many take them and do nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use flowforge_model::id::EntityId;
use k8s_openapi::api::core::v1::{Container, Namespace, Pod, PodSpec, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::Api;
use kube::api::{DeleteParams, ObjectMeta, PostParams};
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use crate::access::{Cluster, PATIENCE, told};
use crate::answer::Answer;
use crate::config::ClusterConfig;
use crate::left::SILENCE;
use crate::namespaces::{self, SERVICE_ACCOUNT};
use crate::observed::Observed;
use crate::placement::{Grants, Security};
use crate::pod::security;
use crate::project::{Limits, Project};
use crate::{ClusterError, labels};

/// Where the runner is in its image.
const RUNNER: &str = "/flowforge/ff-run";
const PORT: u16 = 7070;
/// What the runner ends with that reached nobody.
const UNREACHED: i32 = 3;
/// For a pod to start, its image included, and to end.
const START: Duration = Duration::from_secs(120);
const GLANCE: Duration = Duration::from_millis(300);

impl Cluster {
    /// Whether the pods of one project are kept from those of another: two namespaces are made as those of projects are,
    /// and a pod in one of them tries to reach one in the other. Both are gone, or going, when this ends. Takes the
    /// rights of an executor, and that to delete namespaces.
    ///
    /// # Errors
    /// `Request`, also if a pod does not even reach its neighbour.
    pub async fn keeps_projects_apart(&self, config: &ClusterConfig) -> Result<bool, ClusterError> {
        let places = [Uuid::now_v7(), Uuid::now_v7()].map(EntityId);
        let apart = self.try_apart(config, places).await;
        let mut left = Ok(());
        for place in places {
            left = left.and(self.unmake(&place.namespace()).await);
        }
        let apart = apart.map_err(failed)?;
        left.map(|()| apart).map_err(failed)
    }

    async fn try_apart(
        &self,
        config: &ClusterConfig,
        [here, there]: [EntityId; 2],
    ) -> Result<bool, String> {
        for (place, name) in [(here, "here"), (there, "there")] {
            let project = Project {
                tenant: place,
                names: ("doctor".to_owned(), name.to_owned()),
                security: Security::Restricted,
                grants: Grants::default(),
                pull_secrets: Vec::new(),
                redis: false,
                limits: Limits::default(),
            };
            let made = namespaces::make(&self.client, config, place, &project).await;
            made.map_err(|answer| format!("the namespace {}: {}", place.namespace(), why(answer)))?;
        }
        let listener = self.probe(config, (here, "listen"), ["listen", &PORT.to_string()]).await?;
        let ip = listener.wait(Observed::ip).await?;
        let address = std::net::SocketAddr::new(ip, PORT).to_string();
        let neighbour = self.probe(config, (here, "neighbour"), ["reach", &address]).await?;
        if !neighbour.wait(Observed::reached).await? {
            return Err(
                "a pod does not reach another one of its namespace: nothing can be said".to_owned()
            );
        }
        let stranger = self.probe(config, (there, "stranger"), ["reach", &address]).await?;
        stranger.wait(Observed::reached).await.map(|reached| !reached)
    }

    async fn probe(
        &self,
        config: &ClusterConfig,
        (place, name): (EntityId, &str),
        args: [&str; 2],
    ) -> Result<Probe, String> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &place.namespace());
        let pod = pod(config, name, args);
        let made = timeout(PATIENCE, api.create(&PostParams::default(), &pod)).await;
        made.map_err(|_| SILENCE.to_owned())?
            .map_err(|error| format!("the pod {name}: {}", told(&error)))?;
        let api = Api::namespaced(self.client.clone(), &place.namespace());
        Ok(Probe { api, name: name.to_owned() })
    }

    async fn unmake(&self, namespace: &str) -> Result<(), String> {
        let api: Api<Namespace> = Api::all(self.client.clone());
        match timeout(PATIENCE, api.delete(namespace, &DeleteParams::default())).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(kube::Error::Api(status))) if status.code == 404 => Ok(()),
            Ok(Err(error)) => Err(format!("{namespace} is left: {}", told(&error))),
            Err(_) => Err(format!("{namespace} is left: {SILENCE}")),
        }
    }
}

struct Probe {
    api: Api<Observed>,
    name: String,
}

impl Probe {
    /// Looks at the pod until it says what is wanted.
    async fn wait<T>(&self, of: impl Fn(&Observed) -> Option<T>) -> Result<T, String> {
        let began = Instant::now();
        while began.elapsed() < START {
            let pod = timeout(PATIENCE, self.api.get(&self.name)).await;
            let pod = pod.map_err(|_| SILENCE.to_owned())?.map_err(|error| told(&error))?;
            if let Some(found) = of(&pod) {
                return Ok(found);
            }
            sleep(GLANCE).await;
        }
        Err(format!("the pod {} has not done its part in {} s", self.name, START.as_secs()))
    }
}

impl Observed {
    /// Its address, once it runs.
    fn ip(&self) -> Option<std::net::IpAddr> {
        let status = self.status.as_ref().filter(|of| of.phase.as_deref() == Some("Running"))?;
        status.pod_ip.as_ref()?.parse().ok()
    }

    /// Whether its runner reached somebody, once it has ended.
    fn reached(&self) -> Option<bool> {
        let status = self.status.as_ref()?;
        let main = status.container_statuses.iter().flatten().next()?;
        match main.state.as_ref()?.terminated.as_ref()?.exit_code {
            0 => Some(true),
            UNREACHED => Some(false),
            // It did not do its part, and so it is told.
            _ => None,
        }
    }
}

/// A pod with the runner alone. It belongs to no attempt, so that no executor takes it for one that is left over.
fn pod(config: &ClusterConfig, name: &str, args: [&str; 2]) -> Pod {
    let amounts = [("cpu", "50m"), ("memory", "32Mi")]
        .map(|(name, value)| (name.to_owned(), Quantity(value.to_owned())));
    let amounts: BTreeMap<String, Quantity> = amounts.into();
    let command = [RUNNER].iter().chain(&args).map(|part| (*part).to_owned());
    let container = Container {
        name: "main".to_owned(),
        image: Some(config.sdk.image.clone()),
        command: Some(command.collect()),
        security_context: security::container(Security::Restricted),
        resources: Some(ResourceRequirements {
            requests: Some(amounts.clone()),
            limits: Some(amounts),
            ..ResourceRequirements::default()
        }),
        ..Container::default()
    };
    let labels = [(labels::MANAGED_BY.to_owned(), labels::PRODUCT.to_owned())];
    Pod {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            labels: Some(labels.into()),
            ..ObjectMeta::default()
        },
        spec: Some(PodSpec {
            containers: vec![container],
            restart_policy: Some("Never".to_owned()),
            service_account_name: Some(SERVICE_ACCOUNT.to_owned()),
            automount_service_account_token: Some(false),
            termination_grace_period_seconds: Some(0),
            security_context: Some(security::pod(Security::Restricted)),
            ..PodSpec::default()
        }),
        status: None,
    }
}

fn why(answer: Answer) -> String {
    match answer {
        Answer::Again(again) => again.why,
        Answer::Never(failure) => failure.message,
        Answer::Exists | Answer::Missing | Answer::NoNamespace | Answer::Another => {
            "it came and went".to_owned()
        }
    }
}

fn failed(why: String) -> ClusterError {
    ClusterError::Request { what: "whether projects are kept apart".to_owned(), why }
}
