//! What is in a cluster: found page by page, and deleted exactly.

use std::fmt::Debug;
use std::future::Future;

use k8s_openapi::NamespaceResourceScope;
use kube::api::{DeleteParams, ListParams, ObjectList, Preconditions};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::access::{Cluster, PATIENCE, told};

/// Objects of one page of a list.
const PAGE: u32 = 500;

pub(crate) const SILENCE: &str = "no answer in time";

/// What `keep` leaves of all of them, as they are now and not as some cache has them, and the version of that. No
/// more than a page of them is there whole.
pub(crate) async fn all<K, T, F>(
    selector: &str,
    page: impl Fn(ListParams) -> F,
    keep: impl Fn(K) -> Option<T>,
) -> Result<(Vec<T>, String), String>
where
    K: Clone,
    F: Future<Output = kube::Result<ObjectList<K>>>,
{
    let mut how = ListParams::default().labels(selector).limit(PAGE);
    let mut all = Vec::new();
    loop {
        let page = timeout(PATIENCE, page(how.clone())).await;
        let page = page.map_err(|_| SILENCE.to_owned())?.map_err(|error| told(&error))?;
        all.extend(page.items.into_iter().filter_map(&keep));
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => how = how.continue_token(&token),
            None => return Ok((all, page.metadata.resource_version.unwrap_or_default())),
        }
    }
}

/// Deletes this one, and none that has its name by then.
pub(crate) fn exactly(uid: &str) -> DeleteParams {
    let same = Preconditions { uid: Some(uid.to_owned()), resource_version: None };
    DeleteParams::default().preconditions(same)
}

impl Cluster {
    /// Deletes one; that it is gone already is no error.
    pub(crate) async fn delete<K>(
        &self,
        namespace: &str,
        name: &str,
        uid: &str,
    ) -> Result<(), String>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + Debug
            + DeserializeOwned,
    {
        let api: Api<K> = Api::namespaced(self.client.clone(), namespace);
        match timeout(PATIENCE, api.delete(name, &exactly(uid))).await {
            Ok(Ok(_)) => Ok(()),
            // It is gone, or another one has its name by now.
            Ok(Err(kube::Error::Api(status))) if matches!(status.code, 404 | 409) => Ok(()),
            Ok(Err(error)) => Err(told(&error)),
            Err(_) => Err(SILENCE.to_owned()),
        }
    }
}
