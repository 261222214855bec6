//! Attempts that run in pods, and outlive their executors.

use flowforge_model::attempt::{Failure, Main, Program, Report};
use flowforge_model::id::PodUid;
use flowforge_model::status::Reason;
use flowforge_ports::pods::{Asking, Begin, Cluster, Finish, Pods, Refusal};

use super::*;

pub(super) trait Podded: Shared + Pods {}
impl<T: Shared + Pods> Podded for T {}

pub(super) fn pod(number: u128) -> PodUid {
    PodUid(Uuid::from_u128(number))
}

pub(super) fn keeps(store: &impl Leases, number: u128, ttl: Millis) {
    let said = Attendance { keeps: true, ..says(Role::Executor, number, ttl) };
    now(store.attend(said)).unwrap();
}

pub(super) fn begin(store: &impl Pods, by: u128, key: AttemptKey) -> Begin {
    now(store.begin(Asking::alone(pod(by), EntityId::DEFAULT_PROJECT), key, AT)).unwrap()
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
    a_gang_begins_when_all_its_members_are_ready
    a_gang_that_is_to_stop_does_not_begin
    a_gang_ends_when_all_have_told_as_the_one_that_failed_first
    what_is_told_of_a_gang_is_of_no_use_after_its_end
    pods_of_attempts_that_are_over_are_found
    clusters_are_written_down_once_each
}

fn one_pod_begins_an_attempt_and_may_ask_again(store: &impl Podded) {
    let mut fleet = Fleet::begin(store);
    keeps(store, 7, LONG);
    let key = fleet.claimed(0, 7);
    let stranger = Asking::alone(pod(1), EntityId(Uuid::from_u128(9)));
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
    let found = unclaimed(store, Timestamp(AT.0 + 1));
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
    assert_eq!(unclaimed(store, Timestamp(AT.0 + 1)), [key]);
    keeps(store, 8, LONG);
    assert_eq!(claim(store, 8, &[key]), [key]);
    assert_eq!(now(store.stops(server(8))).unwrap(), [key]);
}

/// An attempt that is a gang of three, claimed.
pub(super) fn gang(fleet: &mut Fleet<'_, impl Podded>, node: u32) -> AttemptKey {
    let order = trio(fleet.key(node, 1));
    fleet.claimed_of(node, 7, &order)
}

fn trio(key: AttemptKey) -> WorkOrder {
    let mut order = order(key);
    let process = order.main().cloned().unwrap();
    let main = Main::Gang { process, size: 3 };
    let (init, sidecars) = (Vec::new(), Vec::new());
    order.work = Work::Run(Box::new(Program { init, main, sidecars }));
    order
}

pub(super) fn asks(by: u128, member: u32, early: bool) -> Asking {
    let alone = Asking::alone(pod(by), EntityId::DEFAULT_PROJECT);
    Asking { member: Some(member), early, ..alone }
}

fn a_gang_begins_when_all_its_members_are_ready(store: &impl Podded) {
    let mut fleet = Fleet::begin(store);
    keeps(store, 7, LONG);
    let key = gang(&mut fleet, 0);
    let all = Begin::Run(Box::new(trio(key)));
    let ask = |asking| now(store.begin(asking, key, AT)).unwrap();
    assert_eq!(begin(store, 9, key), refused(Refusal::Over), "no member");
    assert_eq!(ask(asks(9, 3, false)), refused(Refusal::Over), "no such member");
    assert_eq!(ask(Asking::begun(pod(1))), refused(Refusal::Over), "it has not asked");
    // What comes before the task waits for nobody, and is the member all the same.
    assert_eq!(ask(asks(1, 0, true)), all);
    assert_eq!(ask(asks(2, 0, false)), refused(Refusal::Another));
    assert_eq!(ask(Asking::begun(pod(1))), all);
    assert_eq!(ask(asks(3, 2, false)), Begin::Wait);
    assert_eq!(ask(asks(4, 1, false)), Begin::Wait);
    assert_eq!(ask(asks(4, 1, false)), Begin::Wait, "the first is not ready yet");
    assert_eq!(fleet.news(), []);
    assert_eq!(ask(asks(1, 0, false)), all);
    assert_eq!(ask(asks(4, 1, false)), all);
    assert_eq!(ask(asks(3, 2, false)), all);
    assert_eq!(ask(asks(5, 2, false)), refused(Refusal::Another));
    let started = Tidings::Fact(Fact { key, kind: FactKind::Started(AT) });
    assert_eq!(fleet.news(), [started], "once");
    let single = fleet.claimed(1, 7);
    assert_eq!(now(store.begin(asks(1, 0, false), single, AT)).unwrap(), refused(Refusal::Over));
}

