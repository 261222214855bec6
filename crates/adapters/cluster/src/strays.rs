//! Pods that nobody looks after: whoever should have deleted them may have died.

use flowforge_model::attempt::AttemptKey;
use k8s_openapi::api::core::v1::Pod;
use kube::Resource;
use kube::api::{ListParams, ObjectMeta};
use kube::core::Request;

use crate::access::Cluster;
use crate::observed::Observed;
use crate::{ClusterError, labels, left};

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
        let page = |how: ListParams| async move {
            let all = Request::new(Pod::url_path(&(), None)).list_metadata(&how);
            self.client.request(all.map_err(kube::Error::BuildRequest)?).await
        };
        let keep = |pod: Observed| stray(pod.metadata);
        let (all, _) = left::all(&labels::selector(name), page, keep).await.map_err(failed)?;
        Ok(all)
    }

    /// Deletes a pod; one that is gone already is no error.
    ///
    /// # Errors
    /// `Request`.
    pub async fn remove(&self, stray: &Stray) -> Result<(), ClusterError> {
        let Stray { namespace, name, uid, .. } = stray;
        self.delete::<Pod>(namespace, name, uid).await.map_err(failed)
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
