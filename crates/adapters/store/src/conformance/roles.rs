//! Roles that are servers of their own: who may write, what is handed over, and what comes back.

mod children;
mod clusters;
mod pods;
mod races;
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

shared_cases! {
    shards_are_shared_evenly_and_taken_over_when_a_controller_is_gone
    a_lease_that_changed_hands_fences_its_old_holder
    a_controller_of_the_whole_store_fences_those_of_shards_and_is_fenced_by_them
    one_scheduler_leads
    what_is_offered_is_in_the_snapshot_and_in_the_calls
    what_failed_before_is_in_the_snapshot_as_a_retry
    calls_of_a_shard_have_no_gaps_and_are_forgotten_together
    an_attempt_is_admitted_once
    behind_a_closed_gate_nothing_is_admitted_or_claimed
    taking_back_what_was_admitted_is_refused_whole
    an_attempt_is_claimed_by_one_executor
    what_was_reported_to_have_ended_is_not_claimed_again
    facts_stay_until_a_commit_has_taken_them_in
    that_a_daemon_is_ready_stays_until_it_is_taken_in
    facts_of_others_and_of_the_past_are_dropped
    what_is_to_stop_is_told_to_its_executor_or_ends_at_once
    what_a_dead_executor_ran_is_lost_and_it_stays_dead
    what_an_executor_has_when_it_leaves_is_lost
    locks_are_granted_once_and_their_controller_is_told
    what_nobody_claimed_is_found
    a_shard_without_its_lease_is_not_written
    slots_are_held_until_they_are_given_back_or_their_workflow_has_ended
}

fn shards_are_shared_evenly_and_taken_over_when_a_controller_is_gone(store: &impl Shared) {
    let first = attend(store, Role::Controller, 1, LONG);
    assert_eq!((first.leases.len(), first.excess), (64, 0));
    let second = attend(store, Role::Controller, 2, LONG);
    assert_eq!(second.leases, []);
    let mut first = attend(store, Role::Controller, 1, LONG);
    assert_eq!((first.leases.len(), first.excess), (64, 32));
    let back: Vec<u8> = first.leases.split_off(32).iter().map(|lease| lease.slot).collect();
    let give = Attendance { give_back: back.clone(), ..says(Role::Controller, 1, NONE) };
    assert_eq!(now(store.attend(give)).unwrap().leases, first.leases);
    // The first one's time is over as well: the second is alone.
    let second = attend(store, Role::Controller, 2, LONG);
    assert_eq!(second.leases.len(), 64);
    let risen = |lease: &&Lease| {
        first.leases.iter().any(|old| old.slot == lease.slot && old.epoch < lease.epoch)
    };
    assert_eq!(second.leases.iter().filter(risen).count(), 32);
    let leaving = Attendance { leaving: true, ..says(Role::Controller, 2, LONG) };
    assert_eq!(now(store.attend(leaving)).unwrap().leases, []);
    assert_eq!(attend(store, Role::Controller, 3, LONG).leases.len(), 64);
}

fn a_lease_that_changed_hands_fences_its_old_holder(store: &impl Shared) {
    let mut old = Fleet::begin(store);
    attend(store, Role::Controller, 1, NONE);
    let mut stale = old.commit();
    stale.runs[0].tasks.push(task(0, TaskStatus::Queued, 0, true));
    attend(store, Role::Controller, 9, LONG);
    assert!(matches!(old.write(stale), Err(StoreError::Fenced)));
    assert_eq!(now(store.load(old.id)).unwrap().tasks, []);
}

fn a_controller_of_the_whole_store_fences_those_of_shards_and_is_fenced_by_them(
    store: &impl Shared,
) {
    let fleet = Fleet::begin(store);
    let whole = now(store.take_over(server(5))).unwrap();
    assert!(matches!(now(store.commit(fleet.commit())), Err(StoreError::Fenced)));
    let commit = Commit { epoch: whole, ..Commit::default() };
    now(store.commit(commit.clone())).unwrap();
    assert_eq!(attend(store, Role::Controller, 1, LONG).leases.len(), 64);
    assert!(matches!(now(store.commit(commit)), Err(StoreError::Fenced)));
}

