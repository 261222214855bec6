//! Roles that are servers of their own: who may write, what is handed over, and what comes back.

mod children;
mod claims;
mod clusters;
mod leases;
mod pods;
mod races;
mod reservations;
mod witness;

use std::collections::BTreeSet;

use flowforge_model::attempt::{
    AttemptKey, Fact, FactKind, FailureClass, Outcome, Process, TemplateKey, Work, WorkOrder,
};
use flowforge_model::event::{Command, NodeKind, Outputs};
use flowforge_model::id::{EntityId, InstanceId, NodeIx, WorkflowId};
use flowforge_model::resources::{Bytes, MilliCpu, ResourceList, Resources};
use flowforge_model::shard::{Shard, ShardSet};
use flowforge_model::status::{TaskStatus, WorkflowStatus};
use flowforge_model::time::{Millis, Timestamp};
use flowforge_ports::admission::{LockRequest, Ready, Slot, SlotChanges};
use flowforge_ports::claims::Claims;
use flowforge_ports::handover::{Call, Entry, Handover, Released, Tidings};
use flowforge_ports::leases::{Attendance, Attended, Lease, Leases, Role};
use flowforge_ports::reservations::{Placed, Reservations, Reserved};
use flowforge_ports::store::{Commit, LockRow, LockWrite, StoreError};
use uuid::Uuid;

use self::clusters::{placed, says, unclaimed};
use super::fixture::{
    AT, Held, STORAGE, key, new_workflow, now, report, state, task, task_record, workflow,
    workflow_record,
};
use super::{Subject, shared_cases};

trait Shared: Subject + Leases + Reservations + Claims {}
impl<T: Subject + Leases + Reservations + Claims> Shared for T {}

fn server(number: u128) -> InstanceId {
    InstanceId(Uuid::from_u128(number))
}

const LONG: Millis = Millis(3_600_000);
/// Over as soon as it begins.
const NONE: Millis = Millis(0);

fn attend(store: &impl Leases, role: Role, number: u128, ttl: Millis) -> Attended {
    now(store.attend(says(role, number, ttl))).unwrap()
}

/// A controller of all shards, and a scheduler; a workflow that runs.
struct Fleet<'s, S> {
    store: &'s S,
    leases: Vec<Lease>,
    epoch: u64,
    id: WorkflowId,
    seq: u64,
}

impl<'s, S: Shared> Fleet<'s, S> {
    fn begin(store: &'s S) -> Self {
        let leases = attend(store, Role::Controller, 1, LONG).leases;
        let epoch = attend(store, Role::Scheduler, 2, LONG).leases[0].epoch;
        let id = workflow(1);
        now(store.insert(new_workflow(id))).unwrap();
        let mut fleet = Self { store, leases, epoch, id, seq: 0 };
        let mut commit = fleet.commit();
        let intents = now(store.intents(ShardSet::ALL, 0, 9)).unwrap();
        commit.intents_done = intents.iter().map(|intent| intent.id).collect();
        commit.runs[0].state = Some(state(WorkflowStatus::Running, 1));
        commit.runs[0].records = vec![workflow_record(WorkflowStatus::Running, 1)];
        fleet.write(commit).unwrap();
        fleet
    }

    fn commit(&self) -> Commit {
        let run = flowforge_ports::store::RunChanges {
            workflow: Some(self.id),
            seq_before: self.seq,
            ..Default::default()
        };
        let shard = self.id.shard().number();
        let leases = self.leases.iter().copied().filter(|lease| lease.slot == shard).collect();
        let handover = Some(Box::new(Handover { leases, ..Handover::default() }));
        Commit { at: AT, runs: vec![run], handover, ..Commit::default() }
    }

    fn write(&mut self, commit: Commit) -> Result<(), StoreError> {
        let records = commit.runs[0].records.len();
        now(self.store.commit(commit))?;
        self.seq += u64::try_from(records).unwrap();
        Ok(())
    }

    fn key(&self, node: u32, number: u32) -> AttemptKey {
        key(self.id, node, number)
    }

    /// Task `node` becomes QUEUED and its first attempt is offered.
    fn offer(&mut self, node: u32) -> Ready {
        self.offer_after(node, 0)
    }

    /// The same of one that has failed before.
    fn offer_after(&mut self, node: u32, failures: u32) -> Ready {
        self.offer_of(node, failures, order(self.key(node, 1)))
    }

