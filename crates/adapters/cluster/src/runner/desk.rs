//! Single requests to the cluster, each tried until there is an answer that counts.

use std::sync::Arc;

use flowforge_model::attempt::{Failure, WorkOrder};
use flowforge_model::id::AttemptId;
use flowforge_model::time::Timestamp;
#[cfg(test)]
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::ClusterPorts;
use crate::access::{Cluster, PATIENCE};
use crate::answer::{self, Again, Answer};
use crate::backoff::Backoff;
use crate::book::{Place, PodRef};
use crate::config::ClusterConfig;
use crate::left;
use crate::namespaces::Namespaces;
use crate::observed::Observed;
use crate::pace::{Kind, Pace};

/// What the loop hears.
#[derive(Debug)]
pub(super) enum Heard {
    Start(Arc<WorkOrder>),
    Stop(AttemptId),
    Settled(AttemptId),
    /// The pod that has the name, or why there is none.
    Made(Place, Result<Box<Observed>, Failure>),
    Read(Place, Box<Observed>),
    Missing(Place, PodRef),
}

/// Where the cluster is asked.
pub(crate) struct Desk {
    pub(crate) cluster: Cluster,
    pub(crate) config: ClusterConfig,
    pub(crate) ports: ClusterPorts,
    pub(crate) pace: Pace,
    pub(crate) namespaces: Namespaces,
    /// Changes pods before they are made.
    #[cfg(test)]
    pub(super) dress: fn(&mut Pod),
}

impl Desk {
    pub(super) fn new(cluster: Cluster, config: ClusterConfig, ports: ClusterPorts) -> Self {
        let pace = Pace::new(config.requests_per_second, config.burst);
        Self {
            cluster,
            config,
            ports,
            pace,
            namespaces: Namespaces::default(),
            #[cfg(test)]
            dress: |_| (),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.ports.clock.now()
    }

    pub(super) fn pods(&self, namespace: &str) -> Api<Observed> {
        Api::namespaced(self.cluster.client.clone(), namespace)
    }

    /// Asks for the deletion of exactly this pod. True if it is not there any more.
    pub(super) async fn delete(&self, pod: &PodRef) -> bool {
        let how = left::exactly(&pod.uid);
        let api = self.pods(&pod.namespace);
        let mut backoff = Backoff::default();
        loop {
            let turn = self.pace.turn(Kind::Delete).await;
            let answer = match timeout(PATIENCE, api.delete(&pod.name, &how)).await {
                Ok(Ok(_)) => return false,
                Ok(Err(error)) => answer::read(&error),
                Err(_) => answer::silence(),
            };
            drop(turn);
            match answer {
                Answer::Missing | Answer::NoNamespace | Answer::Another => return true,
                Answer::Again(again) => self.pause(&again, &mut backoff).await,
                Answer::Exists | Answer::Never(_) => {
                    tracing::warn!(?pod, ?answer, "a pod cannot be deleted and is left");
                    return false;
                }
            }
        }
    }

    /// Looks whether this pod is there, at the cluster's database and not in a cache.
    pub(super) async fn read(&self, place: Place, pod: PodRef) -> Heard {
        match self.get(&pod.namespace, &pod.name).await {
            Some(found) if found.metadata.uid.as_ref() == Some(&pod.uid) => {
                Heard::Read(place, Box::new(found))
            }
            _ => Heard::Missing(place, pod),
        }
    }

    pub(super) async fn get(&self, namespace: &str, name: &str) -> Option<Observed> {
        let api = self.pods(namespace);
        let mut backoff = Backoff::default();
        loop {
            let answer = match timeout(PATIENCE, api.get(name)).await {
                Ok(Ok(pod)) => return Some(pod),
                Ok(Err(error)) => answer::read(&error),
                Err(_) => answer::silence(),
            };
            match answer {
                Answer::Missing | Answer::NoNamespace => return None,
                Answer::Again(again) => self.pause(&again, &mut backoff).await,
                // No right to read, say: whoever gives it back ends this.
                Answer::Exists | Answer::Another | Answer::Never(_) => {
                    tracing::warn!(name, ?answer, "a pod cannot be read");
                    tokio::time::sleep(backoff.next()).await;
                }
            }
        }
    }

    pub(crate) async fn pause(&self, again: &Again, backoff: &mut Backoff) {
        let pause = backoff.next().max(again.pause.unwrap_or_default());
        tracing::debug!(why = again.why, ?pause, "the cluster is asked again");
        if let Some(pause) = again.pause {
            self.pace.hold(pause);
        }
        tokio::time::sleep(pause).await;
    }
}

/// Nobody listens any more when the loop has ended.
pub(super) fn tell(messages: &mpsc::UnboundedSender<Heard>, heard: Heard) {
    if messages.send(heard).is_err() {
        tracing::debug!("the runner of pods has ended");
    }
}
