//! What executors claim and report, and what becomes of it when they are gone.

use super::*;

shared_cases! {
    an_attempt_is_claimed_by_one_executor
    what_was_reported_to_have_ended_is_not_claimed_again
    facts_stay_until_a_commit_has_taken_them_in
    that_a_daemon_is_ready_stays_until_it_is_taken_in
    facts_of_others_and_of_the_past_are_dropped
    what_is_to_stop_is_told_to_its_executor_or_ends_at_once
    what_a_dead_executor_ran_is_lost_and_it_stays_dead
    what_an_executor_has_when_it_leaves_is_lost
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
