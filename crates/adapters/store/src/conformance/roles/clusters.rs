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