fn one_scheduler_leads(store: &impl Shared) {
    let fleet = Fleet::begin(store);
    assert_eq!(attend(store, Role::Scheduler, 3, LONG).leases, []);
    attend(store, Role::Scheduler, 2, NONE);
    let next = attend(store, Role::Scheduler, 3, LONG).leases[0].epoch;
    assert!(next > fleet.epoch);
    let fenced =
        |result: Result<(), StoreError>| assert!(matches!(result, Err(StoreError::Fenced)));
    fenced(
        now(store.reserve(fleet.epoch, AT, &[placed(fleet.key(0, 1))], &SlotChanges::new()))
            .map(|_| ()),
    );
    fenced(now(store.calls(fleet.epoch, &[], 9)).map(|_| ()));
    fenced(now(store.forget_calls(fleet.epoch, &[])));
    fenced(now(store.grant(fleet.epoch, &[(fleet.id, NodeIx(0))])).map(|_| ()));
    fenced(now(store.bury(fleet.epoch, AT)).map(|_| ()));
    fenced(now(store.record(fleet.epoch, &[])));
    assert_eq!(now(store.calls(next, &[], 9)).unwrap(), []);
}

fn what_is_offered_is_in_the_snapshot_and_in_the_calls(store: &impl Shared) {
    let mut fleet = Fleet::begin(store);
    let (first, second) = (fleet.offer(0), fleet.offer(1));
    fleet.reserve(&[first.key]);
    let shard = fleet.id.shard();
    let snapshot = now(store.snapshot()).unwrap();
    assert_eq!((snapshot.ready, snapshot.open), (vec![second], vec![first]));
    assert_eq!(snapshot.seen, [(shard, 2)]);
    let entry = |seq, ready| Entry { shard, seq, calls: vec![Call::Offer(ready)] };
    let calls = now(store.calls(fleet.epoch, &[], 9)).unwrap();
    assert_eq!(calls, [entry(1, first), entry(2, second)]);
    // Ended: nothing is kept of it.
    assert_eq!(claim_one(store, first.key), [first.key]);
    let mut commit = fleet.commit();
    commit.runs[0].tasks.push(task(0, TaskStatus::Succeeded, 1, false));
    commit.runs[0].ended.push((first.key, report(None)));
    let over = Released { key: first.key, outcome: Some(Outcome::Succeeded) };
    commit.handover.as_deref_mut().unwrap().calls.push(Call::Release(over));
    fleet.write(commit).unwrap();
    assert_eq!(now(store.snapshot()).unwrap().open, []);
}

fn what_failed_before_is_in_the_snapshot_as_a_retry(store: &impl Shared) {
    let mut fleet = Fleet::begin(store);
    let (open, first, retry) = (fleet.offer_after(0, 2), fleet.offer(1), fleet.offer_after(2, 1));
    fleet.reserve(&[open.key]);
    let snapshot = now(store.snapshot()).unwrap();
    assert_eq!((snapshot.open, snapshot.ready), (vec![open], vec![first, retry]));
}

fn claim_one(store: &impl Shared, key: AttemptKey) -> Vec<AttemptKey> {
    attend(store, Role::Executor, 7, LONG);
    claim(store, 7, &[key])
}

