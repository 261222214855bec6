//! The claims of workflows: made before the first pod that mounts them, gone when their workflow has no
//! use for them any more.

use std::collections::BTreeMap;

use flowforge_model::attempt::{Failure, VolumeSource, Work, WorkOrder};
use flowforge_model::claim::{Claim, ClaimTemplate};
use flowforge_model::id::WorkflowId;
use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimSpec, VolumeResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::Api;
use kube::api::{ObjectMeta, PostParams};
use kube::core::PartialObjectMeta;
use tokio::time::timeout;

use crate::ClusterError;
use crate::access::{Cluster, PATIENCE};
use crate::answer::{self, Answer};
use crate::labels::{self, CLUSTER, MANAGED_BY, PRODUCT, PROJECT, TENANT, WORKFLOW};
use crate::left;
use crate::placement::Placement;
use crate::refusal::not_possible;

/// A claim of a workflow that is in the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// The workflow.
    pub workflow: WorkflowId,
    namespace: String,
    name: String,
    uid: String,
}

/// Those of the order's workflow that its processes mount: the names in the document, in the namespace.
pub(crate) fn names(order: &WorkOrder) -> BTreeMap<String, String> {
    let name = |claim: &Claim| (claim.name.clone(), name(order.key.workflow, &claim.name));
    mounted(order).map(name).collect()
}

/// Always the same, so that whoever comes second finds it made.
fn name(workflow: WorkflowId, claim: &str) -> String {
    format!("ff-{workflow}-{claim}")
}

fn mounted(order: &WorkOrder) -> impl Iterator<Item = &Claim> {
    let claims = order.volumes.iter().filter_map(|volume| match &volume.source {
        VolumeSource::WorkflowClaim(claim) => Some((&volume.name, claim)),
        _ => None,
    });
    let mounts = |name: &String| match &order.work {
        Work::Run(program) => {
            program.processes().flat_map(|process| &process.mounts).any(|m| m.volume == *name)
        }
        Work::Request(_) | Work::Object(_) => false,
    };
    claims.filter(move |(name, _)| mounts(name)).map(|(_, claim)| claim)
}

/// What is made for an order.
pub(crate) fn build(
    order: &WorkOrder,
    placement: &Placement,
) -> Result<Vec<PersistentVolumeClaim>, Failure> {
    mounted(order).map(|claim| one(order, placement, claim)).collect()
}

fn one(
    order: &WorkOrder,
    placement: &Placement,
    claim: &Claim,
) -> Result<PersistentVolumeClaim, Failure> {
    let ClaimTemplate { modes, storage, class } = &claim.template;
    let fault = |why: &str| not_possible(format!("the claim {}: {why}", claim.name));
    if storage.0 == 0 {
        return Err(fault(
            "a cluster wants to know its size: write spec.resources.requests.storage",
        ));
    }
    if modes.is_empty() {
        return Err(fault("a cluster wants to know how it is used: write spec.accessModes"));
    }
    let labels = [
        (MANAGED_BY, PRODUCT.to_owned()),
        (CLUSTER, placement.cluster.clone()),
        (WORKFLOW, order.key.workflow.to_string()),
        (TENANT, placement.tenant.to_string()),
        (PROJECT, order.project.to_string()),
    ];
    let requests = [("storage".to_owned(), Quantity(storage.0.to_string()))];
    let resources = VolumeResourceRequirements { requests: Some(requests.into()), limits: None };
    Ok(PersistentVolumeClaim {
        metadata: ObjectMeta {
            name: Some(name(order.key.workflow, &claim.name)),
            namespace: Some(placement.namespace.clone()),
            labels: Some(labels.map(|(name, value)| (name.to_owned(), value)).into()),
            ..ObjectMeta::default()
        },
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(modes.clone()),
            resources: Some(resources),
            storage_class_name: class.clone(),
            ..PersistentVolumeClaimSpec::default()
        }),
        status: None,
    })
}

