//! Attempts that run in pods, and outlive their executors.

use flowforge_model::id::PodUid;
use flowforge_ports::pods::{Begin, Cluster, Finish, Pods, Refusal};

use super::*;

trait Podded: Shared + Pods {}
impl<T: Shared + Pods> Podded for T {}

fn pod(number: u128) -> PodUid {
    PodUid(Uuid::from_u128(number))
}

pub(super) fn keeps(store: &impl Leases, number: u128, ttl: Millis) {
    let said = Attendance { keeps: true, ..says(Role::Executor, number, ttl) };
    now(store.attend(said)).unwrap();
}

pub(super) fn begin(store: &impl Pods, by: u128, key: AttemptKey) -> Begin {
    now(store.begin((pod(by), Some(EntityId::DEFAULT_PROJECT)), key, AT)).unwrap()
}

pub(super) fn finish(store: &impl Pods, by: u128, key: AttemptKey) -> Finish {
    now(store.finish(pod(by), key, report(None))).unwrap()
}

fn run(key: AttemptKey) -> Begin {
    Begin::Run(Box::new(order(key)))
}

fn refused(why: Refusal) -> Begin {
    Begin::Refused(why)
}

shared_cases! {
    one_pod_begins_an_attempt_and_may_ask_again
    the_first_end_that_is_told_counts
    what_is_to_stop_or_over_does_not_begin
    what_outlives_its_executor_is_claimed_by_the_next
    what_outlives_its_executor_is_stopped_by_the_next
    pods_of_attempts_that_are_over_are_found
    clusters_are_written_down_once_each
}

fn one_pod_begins_an_attempt_and_may_ask_again(store: &impl Podded) {
    let mut fleet = Fleet::begin(store);
    keeps(store, 7, LONG);
    let key = fleet.claimed(0, 7);
    let stranger = (pod(1), Some(EntityId(Uuid::from_u128(9))));
    assert_eq!(now(store.begin(stranger, key, AT)).unwrap(), refused(Refusal::Over));
    assert_eq!(begin(store, 1, key), run(key));
    assert_eq!(begin(store, 2, key), refused(Refusal::Another));
    assert_eq!(begin(store, 1, key), run(key));
    let started = Tidings::Fact(Fact { key, kind: FactKind::Started(AT) });
    assert_eq!(fleet.news(), [started]);
}

fn the_first_end_that_is_told_counts(store: &impl Podded) {
    let mut fleet = Fleet::begin(store);
    keeps(store, 7, LONG);
    let (told, silent) = (fleet.claimed(0, 7), fleet.claimed(1, 7));
    let ends = |fleet: &Fleet<'_, _>| {
        let over = |what: &Tidings| {
            matches!(what, Tidings::Fact(Fact { kind: FactKind::Finished(_), .. }))
        };
        fleet.news().into_iter().filter(over).collect::<Vec<_>>()
    };
    // Who has not begun it has nothing to tell.
    assert_eq!(finish(store, 1, told), Finish::Late);
    begin(store, 1, told);
    assert_eq!(finish(store, 2, told), Finish::Late);
    assert_eq!(finish(store, 1, told), Finish::Taken);
    assert_eq!(finish(store, 1, told), Finish::Late);
    assert_eq!(ends(&fleet), [Tidings::Fact(end(told))]);
    // Its executor sees the pod's end later.
    now(store.report(server(7), &[end(told)])).unwrap();
    assert_eq!(ends(&fleet), [Tidings::Fact(end(told))]);
    assert_eq!(begin(store, 1, told), refused(Refusal::Over));
    // And the other way round.
    begin(store, 3, silent);
    now(store.report(server(7), &[end(silent)])).unwrap();
    assert_eq!(finish(store, 3, silent), Finish::Late);
    assert_eq!(ends(&fleet).len(), 2);
}

fn what_is_to_stop_or_over_does_not_begin(store: &impl Podded) {
    let mut fleet = Fleet::begin(store);
    keeps(store, 7, LONG);
    let (late, early) = (fleet.claimed(0, 7), fleet.claimed(1, 7));
    begin(store, 1, early);
    let mut commit = fleet.commit();
    commit.handover.as_deref_mut().unwrap().stops = vec![late, early];
    fleet.write(commit).unwrap();
    assert_eq!(begin(store, 2, late), refused(Refusal::Stopped));
    // It runs: it asks again because the answer was lost.
    assert_eq!(begin(store, 1, early), run(early));
    assert_eq!(begin(store, 1, fleet.key(9, 1)), refused(Refusal::Over));
}