fn slots_are_held_until_they_are_given_back_or_their_workflow_has_ended(store: &impl Shared) {
    let mut fleet = Fleet::begin(store);
    let reserve = |changes: &[(WorkflowId, bool)]| {
        let changes = changes.iter().copied().collect();
        now(store.reserve(fleet.epoch, AT, &[], &changes)).unwrap();
    };
    let slots = || now(store.snapshot()).unwrap().slots;
    let slot = |suspended| Slot {
        workflow: fleet.id,
        project: EntityId::DEFAULT_PROJECT,
        storage: STORAGE,
        suspended,
        called: false,
    };
    assert_eq!(slots(), []);
    reserve(&[(fleet.id, true)]);
    reserve(&[(fleet.id, true), (workflow(99), false)]);
    assert_eq!(slots(), [slot(false)]);
    reserve(&[(fleet.id, false)]);
    assert_eq!(slots(), []);
    reserve(&[(fleet.id, true)]);
    let id = fleet.id;
    let mut commit = fleet.commit();
    let mut waits = task(0, TaskStatus::Running, 0, true);
    waits.shape.as_mut().unwrap().kind = NodeKind::Suspend;
    commit.runs[0].tasks.push(waits);
    fleet.write(commit).unwrap();
    let suspended = now(store.snapshot()).unwrap().slots;
    assert_eq!(
        suspended.iter().map(|slot| (slot.workflow, slot.suspended)).collect::<Vec<_>>(),
        [(id, true)]
    );
    let mut commit = fleet.commit();
    commit.runs[0].state = Some(state(WorkflowStatus::Succeeded, 1));
    fleet.write(commit).unwrap();
    assert_eq!(now(store.snapshot()).unwrap().slots, [], "it has ended");
}

fn calls_of_a_shard_have_no_gaps_and_are_forgotten_together(store: &impl Shared) {
    let mut fleet = Fleet::begin(store);
    for node in 0..3 {
        fleet.offer(node);
    }
    let shard = fleet.id.shard();
    let seqs = |seen: &[(Shard, u64)]| {
        let calls = now(store.calls(fleet.epoch, seen, 9)).unwrap();
        calls.iter().map(|entry| entry.seq).collect::<Vec<_>>()
    };
    assert_eq!(seqs(&[(shard, 1)]), [2, 3]);
    now(store.forget_calls(fleet.epoch, &[(shard, 2)])).unwrap();
    assert_eq!(seqs(&[]), [3]);
    now(store.forget_calls(fleet.epoch, &[(shard, 3)])).unwrap();
    fleet.offer(3);
    let calls = now(store.calls(fleet.epoch, &[(shard, 3)], 9)).unwrap();
    assert_eq!(calls.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [4], "numbers go on");
}

fn an_attempt_is_admitted_once(store: &impl Shared) {
    let mut fleet = Fleet::begin(store);
    let (one, other) = (fleet.offer(0).key, fleet.offer(1).key);
    let gone = key(workflow(99), 0, 1);
    let done = fleet.reserve(&[other, gone, one]);
    assert_eq!(done.admitted.iter().copied().collect::<BTreeSet<_>>(), [one, other].into());
    assert_eq!(done.gone, [gone]);
    assert_eq!(fleet.reserve(&[one]), Reserved { gone: vec![one], ..Reserved::default() });
    let run = now(store.load(fleet.id)).unwrap();
    assert_eq!((run.runnable, run.open), (vec![], vec![(one, None), (other, None)]));
}

fn behind_a_closed_gate_nothing_is_admitted_or_claimed(store: &impl Shared) {
    let mut fleet = Fleet::begin(store);
    let (one, other) = (fleet.offer(0).key, fleet.offer(1).key);
    fleet.reserve(&[one]);
    now(store.ask(fleet.id, Command::Pause, AT)).unwrap();
    assert_eq!(fleet.reserve(&[other]), Reserved { gated: vec![other], ..Reserved::default() });
    assert_eq!(now(store.snapshot()).unwrap().gated, [fleet.id]);
    assert_eq!(claim_one(store, one), []);
    let mut commit = fleet.commit();
    commit.intents_done =
        now(store.intents(ShardSet::ALL, 0, 9)).unwrap().iter().map(|intent| intent.id).collect();
    commit.runs[0].gate_closed = Some(false);
    fleet.write(commit).unwrap();
    assert_eq!(fleet.reserve(&[other]).admitted, [other]);
    assert_eq!(claim_one(store, one), [one]);
}