/// Makes it, or finds it made.
pub(crate) async fn make(cluster: &Cluster, claim: &PersistentVolumeClaim) -> Result<(), Answer> {
    let namespace = claim.metadata.namespace.as_deref().unwrap_or_default();
    let api: Api<PersistentVolumeClaim> = Api::namespaced(cluster.client.clone(), namespace);
    match timeout(PATIENCE, api.create(&PostParams::default(), claim)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => match answer::read(&error) {
            Answer::Exists => Ok(()),
            other => Err(other),
        },
        Err(_) => Err(answer::silence()),
    }
}

impl Cluster {
    /// All claims of workflows that executors of the cluster called `name` made.
    ///
    /// # Errors
    /// `Request`.
    pub async fn claims(&self, name: &str) -> Result<Vec<Claimed>, ClusterError> {
        let api: &Api<PersistentVolumeClaim> = &Api::all(self.client.clone());
        let page = |how| async move { api.list_metadata(&how).await };
        let keep = |claim: PartialObjectMeta<PersistentVolumeClaim>| claimed(claim.metadata);
        let (all, _) = left::all(&labels::selector(name), page, keep).await.map_err(failed)?;
        Ok(all)
    }

    /// Deletes a claim, and with it what is in it; one that is gone already is no error. It stays while
    /// pods mount it.
    ///
    /// # Errors
    /// `Request`.
    pub async fn remove_claim(&self, claim: &Claimed) -> Result<(), ClusterError> {
        let Claimed { namespace, name, uid, .. } = claim;
        self.delete::<PersistentVolumeClaim>(namespace, name, uid).await.map_err(failed)
    }
}

fn failed(why: String) -> ClusterError {
    ClusterError::Request { what: "claims of workflows".to_owned(), why }
}

/// One that is ours and not on its way out.
fn claimed(claim: ObjectMeta) -> Option<Claimed> {
    if claim.deletion_timestamp.is_some() {
        return None;
    }
    Some(Claimed {
        workflow: claim.labels?.get(WORKFLOW)?.parse().ok()?,
        namespace: claim.namespace?,
        name: claim.name?,
        uid: claim.uid?,
    })
}

#[cfg(test)]
mod tests {
    use flowforge_model::attempt::{Mount, Volume};
    use flowforge_model::resources::Bytes;

    use super::*;
    use crate::pod::tests::{order, placement, process};

    fn order_with(template: &ClaimTemplate) -> WorkOrder {
        let mut process = process();
        let (volume, path) = ("scratch".to_owned(), "/work".to_owned());
        process.mounts = vec![Mount { volume, path, sub_path: None, read_only: false }];
        let mut order = order(process);
        let volume = |name: &str| Volume {
            name: name.to_owned(),
            source: VolumeSource::WorkflowClaim(Claim {
                name: name.to_owned(),
                template: template.clone(),
            }),
        };
        order.volumes = vec![volume("other"), volume("scratch")];
        order
    }

    #[test]
    fn a_claim_that_is_mounted_is_made_under_one_name() {
        let order = order_with(&ClaimTemplate {
            modes: vec!["ReadWriteOnce".to_owned()],
            storage: Bytes(1 << 30),
            class: Some("fast".to_owned()),
        });
        let made = build(&order, &placement()).expect("claims");
        insta::assert_snapshot!(serde_json::to_string_pretty(&made).expect("text"));
        let named = names(&order);
        assert_eq!(named.len(), 1);
        assert_eq!(named.get("scratch"), made[0].metadata.name.as_ref());
        let found = claimed(ObjectMeta { uid: Some("1".to_owned()), ..made[0].metadata.clone() });
        assert_eq!(found.map(|claim| claim.workflow), Some(order.key.workflow));
    }

    #[test]
    fn a_claim_of_which_too_little_is_known_is_refused() {
        let told = |template| build(&order_with(&template), &placement()).expect_err("no").message;
        let sized = ClaimTemplate { storage: Bytes(1), ..ClaimTemplate::default() };
        let wanted = [
            "the claim scratch: a cluster wants to know its size: write spec.resources.requests.storage",
            "the claim scratch: a cluster wants to know how it is used: write spec.accessModes",
        ];
        assert_eq!([told(ClaimTemplate::default()), told(sized)], wanted);
    }
}
