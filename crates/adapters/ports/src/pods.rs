//! Attempts that run in pods: what a pod says of itself, and how it is known that it is one of ours.
//!
//! A name does not fence: a pod that was deleted may be made again by an executor that is late, with the
//! same name. So before it starts anything a pod asks whether it may, and the answer binds the attempt
//! to that pod's UID for ever.

use std::future::Future;

use flowforge_model::attempt::{AttemptKey, Report, WorkOrder};
use flowforge_model::cluster::ClusterName;
use flowforge_model::id::{EntityId, InstanceId, PodUid};
use flowforge_model::time::Timestamp;

use crate::store::StoreError;

/// A pod that asks whether it may begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asking {
    /// Which object it is.
    pub pod: PodUid,
    /// Of which project; none if it is known to have begun and only reads.
    pub project: Option<EntityId>,
    /// The clusters that its token may be of: the attempt must be of one of them. There is more than one only if
    /// they share their keys. Of no meaning if it is known to have begun.
    pub clusters: Vec<ClusterName>,
    /// Which member of a gang it is.
    pub member: Option<u32>,
    /// It comes before the task, for its inputs, and does not wait for the other members.
    pub early: bool,
}

impl Asking {
    /// The only pod of an attempt, in the cluster `default`.
    #[must_use]
    pub fn alone(pod: PodUid, project: EntityId) -> Self {
        let clusters = vec![ClusterName::default()];
        Self { pod, project: Some(project), clusters, member: None, early: false }
    }

    /// One that has begun, and reads again what it does.
    #[must_use]
    pub fn begun(pod: PodUid) -> Self {
        Self { pod, project: None, clusters: Vec::new(), member: None, early: true }
    }
}

/// Whether a pod may begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begin {
    /// It is the one: this is what it does. The same answer comes again to the same pod.
    Run(Box<WorkOrder>),
    /// It is the one of its member, and others of its gang are not there yet: it is to ask again.
    Wait,
    /// It must end without having done anything.
    Refused(Refusal),
}

/// Why a pod may not begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The attempt has ended, or there never was one.
    Over,
    /// Another pod has begun it, or is this member of it.
    Another,
    /// Somebody wants it stopped, and it has not begun.
    Stopped,
}

/// What becomes of a pod's last word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// It is kept, durably, and counts: whatever others say later does not.
    Taken,
    /// It is of no use any more: the attempt has ended, its end was told before, or this pod has not
    /// begun it.
    Late,
}

/// A cluster that runs pods, as its executors see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// Its name in the settings of its executors.
    pub name: String,
    /// Who issues the tokens of its service accounts: `iss` in each.
    pub issuer: String,
    /// The keys that those are signed with: a JSON Web Key Set.
    pub keys: String,
}

/// The part of the database that pods read and write through API servers. Every call is one transaction.
/// Implementations: PostgreSQL, memory.
pub trait Pods: Send + Sync + 'static {
    /// A pod asks whether it may begin an attempt. The first one may that asks while the attempt is open and not
    /// to be stopped, and it may ask again. Of a gang the first that asks is a member, and all begin when all
    /// members are ready. That the attempt began is told to the controllers, once.
    ///
    /// # Errors
    /// `Unavailable`; `Corrupt` if the work order cannot be read.
    fn begin(
        &self,
        asking: Asking,
        key: AttemptKey,
        at: Timestamp,
    ) -> impl Future<Output = Result<Begin, StoreError>> + Send;

    /// A pod tells how its attempt ended. The first end that is told of an attempt counts. A member tells how it
    /// ended itself; when all have told, the gang has ended ([`Report::of_gang`]).
    ///
    /// # Errors
    /// `Unavailable`.
    fn finish(
        &self,
        pod: PodUid,
        key: AttemptKey,
        report: Report,
    ) -> impl Future<Output = Result<Finish, StoreError>> + Send;

    /// Which of these attempts have ended, or never were: nobody needs their pods any more.
    ///
    /// # Errors
    /// `Unavailable`.
    fn over(
        &self,
        keys: &[AttemptKey],
    ) -> impl Future<Output = Result<Vec<AttemptKey>, StoreError>> + Send;

    /// Writes down a cluster, or what has changed about it.
    ///
    /// # Errors
    /// `Unavailable`.
    fn put_cluster(&self, cluster: Cluster) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// All clusters that were ever written down, by name.
    ///
    /// # Errors
    /// `Unavailable`.
    fn clusters(&self) -> impl Future<Output = Result<Vec<Cluster>, StoreError>> + Send;

    /// Which installation this is, for ever: what is ours in a cluster that others use too.
    ///
    /// # Errors
    /// `Unavailable`.
    fn installation(&self) -> impl Future<Output = Result<InstanceId, StoreError>> + Send;

    /// What tokens of attempts are signed with: 32 bytes that all servers of this database share, and
    /// nobody else has.
    ///
    /// # Errors
    /// `Unavailable`.
    fn signing_key(&self) -> impl Future<Output = Result<[u8; 32], StoreError>> + Send;
}
