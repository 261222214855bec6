//! A server in the hand of a test.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::{Config, Controller, ControllerError, Message, Turned};
use flowforge_model::attempt::{AttemptKey, Fact, FactKind, Outcome, Report, WorkOrder};
use flowforge_model::event::Command;
use flowforge_model::id::{EntityId, InstanceId, NodeIx, WorkflowId};
use flowforge_model::quota::Entity;
use flowforge_model::resources::{Bytes, Resources};
use flowforge_model::status::WorkflowStatus;
use flowforge_model::time::Timestamp;
use flowforge_model::usage::Measured;
use flowforge_ports::admission::{Admission, LockRequest, Ready, Slot, SlotChanges};
use flowforge_ports::nudge::Nudge;
use flowforge_ports::store::{NewWorkflow, Store, StoredRun};

use super::flaky::Flaky;

/// Admission by looking at everything every time.
#[derive(Debug)]
pub(crate) struct Slots {
    pub(crate) free: usize,
    waiting: Vec<Ready>,
    held: BTreeMap<AttemptKey, Ready>,
    closed: BTreeSet<WorkflowId>,
    lock_queue: Vec<LockRequest>,
    locked: Vec<LockRequest>,
    /// What it has measured.
    pub(crate) measured: Vec<Measured>,
}

impl Slots {
    pub(crate) fn new(free: usize) -> Self {
        Self {
            free,
            waiting: Vec::new(),
            held: BTreeMap::new(),
            closed: BTreeSet::new(),
            lock_queue: Vec::new(),
            locked: Vec::new(),
            measured: Vec::new(),
        }
    }
}

impl Admission for Slots {
    fn offer(&mut self, ready: Ready) {
        let known = self.waiting.iter().any(|other| other.key == ready.key);
        if !known && !self.held.contains_key(&ready.key) {
            self.waiting.push(ready);
        }
    }
    fn withdraw(&mut self, key: AttemptKey) {
        self.waiting.retain(|ready| ready.key != key);
    }
    fn release(&mut self, key: AttemptKey, _outcome: Option<Outcome>) {
        if self.held.remove(&key).is_some() {
            self.free += 1;
        }
    }
    fn adopt(&mut self, ready: Ready) {
        if self.held.insert(ready.key, ready).is_none() {
            self.free = self.free.saturating_sub(1);
        }
    }
    fn gate(&mut self, workflow: WorkflowId, open: bool) {
        if open {
            self.closed.remove(&workflow);
        } else {
            self.closed.insert(workflow);
        }
    }
    fn adopt_workflow(&mut self, _slot: Slot) {}

    fn end_workflow(&mut self, _workflow: WorkflowId) {}

    fn suspend(&mut self, _workflow: WorkflowId, _suspended: bool) {}

    fn slot_changes(&mut self) -> SlotChanges {
        SlotChanges::new()
    }

    fn share_among(&mut self, _entities: &[Entity]) {}

    fn admit(&mut self, _now: Timestamp, _most: usize) -> Vec<AttemptKey> {
        let mut admitted = Vec::new();
        let key = |ready: &Ready| (Reverse(ready.priority), ready.since, ready.key);
        self.waiting.sort_by_key(key);
        let closed = &self.closed;
        let (mut go, mut stay): (Vec<_>, Vec<_>) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|ready| !closed.contains(&ready.key.workflow));
        stay.extend(go.split_off(self.free.min(go.len())));
        self.waiting = stay;
        for ready in go {
            self.free -= 1;
            admitted.push(ready.key);
            self.held.insert(ready.key, ready);
        }
        admitted
    }
    fn measure(&mut self, _now: Timestamp) -> Vec<Measured> {
        std::mem::take(&mut self.measured)
    }
    fn want_locks(&mut self, request: LockRequest) {
        let same =
            |other: &LockRequest| (other.workflow, other.node) == (request.workflow, request.node);
        if !self.lock_queue.iter().chain(&self.locked).any(same) {
            self.lock_queue.push(request);
        }
    }
    fn adopt_locks(&mut self, request: LockRequest) {
        self.locked.push(request);
    }
    fn release_locks(&mut self, workflow: WorkflowId, node: NodeIx) {
        let other = |request: &LockRequest| (request.workflow, request.node) != (workflow, node);
        self.lock_queue.retain(other);
        self.locked.retain(other);
    }
    fn grant_locks(&mut self) -> Vec<(WorkflowId, NodeIx)> {
        let mut granted = Vec::new();
        for request in std::mem::take(&mut self.lock_queue) {
            let free = |(key, limit): &(String, u32)| {
                let holds = |other: &&LockRequest| other.locks.iter().any(|(held, _)| held == key);
                self.locked.iter().filter(holds).count() < *limit as usize
            };
            if request.locks.iter().all(free) {
                granted.push((request.workflow, request.node));
                self.locked.push(request);
            } else {
                self.lock_queue.push(request);
            }
        }
        granted
    }
}

