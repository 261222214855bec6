//! What two servers do at the same moment: one of them is first, as if it had come a second before.

use std::sync::Barrier;

use flowforge_ports::pods::{Finish, Pods};
use flowforge_ports::witness::{Testimony, Witness};

use super::pods::{begin, finish, keeps, pod};
use super::*;

trait Raced: Shared + Pods + Witness + Sync {}
impl<T: Shared + Pods + Witness + Sync> Raced for T {}

shared_cases! {
    what_is_taken_back_while_it_is_admitted_is_one_of_both
    of_two_ends_that_are_told_at_once_one_counts
    what_is_taken_back_while_it_is_claimed_is_one_of_both
    what_is_taken_back_while_it_is_stopped_is_one_of_both
}

/// Often enough that both come first now and then.
const TIMES: u32 = 40;

fn at_once<A: Send, B>(one: impl FnOnce() -> A + Send, other: impl FnOnce() -> B) -> (A, B) {
    let start = Barrier::new(2);
    std::thread::scope(|scope| {
        let one = scope.spawn(|| {
            start.wait();
            one()
        });
        start.wait();
        let other = other();
        (one.join().unwrap(), other)
    })
}

fn what_is_taken_back_while_it_is_admitted_is_one_of_both(store: &impl Raced) {
    let mut fleet = Fleet::begin(store);
    for node in 0..TIMES {
        let key = fleet.offer(node).key;
        let mut commit = fleet.commit();
        commit.runs[0].unrunnable = vec![key];
        commit.handover.as_deref_mut().unwrap().calls.push(Call::Withdraw(key));
        let epoch = fleet.epoch;
        let reserve =
            || now(store.reserve(epoch, AT, &[placed(key)], &SlotChanges::new())).unwrap();
        let (reserved, taken) = at_once(reserve, || fleet.write(commit));
        match taken {
            Ok(()) => assert_eq!((reserved.admitted, reserved.gone), (vec![], vec![key])),
            Err(StoreError::Overtaken(ids)) => {
                assert_eq!((reserved.admitted, ids), (vec![key], vec![fleet.id]));
            }
            Err(error) => panic!("{error:?}"),
        }
    }
}

fn of_two_ends_that_are_told_at_once_one_counts(store: &impl Raced) {
    let mut fleet = Fleet::begin(store);
    keeps(store, 7, LONG);
    for node in 0..TIMES {
        let key = fleet.claimed(node, 7);
        begin(store, 1, key);
        let told = if node % 2 == 0 {
            let report = || now(store.report(server(7), &[end(key)])).unwrap();
            at_once(report, || finish(store, 1, key)).1
        } else {
            let seen = Testimony { key, pods: vec![pod(1)], report: report(None) };
            let (kept, told) =
                at_once(|| now(store.testify(&[seen])).unwrap(), || finish(store, 1, key));
            assert_eq!(kept.is_empty(), told == Finish::Taken);
            told
        };
        assert!(matches!(told, Finish::Taken | Finish::Late), "{told:?}");
        let ends = fleet.news().into_iter().filter(
            |news| matches!(news, Tidings::Fact(Fact { key: of, kind: FactKind::Finished(_) }) if *of == key),
        );
        assert_eq!(ends.count(), 1, "{told:?}");
        let news = now(store.news(ShardSet::ALL, 99)).unwrap();
        let mut commit = fleet.commit();
        commit.handover.as_deref_mut().unwrap().news_done =
            news.iter().map(|news| news.id).collect();
        fleet.write(commit).unwrap();
    }
}

fn what_is_taken_back_while_it_is_claimed_is_one_of_both(store: &impl Raced) {
    let mut fleet = Fleet::begin(store);
    attend(store, Role::Executor, 7, LONG);
    for node in 0..TIMES {
        let key = fleet.offer(node).key;
        fleet.reserve(&[key]);
        let epoch = fleet.epoch;
        let give_back = || now(store.give_back(epoch, &[], 9)).unwrap();
        let (given, claimed) = at_once(give_back, || claim(store, 7, &[key]));
        assert_eq!(given.len() + claimed.len(), 1, "{given:?} {claimed:?}");
        let run = now(store.load(fleet.id)).unwrap();
        assert_eq!(run.runnable, given);
        let mut commit = fleet.commit();
        commit.runs[0].unrunnable.extend(&given);
        commit.runs[0].ended.extend(claimed.iter().map(|key| (*key, report(None))));
        let over = |key: &AttemptKey| Call::Release(Released { key: *key, outcome: None });
        let handover = commit.handover.as_deref_mut().unwrap();
        handover.calls.extend(claimed.iter().map(over));
        fleet.write(commit).unwrap();
    }
}

fn what_is_taken_back_while_it_is_stopped_is_one_of_both(store: &impl Raced) {
    let mut fleet = Fleet::begin(store);
    for node in 0..TIMES {
        let key = fleet.offer(node).key;
        fleet.reserve(&[key]);
        let mut commit = fleet.commit();
        commit.handover.as_deref_mut().unwrap().stops = vec![key];
        let epoch = fleet.epoch;
        let give_back = || now(store.give_back(epoch, &[], 9)).unwrap();
        let (given, stopped) = at_once(give_back, || fleet.write(commit));
        let told = fleet
            .news()
            .iter()
            .filter(|news| matches!(news, Tidings::Fact(fact) if fact.key == key))
            .count();
        match stopped {
            Ok(()) => assert_eq!((given, told), (vec![], 1)),
            Err(StoreError::Overtaken(ids)) => {
                assert_eq!((given, ids, told), (vec![key], vec![fleet.id], 0));
                let mut commit = fleet.commit();
                commit.runs[0].unrunnable = vec![key];
                fleet.write(commit).unwrap();
            }
            Err(error) => panic!("{error:?}"),
        }
    }
}
