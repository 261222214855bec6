//! The namespace of each project, with what keeps its pods apart from others'.

mod objects;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use flowforge_model::id::EntityId;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{LimitRange, Namespace, ResourceQuota, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::OnceCell;
use tokio::time::Instant;

use crate::access::PATIENCE;
use crate::answer::{self, Answer};
use crate::config::ClusterConfig;
use crate::project::Project;

/// Who owns what we write: what others write beside it stays.
pub(crate) const MANAGER: &str = "flowforge";
/// After this long a namespace is put in order again: somebody may have changed it, and quotas change.
const ORDER_AGAIN: Duration = Duration::from_secs(600);

/// The service account of its pods.
pub(crate) const SERVICE_ACCOUNT: &str = "flowforge-task";

/// Makes namespaces when they are first used by this process, and puts them in order again later.
#[derive(Debug, Default)]
pub(crate) struct Namespaces {
    known: Mutex<HashMap<EntityId, Arc<Slot>>>,
}

#[derive(Debug)]
struct Slot {
    /// Of one project only one call at a time asks the cluster; others wait for it.
    done: OnceCell<()>,
    made_at: Instant,
    /// What it was made from.
    project: Project,
}

impl Namespaces {
    /// The namespace is there and as it should be, or was a while ago.
    pub(crate) async fn ensure(
        &self,
        client: &Client,
        config: &ClusterConfig,
        (id, project): (EntityId, &Project),
    ) -> Result<(), Answer> {
        let slot = self.slot(id, project);
        slot.done.get_or_try_init(|| make(client, config, id, project)).await.copied()
    }

    /// It was found missing or wanting.
    pub(crate) fn forget(&self, id: EntityId) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }

    fn slot(&self, id: EntityId, project: &Project) -> Arc<Slot> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh =
            |slot: &&Arc<Slot>| slot.project == *project && slot.made_at.elapsed() < ORDER_AGAIN;
        if let Some(slot) = known.get(&id).filter(fresh) {
            return Arc::clone(slot);
        }
        let slot =
            Slot { done: OnceCell::new(), made_at: Instant::now(), project: project.clone() };
        let slot = Arc::new(slot);
        known.insert(id, Arc::clone(&slot));
        slot
    }
}

pub(crate) async fn make(
    client: &Client,
    config: &ClusterConfig,
    id: EntityId,
    project: &Project,
) -> Result<(), Answer> {
    let place = id.namespace();
    let object = objects::namespace(id, project, config);
    apply(&Api::<Namespace>::all(client.clone()), &place, &object).await?;
    let account = objects::service_account(id);
    within::<ServiceAccount>(client, &place, SERVICE_ACCOUNT, &account).await?;
    let policy = objects::network_policy(id, config);
    within::<NetworkPolicy>(client, &place, objects::NAME, &policy).await?;
    let range = objects::limit_range(id);
    within::<LimitRange>(client, &place, objects::NAME, &range).await?;
    let quota = objects::resource_quota(id, project);
    within::<ResourceQuota>(client, &place, objects::NAME, &quota).await
}

async fn within<K>(client: &Client, place: &str, name: &str, object: &K) -> Result<(), Answer>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned
        + Serialize,
{
    apply(&Api::<K>::namespaced(client.clone(), place), name, object).await
}

/// Makes the object or puts what we say of it in order; may be repeated.
async fn apply<K>(api: &Api<K>, name: &str, object: &K) -> Result<(), Answer>
where
    K: Clone + std::fmt::Debug + DeserializeOwned + Serialize,
{
    let how = PatchParams::apply(MANAGER).force();
    let patch = Patch::Apply(object);
    match tokio::time::timeout(PATIENCE, api.patch(name, &how, &patch)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(answer::read(&error)),
        Err(_) => Err(answer::silence()),
    }
}
