//! The patterns that find what controllers of Kubernetes get wrong: they die between any two requests, an event
//! never comes, what is read is old. Whatever goes wrong, each attempt has one pod that runs once, one end is told,
//! and nothing is left.
//!
//! After Sun et al., *Automatic Reliability Testing for Cluster Management Controllers* (OSDI 2022).

use std::collections::BTreeMap;

use super::fake::{Fake, Faults, When};
use super::real::{Real, Told};
use super::*;

/// What runs, and how it ends.
pub(super) const LIVES: [(&str, &str); 3] =
    [(REPORTED, "success 0"), ("exit 3", "User exit_code 3"), ("true", "success 0")];
/// So many requests, events or lists are more than these lives cost.
pub(super) const MANY: u64 = 200;

type Ends = BTreeMap<AttemptId, String>;

/// Runs to the end, with another runner whenever the one before has died.
async fn lives(faults: Faults) -> bool {
    let fake = Fake::erring(faults);
    let real = Real::at(fake.kubeconfig.path()).await;
    let orders: Vec<_> = LIVES.iter().map(|(script, _)| real.order(script)).collect();
    let mut ends = Ends::new();
    while ends.len() < orders.len() {
        let mut told = real.runner(Bounds { silence: Millis(50), ..Bounds::default() });
        let left = orders.iter().filter(|order| !ends.contains_key(&order.attempt));
        left.for_each(|order| told.runner.start(Arc::clone(order)));
        let died = tokio::select! {
            () = hear(&mut told, &mut ends, orders.len()) => false,
            () = fake.crashed() => true,
        };
        if died {
            told.die().await;
            fake.recover();
            continue;
        }
        gone(&fake, &real, &ends).await;
        told.close().await;
    }
    for (order, (script, end)) in orders.iter().zip(LIVES) {
        assert_eq!(ends[&order.attempt], end, "{script}");
        assert_eq!(fake.made_and_ran(order.attempt), (1, 1), "{script}");
    }
    fake.has_erred()
}

/// Hears all ends; each is durable at once.
async fn hear(told: &mut Told, ends: &mut Ends, all: usize) {
    while ends.len() < all {
        let (id, end) = told.end_of().await;
        assert_eq!(ends.insert(id, end), None, "told twice");
        told.runner.settled(id);
    }
}

/// Waits until no pod is left. A deletion that died with a runner is made up for, as the sweep of executors does.
async fn gone(fake: &Fake, real: &Real, ends: &Ends) {
    let until = tokio::time::Instant::now() + Duration::from_secs(60);
    while fake.pods() > 0 {
        assert!(tokio::time::Instant::now() < until, "a pod is left");
        if fake.has_crashed() {
            fake.recover();
            let strays = real.cluster.pods("test").await.expect("strays");
            for stray in strays.iter().filter(|one| ends.contains_key(&one.attempt.id())) {
                real.cluster.remove(stray).await.expect("a delete");
            }
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// With each of these faults, until one is beyond the end. How many there were.
async fn each(fault: impl Fn(u64) -> Faults) -> u64 {
    for at in 1..MANY {
        if !lives(fault(at)).await {
            return at - 1;
        }
    }
    panic!("it does not come to an end");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_dies_before_any_request() {
    let crash = |at| Faults { crash_at: Some((at, When::Before)), ..Faults::default() };
    assert!(each(crash).await > 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_dies_after_any_request() {
    let crash = |at| Faults { crash_at: Some((at, When::After)), ..Faults::default() };
    assert!(each(crash).await > 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn any_event_does_not_come() {
    assert!(each(|at| Faults { skip: Some(at), ..Faults::default() }).await > 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_old_and_watches_short() {
    for back in 1..8 {
        for long in 1..4 {
            let faults = Faults { stale: Some(back), restless: Some(long), ..Faults::default() };
            lives(faults).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_comes_twice() {
    lives(Faults { twice: true, ..Faults::default() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_requests_fail_or_only_seem_to() {
    // A namespace that is put in order takes five good answers in a row.
    for each in 7..11 {
        for when in [When::Before, When::After] {
            let faults = Faults { refuse_each: Some((each, when)), ..Faults::default() };
            assert!(lives(faults).await);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_its_node_gives_up_is_evicted() {
    let fake = Fake::new();
    let real = Real::at(fake.kubeconfig.path()).await;
    let mut told = real.runner(Bounds::default());
    let order = real.order("sleep 1000");
    told.runner.start(Arc::clone(&order));
    assert_eq!(told.next().await, "started");
    fake.evict(&real.name(&order));
    assert_eq!(told.end().await, "Lost evicted");
    told.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_does_not_answer_is_lost() {
    let fake = Fake::new();
    let real = Real::at(fake.kubeconfig.path()).await;
    let mut told = real.runner(Bounds { node: Millis(300), ..Bounds::default() });
    let order = real.order("sleep 1000");
    told.runner.start(Arc::clone(&order));
    assert_eq!(told.next().await, "started");
    fake.freeze();
    real.pods().delete(&real.name(&order), &DeleteParams::default()).await.expect("a delete");
    assert_eq!(told.end().await, "Lost node_lost");
    told.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn so_many_without_a_node_are_enough() {
    let fake = Fake::new();
    let real = Real::at(fake.kubeconfig.path()).await;
    let mut told = real.runner(Bounds::default());
    let mut large = process();
    large.env.push(("SCRIPT".to_owned(), Given::Text("true".to_owned())));
    let mut takes_more = told.runner.takes_more.clone();
    let mut orders = Vec::new();
    for _ in 0..=HOMELESS {
        let mut order = (*real.order_of(large.clone())).clone();
        order.resources.requests.memory = Bytes(1 << 50);
        order.resources.limits.memory = Bytes(1 << 50);
        let order = Arc::new(order);
        told.runner.start(Arc::clone(&order));
        orders.push(order);
    }
    takes_more.wait_for(|more| !more).await.expect("a runner");
    told.runner.stop(orders[0].attempt);
    assert_eq!(told.end().await, "Stopped stopped");
    takes_more.wait_for(|more| *more).await.expect("a runner");
    told.close().await;
}
