//! Several clusters: an attempt is for the executors of one.

use flowforge_model::cluster::ClusterName;
use flowforge_ports::pods::{Asking, Begin, Pods, Refusal};

use super::pods::{begin, keeps};
use super::*;

trait Podded: Shared + Pods {}
impl<T: Shared + Pods> Podded for T {}

shared_cases! {
    slots_are_counted_by_cluster_for_the_scheduler
    an_attempt_is_claimed_in_its_cluster_only
    what_outlives_its_executor_stays_in_its_cluster
    what_nobody_claimed_is_found_by_cluster
    an_attempt_without_a_cluster_is_for_whoever_is_sent_it
    what_nobody_claimed_where_nobody_lives_waits_again
    what_is_somebody_elses_is_not_taken_back
    a_stop_of_what_was_taken_back_is_refused_whole
    a_pod_begins_in_its_cluster_only
}

/// In the cluster `default`.
pub(super) fn placed(key: AttemptKey) -> Placed {
    Placed { key, cluster: Some(ClusterName::default()) }
}

/// Of the cluster `default`.
pub(super) fn unclaimed(store: &impl Reservations, before: Timestamp) -> Vec<AttemptKey> {
    let found = now(store.unclaimed(before, &[ClusterName::default()], 9)).unwrap();
    found.into_iter().map(|placed| placed.key).collect()
}

/// That it lives; an executor, in the cluster `default`.
pub(super) fn says(role: Role, number: u128, ttl: Millis) -> Attendance {
    let capacity = if role == Role::Executor { 4 } else { 0 };
    let cluster = (role == Role::Executor).then(ClusterName::default);
    Attendance { capacity, cluster, ..Attendance::new(role, server(number), ttl) }
}

fn name(text: &str) -> ClusterName {
    ClusterName::parse(text).unwrap()
}

fn lives(number: u128, cluster: Option<&str>, ttl: Millis) -> Attendance {
    Attendance { cluster: cluster.map(name), ..says(Role::Executor, number, ttl) }
}

/// Task `node` is admitted for a cluster.
fn admitted<S: Shared>(fleet: &mut Fleet<'_, S>, node: u32, cluster: Option<&str>) -> AttemptKey {
    let key = fleet.offer(node).key;
    let placed = Placed { key, cluster: cluster.map(name) };
    let reserved = now(fleet.store.reserve(fleet.epoch, AT, &[placed], &SlotChanges::new()));
    assert_eq!(reserved.unwrap().admitted, [key]);
    key
}

fn slots_are_counted_by_cluster_for_the_scheduler(store: &impl Shared) {
    for (number, cluster, ttl) in [
        (7, Some("east"), LONG),
        (8, Some("west"), LONG),
        (9, Some("east"), LONG),
        (10, None, LONG),
        (11, Some("south"), NONE),
    ] {
        now(store.attend(lives(number, cluster, ttl))).unwrap();
    }
    let attended = attend(store, Role::Scheduler, 2, LONG);
    assert_eq!(attended.clusters, [(name("east"), 8), (name("west"), 4)].into());
    assert_eq!(attended.capacity, 16);
    let at_home = [(name("east"), 8), (name("home"), 4), (name("west"), 4)];
    assert_eq!(attended.slots(&name("home")), at_home.into());
    assert_eq!(attended.slots(&name("west"))[&name("west")], 8);
}

fn an_attempt_is_claimed_in_its_cluster_only(store: &impl Shared) {
    let mut fleet = Fleet::begin(store);
    for (number, cluster) in [(7, "east"), (8, "west")] {
        now(store.attend(lives(number, Some(cluster), LONG))).unwrap();
    }
    let east = admitted(&mut fleet, 0, Some("east"));
    let west = admitted(&mut fleet, 1, Some("west"));
    let open = now(store.snapshot()).unwrap();
    assert_eq!(open.open.iter().map(|one| one.key).collect::<Vec<_>>(), [east, west]);
    assert_eq!(open.clusters, [(east, name("east")), (west, name("west"))].into());
    assert_eq!(claim(store, 8, &[east, west]), [west]);
    assert_eq!(claim(store, 7, &[east, west]), [east]);
    assert_eq!(claim(store, 7, &[east, west]), [east], "its answer may have been lost");
}

