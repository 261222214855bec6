//! Orders of events that chance rarely makes, one by one: the real servers of a fleet over the store
//! in memory, each step taken when the test says so.

mod taken_back;

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};

use flowforge_model::attempt::{AttemptKey, Fact, FactKind, Report};
use flowforge_model::cluster::ClusterName;
use flowforge_model::event::Command;
use flowforge_model::id::{EntityId, InstanceId, WorkflowId};
use flowforge_model::resources::Bytes;
use flowforge_model::status::WorkflowStatus;
use flowforge_model::time::{Millis, Timestamp};
use flowforge_ports::leases::{Attendance, Leases as _, Role};
use flowforge_ports::runner::FactSink as _;
use flowforge_ports::store::{NewWorkflow, Store as _, StoredRun};
use flowforge_svc_controller::{Config, Controller, ControllerError, Message};
use flowforge_svc_executor::{Executor, Ledger, Station};
use flowforge_svc_scheduler::{Elsewhere, Leader};
use uuid::Uuid;

use super::processes::Processes;
use super::store::FaultyStore;
use super::world::block_on;
use crate::plants::RULES;

const TTL: Millis = Millis(3000);
const TWO_STEPS: &str = r#"{"version": "1.0", "entrypoint": "main", "templates": {
    "main": {"dag": {"tasks": [{"name": "a", "template": "body"},
        {"name": "b", "template": "body", "dependencies": ["a"]}]}},
    "body": {"container": {"image": "x", "command": ["true"]}}}}"#;

/// A database, its clock, and users.
struct World {
    store: Arc<FaultyStore>,
    now: Timestamp,
}

impl World {
    fn new() -> Self {
        let now = Timestamp(1_700_000_000_000);
        let store = Arc::new(FaultyStore::new(0, 0));
        store.rows.set_clock(now);
        Self { store, now }
    }

    fn pass(&mut self, time: Millis) {
        self.now = self.now.plus(time);
        self.store.rows.set_clock(self.now);
    }

    fn submit(&self, number: u8, document: &str) -> WorkflowId {
        let id: WorkflowId =
            format!("01890a5d-ac96-774b-bcce-b302099a80{number:02x}").parse().unwrap();
        let new = NewWorkflow {
            id,
            project: EntityId::DEFAULT_PROJECT,
            name: format!("w{number}"),
            description: String::new(),
            document: document.to_owned(),
            parameters: Vec::new(),
            labels: Vec::new(),
            priority: 0,
            submitted_by: "test".to_owned(),
            storage: Bytes(0),
            resubmitted_from: None,
            at: self.now,
            idempotency: None,
            parent: None,
        };
        block_on(self.store.rows.insert(new)).unwrap();
        id
    }

    fn cancel(&self, id: WorkflowId) {
        block_on(self.store.rows.ask(id, Command::Cancel, self.now)).unwrap();
    }

    fn rows(&self, id: WorkflowId) -> StoredRun {
        block_on(self.store.rows.load(id)).unwrap()
    }

    fn status(&self, id: WorkflowId) -> WorkflowStatus {
        self.rows(id).state.status
    }

    fn controls(&self, name: u128) -> Controls {
        Controls { instance: InstanceId(Uuid::from_u128(name)), controller: self.controller(name) }
    }

    fn controller(&self, name: u128) -> Controller<FaultyStore, Elsewhere> {
        let instance = InstanceId(Uuid::from_u128(name));
        let config = Config { instance, default_retry: None, one_by_one: false };
        Controller::beside(Arc::clone(&self.store), Elsewhere::default(), config)
    }

    fn leader(&self, name: u128) -> Leader<FaultyStore> {
        let holder = InstanceId(Uuid::from_u128(name));
        let said = Attendance::new(Role::Scheduler, holder, TTL);
        let led = block_on(self.store.rows.attend(said)).unwrap();
        block_on(Leader::start(Arc::clone(&self.store), led.leases[0].epoch, (home(), RULES)))
            .unwrap()
    }

    fn runs(&self, name: u128) -> Runs {
        let processes = Processes::default();
        let ledger = Arc::new(Ledger::new(processes.clone()));
        let executor = Executor::new(processes.clone(), Arc::clone(&ledger), processes.clone());
        let instance = InstanceId(Uuid::from_u128(name));
        let station = Station::new(Arc::clone(&self.store), Arc::new(executor), instance);
        let said = Attendance::new(Role::Executor, instance, Millis(60_000));
        block_on(self.store.rows.attend(Attendance {
            capacity: 10,
            cluster: Some(home()),
            ..said
        }))
        .unwrap();
        Runs { processes, ledger, station }
    }
}

fn home() -> ClusterName {
    ClusterName::default()
}

fn slots(number: u64) -> BTreeMap<ClusterName, u64> {
    BTreeMap::from([(home(), number)])
}

/// A controller.
struct Controls {
    instance: InstanceId,
    controller: Controller<FaultyStore, Elsewhere>,
}

