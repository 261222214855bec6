//! What pods ask and tell: whether they may begin, what they print, how they ended.
//!
//! These routes are between parts of one version or the next: they are not in the OpenAPI document, and
//! the token of `/api` does not count here. A pod shows who it is with a token of its cluster, and gets
//! one for its attempt.

mod artifacts;
mod keys;
mod routes;
mod token;
mod transfer;
mod turns;

use std::fmt;
use std::sync::{Arc, OnceLock};

use flowforge_model::attempt::{AttemptKey, Report};
use flowforge_model::id::{InstanceId, PodUid, WorkflowId};
use flowforge_model::time::Timestamp;
use flowforge_ports::logs::{Intake, Shipment};
use flowforge_ports::pods::{Asking, Begin, Cluster, Finish, Pods};
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::backend::{Answer, wait};
use crate::problem::Failure;
use keys::Keys;
pub(crate) use routes::routes;
pub(crate) use turns::Turns;

/// Lines being taken in at the same time: an aggregator that hangs must not stop anything else.
const INTAKES: usize = 16;
/// Ends of attempts being read at the same time: each may be as large as all outputs are.
const REPORTS: usize = 32;

/// What pods need of the layers below. Cheap to clone.
#[derive(Clone)]
pub struct PodAccess(Arc<Access>);

struct Access {
    pods: Box<dyn Asked>,
    logs: Arc<dyn Intake>,
    told: Box<dyn Fn(WorkflowId) + Send + Sync>,
    keys: Keys,
    signing_key: OnceLock<[u8; 32]>,
    intakes: Arc<Semaphore>,
    reports: Arc<Semaphore>,
}

impl fmt::Debug for PodAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PodAccess").finish_non_exhaustive()
    }
}

impl PodAccess {
    /// Pods that begin and end in `pods`, whose lines go to `logs`. `told` is called after a pod has begun
    /// or ended, so that controllers look; it must not block.
    #[must_use]
    pub fn new<P: Pods>(
        pods: Arc<P>,
        logs: Arc<dyn Intake>,
        told: impl Fn(WorkflowId) + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(Access {
            pods: Box::new(Of(pods)),
            logs,
            told: Box::new(told),
            keys: Keys::default(),
            signing_key: OnceLock::new(),
            intakes: Arc::new(Semaphore::new(INTAKES)),
            reports: Arc::new(Semaphore::new(REPORTS)),
        }))
    }

    /// What the attempts' tokens are signed with; it never changes.
    fn signing_key(&self) -> Result<[u8; 32], Failure> {
        if let Some(key) = self.0.signing_key.get() {
            return Ok(*key);
        }
        let key = self.0.pods.signing_key()?;
        Ok(*self.0.signing_key.get_or_init(|| key))
    }

    fn begin(&self, asking: Asking, key: AttemptKey, at: Timestamp) -> Result<Begin, Failure> {
        let begun = self.0.pods.begin(asking, key, at)?;
        if matches!(begun, Begin::Run(_)) {
            (self.0.told)(key.workflow);
        }
        Ok(begun)
    }

    fn finish(&self, pod: PodUid, key: AttemptKey, report: Report) -> Result<Finish, Failure> {
        let finished = self.0.pods.finish(pod, key, report)?;
        if finished == Finish::Taken {
            (self.0.told)(key.workflow);
        }
        Ok(finished)
    }

    /// Each container of a pod numbers its own lines.
    fn take_in(&self, (pod, container): (PodUid, u8), shipment: &Shipment) -> Result<(), Failure> {
        let taken = self.0.logs.take_in(source(pod, container), shipment);
        taken.map_err(|error| Failure::of_intake(&error))
    }
}

/// By what a container's lines are known. UIDs are random: nobody else's is as near.
fn source(pod: PodUid, container: u8) -> InstanceId {
    InstanceId(Uuid::from_u128(pod.0.as_u128() ^ u128::from(container)))
}

/// Blocking calls on an object, as those of [`crate::backend::Backend`].
trait Asked: Send + Sync {
    fn begin(&self, asking: Asking, key: AttemptKey, at: Timestamp) -> Answer<Begin>;
    fn finish(&self, pod: PodUid, key: AttemptKey, report: Report) -> Answer<Finish>;
    fn clusters(&self) -> Answer<Vec<Cluster>>;
    fn signing_key(&self) -> Answer<[u8; 32]>;
}

struct Of<P>(Arc<P>);

impl<P: Pods> Asked for Of<P> {
    fn begin(&self, asking: Asking, key: AttemptKey, at: Timestamp) -> Answer<Begin> {
        wait(self.0.begin(asking, key, at))
    }
    fn finish(&self, pod: PodUid, key: AttemptKey, report: Report) -> Answer<Finish> {
        wait(self.0.finish(pod, key, report))
    }
    fn clusters(&self) -> Answer<Vec<Cluster>> {
        wait(self.0.clusters())
    }
    fn signing_key(&self) -> Answer<[u8; 32]> {
        wait(self.0.signing_key())
    }
}
