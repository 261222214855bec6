//! Pods that nobody looks after: whoever should have deleted them may have died.

use flowforge_model::attempt::AttemptKey;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{DeleteParams, ListParams, ObjectMeta, Preconditions};
use tokio::time::timeout;

use crate::access::{Cluster, PATIENCE, told};
use crate::{ClusterError, labels};

/// Pods of one page of a list.
const PAGE: u32 = 500;

/// A pod and the attempt that it says it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stray {
    /// The attempt.
    pub attempt: AttemptKey,
    namespace: String,
    name: String,
    uid: String,
}

impl Cluster {
    /// All pods that executors of the cluster called `name` made, whoever looks after them.
    ///
    /// # Errors
    /// `Request`.
    pub async fn pods(&self, name: &str) -> Result<Vec<Stray>, ClusterError> {
        let api: Api<Pod> = Api::all(self.client.clone());
        let mut how = ListParams::default().labels(&labels::selector(name)).limit(PAGE);
        let mut all = Vec::new();
        loop {
            let page = timeout(PATIENCE, api.list_metadata(&how)).await;
            let page = page.map_err(|_| failed("no answer in time".to_owned()))?;
            let page = page.map_err(|error| failed(told(&error)))?;
            all.extend(page.items.into_iter().filter_map(|pod| stray(pod.metadata)));
            match page.metadata.continue_ {
                Some(next) if !next.is_empty() => how = how.continue_token(&next),
                Some(_) | None => return Ok(all),
            }
        }
    }

    /// Deletes a pod; one that is gone already is no error.
    ///
    /// # Errors
    /// `Request`.
    pub async fn remove(&self, stray: &Stray) -> Result<(), ClusterError> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &stray.namespace);
        let uid = Some(stray.uid.clone());
        let preconditions = Some(Preconditions { uid, resource_version: None });
        let how = DeleteParams { preconditions, ..DeleteParams::default() };
        match timeout(PATIENCE, api.delete(&stray.name, &how)).await {
            Ok(Ok(_)) => Ok(()),
            // It is gone, or another one has its name by now.
            Ok(Err(kube::Error::Api(status))) if matches!(status.code, 404 | 409) => Ok(()),
            Ok(Err(error)) => Err(failed(told(&error))),
            Err(_) => Err(failed("no answer in time".to_owned())),
        }
    }
}

fn failed(why: String) -> ClusterError {
    ClusterError::Request { what: "pods that are left".to_owned(), why }
}

/// What says in its annotation for which attempt it is.
fn stray(pod: ObjectMeta) -> Option<Stray> {
    let path = pod.annotations?.remove(labels::ATTEMPT_KEY)?;
    Some(Stray {
        attempt: path.parse().ok()?,
        namespace: pod.namespace?,
        name: pod.name?,
        uid: pod.uid?,
    })
}

#[cfg(test)]
mod tests {
    use flowforge_model::id::NodeIx;

    use super::*;

    #[test]
    fn a_pod_is_found_by_what_it_says_of_itself() {
        let said = |path: &str| ObjectMeta {
            annotations: Some([(labels::ATTEMPT_KEY.to_owned(), path.to_owned())].into()),
            namespace: Some("ns".to_owned()),
            name: Some("ff-a".to_owned()),
            uid: Some("1".to_owned()),
            ..ObjectMeta::default()
        };
        let found = stray(said("01890a5d-ac96-774b-bcce-b302099a8057/3/2")).unwrap();
        assert_eq!((found.attempt.node, found.attempt.number), (NodeIx(3), 2));
        for wrong in ["", "x/1/1", "01890a5d-ac96-774b-bcce-b302099a8057/3"] {
            assert_eq!(stray(said(wrong)), None, "{wrong}");
        }
        assert_eq!(stray(ObjectMeta::default()), None);
    }
}