impl Controls {
    /// Attends; what it hears.
    fn attend(&self, world: &World) -> Message {
        let said = Attendance::new(Role::Controller, self.instance, TTL);
        Message::Leases(block_on(world.store.rows.attend(said)).unwrap().leases)
    }

    /// Turns until there is nothing more to do.
    fn turn(&mut self, world: &World) -> Result<(), ControllerError> {
        let mut inbox = vec![self.attend(world), Message::Sweep];
        while block_on(self.controller.turn(std::mem::take(&mut inbox), world.now))?.again {}
        Ok(())
    }
}

/// An executor.
struct Runs {
    processes: Processes,
    ledger: Arc<Ledger>,
    station: Station<FaultyStore, Processes, Processes>,
}

impl Runs {
    /// Claims what it was sent; what began.
    fn take(&self, keys: &[AttemptKey]) -> Vec<AttemptKey> {
        assert_eq!(block_on(self.station.take(keys)).unwrap(), []);
        std::mem::take(&mut self.processes.look().begun)
    }

    /// Everything that runs succeeds, and is reported.
    fn finish(&self, world: &World) {
        let running = std::mem::take(&mut self.processes.look().running);
        for key in running.into_values() {
            let report = Report {
                started_at: Some(world.now),
                finished_at: world.now,
                exit_code: Some(0),
                failure: None,
                outputs: Vec::new(),
                artifacts: Vec::new(),
                result: None,
            };
            self.ledger.deliver(Fact { key, kind: FactKind::Finished(Box::new(report)) });
        }
        let facts = std::mem::take(&mut self.processes.look().posted);
        block_on(self.station.report(&facts)).unwrap();
    }
}

