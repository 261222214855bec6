//! What pods ask and tell.

use std::collections::BTreeMap;

use flowforge_model::attempt::{AttemptKey, Fact, FactKind, Report};
use flowforge_model::id::{InstanceId, PodUid};
use flowforge_model::time::Timestamp;
use flowforge_ports::handover::Tidings;
use flowforge_ports::pods::{self, Asking, Begin, Cluster, Finish, Refusal};
use flowforge_ports::store::StoreError;

use super::flaw::Flaw;
use super::{MemoryStore, Rows};
use crate::gang::{self, Gathering, Told};

/// Which pods have begun what, and whose clusters they are of.
#[derive(Debug, Default)]
pub(super) struct Pods {
    began: BTreeMap<AttemptKey, PodUid>,
    /// Members of gangs.
    members: BTreeMap<AttemptKey, BTreeMap<u32, Member>>,
    clusters: BTreeMap<String, Cluster>,
}

/// A member of a gang that has asked.
#[derive(Debug)]
struct Member {
    pod: PodUid,
    ready: bool,
    told: Option<(u32, Report)>,
}

impl Pods {
    /// The pods that have begun an attempt, or asked whether they may as a member of it.
    pub(super) fn begun(&self, key: AttemptKey) -> impl Iterator<Item = PodUid> {
        let members = self.members.get(&key).into_iter().flat_map(BTreeMap::values);
        self.began.get(&key).copied().into_iter().chain(members.map(|member| member.pod))
    }

    /// An attempt has ended.
    pub(super) fn forget(&mut self, key: AttemptKey) {
        self.members.remove(&key);
    }
}

impl Rows {
    /// Whether a member of a gang may begin.
    fn begin_member(
        &mut self,
        asking: &Asking,
        key: AttemptKey,
        at: Timestamp,
        size: u32,
    ) -> Begin {
        let stop = self.roles.to_stop(key);
        let members = self.roles.pods.members.entry(key).or_default();
        let member = match (asking.project, asking.member) {
            (Some(_), Some(member)) if member < size => member,
            // It has begun: it reads.
            (None, _) if members.values().any(|member| member.pod == asking.pod) => {
                return self.run(key);
            }
            _ => return Begin::Refused(Refusal::Over),
        };
        let ready = members.values().filter(|member| member.ready).count();
        let gathering = Gathering {
            size,
            ready: u32::try_from(ready).unwrap_or(u32::MAX),
            own: members.get(&member).map(|own| (own.pod, own.ready)),
            stop,
        };
        let passage = match gathering.ask(asking) {
            Ok(passage) => passage,
            Err(refusal) => return Begin::Refused(refusal),
        };
        if let Some(ready) = passage.news {
            members.insert(member, Member { pod: asking.pod, ready, told: None });
        }
        if passage.begins {
            self.roles.tell(Tidings::Fact(Fact { key, kind: FactKind::Started(at) }));
        }
        if passage.runs { self.run(key) } else { Begin::Wait }
    }

    fn run(&self, key: AttemptKey) -> Begin {
        match self.roles.order(key) {
            Some(Ok(order)) => Begin::Run(Box::new(order.clone())),
            Some(Err(_)) | None => Begin::Refused(Refusal::Over),
        }
    }

    /// A member tells its end.
    fn finish_member(&mut self, pod: PodUid, key: AttemptKey, report: Report, size: u32) -> Finish {
        let Some(members) = self.roles.pods.members.get_mut(&key) else { return Finish::Late };
        let turn = members.values().filter(|member| member.told.is_some()).count();
        let turn = u32::try_from(turn).unwrap_or(u32::MAX);
        let own = members.iter_mut().find(|(_, one)| one.pod == pod && one.told.is_none());
        let Some((member, own)) = own else { return Finish::Late };
        own.told = Some((turn, gang::kept(*member, report)));
        let told = members.iter().filter_map(|(member, one)| {
            let (turn, report) = one.told.clone()?;
            Some(Told { member: *member, turn, report })
        });
        let told: Vec<Told> = told.collect();
        if u32::try_from(told.len()) == Ok(size)
            && let Some(report) = gang::sum_up(told)
        {
            self.roles.pods.members.remove(&key);
            let kind = FactKind::Finished(Box::new(report));
            self.roles.tell(Tidings::Fact(Fact { key, kind }));
        }
        Finish::Taken
    }
}

impl pods::Pods for MemoryStore {
    async fn begin(
        &self,
        asking: Asking,
        key: AttemptKey,
        at: Timestamp,
    ) -> Result<Begin, StoreError> {
        let (pod, project, member) = (asking.pod, asking.project, asking.member);
        let mut rows = self.rows();
        let of = rows.workflows.get(&key.workflow).map(|kept| kept.new.project);
        if project.is_some_and(|project| of != Some(project))
            || project.is_some() && !rows.roles.is_in(key, &asking.clusters)
            || rows.open(key).is_none()
            || rows.roles.has_ended(key)
        {
            return Ok(Begin::Refused(Refusal::Over));
        }
        let Some(Ok(order)) = rows.roles.order(key).cloned() else {
            return Err(StoreError::Corrupt("a pod without a work order".to_owned()));
        };
        if let Some(size) = order.gang() {
            return Ok(rows.begin_member(&asking, key, at, size));
        }
        if member.is_some() {
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
        if rows.open(key).is_none() || rows.roles.has_ended(key) {
            return Ok(Finish::Late);
        }
        if let Some(Ok(order)) = rows.roles.order(key)
            && let Some(size) = order.gang()
        {
            return Ok(rows.finish_member(pod, key, report, size));
        }
        if rows.roles.pods.began.get(&key) != Some(&pod) {
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