fn taking_back_what_was_admitted_is_refused_whole(store: &impl Shared) {
    let mut fleet = Fleet::begin(store);
    let (one, other) = (fleet.offer(0).key, fleet.offer(1).key);
    fleet.reserve(&[one]);
    let mut commit = fleet.commit();
    commit.runs[0].unrunnable = vec![other, one];
    commit.runs[0].records.push(task_record(0, TaskStatus::Cancelled, 1));
    match fleet.write(commit.clone()) {
        Err(StoreError::Overtaken(ids)) => assert_eq!(ids, [fleet.id]),
        done => panic!("{done:?}"),
    }
    let run = now(store.load(fleet.id)).unwrap();
    assert_eq!((run.seq, run.runnable), (fleet.seq, vec![other]));
    commit.runs[0].unrunnable = vec![other];
    fleet.write(commit).unwrap();
    assert_eq!(fleet.reserve(&[other]).gone, [other]);
}

fn an_attempt_is_claimed_by_one_executor(store: &impl Shared) {
    let mut fleet = Fleet::begin(store);
    let capacity = attend(store, Role::Executor, 7, LONG).capacity;
    assert_eq!(capacity, 4);
    assert_eq!(attend(store, Role::Executor, 8, LONG).capacity, 8);
    let key = fleet.claimed(0, 7);
    assert_eq!(claim(store, 8, &[key]), []);
    assert_eq!(claim(store, 7, &[key]), [key], "its answer may have been lost");
    assert_eq!(now(store.load(fleet.id)).unwrap().open, [(key, Some(server(7)))]);
    assert!(matches!(now(store.claim(server(99), AT, &[key])), Err(StoreError::Fenced)));
}

fn what_was_reported_to_have_ended_is_not_claimed_again(store: &impl Shared) {
    let mut fleet = Fleet::begin(store);
    attend(store, Role::Executor, 7, LONG);
    let key = fleet.claimed(0, 7);
    let started = Fact { key, kind: FactKind::Started(AT) };
    now(store.report(server(7), &[started])).unwrap();
    assert_eq!(claim(store, 7, &[key]), [key]);
    now(store.report(server(7), &[end(key)])).unwrap();
    assert_eq!(claim(store, 7, &[key]), []);
}

/// Where a daemon is reached is kept with its facts, and with its task.
fn that_a_daemon_is_ready_stays_until_it_is_taken_in(store: &impl Shared) {
    let mut fleet = Fleet::begin(store);
    attend(store, Role::Executor, 7, LONG);
    let key = fleet.claimed(0, 7);
    let ip = "10.0.0.7".to_owned();
    let ready = Fact { key, kind: FactKind::Ready { at: AT, ip: ip.clone() } };
    for _ in 0..2 {
        now(store.report(server(7), std::slice::from_ref(&ready))).unwrap();
    }
    assert_eq!(fleet.news(), [Tidings::Fact(ready.clone()), Tidings::Fact(ready)], "or oftener");
    let news = now(store.news(ShardSet::ALL, 9)).unwrap();
    let mut commit = fleet.commit();
    let mut row = task(0, TaskStatus::Running, 1, false);
    row.state.outputs = Some(Outputs { ip: Some(ip), ..Outputs::default() });
    let outputs = row.state.outputs.clone();
    commit.runs[0].tasks.push(row);
    commit.handover.as_deref_mut().unwrap().news_done = news.iter().map(|one| one.id).collect();
    fleet.write(commit).unwrap();
    assert_eq!(fleet.news(), []);
    assert_eq!(now(store.load(fleet.id)).unwrap().tasks[0].state.outputs, outputs);
    assert_eq!(claim(store, 7, &[key]), [key], "it runs still");
}

fn facts_stay_until_a_commit_has_taken_them_in(store: &impl Shared) {
    let mut fleet = Fleet::begin(store);
    attend(store, Role::Executor, 7, LONG);
    let key = fleet.claimed(0, 7);
    now(store.report(server(7), &[end(key)])).unwrap();
    let others = ShardSet::ALL.without(ShardSet::NONE.with(fleet.id.shard()));
    assert_eq!(now(store.news(others, 9)).unwrap(), []);
    let news = now(store.news(ShardSet::ALL, 9)).unwrap();
    assert_eq!(news.iter().map(|n| n.what.clone()).collect::<Vec<_>>(), [Tidings::Fact(end(key))]);
    let mut commit = fleet.commit();
    commit.runs[0].tasks.push(task(0, TaskStatus::Succeeded, 1, false));
    commit.runs[0].ended.push((key, report(None)));
    let handover = commit.handover.as_deref_mut().unwrap();
    handover.news_done = vec![news[0].id];
    handover.calls.push(Call::Release(Released { key, outcome: None }));
    fleet.write(commit).unwrap();
    assert_eq!(fleet.news(), []);
    assert_eq!(now(store.load(fleet.id)).unwrap().open, []);
}

