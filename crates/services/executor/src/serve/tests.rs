use std::future::pending;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use flowforge_model::attempt::WorkOrder;
use flowforge_model::id::AttemptId;
use flowforge_model::time::Timestamp;
use flowforge_ports::claims::Claimed;
use flowforge_ports::leases::Attended;
use flowforge_ports::queue::{
    DeadLetter, DeadLetterId, Depth, Dispatch, QueueError, Receipt, Subscription,
};

use tokio::time::timeout;

use super::*;
use crate::Ledger;
use crate::tests::{claimed, finished, key};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(10);

/// A store that answers, or does what is asked and says nothing, as it is told.
#[derive(Default)]
struct Sulking {
    silent: bool,
    claims: AtomicU32,
    claimed: Mutex<Vec<AttemptKey>>,
    /// So many reports fail.
    failing: AtomicU32,
    /// Rings when one has.
    failed: Notify,
    reported: Mutex<Vec<AttemptKey>>,
}

/// No store can make sense of this one.
const NONSENSE: u32 = 66;

impl Leases for Sulking {
    async fn attend(&self, _: Attendance) -> Result<Attended, StoreError> {
        if self.silent { pending().await } else { Ok(Attended::default()) }
    }
}

impl Claims for Sulking {
    /// The first answer is lost, with whatever it did.
    async fn claim(
        &self,
        _: InstanceId,
        _: Timestamp,
        keys: &[AttemptKey],
    ) -> Result<Vec<Claimed>, StoreError> {
        if keys.contains(&key(NONSENSE)) {
            return Err(StoreError::Corrupt("not a number".to_owned()));
        }
        self.claimed.lock().unwrap().extend(keys);
        if self.claims.fetch_add(1, Ordering::Relaxed) == 0 {
            return Err(StoreError::Unavailable("the answer was lost".to_owned()));
        }
        Ok(keys.iter().map(|key| claimed(*key)).collect())
    }

    async fn report(&self, _: InstanceId, facts: &[Fact]) -> Result<(), StoreError> {
        let left = self.failing.load(Ordering::Relaxed);
        if !facts.is_empty() && left > 0 {
            self.failing.store(left - 1, Ordering::Relaxed);
            self.failed.notify_one();
            return Err(StoreError::Unavailable("away".to_owned()));
        }
        self.reported.lock().unwrap().extend(facts.iter().map(|fact| fact.key));
        Ok(())
    }

    async fn stops(&self, _: InstanceId) -> Result<Vec<AttemptKey>, StoreError> {
        Ok(Vec::new())
    }
}

/// A queue that gives an attempt and nonsense out, once, and loses everything else.
#[derive(Default)]
struct Forgetful(AtomicU32);

impl Dispatches for Forgetful {
    async fn send(&self, _: &ClusterName, _: &[Dispatch]) -> Result<usize, QueueError> {
        Ok(0)
    }

    async fn receive(
        &self,
        _: &ClusterName,
        _: InstanceId,
        _: usize,
        _: Duration,
    ) -> Result<Vec<Delivery>, QueueError> {
        if self.0.fetch_add(1, Ordering::Relaxed) > 0 {
            return pending().await;
        }
        let dispatch = |number| Dispatch { key: key(number), epoch: 1, sent_at: Timestamp(0) };
        let receipt = Receipt("r".to_owned());
        let dispatches = vec![dispatch(NONSENSE), dispatch(1)];
        Ok(vec![Delivery { receipt, dispatches, taken: 1 }])
    }

    async fn acknowledge(&self, _: &ClusterName, _: &[Receipt]) -> Result<(), QueueError> {
        Ok(())
    }

    async fn put_back(
        &self,
        _: &ClusterName,
        _: &Receipt,
        _: &[Dispatch],
    ) -> Result<(), QueueError> {
        Ok(())
    }

    async fn reclaim(
        &self,
        _: &ClusterName,
        _: InstanceId,
        _: Duration,
        _: usize,
    ) -> Result<Vec<Delivery>, QueueError> {
        Ok(Vec::new())
    }

    async fn depth(&self, _: &ClusterName) -> Result<Depth, QueueError> {
        Ok(Depth::default())
    }

