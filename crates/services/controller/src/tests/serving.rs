//! The loop around a controller.

use std::sync::{Arc, Mutex};

use crate::{Config, Mailbox, Outlet, Serve, Turned, mailbox};
use flowforge_model::attempt::{Fact, FactKind, Report};
use flowforge_model::id::InstanceId;
use flowforge_model::status::WorkflowStatus;
use flowforge_ports::clock::{Clock, SystemClock};
use flowforge_ports::nudge::Nudge;
use flowforge_ports::runner::FactSink;
use tokio::sync::{mpsc, oneshot};

use super::fixture::{DIAMOND, Slots, World, dag};
use super::flaky::Fault;

/// An executor where everything succeeds at once, and that keeps what is not acknowledged.
struct Instant {
    mailbox: Mailbox,
    unacknowledged: Mutex<Vec<Fact>>,
    ended: mpsc::UnboundedSender<flowforge_model::id::WorkflowId>,
}

impl Outlet for Instant {
    fn ready(&self) {}

    fn hand_out(&self, turned: Turned) {
        for order in turned.dispatches {
            let kept = self.unacknowledged.lock().unwrap();
            if kept.iter().any(|fact| fact.key == order.key) {
                continue;
            }
            drop(kept);
            let now = SystemClock.now();
            self.mailbox.deliver(Fact { key: order.key, kind: FactKind::Started(now) });
            let report = Report {
                started_at: Some(now),
                finished_at: now,
                exit_code: Some(0),
                failure: None,
                outputs: Vec::new(),
                artifacts: Vec::new(),
                result: None,
            };
            let fact = Fact { key: order.key, kind: FactKind::Finished(Box::new(report)) };
            self.unacknowledged.lock().unwrap().push(fact.clone());
            self.mailbox.deliver(fact);
        }
        let mut kept = self.unacknowledged.lock().unwrap();
        kept.retain(|fact| !turned.acknowledged.contains(&fact.key));
        for id in turned.ended {
            self.ended.send(id).unwrap();
        }
    }

    fn resend(&self) {
        for fact in self.unacknowledged.lock().unwrap().iter() {
            self.mailbox.deliver(fact.clone());
        }
    }
}

#[tokio::test]
async fn workflows_are_carried_on_through_failing_commits_until_shut_down() {
    let mut world = World::new(0).await;
    let id = world.insert(1, &dag(DIAMOND)).await;
    let faults = [Fault::None, Fault::AnswerLost, Fault::None, Fault::Lost];
    world.store.faults.lock().unwrap().extend(faults);
    let (mailbox, inbox) = mailbox();
    let (ended, mut has_ended) = mpsc::unbounded_channel();
    let serve = Serve {
        store: Arc::clone(&world.store),
        config: Config {
            instance: InstanceId(uuid::Uuid::from_u128(7)),
            default_retry: None,
            one_by_one: false,
        },
        clock: SystemClock,
        outlet: Instant { mailbox: mailbox.clone(), unacknowledged: Mutex::default(), ended },
        admission: || Slots::new(2),
    };
    let (stop, stopped) = oneshot::channel::<()>();
    let run = serve.run(inbox, async move { drop(stopped.await) });
    let watch = async move {
        mailbox.nudge(Nudge { workflow: id, plan: None });
        assert_eq!(has_ended.recv().await, Some(id));
        stop.send(()).unwrap();
    };
    let (done, ()) = tokio::join!(run, watch);
    done.unwrap();
    assert_eq!(world.status(id).await, WorkflowStatus::Succeeded);
    world.at_rest(id).await;
}

fn config() -> Config {
    let instance = InstanceId(uuid::Uuid::from_u128(7));
    Config { instance, default_retry: None, one_by_one: false }
}

/// Turns after which [`Busy`] falls silent.
const ENOUGH: u32 = 1000;

/// An executor that has news all the time, of which the controller knows nothing.
struct Busy {
    mailbox: Mailbox,
    turns: Arc<Mutex<u32>>,
}

impl Outlet for Busy {
    fn ready(&self) {}

    fn hand_out(&self, _: Turned) {
        let mut turns = self.turns.lock().unwrap();
        *turns += 1;
        if *turns < ENOUGH {
            let workflow = flowforge_model::id::WorkflowId(uuid::Uuid::from_u128(99));
            let node = flowforge_model::id::NodeIx(1);
            let key = flowforge_model::attempt::AttemptKey { workflow, node, number: *turns };
            self.mailbox.deliver(Fact { key, kind: FactKind::Finished(Box::new(success())) });
        }
    }

    fn resend(&self) {}
}

fn success() -> Report {
    let now = SystemClock.now();
    Report {
        started_at: Some(now),
        finished_at: now,
        exit_code: Some(0),
        failure: None,
        outputs: Vec::new(),
        artifacts: Vec::new(),
        result: None,
    }
}

