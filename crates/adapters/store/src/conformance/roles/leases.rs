//! Who may write: leases of shards, the lead, and their fences.

use super::*;

shared_cases! {
    shards_are_shared_evenly_and_taken_over_when_a_controller_is_gone
    a_lease_that_changed_hands_fences_its_old_holder
    a_controller_of_the_whole_store_fences_those_of_shards_and_is_fenced_by_them
    one_scheduler_leads
    a_shard_without_its_lease_is_not_written
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
    fenced(now(store.give_back(fleet.epoch, &[], 9)).map(|_| ()));
    fenced(now(store.bury(fleet.epoch, AT)).map(|_| ()));
    fenced(now(store.record(fleet.epoch, &[])));
    assert_eq!(now(store.calls(next, &[], 9)).unwrap(), []);
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