    async fn bury(&self, _: &ClusterName, _: &Receipt, _: &str) -> Result<(), QueueError> {
        Ok(())
    }

    async fn dead_letters(
        &self,
        _: &ClusterName,
        _: Option<&DeadLetterId>,
        _: usize,
    ) -> Result<Vec<DeadLetter>, QueueError> {
        Ok(Vec::new())
    }

    async fn redrive(
        &self,
        _: &ClusterName,
        _: &[DeadLetterId],
    ) -> Result<Vec<AttemptKey>, QueueError> {
        Ok(Vec::new())
    }
}

struct Nothing;

impl Subscription for Nothing {
    async fn next(&mut self) -> Notice {
        pending().await
    }
}

impl Hints for Forgetful {
    type Subscription = Nothing;

    fn publish(&self, _: Hint) {}

    fn dropped(&self) -> u64 {
        0
    }

    fn subscribe(&self, _: &[Topic]) -> Nothing {
        Nothing
    }
}

/// Says that something was started.
struct Bell(mpsc::UnboundedSender<AttemptKey>);

impl Runner for Bell {
    fn start(&self, order: Arc<WorkOrder>) {
        self.0.send(order.key).unwrap();
    }

    fn stop(&self, _: AttemptId) {}

    fn shut_down(&self) {}
}

struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> Timestamp {
        Timestamp(7)
    }
}

type Served = Serve<Sulking, Forgetful, Bell, Fixed>;

fn serve(store: Sulking, ttl: Millis) -> (Served, mpsc::UnboundedReceiver<AttemptKey>) {
    let (bell, rings) = mpsc::unbounded_channel();
    let ledger = Arc::new(Ledger::new(|_| {}));
    let served = Serve {
        store: Arc::new(store),
        queue: Forgetful::default(),
        cluster: ClusterName::default(),
        executor: Arc::new(Executor::new(Bell(bell), ledger, Fixed)),
        instance: InstanceId("01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap()),
        slots: 2,
        ttl,
        keeps: false,
    };
    (served, rings)
}

/// Nobody else is sent what was claimed: without an answer it is asked for again, not given up. What no
/// store can make sense of keeps nobody waiting.
#[tokio::test]
async fn a_claim_without_an_answer_is_asked_for_again() {
    let (served, mut rings) = serve(Sulking::default(), Millis::from_secs(300));
    let store = Arc::clone(&served.store);
    let (_facts, inbox) = mpsc::unbounded_channel();
    let begun = async { assert!(rings.recv().await.is_some()) };
    timeout(PATIENCE, served.run(inbox, begun)).await.unwrap().unwrap();
    assert_eq!(*store.claimed.lock().unwrap(), [key(1), key(1)]);
}

/// Others have taken what it runs for lost: it must not wait for a store that says nothing.
#[tokio::test]
async fn an_executor_that_is_not_answered_ends_in_time() {
    let (served, _rings) = serve(Sulking { silent: true, ..Sulking::default() }, Millis(30));
    let (_facts, inbox) = mpsc::unbounded_channel();
    assert_eq!(timeout(PATIENCE, served.run(inbox, pending())).await.unwrap(), Err(Buried));
}

/// Facts that a report was under way with when the end was asked for are not forgotten.
#[tokio::test]
async fn last_words_are_repeated_until_they_are_heard() {
    let store = Sulking { failing: AtomicU32::new(2), ..Sulking::default() };
    let (mut served, _rings) = serve(store, Millis::from_secs(300));
    let (sender, inbox) = mpsc::unbounded_channel();
    let ledger = Arc::new(Ledger::new(move |fact| drop(sender.send(fact))));
    let (bell, _heard) = mpsc::unbounded_channel();
    served.executor = Arc::new(Executor::new(Bell(bell), ledger, Fixed));
    served.executor.deliver(finished(1));
    let store = Arc::clone(&served.store);
    timeout(PATIENCE, served.run(inbox, store.failed.notified())).await.unwrap().unwrap();
    assert_eq!(store.reported.lock().unwrap().first(), Some(&key(1)));
}