#[tokio::test]
async fn news_without_end_does_not_keep_it_from_shutting_down() {
    let world = World::new(0).await;
    let (mailbox, inbox) = mailbox();
    let turns = Arc::new(Mutex::new(0));
    let serve = Serve {
        store: Arc::clone(&world.store),
        config: config(),
        clock: SystemClock,
        outlet: Busy { mailbox, turns: Arc::clone(&turns) },
        admission: || Slots::new(2),
    };
    let stop = tokio::sync::watch::Sender::new(true);
    let mut stopped = stop.subscribe();
    serve.run(inbox, async move { drop(stopped.wait_for(|stop| *stop).await) }).await.unwrap();
    let turns = *turns.lock().unwrap();
    assert!(turns < ENOUGH, "{turns} turns");
}

/// An executor whose one task ends in the moment the server is told to stop and its disk fails.
struct LastWords {
    mailbox: Mailbox,
    store: Arc<super::flaky::Flaky>,
    stop: tokio::sync::watch::Sender<bool>,
}

impl Outlet for LastWords {
    fn ready(&self) {}

    fn hand_out(&self, turned: Turned) {
        for order in turned.dispatches {
            let kind = FactKind::Finished(Box::new(success()));
            self.mailbox.deliver(Fact { key: order.key, kind });
            self.store.faults.lock().unwrap().push_back(Fault::Lost);
            self.stop.send_replace(true);
        }
    }

    fn resend(&self) {}
}

#[tokio::test]
async fn a_last_commit_that_fails_is_left_to_the_next_server() {
    let mut world = World::new(0).await;
    let id = world.insert(1, &dag(&[("a", &[])])).await;
    let (mailbox, inbox) = mailbox();
    let stop = tokio::sync::watch::Sender::new(false);
    let mut stopped = stop.subscribe();
    let serve = Serve {
        store: Arc::clone(&world.store),
        config: config(),
        clock: SystemClock,
        outlet: LastWords { mailbox, store: Arc::clone(&world.store), stop },
        admission: || Slots::new(2),
    };
    serve.run(inbox, async move { drop(stopped.wait_for(|stop| *stop).await) }).await.unwrap();
    assert_eq!(world.stored(id).await.open.len(), 1);
}

/// A clock that is set back by an hour as soon as the first task has ended.
#[derive(Clone)]
struct SetBack {
    began: tokio::time::Instant,
    commits: Arc<super::flaky::Flaky>,
}

impl Clock for SetBack {
    fn now(&self) -> flowforge_model::time::Timestamp {
        let elapsed = i64::try_from(self.began.elapsed().as_millis()).unwrap();
        let commits = self.commits.commits.lock().unwrap();
        let ended = commits.iter().flat_map(|c| &c.runs).any(|run| !run.ended.is_empty());
        let base = 1_700_000_000_000 - if ended { 3_600_000 } else { 0 };
        flowforge_model::time::Timestamp(base + elapsed)
    }
}

/// Fails what is dispatched first, and then lets everything succeed.
struct FailsFirst {
    inner: Instant,
    failed: Mutex<bool>,
}

impl Outlet for FailsFirst {
    fn ready(&self) {}

    fn hand_out(&self, mut turned: Turned) {
        let mut failed = self.failed.lock().unwrap();
        if !*failed && let Some(order) = turned.dispatches.pop() {
            *failed = true;
            let failure = flowforge_model::attempt::Failure {
                class: flowforge_model::attempt::FailureClass::User,
                reason: flowforge_model::status::Reason::ExitCode,
                message: "exit code 1".to_owned(),
            };
            let report = Report { failure: Some(failure), exit_code: Some(1), ..success() };
            let kind = FactKind::Finished(Box::new(report));
            self.inner.mailbox.deliver(Fact { key: order.key, kind });
        }
        self.inner.hand_out(turned);
    }

    fn resend(&self) {}
}

#[tokio::test]
async fn timers_go_on_when_the_clock_is_set_back() {
    let mut world = World::new(0).await;
    let retry = "sh:\n    retryStrategy: {limit: 1, backoff: {duration: 100ms}}";
    let id = world.insert(1, &dag(&[("a", &[])]).replace("sh:", retry)).await;
    let (mailbox, inbox) = mailbox();
    let (ended, mut has_ended) = mpsc::unbounded_channel();
    let began = tokio::time::Instant::now();
    let inner = Instant { mailbox: mailbox.clone(), unacknowledged: Mutex::default(), ended };
    let serve = Serve {
        store: Arc::clone(&world.store),
        config: config(),
        clock: SetBack { began, commits: Arc::clone(&world.store) },
        outlet: FailsFirst { inner, failed: Mutex::new(false) },
        admission: || Slots::new(2),
    };
    let (stop, stopped) = oneshot::channel::<()>();
    let run = serve.run(inbox, async move { drop(stopped.await) });
    let watch = async move {
        mailbox.nudge(Nudge { workflow: id, plan: None });
        assert_eq!(has_ended.recv().await, Some(id));
        stop.send(()).unwrap();
    };
    let both = async { tokio::join!(run, watch) };
    let in_time = tokio::time::timeout(std::time::Duration::from_secs(20), both).await;
    let (done, ()) = in_time.expect("the retry waits for an hour");
    done.unwrap();
}