/// A store, a controller and an executor that begins and ends tasks when the test says so.
pub(crate) struct World {
    pub(crate) store: Arc<Flaky>,
    controller: Option<Controller<Flaky, Slots>>,
    slots: usize,
    instance: u128,
    pub(crate) now: Timestamp,
    /// What the executor runs.
    pub(crate) running: BTreeMap<AttemptKey, Arc<WorkOrder>>,
    /// Ends that are not acknowledged.
    pub(crate) unacknowledged: BTreeMap<AttemptKey, Fact>,
    /// Names of the tasks that began, in order.
    pub(crate) began: Vec<String>,
    /// Attempts that ever began, on any server: none begins twice.
    attempts: BTreeSet<AttemptKey>,
    /// Attempts that the executor was told to stop.
    pub(crate) stopped: Vec<AttemptKey>,
    pub(crate) next_timer: Option<Timestamp>,
    again: bool,
}

impl World {
    /// A server that runs `slots` tasks at a time, after its first turn.
    pub(crate) async fn new(slots: usize) -> Self {
        let mut world = Self {
            store: Flaky::new(),
            controller: None,
            slots,
            instance: 1,
            now: Timestamp(1_000_000),
            running: BTreeMap::new(),
            unacknowledged: BTreeMap::new(),
            began: Vec::new(),
            attempts: BTreeSet::new(),
            stopped: Vec::new(),
            next_timer: None,
            again: false,
        };
        world.begin(false).await;
        world
    }

    /// Kills the server with everything it runs, and starts it again.
    pub(crate) async fn crash(&mut self) {
        self.instance += 1;
        self.running.clear();
        self.unacknowledged.clear();
        self.begin(false).await;
    }

    /// Starts the controller again inside the same server.
    pub(crate) async fn reload(&mut self, one_by_one: bool) {
        self.begin(one_by_one).await;
        let again = self.unacknowledged.values().cloned();
        let facts: Vec<_> = again.map(Message::Fact).collect();
        self.turn(facts).await.unwrap();
    }

    async fn begin(&mut self, one_by_one: bool) {
        let config = Config {
            instance: InstanceId(uuid::Uuid::from_u128(self.instance)),
            default_retry: None,
            one_by_one,
        };
        let store = Arc::clone(&self.store);
        let controller = Controller::start(store, Slots::new(self.slots), config).await;
        self.controller = Some(controller.unwrap());
        self.turn(Vec::new()).await.unwrap();
    }

    /// One turn, and everything that follows from it at the executor.
    pub(crate) async fn turn(&mut self, inbox: Vec<Message>) -> Result<(), ControllerError> {
        let mut inbox = inbox;
        loop {
            let turned = self.bare_turn(std::mem::take(&mut inbox)).await?;
            self.hand_out(turned);
            if !self.again {
                return Ok(());
            }
        }
    }

    /// One turn of which nothing gets out.
    pub(crate) async fn bare_turn(
        &mut self,
        inbox: Vec<Message>,
    ) -> Result<Turned, ControllerError> {
        self.now = Timestamp(self.now.0 + 1);
        let controller = self.controller.as_mut().unwrap();
        let turned = controller.turn(inbox, self.now).await?;
        self.again = turned.again;
        self.next_timer = turned.next_timer;
        Ok(turned)
    }

    pub(crate) fn hand_out(&mut self, turned: Turned) {
        for key in turned.stops {
            self.stopped.push(key);
        }
        for order in turned.dispatches {
            let known = self.running.contains_key(&order.key)
                || self.unacknowledged.contains_key(&order.key);
            if !known {
                assert!(self.attempts.insert(order.key), "{:?} again", order.key);
                self.began.push(order.task_name.clone());
                self.running.insert(order.key, order);
            }
        }
        for key in turned.acknowledged {
            self.unacknowledged.remove(&key);
        }
    }

