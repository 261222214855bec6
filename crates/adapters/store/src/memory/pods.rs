//! What pods ask and tell.

use std::collections::BTreeMap;

use flowforge_model::attempt::{AttemptKey, Fact, FactKind, Report};
use flowforge_model::id::{EntityId, InstanceId, PodUid};
use flowforge_model::time::Timestamp;
use flowforge_ports::handover::Tidings;
use flowforge_ports::pods::{self, Begin, Cluster, Finish, Refusal};
use flowforge_ports::store::StoreError;

use super::MemoryStore;
use super::roles::Flaw;

/// Which pods have begun what, and whose clusters they are of.
#[derive(Debug, Default)]
pub(super) struct Pods {
    began: BTreeMap<AttemptKey, PodUid>,
    clusters: BTreeMap<String, Cluster>,
}

impl pods::Pods for MemoryStore {
    async fn begin(
        &self,
        (pod, project): (PodUid, Option<EntityId>),
        key: AttemptKey,
        at: Timestamp,
    ) -> Result<Begin, StoreError> {
        let mut rows = self.rows();
        let of = rows.workflows.get(&key.workflow).map(|kept| kept.new.project);
        if project.is_some_and(|project| of != Some(project))
            || rows.open(key).is_none()
            || rows.roles.has_ended(key)
        {
            return Ok(Begin::Refused(Refusal::Over));
        }
        let began = rows.roles.pods.began.get(&key).copied();
        match began {
            Some(other) if other != pod && rows.roles.flaw() != Some(Flaw::AnyPod) => {
                return Ok(Begin::Refused(Refusal::Another));
            }
            None if rows.roles.to_stop(key) => return Ok(Begin::Refused(Refusal::Stopped)),
            Some(_) | None => {}
        }
        let Some(Ok(order)) = rows.roles.order(key).cloned() else {
            return Err(StoreError::Corrupt("a pod without a work order".to_owned()));
        };
        if began.is_none() {
            rows.roles.pods.began.insert(key, pod);
            rows.roles.tell(Tidings::Fact(Fact { key, kind: FactKind::Started(at) }));
        }
        Ok(Begin::Run(Box::new(order)))
    }

    async fn finish(
        &self,
        pod: PodUid,
        key: AttemptKey,
        report: Report,
    ) -> Result<Finish, StoreError> {
        let mut rows = self.rows();
        let ours = rows.roles.pods.began.get(&key) == Some(&pod);
        if !ours || rows.open(key).is_none() || rows.roles.has_ended(key) {
            return Ok(Finish::Late);
        }
        let kind = FactKind::Finished(Box::new(report));
        rows.roles.tell(Tidings::Fact(Fact { key, kind }));
        Ok(Finish::Taken)
    }

    async fn over(&self, keys: &[AttemptKey]) -> Result<Vec<AttemptKey>, StoreError> {
        let mut rows = self.rows();
        Ok(keys.iter().copied().filter(|key| rows.open(*key).is_none()).collect())
    }

    async fn put_cluster(&self, cluster: Cluster) -> Result<(), StoreError> {
        self.rows().roles.pods.clusters.insert(cluster.name.clone(), cluster);
        Ok(())
    }

    async fn clusters(&self) -> Result<Vec<Cluster>, StoreError> {
        Ok(self.rows().roles.pods.clusters.values().cloned().collect())
    }

    async fn installation(&self) -> Result<InstanceId, StoreError> {
        Ok(InstanceId(uuid::Uuid::from_u128(7)))
    }

    async fn signing_key(&self) -> Result<[u8; 32], StoreError> {
        // Nobody but this process has this store, and no pod outlives it.
        Ok([7; 32])
    }
}