fn what_outlives_its_executor_stays_in_its_cluster(store: &impl Shared) {
    let mut fleet = Fleet::begin(store);
    for (number, cluster) in [(7, "east"), (8, "west"), (9, "east")] {
        let said = Attendance { keeps: true, ..lives(number, Some(cluster), LONG) };
        now(store.attend(said)).unwrap();
    }
    let key = admitted(&mut fleet, 0, Some("east"));
    assert_eq!(claim(store, 7, &[key]), [key]);
    let over = Attendance { keeps: true, ..lives(7, Some("east"), NONE) };
    now(store.attend(over)).unwrap();
    assert_eq!(now(store.bury(fleet.epoch, AT)).unwrap(), [server(7)]);
    assert_eq!(fleet.news(), [], "it is not lost");
    assert_eq!(claim(store, 8, &[key]), [], "its pod is not there");
    let found = |clusters: &[&str]| {
        let clusters: Vec<ClusterName> = clusters.iter().map(|one| name(one)).collect();
        now(store.unclaimed(Timestamp(AT.0 + 1), &clusters, 9)).unwrap()
    };
    assert_eq!(found(&["west"]), []);
    assert_eq!(found(&["east"]), [Placed { key, cluster: Some(name("east")) }]);
    assert_eq!(claim(store, 9, &[key]), [key]);
}

fn what_nobody_claimed_is_found_by_cluster(store: &impl Shared) {
    let mut fleet = Fleet::begin(store);
    let east = admitted(&mut fleet, 0, Some("east"));
    let west = admitted(&mut fleet, 1, Some("west"));
    let old = admitted(&mut fleet, 2, None);
    let of = |key, cluster: Option<&str>| Placed { key, cluster: cluster.map(name) };
    let found = |clusters: &[ClusterName], limit| {
        now(store.unclaimed(Timestamp(AT.0 + 1), clusters, limit)).unwrap()
    };
    assert_eq!(found(&[], 9), [of(old, None)]);
    assert_eq!(found(&[name("west")], 9), [of(west, Some("west")), of(old, None)]);
    // What is for a cluster where nobody lives takes no place of others.
    assert_eq!(found(&[name("west")], 1), [of(west, Some("west"))]);
    assert_eq!(found(&[name("east"), name("west")], 1), [of(east, Some("east"))]);
}

fn an_attempt_without_a_cluster_is_for_whoever_is_sent_it(store: &impl Shared) {
    let mut fleet = Fleet::begin(store);
    now(store.attend(lives(7, Some("east"), LONG))).unwrap();
    now(store.attend(lives(8, None, LONG))).unwrap();
    let old = admitted(&mut fleet, 0, None);
    let new = admitted(&mut fleet, 1, Some("west"));
    assert_eq!(now(store.snapshot()).unwrap().clusters, [(new, name("west"))].into());
    assert_eq!(claim(store, 7, &[old, new]), [old]);
    assert_eq!(claim(store, 8, &[old, new]), [new], "an executor of before is sent its own only");
}

fn give_back<S: Shared>(fleet: &Fleet<'_, S>, spared: &[&str], limit: u32) -> Vec<AttemptKey> {
    let spared: Vec<ClusterName> = spared.iter().map(|one| name(one)).collect();
    now(fleet.store.give_back(fleet.epoch, &spared, limit)).unwrap()
}

/// As it was before it was admitted, and for whatever cluster it is admitted next.
fn what_nobody_claimed_where_nobody_lives_waits_again(store: &impl Shared) {
    let mut fleet = Fleet::begin(store);
    now(store.attend(lives(7, Some("east"), LONG))).unwrap();
    now(store.attend(lives(8, Some("west"), LONG))).unwrap();
    let before = [0, 1].map(|node| fleet.offer_after(node, node));
    let keys = before.map(|ready| ready.key);
    for key in keys {
        let placed = Placed { key, cluster: Some(name("east")) };
        now(store.reserve(fleet.epoch, AT, &[placed], &SlotChanges::new())).unwrap();
    }
    assert_eq!(give_back(&fleet, &["east", "west"], 9), [], "somebody lives there");
    assert_eq!(give_back(&fleet, &["west"], 1), [keys[0]]);
    assert_eq!(give_back(&fleet, &["west"], 9), [keys[1]]);
    assert_eq!(give_back(&fleet, &["west"], 9), [], "once");
    let snapshot = now(store.snapshot()).unwrap();
    assert_eq!((snapshot.ready, snapshot.open), (before.to_vec(), vec![]));
    assert_eq!(snapshot.clusters, [].into());
    let run = now(store.load(fleet.id)).unwrap();
    assert_eq!((run.runnable, run.open), (keys.to_vec(), vec![]));
    assert_eq!(unclaimed(store, Timestamp(AT.0 + 1)), []);
    assert_eq!(claim(store, 7, &keys), [], "whoever was sent it comes too late");
    let placed = Placed { key: keys[0], cluster: Some(name("west")) };
    let again = now(store.reserve(fleet.epoch, AT, &[placed], &SlotChanges::new())).unwrap();
    assert_eq!(again.admitted, [keys[0]]);
    assert_eq!(claim(store, 7, &keys), [], "it is for another cluster now");
    assert_eq!(claim(store, 8, &keys), [keys[0]]);
    // And what waits again may be taken off the queue.
    let mut commit = fleet.commit();
    commit.runs[0].unrunnable = vec![keys[1]];
    commit.handover.as_deref_mut().unwrap().calls.push(Call::Withdraw(keys[1]));
    fleet.write(commit).unwrap();
    assert_eq!(now(store.snapshot()).unwrap().ready, []);
}

