//! The queue as the handlers see it: for people, never for deciding.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use flowforge_model::attempt::AttemptKey;
use flowforge_model::limits;
use flowforge_ports::queue::{
    Beat, ClusterName, DeadLetter, DeadLetterId, Dispatches, Heartbeats, QueueError, Role,
};
use tokio::runtime::Handle;

use crate::problem::{Code, Failure};

/// A queue that the api may look into. Cheap to clone.
#[derive(Clone)]
pub struct QueueAccess(Arc<dyn Asked>);

impl fmt::Debug for QueueAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("QueueAccess").finish()
    }
}

impl QueueAccess {
    /// The queue of a cluster.
    #[must_use]
    pub fn new(queue: impl Dispatches + Heartbeats, cluster: ClusterName) -> Self {
        Self(Arc::new(Of { queue, cluster }))
    }

    /// Dead letters after one of them, the oldest first.
    pub(crate) fn dead_letters(
        &self,
        after: Option<&DeadLetterId>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, Failure> {
        self.0.dead_letters(after, limit).map_err(|error| failure(&error))
    }

    /// A dead letter. They are at most some thousands, and looked through.
    pub(crate) fn dead_letter(&self, id: &str) -> Result<DeadLetter, Failure> {
        let page = usize::try_from(limits::PAGE_ROWS).unwrap_or(usize::MAX);
        let mut after = None;
        loop {
            let letters = self.dead_letters(after.as_ref(), page)?;
            let Some(last) = letters.last().map(|letter| letter.id.clone()) else {
                return Err(Failure::new(Code::NotFound, "there is no such dead letter"));
            };
            if let Some(letter) = letters.into_iter().find(|letter| letter.id.0 == id) {
                return Ok(letter);
            }
            after = Some(last);
        }
    }

    /// Takes a dead letter away; its attempts, unless somebody else was first.
    pub(crate) fn redrive(&self, id: &DeadLetterId) -> Result<Vec<AttemptKey>, Failure> {
        self.0.redrive(id).map_err(|error| failure(&error))
    }

    /// Who of a role lives.
    pub(crate) fn alive(&self, role: Role) -> Result<Vec<Beat>, Failure> {
        self.0.alive(role).map_err(|error| failure(&error))
    }

    /// Whether it answers.
    pub(crate) fn ready(&self) -> Result<(), Failure> {
        self.0.ready().map_err(|error| failure(&error))
    }
}

/// Inner details go to the log only.
fn failure(error: &QueueError) -> Failure {
    tracing::error!(%error, "the queue failed");
    Failure::new(Code::QueueUnavailable, Code::QueueUnavailable.text())
}

/// Blocking calls on an object, as those of [`crate::backend::Backend`].
trait Asked: Send + Sync {
    fn dead_letters(
        &self,
        after: Option<&DeadLetterId>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, QueueError>;
    fn redrive(&self, id: &DeadLetterId) -> Result<Vec<AttemptKey>, QueueError>;
    fn alive(&self, role: Role) -> Result<Vec<Beat>, QueueError>;
    fn ready(&self) -> Result<(), QueueError>;
}

struct Of<Q> {
    queue: Q,
    cluster: ClusterName,
}

fn wait<T>(answer: impl Future<Output = T>) -> T {
    Handle::current().block_on(answer)
}

impl<Q: Dispatches + Heartbeats> Asked for Of<Q> {
    fn dead_letters(
        &self,
        after: Option<&DeadLetterId>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, QueueError> {
        wait(self.queue.dead_letters(&self.cluster, after, limit))
    }
    fn redrive(&self, id: &DeadLetterId) -> Result<Vec<AttemptKey>, QueueError> {
        wait(self.queue.redrive(&self.cluster, std::slice::from_ref(id)))
    }
    fn alive(&self, role: Role) -> Result<Vec<Beat>, QueueError> {
        wait(self.queue.alive(role))
    }
    fn ready(&self) -> Result<(), QueueError> {
        wait(self.queue.depth(&self.cluster)).map(|_| ())
    }
}
