//! Collectors beside executors that live, and beside those that do not any more, on the fake cluster, which errs.

use std::collections::{BTreeMap, BTreeSet};

use flowforge_model::attempt::AttemptKey;
use flowforge_ports::clock::SystemClock;
use flowforge_ports::store::StoreError;
use flowforge_ports::witness::{Awaited, Testimony, Witness};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::fake::{Fake, Faults, When};
use super::real::{Real, line};
use super::sieve::{LIVES, MANY};
use super::*;
use crate::{Collector, CollectorConfig, Counts};

const GRACE: Millis = Millis(150);
/// That of those who live is longer than their own way on a machine that is busy.
const LONG: Millis = Millis(3000);

/// The rows of attempts, as a witness sees them.
#[derive(Default)]
struct Rows(Mutex<State>);

#[derive(Default)]
struct State {
    open: BTreeMap<AttemptKey, WorkOrder>,
    asked: BTreeSet<AttemptKey>,
    ends: BTreeMap<AttemptKey, String>,
}

impl Rows {
    fn of(orders: &[Arc<WorkOrder>]) -> Arc<Self> {
        let open = orders.iter().map(|order| (order.key, (**order).clone())).collect();
        Arc::new(Self(Mutex::new(State { open, ..State::default() })))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().expect("rows")
    }

