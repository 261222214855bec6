//! A pod as far as anything depends on it: which one it is, and what its status says.
//!
//! What it is made of, and who wrote which field of it, is most of what servers send, and is skipped as it is read:
//! thousands of pods are watched, and each is sent several times.

use std::borrow::Cow;
use std::collections::BTreeMap;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::Resource;
use serde::{Deserialize, Deserializer};

use crate::labels::{ATTEMPT, ATTEMPT_KEY, MEMBER};

/// What is seen of a pod.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct Observed {
    /// Its name, place, version and times, and the labels and the annotation that say what it is for.
    #[serde(default, deserialize_with = "metadata")]
    pub metadata: ObjectMeta,
    /// What became of it, without what nobody asks for of its containers.
    #[serde(default, deserialize_with = "status")]
    pub status: Option<PodStatus>,
}

/// The metadata that are read.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Metadata {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    labels: Option<Labels>,
    annotations: Option<Annotations>,
    creation_timestamp: Option<Time>,
    deletion_timestamp: Option<Time>,
}

/// Those that are read: documents may add any number of others.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Labels {
    #[serde(rename = "flowforge.io/attempt-id")]
    attempt: Option<String>,
    #[serde(rename = "flowforge.io/member")]
    member: Option<String>,
}

impl Labels {
    fn of(all: &mut BTreeMap<String, String>) -> Self {
        Self { attempt: all.remove(ATTEMPT), member: all.remove(MEMBER) }
    }

    fn into_map(self) -> BTreeMap<String, String> {
        let all = [(ATTEMPT, self.attempt), (MEMBER, self.member)];
        all.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    }
}

/// Those that are read: others may hold whole files.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Annotations {
    #[serde(rename = "flowforge.io/attempt")]
    attempt: Option<String>,
}

impl Annotations {
    fn into_map(self) -> Option<BTreeMap<String, String>> {
        self.attempt.map(|attempt| [(ATTEMPT_KEY.to_owned(), attempt)].into())
    }
}

fn metadata<'de, D: Deserializer<'de>>(from: D) -> Result<ObjectMeta, D::Error> {
    let read = Metadata::deserialize(from)?;
    Ok(ObjectMeta {
        name: read.name,
        namespace: read.namespace,
        uid: read.uid,
        resource_version: read.resource_version,
        labels: read.labels.map(Labels::into_map),
        annotations: read.annotations.and_then(Annotations::into_map),
        creation_timestamp: read.creation_timestamp,
        deletion_timestamp: read.deletion_timestamp,
        ..ObjectMeta::default()
    })
}

fn status<'de, D: Deserializer<'de>>(from: D) -> Result<Option<PodStatus>, D::Error> {
    Option::<PodStatus>::deserialize(from).map(|status| status.map(kept))
}

/// Lists are read with room for four, of which most pods have one container: most of what is kept of a pod would be
/// room for others.
fn kept(status: PodStatus) -> PodStatus {
    PodStatus {
        conditions: fitting(status.conditions),
        container_statuses: containers(status.container_statuses),
        init_container_statuses: containers(status.init_container_statuses),
        ephemeral_container_statuses: None,
        host_ip: None,
        host_ips: None,
        pod_ips: None,
        ..status
    }
}

fn containers(all: Option<Vec<ContainerStatus>>) -> Option<Vec<ContainerStatus>> {
    let kept = |one: ContainerStatus| ContainerStatus {
        name: one.name,
        ready: one.ready,
        restart_count: one.restart_count,
        started: one.started,
        state: one.state,
        last_state: one.last_state,
        ..ContainerStatus::default()
    };
    fitting(all.map(|all| all.into_iter().map(kept).collect()))
}

fn fitting<T>(all: Option<Vec<T>>) -> Option<Vec<T>> {
    all.map(|all| all.into_boxed_slice().into_vec())
}

impl From<Pod> for Observed {
    fn from(pod: Pod) -> Self {
        let attempt = pod.metadata.annotations.and_then(|mut all| all.remove(ATTEMPT_KEY));
        let annotations = Annotations { attempt }.into_map();
        let labels = pod.metadata.labels.map(|mut all| Labels::of(&mut all).into_map());
        let metadata = ObjectMeta { managed_fields: None, annotations, labels, ..pod.metadata };
        Self { metadata, status: pod.status.map(kept) }
    }
}

impl Resource for Observed {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind(of: &()) -> Cow<'_, str> {
        Pod::kind(of)
    }

    fn group(of: &()) -> Cow<'_, str> {
        Pod::group(of)
    }

    fn version(of: &()) -> Cow<'_, str> {
        Pod::version(of)
    }

    fn plural(of: &()) -> Cow<'_, str> {
        Pod::plural(of)
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pod_is_read_without_what_it_is_made_of() {
        let sent = json!({
            "kind": "Pod",
            "apiVersion": "v1",
            "metadata": {
                "name": "ff-a", "namespace": "p", "uid": "u", "resourceVersion": "7",
                "labels": {"a": "b", ATTEMPT: "x", MEMBER: "1"},
                "annotations": {"large": "x", ATTEMPT_KEY: "of it"}, "creationTimestamp": "2023-11-14T22:13:00Z",
                "deletionTimestamp": "2023-11-14T22:14:00Z", "managedFields": [{"manager": "kubelet"}],
            },
            "spec": {"containers": [{"name": "main"}]},
            "status": {
                "phase": "Running", "podIP": "10.0.0.1", "hostIPs": [{"ip": "10.0.0.2"}],
                "containerStatuses": [{
                    "name": "main", "ready": true, "restartCount": 0, "image": "busybox", "imageID": "sha256:1",
                    "state": {"running": {}}, "volumeMounts": [{"name": "a", "mountPath": "/a"}],
                }],
            },
        });
        let seen: Observed = serde_json::from_value(sent.clone()).unwrap();
        let pod: Pod = serde_json::from_value(sent).unwrap();
        assert_eq!(seen, Observed::from(pod));
        let kept = [(ATTEMPT_KEY.to_owned(), "of it".to_owned())];
        assert_eq!(seen.metadata.annotations, Some(kept.into()));
        let kept = [(ATTEMPT, "x"), (MEMBER, "1")].map(|(name, value)| (name.into(), value.into()));
        assert_eq!(seen.metadata.labels, Some(kept.into()));
        assert!(seen.metadata.deletion_timestamp.is_some());
        let status = seen.status.unwrap();
        assert_eq!((status.pod_ip.as_deref(), &status.host_ips), (Some("10.0.0.1"), &None));
        let [main] = &status.container_statuses.as_deref().unwrap() else { panic!("{status:?}") };
        assert_eq!((&*main.name, &*main.image, &main.volume_mounts), ("main", "", &None));
        assert!(main.state.as_ref().is_some_and(|state| state.running.is_some()));
        assert_eq!(serde_json::from_str::<Observed>("{}").unwrap(), Observed::default());
    }
}