fn what_outlives_its_executor_is_claimed_by_the_next(store: &impl Podded) {
    let mut fleet = Fleet::begin(store);
    keeps(store, 7, LONG);
    attend(store, Role::Executor, 6, LONG);
    let (runs, over) = (fleet.claimed(0, 7), fleet.claimed(1, 7));
    begin(store, 1, runs);
    begin(store, 2, over);
    assert_eq!(finish(store, 2, over), Finish::Taken);
    keeps(store, 8, LONG);
    assert_eq!(claim(store, 8, &[runs]), [], "it lives");
    keeps(store, 7, NONE);
    assert_eq!(now(store.bury(fleet.epoch, AT)).unwrap(), [server(7)]);
    let lost = |what: &Tidings| match what {
        Tidings::Fact(Fact { key, kind: FactKind::Finished(_) }) => *key == runs,
        _ => false,
    };
    assert!(!fleet.news().iter().any(lost), "{:?}", fleet.news());
    let found = now(store.unclaimed(Timestamp(AT.0 + 1), 9)).unwrap();
    assert!(found.contains(&runs), "{found:?}");
    assert_eq!(claim(store, 6, &[runs]), [], "its processes end with it: it can take over none");
    let taken = now(store.claim(server(8), AT, &[runs, over])).unwrap();
    assert_eq!(taken.iter().map(|one| (one.key, one.outlived)).collect::<Vec<_>>(), [(runs, true)]);
    let again = now(store.claim(server(8), AT, &[runs])).unwrap();
    assert!(!again[0].outlived, "it is its own now");
    keeps(store, 9, LONG);
    assert_eq!(claim(store, 9, &[runs]), []);
    assert!(now(store.report(server(7), &[end(runs)])).is_err());
    now(store.report(server(8), &[end(runs)])).unwrap();
    assert_eq!(finish(store, 1, runs), Finish::Late);
}

fn what_outlives_its_executor_is_stopped_by_the_next(store: &impl Podded) {
    let mut fleet = Fleet::begin(store);
    keeps(store, 7, LONG);
    let key = fleet.claimed(0, 7);
    keeps(store, 7, NONE);
    now(store.bury(fleet.epoch, AT)).unwrap();
    let mut commit = fleet.commit();
    commit.handover.as_deref_mut().unwrap().stops = vec![key];
    fleet.write(commit).unwrap();
    assert_eq!(fleet.news(), [], "a pod may run: somebody has to end it");
    assert_eq!(now(store.unclaimed(Timestamp(AT.0 + 1), 9)).unwrap(), [key]);
    keeps(store, 8, LONG);
    assert_eq!(claim(store, 8, &[key]), [key]);
    assert_eq!(now(store.stops(server(8))).unwrap(), [key]);
}

fn pods_of_attempts_that_are_over_are_found(store: &impl Podded) {
    let mut fleet = Fleet::begin(store);
    keeps(store, 7, LONG);
    let (open, over) = (fleet.claimed(0, 7), fleet.claimed(1, 7));
    let mut commit = fleet.commit();
    commit.runs[0].tasks.push(task(1, TaskStatus::Succeeded, 1, false));
    commit.runs[0].ended.push((over, report(None)));
    commit
        .handover
        .as_deref_mut()
        .unwrap()
        .calls
        .push(Call::Release(Released { key: over, outcome: None }));
    fleet.write(commit).unwrap();
    let never = fleet.key(9, 1);
    let mut found = now(store.over(&[open, over, never])).unwrap();
    found.sort_unstable();
    assert_eq!(found, [over, never]);
}

fn clusters_are_written_down_once_each(store: &impl Podded) {
    let cluster = |name: &str, keys: &str| Cluster {
        name: name.to_owned(),
        issuer: "https://kubernetes".to_owned(),
        keys: keys.to_owned(),
    };
    assert_eq!(now(store.clusters()).unwrap(), []);
    for keys in ["{}", "{}", "{\"keys\":[]}"] {
        now(store.put_cluster(cluster("two", keys))).unwrap();
        now(store.put_cluster(cluster("one", "{}"))).unwrap();
    }
    let all = [cluster("one", "{}"), cluster("two", "{\"keys\":[]}")];
    assert_eq!(now(store.clusters()).unwrap(), all);
    let key = now(store.signing_key()).unwrap();
    assert_ne!(key, [0; 32]);
    assert_eq!(now(store.signing_key()).unwrap(), key);
    assert_eq!(now(store.installation()).unwrap(), now(store.installation()).unwrap());
}