fn facts_of_others_and_of_the_past_are_dropped(store: &impl Shared) {
    let mut fleet = Fleet::begin(store);
    attend(store, Role::Executor, 7, LONG);
    attend(store, Role::Executor, 8, LONG);
    let key = fleet.claimed(0, 7);
    now(store.report(server(8), &[end(key)])).unwrap();
    assert_eq!(fleet.news(), []);
    let mut commit = fleet.commit();
    commit.runs[0].ended.push((key, report(None)));
    fleet.write(commit).unwrap();
    now(store.report(server(7), &[end(key)])).unwrap();
    assert_eq!(fleet.news(), []);
}

fn what_is_to_stop_is_told_to_its_executor_or_ends_at_once(store: &impl Shared) {
    let mut fleet = Fleet::begin(store);
    attend(store, Role::Executor, 7, LONG);
    let running = fleet.claimed(0, 7);
    let waiting = fleet.offer(1).key;
    fleet.reserve(&[waiting]);
    assert_eq!(now(store.stops(server(7))).unwrap(), []);
    let mut commit = fleet.commit();
    commit.handover.as_deref_mut().unwrap().stops = vec![waiting, running];
    fleet.write(commit).unwrap();
    assert_eq!(now(store.stops(server(7))).unwrap(), [running]);
    assert_eq!(claim(store, 7, &[waiting]), [], "it never begins");
    match &fleet.news()[..] {
        [Tidings::Fact(Fact { key, kind: FactKind::Finished(report) })] => {
            assert_eq!(*key, waiting);
            assert_eq!(report.failure.as_ref().unwrap().class, FailureClass::Stopped);
        }
        news => panic!("{news:?}"),
    }
    now(store.report(server(7), &[end(running)])).unwrap();
    assert_eq!(now(store.stops(server(7))).unwrap(), []);
}

fn what_a_dead_executor_ran_is_lost_and_it_stays_dead(store: &impl Shared) {
    let mut fleet = Fleet::begin(store);
    attend(store, Role::Executor, 7, LONG);
    attend(store, Role::Executor, 8, LONG);
    let key = fleet.claimed(0, 7);
    assert_eq!(now(store.bury(fleet.epoch, AT)).unwrap(), []);
    attend(store, Role::Executor, 7, NONE);
    assert_eq!(now(store.bury(fleet.epoch, AT)).unwrap(), [server(7)]);
    assert_eq!(now(store.bury(fleet.epoch, AT)).unwrap(), []);
    match &fleet.news()[..] {
        [Tidings::Fact(Fact { key: of, kind: FactKind::Finished(report) })] => {
            assert_eq!(*of, key);
            assert_eq!(report.failure.as_ref().unwrap().class, FailureClass::Lost);
        }
        news => panic!("{news:?}"),
    }
    let dead = |result: Result<(), StoreError>| assert!(matches!(result, Err(StoreError::Fenced)));
    dead(now(store.attend(says(Role::Executor, 7, LONG))).map(|_| ()));
    dead(now(store.claim(server(7), AT, &[key])).map(|_| ()));
    dead(now(store.report(server(7), &[end(key)])));
    dead(now(store.stops(server(7))).map(|_| ()));
    assert_eq!(attend(store, Role::Executor, 8, LONG).capacity, 4);
}

