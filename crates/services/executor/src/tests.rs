mod given_up;
mod late;

use std::sync::Mutex;

use flowforge_model::attempt::{Fact, FactKind, FailureClass, Main, Process, Report, Work};
use flowforge_model::id::{AttemptId, EntityId, NodeIx};
use flowforge_model::resources::Resources;
use flowforge_model::time::Timestamp;
use flowforge_ports::claims::Claimed;
use flowforge_ports::runner::FactSink;

use super::*;

/// Notes what it is told.
#[derive(Clone, Default)]
struct Fake(Arc<Mutex<Vec<String>>>, bool);

impl Fake {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Runner for Fake {
    fn start(&self, order: Arc<WorkOrder>) {
        self.0.lock().unwrap().push(format!("start {}", order.key.number));
    }
    fn stop(&self, attempt: AttemptId) {
        assert_eq!(attempt, key(1).id());
        self.0.lock().unwrap().push("stop".to_owned());
    }
    fn takes_more(&self) -> bool {
        !self.1
    }
    fn shut_down(&self) {}
}

struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> Timestamp {
        Timestamp(7)
    }
}

pub(crate) fn key(number: u32) -> AttemptKey {
    AttemptKey {
        workflow: "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap(),
        node: NodeIx(3),
        number,
    }
}

pub(crate) fn order(number: u32) -> Arc<WorkOrder> {
    Arc::new(WorkOrder {
        key: key(number),
        attempt: key(number).id(),
        task: key(number).workflow.task(NodeIx(3)),
        project: EntityId::DEFAULT_PROJECT,
        workflow_name: "w".to_owned(),
        task_name: "a".to_owned(),
        template: "t".to_owned(),
        work: Work::one(Process {
            name: "main".to_owned(),
            image: String::new(),
            command: vec!["true".to_owned()],
            ..Process::default()
        }),
        resources: Resources::default(),
        volumes: Vec::new(),
        artifacts_in: Vec::new(),
        artifacts_out: Vec::new(),
        outputs: Vec::new(),
        deadline: None,
        daemon: None,
        pod: None,
        pod_patches: Vec::new(),
        pod_metadata: None,
    })
}

pub(crate) fn claimed(key: AttemptKey) -> Claimed {
    Claimed { key, order: Ok((*order(key.number)).clone()), outlived: false }
}

pub(crate) fn finished(number: u32) -> Fact {
    let report = Report {
        started_at: None,
        finished_at: Timestamp(5),
        exit_code: Some(0),
        failure: None,
        outputs: Vec::new(),
        artifacts: Vec::new(),
        result: None,
    };
    Fact { key: key(number), kind: FactKind::Finished(Box::new(report)) }
}

type Sent = Arc<Mutex<Vec<Fact>>>;

fn fixture() -> (Executor<Fake, Fixed>, Fake, Arc<Ledger>, Sent) {
    let facts = Arc::new(Mutex::new(Vec::new()));
    let sent = Arc::clone(&facts);
    let ledger = Arc::new(Ledger::new(move |fact| sent.lock().unwrap().push(fact)));
    let runner = Fake::default();
    let executor = Executor::new(runner.clone(), Arc::clone(&ledger), Fixed);
    (executor, runner, ledger, facts)
}

#[test]
fn a_gang_takes_the_places_of_all_its_members() {
    let (executor, _, ledger, _) = fixture();
    let mut gang = (*order(1)).clone();
    let Work::Run(program) = &mut gang.work else { panic!("a request") };
    program.main = Main::Gang { process: Process::default(), size: 3 };
    executor.start(Arc::new(gang));
    executor.start(order(2));
    assert_eq!(executor.running(), 4);
    ledger.deliver(finished(1));
    assert_eq!(executor.running(), 1);
}

#[test]
fn a_second_start_of_an_attempt_does_nothing() {
    let (executor, runner, ledger, _) = fixture();
    executor.start(order(1));
    executor.start(order(1));
    assert_eq!(runner.take(), ["start 1"]);
    ledger.deliver(finished(1));
    executor.start(order(1));
    assert_eq!(runner.take(), [""; 0], "its end waits to be acknowledged");
}

#[test]
fn that_a_daemon_is_ready_is_sent_again_until_it_has_ended() {
    let (executor, _, ledger, facts) = fixture();
    executor.start(order(1));
    let kind = FactKind::Ready { at: Timestamp(4), ip: "10.0.0.7".to_owned() };
    let ready = Fact { key: key(1), kind };
    ledger.deliver(ready.clone());
    executor.resend();
    assert_eq!(std::mem::take(&mut *facts.lock().unwrap()), [ready.clone(), ready.clone()]);
    ledger.deliver(finished(1));
    ledger.deliver(ready.clone());
    executor.resend();
    assert_eq!(*facts.lock().unwrap(), [finished(1), ready, finished(1)], "its end is what counts");
}

#[test]
fn an_end_is_sent_again_until_it_is_acknowledged() {
    let (executor, _, ledger, facts) = fixture();
    executor.start(order(1));
    executor.start(order(2));
    ledger.deliver(finished(1));
    executor.resend();
    assert_eq!(*facts.lock().unwrap(), [finished(1), finished(1)]);
    executor.acknowledge(key(1));
    executor.resend();
    assert_eq!(facts.lock().unwrap().len(), 2);
}

#[test]
fn stopping_what_nobody_knows_is_reported_as_stopped() {
    let (executor, runner, _, facts) = fixture();
    executor.stop(key(1));
    assert_eq!(runner.take(), [""; 0]);
    let facts = facts.lock().unwrap();
    let FactKind::Finished(report) = &facts[0].kind else {
        panic!("{facts:?}");
    };
    let class = report.failure.as_ref().map(|f| f.class);
    assert_eq!((class, report.finished_at), (Some(FailureClass::Stopped), Timestamp(7)));
}

#[test]
fn stopping_what_runs_goes_to_the_runner_and_what_ended_keeps_its_report() {
    let (executor, runner, ledger, facts) = fixture();
    executor.start(order(1));
    executor.stop(key(1));
    assert_eq!(runner.take(), ["start 1", "stop"]);
    ledger.deliver(finished(1));
    executor.stop(key(1));
    assert_eq!(runner.take(), [""; 0]);
    assert_eq!(*facts.lock().unwrap(), [finished(1)]);
}

/// Where it runs them there is no room: it has what it has, and no more.
#[test]
fn what_would_only_wait_is_not_asked_for() {
    let full = Executor::new(Fake(Arc::default(), true), Arc::new(Ledger::new(|_| {})), Fixed);
    assert_eq!(full.capacity(4), 0);
    full.start(order(1));
    assert_eq!(full.capacity(4), 1);
    let free = Executor::new(Fake::default(), Arc::new(Ledger::new(|_| {})), Fixed);
    free.start(order(1));
    assert_eq!(free.capacity(4), 4);
}