/// Goes on as far as it can; done or waiting for a write that is held.
fn poll<T>(future: &mut Pin<Box<impl Future<Output = T>>>) -> Poll<T> {
    future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

/// Carries a workflow on to its end; how many attempts began.
fn to_the_end(
    world: &World,
    id: WorkflowId,
    controls: &mut Controls,
    leader: &mut Leader<FaultyStore>,
    runs: &Runs,
) -> usize {
    let mut begun = 0;
    for _ in 0..20 {
        controls.turn(world).unwrap();
        if world.status(id).terminal() {
            return begun;
        }
        let decided = block_on(leader.turn(|| world.now, &slots(10))).unwrap();
        begun += runs.take(&decided.keys()).len();
        runs.finish(world);
    }
    panic!("it does not come to its end: {:?}", world.rows(id));
}

#[test]
fn a_cancel_that_is_acknowledged_before_an_admission_commits_keeps_it_out() {
    let world = World::new();
    let (mut controls, mut leader, runs) = (world.controls(1), world.leader(2), world.runs(3));
    let id = world.submit(1, TWO_STEPS);
    controls.turn(&world).unwrap();

    let released = world.store.hold_next();
    let ten = slots(10);
    let mut admission = Box::pin(leader.turn(|| world.now, &ten));
    assert!(poll(&mut admission).is_pending(), "the admission is on its way");
    world.cancel(id);
    released.store(true, Ordering::SeqCst);
    let Poll::Ready(decided) = poll(&mut admission) else { panic!("it is not held any more") };
    drop(admission);

    assert_eq!(decided.unwrap().keys(), []);
    assert_eq!(runs.take(&[id_of_first(id)]), [], "whoever is sent it all the same is refused");
    controls.turn(&world).unwrap();
    assert_eq!(world.status(id), WorkflowStatus::Cancelled);
    assert_eq!(block_on(leader.turn(|| world.now, &slots(10))).unwrap().keys(), []);
}

/// Otherwise who takes a place would seem to have had it before the other left it.
#[test]
fn the_time_of_an_admission_is_after_all_ends_that_made_room_for_it() {
    let world = World::new();
    let (mut controls, mut leader, runs) = (world.controls(1), world.leader(2), world.runs(3));
    let first = world.submit(1, TWO_STEPS);
    world.submit(2, TWO_STEPS);
    controls.turn(&world).unwrap();
    let admitted = block_on(leader.turn(|| world.now, &slots(1))).unwrap().keys();
    assert_eq!(admitted, [id_of_first(first)]);
    assert_eq!(runs.take(&admitted), admitted);
    runs.finish(&world);

    let ends_meanwhile = || {
        controls.turn(&world).unwrap();
        world.now
    };
    assert_eq!(block_on(leader.turn(ends_meanwhile, &slots(1))).unwrap().keys(), []);
    assert_eq!(block_on(leader.turn(|| world.now, &slots(1))).unwrap().keys().len(), 1);
}

#[test]
fn a_cancel_after_an_admission_finds_the_attempt_and_ends_it() {
    let world = World::new();
    let (mut controls, mut leader, runs) = (world.controls(1), world.leader(2), world.runs(3));
    let id = world.submit(1, TWO_STEPS);
    controls.turn(&world).unwrap();
    let dispatches = block_on(leader.turn(|| world.now, &slots(10))).unwrap().keys();
    assert_eq!(dispatches, [id_of_first(id)]);

    world.cancel(id);
    assert_eq!(runs.take(&dispatches), [], "nothing is claimed behind a closed gate");
    controls.turn(&world).unwrap();
    controls.turn(&world).unwrap();
    let rows = world.rows(id);
    assert_eq!(rows.state.status, WorkflowStatus::Cancelled);
    assert_eq!(rows.open, [], "its reservation is released");
    assert_eq!(runs.take(&dispatches), []);
}

#[test]
fn a_commit_that_is_under_way_while_its_shard_is_taken_over_is_refused() {
    let mut world = World::new();
    let (mut old, mut leader, runs) = (world.controls(1), world.leader(2), world.runs(3));
    let id = world.submit(1, TWO_STEPS);
    let inbox = vec![old.attend(&world), Message::Sweep];
    while block_on(old.controller.turn(Vec::new(), world.now)).unwrap().again {}

    let released = world.store.hold_next();
    let mut commit = Box::pin(old.controller.turn(inbox, world.now));
    assert!(poll(&mut commit).is_pending(), "the commit is on its way");
    world.pass(Millis(TTL.0 + 1));
    let mut new = world.controls(4);
    new.turn(&world).unwrap();
    let before = world.rows(id);
    assert!(before.seq > 0, "the new controller has begun it");

    released.store(true, Ordering::SeqCst);
    let Poll::Ready(late) = poll(&mut commit) else { panic!("it is not held any more") };
    drop(commit);
    assert!(matches!(late, Err(ControllerError::Fenced)), "{late:?}");
    assert_eq!(world.rows(id), before, "nothing of it was written");
    assert_eq!(to_the_end(&world, id, &mut new, &mut leader, &runs), 2);
    assert_eq!(world.status(id), WorkflowStatus::Succeeded);
}

#[test]
fn a_commit_whose_answer_is_lost_is_found_and_not_made_again() {
    let world = World::new();
    let (mut controls, mut leader, runs) = (world.controls(1), world.leader(2), world.runs(3));
    let id = world.submit(1, TWO_STEPS);
    world.store.silence_next();
    assert!(controls.turn(&world).is_err(), "it does not know what was done");
    let before = world.rows(id);
    assert!(before.seq > 0, "it was done");

    controls.controller = world.controller(1);
    controls.turn(&world).unwrap();
    assert_eq!(world.rows(id).runnable, before.runnable);
    assert_eq!(to_the_end(&world, id, &mut controls, &mut leader, &runs), 2);
    assert_eq!(world.status(id), WorkflowStatus::Succeeded);
}

#[test]
fn a_workflow_that_cannot_be_read_leaves_the_others_of_its_batch_alone() {
    let world = World::new();
    let (mut controls, mut leader, runs) = (world.controls(1), world.leader(2), world.runs(3));
    let poisoned = world.submit(1, "no document");
    let good = world.submit(65, TWO_STEPS);
    assert_eq!(poisoned.shard(), good.shard(), "one controller reads both in one turn");

    assert_eq!(to_the_end(&world, good, &mut controls, &mut leader, &runs), 2);
    assert_eq!(world.status(good), WorkflowStatus::Succeeded);
    let rows = world.rows(poisoned);
    assert_eq!(rows.state.status, WorkflowStatus::Failed);
    assert!(rows.state.message.unwrap().contains("compile"));
}

#[test]
fn what_was_on_its_way_when_the_queue_lost_everything_is_sent_again_and_begins_once() {
    let mut world = World::new();
    let (mut controls, mut leader, runs) = (world.controls(1), world.leader(2), world.runs(3));
    let id = world.submit(1, TWO_STEPS);
    controls.turn(&world).unwrap();
    let lost = block_on(leader.turn(|| world.now, &slots(10))).unwrap().keys();
    assert_eq!(lost, [id_of_first(id)]);
    assert_eq!(block_on(leader.repair(world.now)).unwrap().keys(), [], "it may be on its way");

    world.pass(Millis(5001));
    let again = block_on(leader.repair(world.now)).unwrap().keys();
    assert_eq!(again, lost);
    assert_eq!(runs.take(&again), lost);
    assert_eq!(runs.take(&lost), [], "the first one was not lost, only late");
    world.pass(Millis(5001));
    assert_eq!(block_on(leader.repair(world.now)).unwrap().keys(), [], "somebody runs it");
    runs.finish(&world);
    assert_eq!(runs.take(&lost), [], "and after it has ended it is sent to nobody");
    assert_eq!(to_the_end(&world, id, &mut controls, &mut leader, &runs), 1);
    assert_eq!(world.status(id), WorkflowStatus::Succeeded);
}

/// The first attempt of `a`, which is the first leaf below the root.
fn id_of_first(workflow: WorkflowId) -> AttemptKey {
    AttemptKey { workflow, node: flowforge_model::id::NodeIx(1), number: 1 }
}