    /// Waits until all has come about.
    async fn until(&self, what: &str, good: impl Fn(&State) -> bool) {
        let until = tokio::time::Instant::now() + Duration::from_secs(120);
        while !good(&self.lock()) {
            assert!(tokio::time::Instant::now() < until, "{what} is waited for in vain");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Witness for Rows {
    async fn awaited(&self, keys: &[AttemptKey]) -> Result<Vec<Awaited>, StoreError> {
        let mut rows = self.lock();
        rows.asked.extend(keys);
        let open = keys.iter().filter_map(|key| rows.open.get(key));
        Ok(open.map(|order| Awaited { order: order.clone(), stop: false }).collect())
    }

    async fn testify(&self, ends: &[Testimony]) -> Result<Vec<AttemptKey>, StoreError> {
        let mut rows = self.lock();
        let mut kept = Vec::new();
        for Testimony { key, pods, report } in ends {
            assert_eq!(pods.len(), 1, "all its pods");
            if rows.open.remove(key).is_some() {
                rows.ends.insert(*key, line(report));
                kept.push(*key);
            }
        }
        Ok(kept)
    }
}

struct Running {
    stop: oneshot::Sender<()>,
    running: JoinHandle<()>,
    counts: Arc<Counts>,
}

impl Running {
    fn new(real: &Real, rows: &Arc<Rows>, grace: Millis) -> Self {
        let bounds = Bounds { silence: Millis(50), node: Millis(300), ..Bounds::default() };
        let config = CollectorConfig { name: "test".to_owned(), bounds, grace };
        let witness = (Arc::clone(rows), Arc::new(SystemClock) as Arc<dyn Clock>);
        let collector = Collector::new(real.cluster.clone(), config, witness, Box::new(|_| ()));
        let collector = collector.expect("a collector");
        let counts = collector.counts();
        let (stop, stopped) = oneshot::channel();
        let running = tokio::spawn(collector.run(async move { drop(stopped.await) }));
        Self { stop, running, counts }
    }

    /// The same, once it knows what there is.
    async fn watching(real: &Real, rows: &Arc<Rows>, grace: Millis) -> Self {
        let new = Self::new(real, rows, grace);
        rows.until("a list", |_| new.counts.watches()).await;
        new
    }

    async fn end(self) {
        drop(self.stop);
        self.running.await.expect("an end");
    }
}

/// Attempts whose executor has begun them and died.
async fn orphans(fake: &Fake, real: &Real, scripts: &[&str]) -> Vec<Arc<WorkOrder>> {
    let told = real.runner(Bounds::default());
    let orders: Vec<_> = scripts.iter().map(|script| real.order(script)).collect();
    orders.iter().for_each(|order| told.runner.start(Arc::clone(order)));
    let begun = Rows::default();
    let all = |_: &State| orders.iter().all(|one| fake.made_and_ran(one.attempt) == (1, 1));
    begun.until("what begins", all).await;
    told.die().await;
    orders
}

/// Watches what a dead executor has left, with another collector whenever the one before has died.
async fn lives(faults: Faults) -> bool {
    let fake = Fake::new();
    let real = Real::at(fake.kubeconfig.path()).await;
    let orders = orphans(&fake, &real, &LIVES.map(|(script, _)| script)).await;
    let (rows, writes) = (Rows::of(&orders), fake.writes());
    fake.err(faults);
    loop {
        let collector = Running::new(&real, &rows, GRACE);
        let died = tokio::select! {
            () = rows.until("an end", |rows| rows.ends.len() == LIVES.len()) => false,
            () = fake.crashed() => true,
        };
        collector.end().await;
        if !died {
            break;
        }
        fake.recover();
    }
    for (order, (script, end)) in orders.iter().zip(LIVES) {
        assert_eq!(rows.lock().ends[&order.key], end, "{script}");
    }
    assert_eq!(fake.writes(), writes, "it only reads");
    fake.has_erred()
}

async fn each(fault: impl Fn(u64) -> Faults) -> u64 {
    for at in 1..MANY {
        if !lives(fault(at)).await {
            return at - 1;
        }
    }
    panic!("it does not come to an end");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_dies_before_or_after_any_request() {
    for when in [When::Before, When::After] {
        let crash = |at| Faults { crash_at: Some((at, when)), ..Faults::default() };
        assert!(each(crash).await >= LIVES.len() as u64);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_old_watches_short_and_events_come_twice() {
    for back in 1..8 {
        let faults = Faults { stale: Some(back), restless: Some(2), ..Faults::default() };
        lives(faults).await;
    }
    lives(Faults { twice: true, ..Faults::default() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_requests_fail() {
    for each in 2..6 {
        let faults = Faults { refuse_each: Some((each, When::Before)), ..Faults::default() };
        assert!(lives(faults).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn any_event_does_not_come_while_pods_end() {
    for skip in 1..8 {
        let fake = Fake::new();
        let real = Real::at(fake.kubeconfig.path()).await;
        let orders = orphans(&fake, &real, &["sleep 1", "sleep 2"]).await;
        let rows = Rows::of(&orders);
        fake.err(Faults { skip: Some(skip), ..Faults::default() });
        let collector = Running::watching(&real, &rows, GRACE).await;
        for order in &orders {
            let name = real.name(order);
            real.pods().delete(&name, &DeleteParams::default()).await.expect("a delete");
        }
        rows.until("an end", |rows| rows.ends.len() == 2).await;
        collector.end().await;
        let told: Vec<String> = rows.lock().ends.values().cloned().collect();
        // Whoever has not seen how it was deleted knows only that it is gone.
        assert!(told.iter().all(|end| end.starts_with("Lost pod_deleted")), "{skip}: {told:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_to_pods_has_the_reason_that_executors_give() {
    let fake = Fake::new();
    let real = Real::at(fake.kubeconfig.path()).await;
    let orders = orphans(&fake, &real, &["sleep 1", "sleep 2", "sleep 3", "sleep 4"]).await;
    let [evicted, deleted, stranded, runs] = &*orders else { panic!("four") };
    let rows = Rows::of(&orders);
    let collector = Running::watching(&real, &rows, GRACE).await;
    let has = |key| move |rows: &State| rows.ends.contains_key(&key);
    fake.evict(&real.name(evicted));
    rows.until("the eviction", has(evicted.key)).await;
    real.pods().delete(&real.name(deleted), &DeleteParams::default()).await.expect("a delete");
    rows.until("the deletion", has(deleted.key)).await;
    fake.freeze();
    real.pods().delete(&real.name(stranded), &DeleteParams::default()).await.expect("a delete");
    rows.until("the node", has(stranded.key)).await;
    collector.end().await;
    let rows = rows.lock();
    let wanted = [
        (evicted.key, "Lost evicted"),
        (deleted.key, "Lost pod_deleted 137"),
        (stranded.key, "Lost node_lost"),
    ];
    assert_eq!(rows.ends, wanted.map(|(key, end)| (key, end.to_owned())).into());
    assert!(!rows.asked.contains(&runs.key), "what simply runs is nobody's business");
}

/// Its executor died while it made the pods of a gang. One has ended, and the other is neither there nor made by anybody.
#[tokio::test(flavor = "multi_thread")]
async fn a_gang_that_was_never_whole_ends_with_what_there_is_of_it() {
    let fake = Fake::new();
    let real = Real::at(fake.kubeconfig.path()).await;
    let told = real.runner(Bounds::default());
    let gang = real.gang("sleep 1", 2);
    told.runner.start(Arc::clone(&gang));
    let begun = Rows::default();
    begun.until("what begins", |_| fake.made_and_ran(gang.attempt) == (2, 2)).await;
    told.die().await;
    let delete = async |member| {
        let name = gang.pod_name(Some(member));
        real.pods().delete(&name, &DeleteParams::default()).await.expect("a delete");
        real.name_gone(&name).await;
    };
    delete(1).await;
    let rows = Rows::of(std::slice::from_ref(&gang));
    let collector = Running::watching(&real, &rows, GRACE).await;
    delete(0).await;
    rows.until("the end", |rows| !rows.ends.is_empty()).await;
    collector.end().await;
    assert!(rows.lock().ends[&gang.key].starts_with("Lost pod_deleted"), "{:?}", rows.lock().ends);
}

/// Everything is in order: it has nothing to say.
#[tokio::test(flavor = "multi_thread")]
async fn beside_an_executor_that_lives_a_collector_writes_nothing() {
    let fake = Fake::new();
    let real = Real::at(fake.kubeconfig.path()).await;
    let orders: Vec<_> = LIVES.iter().map(|(script, _)| real.order(script)).collect();
    let rows = Rows::of(&orders);
    let collector = Running::watching(&real, &rows, LONG).await;
    let mut told = real.runner(Bounds { silence: Millis(50), ..Bounds::default() });
    orders.iter().for_each(|order| told.runner.start(Arc::clone(order)));
    for _ in &orders {
        let (id, _) = told.end_of().await;
        let key = orders.iter().find(|one| one.attempt == id).expect("one of them").key;
        rows.lock().open.remove(&key);
        told.runner.settled(id);
    }
    rows.until("questions about all", |rows| rows.asked.len() == LIVES.len()).await;
    told.close().await;
    let numbers = collector.counts.text();
    collector.end().await;
    assert_eq!(rows.lock().ends, BTreeMap::new());
    assert!(!numbers.contains("facts_total{"), "{numbers}");
    assert!(numbers.contains("flowforge_collector_watches 1"), "{numbers}");
}