    /// Stores a workflow and tells the controller.
    pub(crate) async fn submit(&mut self, number: u128, document: &str) -> WorkflowId {
        let id = self.insert(number, document).await;
        self.turn(vec![nudge(id)]).await.unwrap();
        id
    }

    pub(crate) async fn insert(&mut self, number: u128, document: &str) -> WorkflowId {
        let id = WorkflowId(uuid::Uuid::from_u128(number));
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
        self.store.insert(new).await.unwrap();
        id
    }

    pub(crate) async fn ask(&mut self, id: WorkflowId, command: Command) {
        self.store.ask(id, command, self.now).await.unwrap();
        self.turn(vec![nudge(id)]).await.unwrap();
    }

    /// Ends what runs under this name.
    pub(crate) fn end(&mut self, name: &str, report: Report) -> Message {
        let named = |(_, order): &(&AttemptKey, &Arc<WorkOrder>)| order.task_name == name;
        let key = *self.running.iter().find(named).unwrap().0;
        self.end_attempt(key, report)
    }

    pub(crate) fn end_attempt(&mut self, key: AttemptKey, report: Report) -> Message {
        self.running.remove(&key);
        let kind = FactKind::Finished(Box::new(report));
        let fact = Fact { key, kind };
        self.unacknowledged.insert(key, fact.clone());
        Message::Fact(fact)
    }

    pub(crate) fn success(&self) -> Report {
        Report {
            started_at: Some(self.now),
            finished_at: self.now,
            exit_code: Some(0),
            failure: None,
            outputs: Vec::new(),
            artifacts: Vec::new(),
            result: None,
        }
    }

    /// Lets everything succeed until nothing runs any more.
    pub(crate) async fn finish(&mut self) {
        while let Some(key) = self.running.keys().next().copied() {
            let report = self.success();
            let fact = self.end_attempt(key, report);
            self.turn(vec![fact]).await.unwrap();
        }
    }

    /// What is reserved for an open attempt.
    pub(crate) fn reserved(&self, key: AttemptKey) -> Resources {
        let Ready { requests, limits, .. } =
            &self.controller.as_ref().unwrap().admission.held[&key];
        Resources { requests: *requests, limits: *limits }
    }

    /// How many attempts all commits so far wanted to admit.
    pub(crate) fn admissions(&self) -> usize {
        let commits = self.store.commits.lock().unwrap();
        commits.iter().map(|commit| commit.admissions.len()).sum()
    }

    pub(crate) async fn stored(&self, id: WorkflowId) -> StoredRun {
        self.store.load(id).await.unwrap()
    }

    pub(crate) async fn status(&self, id: WorkflowId) -> WorkflowStatus {
        self.stored(id).await.state.status
    }

    /// Nothing is left of a workflow that has ended: no timer but its time to live, nothing
    /// runnable, nothing open, and nothing unacknowledged.
    pub(crate) async fn at_rest(&self, id: WorkflowId) {
        let stored = self.stored(id).await;
        assert!(stored.state.status.terminal(), "{:?}", stored.state);
        assert_eq!(stored.runnable, []);
        assert_eq!(stored.open, []);
        assert_eq!(stored.timers, []);
        assert!(self.unacknowledged.is_empty());
    }
}

pub(crate) fn nudge(workflow: WorkflowId) -> Message {
    Message::Nudge(Nudge { workflow, plan: None })
}

/// A dag of shell tasks: `name: dependencies`.
pub(crate) fn dag(tasks: &[(&str, &[&str])]) -> String {
    let task = |(name, needs): &(&str, &[&str])| {
        format!("        - {{name: {name}, template: sh, dependencies: [{}]}}\n", needs.join(", "))
    };
    let tasks: String = tasks.iter().map(task).collect();
    format!(
        "version: \"1.0\"\nentrypoint: main\ntemplates:\n  main:\n    dag:\n      tasks:\n{tasks}\
         \x20 sh:\n    container: {{image: busybox, command: [\"true\"]}}\n"
    )
}

pub(crate) const DIAMOND: &[(&str, &[&str])] =
    &[("a", &[]), ("b", &["a"]), ("c", &["a"]), ("d", &["b", "c"])];
