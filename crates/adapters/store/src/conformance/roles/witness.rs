//! What somebody may say of attempts that has none of them.

use flowforge_ports::pods::{Begin, Finish, Pods, Refusal};
use flowforge_ports::witness::{Testimony, Witness};

use super::pods::{asks, begin, finish, gang, keeps, pod};
use super::*;

trait Witnessed: Shared + Pods + Witness {}
impl<T: Shared + Pods + Witness> Witnessed for T {}

shared_cases! {
    a_witness_tells_an_end_that_nobody_has_told
    what_is_told_already_a_witness_does_not_tell
    a_witness_knows_nothing_of_what_has_no_pod
    a_witness_must_have_seen_the_pod_that_has_begun
    a_witness_must_have_seen_all_members_that_have_asked
}

fn awaited(store: &impl Witness, keys: &[AttemptKey]) -> Vec<(AttemptKey, bool)> {
    let all = now(store.awaited(keys)).unwrap();
    all.into_iter().map(|one| (one.order.key, one.stop)).collect()
}

fn testify(store: &impl Witness, key: AttemptKey, pods: &[u128]) -> Vec<AttemptKey> {
    let pods = pods.iter().copied().map(pod).collect();
    now(store.testify(&[Testimony { key, pods, report: report(None) }])).unwrap()
}

fn a_witness_tells_an_end_that_nobody_has_told(store: &impl Witnessed) {
    let mut fleet = Fleet::begin(store);
    keeps(store, 7, LONG);
    let (one, other) = (fleet.claimed(0, 7), fleet.claimed(1, 7));
    let mut commit = fleet.commit();
    commit.handover.as_deref_mut().unwrap().stops = vec![other];
    fleet.write(commit).unwrap();
    assert_eq!(awaited(store, &[other, one]), [(one, false), (other, true)]);
    assert_eq!(now(store.awaited(&[one])).unwrap()[0].order, order(one));
    // It has not begun: whichever pod it is of.
    assert_eq!(testify(store, one, &[1]), [one]);
    assert_eq!(fleet.news(), [Tidings::Fact(end(one))]);
    assert_eq!(awaited(store, &[one, other]), [(other, true)]);
    assert_eq!(testify(store, one, &[1]), [], "once");
    assert_eq!(begin(store, 1, one), Begin::Refused(Refusal::Over));
    now(store.report(server(7), &[end(one)])).unwrap();
    assert_eq!(fleet.news(), [Tidings::Fact(end(one))], "nor does its executor tell it again");
    // Nobody has to be alive for it.
    keeps(store, 7, NONE);
    assert_eq!(now(store.bury(fleet.epoch, AT)).unwrap(), [server(7)]);
    assert_eq!(awaited(store, &[other]), [(other, true)]);
    assert_eq!(testify(store, other, &[]), [other]);
}

fn what_is_told_already_a_witness_does_not_tell(store: &impl Witnessed) {
    let mut fleet = Fleet::begin(store);
    keeps(store, 7, LONG);
    let (by_pod, by_executor) = (fleet.claimed(0, 7), fleet.claimed(1, 7));
    begin(store, 1, by_pod);
    assert_eq!(finish(store, 1, by_pod), Finish::Taken);
    now(store.report(server(7), &[end(by_executor)])).unwrap();
    let told = fleet.news();
    assert_eq!(awaited(store, &[by_pod, by_executor]), []);
    assert_eq!(testify(store, by_pod, &[1]), []);
    assert_eq!(testify(store, by_executor, &[2]), []);
    assert_eq!(fleet.news(), told);
}

fn a_witness_knows_nothing_of_what_has_no_pod(store: &impl Witnessed) {
    let mut fleet = Fleet::begin(store);
    attend(store, Role::Executor, 6, LONG);
    let process = fleet.claimed(0, 6);
    let (offered, admitted) = (fleet.offer(1).key, fleet.offer(2).key);
    fleet.reserve(&[admitted]);
    for key in [process, offered, admitted, fleet.key(9, 1)] {
        assert_eq!(awaited(store, &[key]), [], "{key:?}");
        assert_eq!(testify(store, key, &[1]), [], "{key:?}");
    }
    assert_eq!(fleet.news(), []);
}

fn a_witness_must_have_seen_the_pod_that_has_begun(store: &impl Witnessed) {
    let mut fleet = Fleet::begin(store);
    keeps(store, 7, LONG);
    let key = fleet.claimed(0, 7);
    begin(store, 1, key);
    assert_eq!(testify(store, key, &[]), []);
    assert_eq!(testify(store, key, &[2]), []);
    assert_eq!(testify(store, key, &[2, 1]), [key]);
    assert_eq!(finish(store, 1, key), Finish::Late);
}

fn a_witness_must_have_seen_all_members_that_have_asked(store: &impl Witnessed) {
    let mut fleet = Fleet::begin(store);
    keeps(store, 7, LONG);
    let key = gang(&mut fleet, 0);
    for member in 0..2 {
        let asking = asks(u128::from(member) + 1, member, false);
        assert_eq!(now(store.begin(asking, key, AT)).unwrap(), Begin::Wait);
    }
    assert_eq!(testify(store, key, &[1, 3]), []);
    assert_eq!(testify(store, key, &[1, 2, 3]), [key]);
}