fn what_is_somebody_elses_is_not_taken_back(store: &impl Shared) {
    let mut fleet = Fleet::begin(store);
    now(store.attend(lives(7, Some("east"), LONG))).unwrap();
    let claimed = admitted(&mut fleet, 0, Some("east"));
    assert_eq!(claim(store, 7, &[claimed]), [claimed]);
    let stopped = admitted(&mut fleet, 1, Some("east"));
    let _of_before = admitted(&mut fleet, 2, None);
    let ended = admitted(&mut fleet, 3, Some("east"));
    let mut commit = fleet.commit();
    commit.runs[0].ended.push((ended, report(None)));
    let handover = commit.handover.as_deref_mut().unwrap();
    handover.stops = vec![stopped];
    handover.calls.push(Call::Release(Released { key: ended, outcome: None }));
    fleet.write(commit).unwrap();
    assert_eq!(give_back(&fleet, &[], 9), []);
    let open = now(store.load(fleet.id)).unwrap().open;
    assert_eq!(open.len(), 3, "{open:?}");
    now(store.attend(lives(7, Some("east"), NONE))).unwrap();
    assert_eq!(now(store.bury(fleet.epoch, AT)).unwrap(), [server(7)]);
    assert_eq!(give_back(&fleet, &[], 9), [], "it is lost, or outlives its executor");
}

/// Whoever wants to stop it believes that it is open: it is in the queue, or open again by now, and is stopped neither
/// here nor there.
fn a_stop_of_what_was_taken_back_is_refused_whole(store: &impl Shared) {
    let mut fleet = Fleet::begin(store);
    let (one, other) =
        (admitted(&mut fleet, 0, Some("east")), admitted(&mut fleet, 1, Some("west")));
    assert_eq!(give_back(&fleet, &["west"], 9), [one]);
    let mut commit = fleet.commit();
    commit.handover.as_deref_mut().unwrap().stops = vec![other, one];
    match fleet.write(commit.clone()) {
        Err(StoreError::Overtaken(ids)) => assert_eq!(ids, [fleet.id]),
        done => panic!("{done:?}"),
    }
    assert_eq!(fleet.news(), [], "nothing of it is written");
    let placed = Placed { key: one, cluster: Some(name("west")) };
    now(store.reserve(fleet.epoch, AT, &[placed], &SlotChanges::new())).unwrap();
    fleet.write(commit).unwrap();
    assert_eq!(fleet.news().len(), 2, "it is open again");
    assert_eq!(give_back(&fleet, &[], 9), []);
}

fn a_pod_begins_in_its_cluster_only(store: &impl Podded) {
    let mut fleet = Fleet::begin(store);
    keeps(store, 7, LONG);
    let east = admitted(&mut fleet, 0, Some("east"));
    let home = admitted(&mut fleet, 1, Some("default"));
    assert_eq!(begin(store, 5, east), Begin::Refused(Refusal::Over));
    assert!(matches!(begin(store, 5, home), Begin::Run(_)));
    let asking = |clusters: &[&str], pod: u128| Asking {
        clusters: clusters.iter().map(|one| name(one)).collect(),
        ..Asking::alone(
            flowforge_model::id::PodUid(Uuid::from_u128(pod)),
            EntityId::DEFAULT_PROJECT,
        )
    };
    let begins = |asking| now(store.begin(asking, east, AT)).unwrap();
    assert_eq!(begins(asking(&["west"], 6)), Begin::Refused(Refusal::Over));
    assert_eq!(begins(asking(&[], 6)), Begin::Refused(Refusal::Over));
    assert!(matches!(begins(asking(&["west", "east"], 6)), Begin::Run(_)));
}