fn a_gang_that_is_to_stop_does_not_begin(store: &impl Podded) {
    let mut fleet = Fleet::begin(store);
    keeps(store, 7, LONG);
    let (waits, runs) = (gang(&mut fleet, 0), gang(&mut fleet, 1));
    let ask = |key, member: u32| {
        now(store.begin(asks(u128::from(member) + 1, member, false), key, AT)).unwrap()
    };
    assert_eq!(ask(waits, 0), Begin::Wait);
    assert_eq!([ask(runs, 0), ask(runs, 1)], [Begin::Wait, Begin::Wait]);
    assert_eq!(ask(runs, 2), Begin::Run(Box::new(trio(runs))));
    let mut commit = fleet.commit();
    commit.handover.as_deref_mut().unwrap().stops = vec![waits, runs];
    fleet.write(commit).unwrap();
    assert_eq!(ask(waits, 0), refused(Refusal::Stopped));
    assert_eq!(ask(waits, 1), refused(Refusal::Stopped));
    assert_eq!(ask(runs, 0), Begin::Run(Box::new(trio(runs))), "it has begun");
}

fn a_gang_ends_when_all_have_told_as_the_one_that_failed_first(store: &impl Podded) {
    let mut fleet = Fleet::begin(store);
    keeps(store, 7, LONG);
    let (fails, succeeds) = (gang(&mut fleet, 0), gang(&mut fleet, 1));
    let says = |member: u32, code: i32| {
        let failure = (code != 0).then(|| Failure {
            class: FailureClass::User,
            reason: Reason::ExitCode,
            message: format!("member {member}"),
        });
        let at = Timestamp(AT.0 + 10 + i64::from(code));
        let outputs = vec![("v".to_owned(), member.to_string())];
        let (started_at, exit_code) = (Some(Timestamp(AT.0 + i64::from(member))), Some(code));
        Report { started_at, exit_code, failure, outputs, finished_at: at, ..report(None) }
    };
    let tell = |key, member: u32, code| {
        now(store.finish(pod(u128::from(member) + 1), key, says(member, code))).unwrap()
    };
    for (key, member) in [fails, succeeds].into_iter().flat_map(|key| (0..3).map(move |m| (key, m)))
    {
        assert_eq!(tell(key, member, 0), Finish::Late, "it has not asked");
        now(store.begin(asks(u128::from(member) + 1, member, false), key, AT)).unwrap();
    }
    let ends = |fleet: &Fleet<'_, _>, key| {
        let end = |what| match what {
            Tidings::Fact(Fact { key: of, kind: FactKind::Finished(report) }) if of == key => {
                Some(*report)
            }
            _ => None,
        };
        fleet.news().into_iter().filter_map(end).collect::<Vec<_>>()
    };
    assert_eq!(tell(fails, 2, 3), Finish::Taken);
    assert_eq!(tell(fails, 2, 0), Finish::Late);
    assert_eq!(tell(fails, 0, 5), Finish::Taken);
    assert_eq!(ends(&fleet, fails), [], "one of them runs");
    assert_eq!(tell(fails, 1, 0), Finish::Taken);
    let first = Report {
        started_at: Some(AT),
        finished_at: Timestamp(AT.0 + 15),
        ..says(2, 3).of_another_member()
    };
    assert_eq!(ends(&fleet, fails), [first]);
    assert_eq!(tell(fails, 1, 0), Finish::Late);
    for member in [1, 2, 0] {
        assert_eq!(tell(succeeds, member, 0), Finish::Taken);
    }
    assert_eq!(ends(&fleet, succeeds), [says(0, 0)], "the outputs of the first");
}

fn what_is_told_of_a_gang_is_of_no_use_after_its_end(store: &impl Podded) {
    let mut fleet = Fleet::begin(store);
    keeps(store, 7, LONG);
    let key = gang(&mut fleet, 0);
    for member in 0..3 {
        now(store.begin(asks(u128::from(member) + 1, member, false), key, AT)).unwrap();
    }
    assert_eq!(finish(store, 1, key), Finish::Taken);
    // The executor has found out how it ended.
    now(store.report(server(7), &[end(key)])).unwrap();
    assert_eq!(finish(store, 2, key), Finish::Late);
    assert_eq!(now(store.begin(asks(2, 1, false), key, AT)).unwrap(), refused(Refusal::Over));
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