    /// The same of this order.
    fn offer_of(&mut self, node: u32, failures: u32, order: WorkOrder) -> Ready {
        let ready = Ready { retry: failures > 0, ..ready(self.key(node, 1)) };
        let mut commit = self.commit();
        let mut write = task(node, TaskStatus::Queued, 1, true);
        write.state.failures = failures;
        commit.runs[0].tasks.push(write);
        commit.runs[0].records.push(task_record(node, TaskStatus::Queued, 1));
        commit.runs[0].runnable.push(ready.key);
        let handover = commit.handover.as_deref_mut().unwrap();
        handover.calls.push(Call::Offer(ready));
        handover.orders.push((ready.key, Ok(order)));
        self.write(commit).unwrap();
        ready
    }

    fn reserve(&self, keys: &[AttemptKey]) -> Reserved {
        let placed: Vec<Placed> = keys.iter().map(|key| placed(*key)).collect();
        now(self.store.reserve(self.epoch, AT, &placed, &SlotChanges::new())).unwrap()
    }

    /// Offers, admits and claims the first attempt of a task.
    fn claimed(&mut self, node: u32, by: u128) -> AttemptKey {
        self.claimed_of(node, by, &order(self.key(node, 1)))
    }

    /// An attempt of task 0 that starts a workflow, and has.
    fn claimed_by_controller(&mut self) -> AttemptKey {
        let own = Ready { pods: 0, ..ready(self.key(0, 1)) };
        let mut commit = self.commit();
        commit.runs[0].tasks.push(task(0, TaskStatus::Queued, 1, true));
        commit.runs[0].records.push(task_record(0, TaskStatus::Queued, 1));
        commit.runs[0].runnable.push(own.key);
        commit.handover.as_deref_mut().unwrap().calls.push(Call::Offer(own));
        self.write(commit).unwrap();
        self.reserve(&[own.key]);
        let mut commit = self.commit();
        commit.runs[0].children.push(super::children::started(own.key, Some(self.id)));
        commit.runs[0].started.push((own.key, AT));
        self.write(commit).unwrap();
        own.key
    }

    fn claimed_of(&mut self, node: u32, by: u128, order: &WorkOrder) -> AttemptKey {
        let key = self.offer_of(node, 0, order.clone()).key;
        assert_eq!(self.reserve(&[key]).admitted, [key]);
        let claimed = now(self.store.claim(server(by), AT, &[key])).unwrap();
        let [one] = &*claimed else { panic!("{claimed:?}") };
        assert_eq!(one.order.as_ref(), Ok(order));
        key
    }

    fn news(&self) -> Vec<Tidings> {
        now(self.store.news(ShardSet::ALL, 99)).unwrap().into_iter().map(|n| n.what).collect()
    }
}

fn ready(key: AttemptKey) -> Ready {
    let list = |cpu| ResourceList { cpu: MilliCpu(cpu), memory: Bytes(2 * cpu), gpu: 3 };
    Ready {
        key,
        priority: -3,
        since: Timestamp(AT.0 + 5),
        project: EntityId::DEFAULT_PROJECT,
        requests: list(5),
        limits: list(7),
        pods: 4,
        storage: STORAGE,
        parallelism: Some(7),
        lasts: Some(Millis(9)),
        retry: false,
        template: Some(TemplateKey::of("main")),
        called: false,
    }
}

fn order(key: AttemptKey) -> WorkOrder {
    let command = vec!["x".to_owned(), "ü\n\"{{".to_owned()];
    let (name, image) = ("main".to_owned(), "busybox".to_owned());
    let process = Process { name, image, command, ..Process::default() };
    WorkOrder {
        key,
        attempt: key.id(),
        task: key.workflow.task(key.node),
        project: EntityId::DEFAULT_PROJECT,
        workflow_name: "etl".to_owned(),
        task_name: "a".to_owned(),
        template: "main".to_owned(),
        work: Work::one(process),
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
    }
}

fn claim(store: &impl Claims, by: u128, keys: &[AttemptKey]) -> Vec<AttemptKey> {
    let claimed = now(store.claim(server(by), AT, keys)).unwrap();
    for one in &claimed {
        assert_eq!(one.order.as_ref().unwrap(), &order(one.key));
    }
    claimed.into_iter().map(|one| one.key).collect()
}

fn end(key: AttemptKey) -> Fact {
    Fact { key, kind: FactKind::Finished(Box::new(report(None))) }
}

fn claim_one(store: &impl Shared, key: AttemptKey) -> Vec<AttemptKey> {
    attend(store, Role::Executor, 7, LONG);
    claim(store, 7, &[key])
}