/// A claim was still under way when it ended: nobody else would ever be sent it.
fn what_an_executor_has_when_it_leaves_is_lost(store: &impl Shared) {
    let mut fleet = Fleet::begin(store);
    for executor in [7, 8] {
        attend(store, Role::Executor, executor, LONG);
    }
    let key = fleet.claimed(0, 7);
    for executor in [7, 8] {
        let leaving = Attendance { leaving: true, ..says(Role::Executor, executor, LONG) };
        assert_eq!(now(store.attend(leaving)).unwrap().capacity, if executor == 7 { 4 } else { 0 });
    }
    assert_eq!(now(store.bury(fleet.epoch, AT)).unwrap(), [server(7)]);
    let [Tidings::Fact(Fact { key: lost, kind: FactKind::Finished(report) })] = &fleet.news()[..]
    else {
        panic!("{:?}", fleet.news())
    };
    assert_eq!((*lost, report.failure.as_ref().unwrap().class), (key, FailureClass::Lost));
}

fn locks_are_granted_once_and_their_controller_is_told(store: &impl Shared) {
    let mut fleet = Fleet::begin(store);
    let row = |node| LockRow {
        node: NodeIx(node),
        key: "mutex/default/m".to_owned(),
        limit: 1,
        held: false,
        since: Timestamp(AT.0 + 3),
    };
    let mut commit = fleet.commit();
    for node in 0..2 {
        commit.runs[0].tasks.push(task(node, TaskStatus::Queued, 0, true));
        commit.runs[0].locks.push(LockWrite { node: NodeIx(node), rows: vec![row(node)] });
    }
    fleet.write(commit).unwrap();
    let request = |node| LockRequest {
        workflow: fleet.id,
        node: NodeIx(node),
        project: EntityId::DEFAULT_PROJECT,
        storage: STORAGE,
        priority: -3,
        created_at: AT,
        since: Timestamp(AT.0 + 3),
        locks: vec![("mutex/default/m".to_owned(), 1)],
        called: false,
    };
    let snapshot = now(store.snapshot()).unwrap();
    assert_eq!(snapshot.waiting, [request(0), request(1)]);
    let (first, second) = ((fleet.id, NodeIx(0)), (fleet.id, NodeIx(1)));
    assert_eq!(now(store.grant(fleet.epoch, &[first])).unwrap(), []);
    assert_eq!(now(store.grant(fleet.epoch, &[first])).unwrap(), [first], "not twice");
    let granted = Tidings::Granted { workflow: fleet.id, node: NodeIx(0) };
    assert_eq!(fleet.news(), [granted]);
    let snapshot = now(store.snapshot()).unwrap();
    assert_eq!((snapshot.holding, snapshot.waiting), (vec![request(0)], vec![request(1)]));
    let many = now(store.grant(fleet.epoch, &[second]));
    assert!(matches!(many, Err(StoreError::Conflict(_))), "{many:?}");
    assert_eq!(now(store.snapshot()).unwrap().waiting, [request(1)]);
}

fn what_nobody_claimed_is_found(store: &impl Shared) {
    let mut fleet = Fleet::begin(store);
    attend(store, Role::Executor, 7, LONG);
    fleet.claimed(0, 7);
    let (waiting, stopped) = (fleet.offer(1).key, fleet.offer(2).key);
    fleet.reserve(&[waiting, stopped]);
    let mut commit = fleet.commit();
    commit.handover.as_deref_mut().unwrap().stops = vec![stopped];
    fleet.write(commit).unwrap();
    assert_eq!(unclaimed(store, AT), []);
    assert_eq!(unclaimed(store, Timestamp(AT.0 + 1)), [waiting]);
}

fn a_shard_without_its_lease_is_not_written(store: &impl Shared) {
    let fleet = Fleet::begin(store);
    let mut commit = fleet.commit();
    let shard = fleet.id.shard().number();
    let handover = commit.handover.as_deref_mut().unwrap();
    handover.leases = fleet.leases.iter().copied().filter(|lease| lease.slot != shard).collect();
    assert!(matches!(now(store.commit(commit)), Err(StoreError::Conflict(_))));
    // The same id in another guise: a whole controller's commit of an old epoch.
    let held = Held { store, epoch: 0, id: fleet.id, seq: fleet.seq };
    assert!(matches!(now(store.commit(held.commit())), Err(StoreError::Fenced)));
}
