//! The queue of one process: the same promises, and as easily lost.

mod lane;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use flowforge_model::attempt::AttemptKey;
use flowforge_model::id::InstanceId;
use flowforge_model::limits::{PAGE_ROWS, RECEIVE_ENTRIES};
use flowforge_ports::clock::{Clock, SystemClock};
use flowforge_ports::queue::{
    Beat, ClusterName, DeadLetter, DeadLetterId, Delivery, Depth, Dispatch, Dispatches, Heartbeats,
    Hint, Hints, QueueError, Receipt, Role, Topic,
};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use self::lane::Lane;
use crate::bounds::{LONGEST_WAIT, check_body};
use crate::inbox::{Inbox, Listener};

/// A queue within this process. Clones are the same queue.
///
/// Spans are measured by tokio's clock, so tests may pause it.
#[derive(Clone)]
pub struct LocalQueue(Arc<Inner>);

struct Inner {
    clock: Box<dyn Clock>,
    lanes: Mutex<BTreeMap<ClusterName, Lane>>,
    sent: Notify,
    listeners: Mutex<Vec<(BTreeSet<Topic>, Weak<Inbox>)>>,
    beats: Mutex<BTreeMap<(Role, InstanceId), (String, Instant)>>,
}

impl std::fmt::Debug for LocalQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalQueue").finish_non_exhaustive()
    }
}

impl Default for LocalQueue {
    fn default() -> Self {
        Self::new(SystemClock)
    }
}

impl LocalQueue {
    /// An empty queue; the clock dates dead letters.
    #[must_use]
    pub fn new(clock: impl Clock) -> Self {
        Self(Arc::new(Inner {
            clock: Box::new(clock),
            lanes: Mutex::default(),
            sent: Notify::new(),
            listeners: Mutex::default(),
            beats: Mutex::default(),
        }))
    }

    /// Loses everything, as `FLUSHALL` does. For tests of those who use a queue.
    pub fn lose_everything(&self) {
        lock(&self.0.lanes).clear();
        lock(&self.0.beats).clear();
    }

    fn lane<T>(&self, cluster: &ClusterName, what: impl FnOnce(&mut Lane) -> T) -> T {
        let mut lanes = lock(&self.0.lanes);
        if let Some(lane) = lanes.get_mut(cluster) {
            return what(lane);
        }
        what(lanes.entry(cluster.clone()).or_default())
    }
}

/// Nothing panics while it holds one of these; if something did, its half-done change is a loss
/// like any other.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Dispatches for LocalQueue {
    async fn send(
        &self,
        cluster: &ClusterName,
        dispatches: &[Dispatch],
    ) -> Result<usize, QueueError> {
        let taken = self.lane(cluster, |lane| lane.send(dispatches));
        self.0.sent.notify_waiters();
        Ok(taken)
    }

    async fn receive(
        &self,
        cluster: &ClusterName,
        consumer: InstanceId,
        limit: usize,
        wait: Duration,
    ) -> Result<Vec<Delivery>, QueueError> {
        let _ = consumer;
        let limit = limit.min(RECEIVE_ENTRIES);
        let until = Instant::now() + wait.min(LONGEST_WAIT);
        loop {
            let mut sent = std::pin::pin!(self.0.sent.notified());
            // From here on a `send` wakes us, also before we wait.
            sent.as_mut().enable();
            let came = self.lane(cluster, |lane| lane.receive(limit));
            if !came.is_empty() || limit == 0 || timeout_at(until, sent).await.is_err() {
                return Ok(came);
            }
        }
    }

    async fn acknowledge(
        &self,
        cluster: &ClusterName,
        receipts: &[Receipt],
    ) -> Result<(), QueueError> {
        self.lane(cluster, |lane| {
            for receipt in receipts {
                lane.remove(receipt);
            }
        });
        Ok(())
    }

    async fn put_back(
        &self,
        cluster: &ClusterName,
        receipt: &Receipt,
        rest: &[Dispatch],
    ) -> Result<(), QueueError> {
        self.lane(cluster, |lane| lane.put_back(receipt, rest));
        self.0.sent.notify_waiters();
        Ok(())
    }

    async fn reclaim(
        &self,
        cluster: &ClusterName,
        consumer: InstanceId,
        idle_for: Duration,
        limit: usize,
    ) -> Result<Vec<Delivery>, QueueError> {
        let _ = consumer;
        let now = self.0.clock.now();
        let limit = limit.min(RECEIVE_ENTRIES);
        Ok(self.lane(cluster, |lane| lane.reclaim(idle_for, limit, now)))
    }

    async fn depth(&self, cluster: &ClusterName) -> Result<Depth, QueueError> {
        Ok(self.lane(cluster, |lane| lane.depth()))
    }

    async fn bury(
        &self,
        cluster: &ClusterName,
        receipt: &Receipt,
        reason: &str,
    ) -> Result<(), QueueError> {
        let now = self.0.clock.now();
        self.lane(cluster, |lane| lane.bury(receipt, reason, now));
        Ok(())
    }

    async fn dead_letters(
        &self,
        cluster: &ClusterName,
        after: Option<&DeadLetterId>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, QueueError> {
        let limit = limit.min(PAGE_ROWS as usize);
        self.lane(cluster, |lane| lane.dead_letters(after, limit))
    }

    async fn redrive(
        &self,
        cluster: &ClusterName,
        ids: &[DeadLetterId],
    ) -> Result<Vec<AttemptKey>, QueueError> {
        self.lane(cluster, |lane| lane.redrive(ids))
    }
}

impl Hints for LocalQueue {
    type Subscription = Listener;

    fn publish(&self, hint: Hint) {
        let topic = hint.topic();
        lock(&self.0.listeners).retain(|(topics, inbox)| {
            let Some(inbox) = inbox.upgrade() else { return false };
            if topics.contains(&topic) {
                inbox.push(hint.clone());
            }
            true
        });
    }

    fn dropped(&self) -> u64 {
        0
    }

    fn subscribe(&self, topics: &[Topic]) -> Listener {
        let inbox = Arc::new(Inbox::default());
        let mut listeners = lock(&self.0.listeners);
        listeners.retain(|(_, inbox)| inbox.strong_count() > 0);
        listeners.push((topics.iter().cloned().collect(), Arc::downgrade(&inbox)));
        inbox.reconnected();
        Listener::new(inbox, None)
    }
}

impl Heartbeats for LocalQueue {
    async fn beat(
        &self,
        role: Role,
        id: InstanceId,
        body: &str,
        ttl: Duration,
    ) -> Result<(), QueueError> {
        check_body(body)?;
        let now = Instant::now();
        let mut beats = lock(&self.0.beats);
        beats.retain(|_, (_, until)| *until > now);
        beats.insert((role, id), (body.to_owned(), now + ttl));
        Ok(())
    }

    async fn alive(&self, role: Role) -> Result<Vec<Beat>, QueueError> {
        let now = Instant::now();
        let beats = lock(&self.0.beats);
        let live = beats.iter().filter(|((of, _), (_, until))| *of == role && *until > now);
        Ok(live.map(|((_, id), (body, _))| Beat { id: *id, body: body.clone() }).collect())
    }
}
