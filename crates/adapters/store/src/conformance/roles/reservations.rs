//! What is offered, what is admitted of it, and what else the scheduler that leads writes.

use super::*;

shared_cases! {
    what_is_offered_is_in_the_snapshot_and_in_the_calls
    what_failed_before_is_in_the_snapshot_as_a_retry
    calls_of_a_shard_have_no_gaps_and_are_forgotten_together
    an_attempt_is_admitted_once
    behind_a_closed_gate_nothing_is_admitted_or_claimed
    taking_back_what_was_admitted_is_refused_whole
    locks_are_granted_once_and_their_controller_is_told
    what_nobody_claimed_is_found
    slots_are_held_until_they_are_given_back_or_their_workflow_has_ended
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
