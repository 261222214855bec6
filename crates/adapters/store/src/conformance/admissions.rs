//! What may start, and what becomes of it.

use flowforge_model::event::Command;
use flowforge_model::shard::ShardSet;
use flowforge_model::status::{Reason, WorkflowStatus};
use flowforge_model::time::Timestamp;
use flowforge_ports::store::StoreError;

use super::fixture::{AT, Held, STORAGE, instance, now, report, state, workflow};
use super::{Subject, cases};

cases! {
    a_runnable_attempt_is_admitted_and_is_open_until_it_ends
    nothing_is_admitted_behind_a_closed_gate_and_it_stays_runnable
    a_gate_that_closes_in_the_same_commit_refuses_its_admissions
    the_gate_stays_closed_while_an_acknowledged_command_waits
    what_is_not_runnable_is_not_admitted
    a_task_has_one_open_attempt
    the_next_attempt_may_be_admitted_in_the_commit_that_ends_the_last
    an_attempt_may_end_in_the_commit_that_admits_it
    ending_twice_changes_nothing
    the_first_start_counts_unless_the_report_knows_better
    what_is_taken_off_the_queue_is_not_runnable
    attempts_of_others_are_refused
    admissions_name_their_server
    an_attempt_made_runnable_twice_is_off_the_queue_once_admitted
    a_workflow_holds_its_slot_until_it_gives_it_back
}

fn a_workflow_holds_its_slot_until_it_gives_it_back(store: &impl Subject) {
    let mut held = Held::begin(store, 1);
    for holds in [false, true, true, false] {
        let mut commit = held.commit();
        commit.runs.clear();
        commit.slots.insert(held.id, holds);
        held.write(commit).unwrap();
        assert_eq!(now(store.load(held.id)).unwrap().slot, holds);
    }
    let mut commit = held.commit();
    commit.runs[0].state = Some(state(WorkflowStatus::Succeeded, 1));
    commit.slots.insert(held.id, true);
    held.write(commit).unwrap();
    assert!(!now(store.load(held.id)).unwrap().slot, "it has ended");
}

fn a_runnable_attempt_is_admitted_and_is_open_until_it_ends(store: &impl Subject) {
    let mut held = Held::begin(store, 1);
    assert_eq!(held.queue(0, 1, true), []);
    held.queue(1, 1, false);
    let run = now(store.load(held.id)).unwrap();
    assert_eq!(run.storage, STORAGE);
    assert_eq!(run.open, [(held.key(0, 1), Some(instance()))]);
    assert_eq!(run.runnable, [held.key(1, 1)]);
    let mut commit = held.commit();
    commit.runs.clear();
    commit.admissions.push(held.key(1, 1));
    assert_eq!(held.write(commit).unwrap(), []);
    held.finish(0, 1);
    let run = now(store.load(held.id)).unwrap();
    assert_eq!(run.open, [(held.key(1, 1), Some(instance()))]);
    assert_eq!(run.runnable, []);
    let attempts = store.attempts(held.id);
    assert_eq!(
        (attempts[0].finished_at, attempts[0].exit_code),
        (Some(report(None).finished_at), Some(0))
    );
    assert_eq!((attempts[1].finished_at, attempts[1].admitted_at), (None, AT));
}

fn nothing_is_admitted_behind_a_closed_gate_and_it_stays_runnable(store: &impl Subject) {
    let mut held = Held::begin(store, 1);
    let mut open = Held::begin(store, 2);
    held.epoch = open.epoch;
    held.queue(0, 1, false);
    open.queue(0, 1, false);
    now(store.ask(held.id, Command::Cancel, AT)).unwrap();
    assert_eq!(held.queue(1, 1, true), [held.key(1, 1)]);
    let mut commit = open.commit();
    commit.admissions = vec![held.key(0, 1), open.key(0, 1)];
    assert_eq!(open.write(commit).unwrap(), [held.key(0, 1)]);
    let run = now(store.load(held.id)).unwrap();
    assert_eq!(run.runnable, [held.key(0, 1), held.key(1, 1)]);
    assert_eq!(run.open, []);
    assert_eq!(now(store.load(open.id)).unwrap().open.len(), 1);
}

fn a_gate_that_closes_in_the_same_commit_refuses_its_admissions(store: &impl Subject) {
    let mut held = Held::begin(store, 1);
    held.queue(0, 1, false);
    let mut commit = held.commit();
    commit.runs[0].gate_closed = Some(true);
    commit.admissions.push(held.key(0, 1));
    assert_eq!(held.write(commit).unwrap(), [held.key(0, 1)]);
    let mut commit = held.commit();
    commit.runs[0].gate_closed = Some(false);
    commit.admissions.push(held.key(0, 1));
    assert_eq!(held.write(commit).unwrap(), []);
}

fn the_gate_stays_closed_while_an_acknowledged_command_waits(store: &impl Subject) {
    let mut held = Held::begin(store, 1);
    held.queue(0, 1, false);
    now(store.ask(held.id, Command::Pause, AT)).unwrap();
    now(store.ask(held.id, Command::Resume { task: None, outputs: Vec::new() }, AT)).unwrap();
    now(store.ask(held.id, Command::Cancel, AT)).unwrap();
    let ids: Vec<i64> =
        now(store.intents(ShardSet::ALL, 0, 9)).unwrap().iter().map(|i| i.id).collect();
    let mut carried_out = |done: &[i64]| {
        let mut commit = held.commit();
        commit.intents_done = done.to_vec();
        commit.runs[0].gate_closed = Some(false);
        held.write(commit).unwrap();
        now(store.load(held.id)).unwrap().gate_closed
    };
    assert!(carried_out(&ids[..2]), "the cancel was acknowledged");
    assert!(!carried_out(&ids[2..]));
}

fn what_is_not_runnable_is_not_admitted(store: &impl Subject) {
    let mut held = Held::begin(store, 1);
    held.queue(0, 1, true);
    for admissions in [vec![held.key(0, 1)], vec![held.key(0, 2)], vec![held.key(3, 1)]] {
        let mut commit = held.commit();
        commit.admissions = admissions;
        assert!(matches!(held.write(commit), Err(StoreError::Conflict(_))));
    }
    let mut twice = held.commit();
    twice.runs[0].runnable.push(held.key(1, 1));
    twice.admissions = vec![held.key(1, 1), held.key(1, 1)];
    assert!(matches!(held.write(twice), Err(StoreError::Conflict(_))));
    let mut nowhere = held.commit();
    let lost = super::fixture::key(workflow(9), 0, 1);
    nowhere.admissions.push(lost);
    assert_eq!(held.write(nowhere).unwrap(), [lost]);
}

fn a_task_has_one_open_attempt(store: &impl Subject) {
    let mut held = Held::begin(store, 1);
    held.queue(0, 1, true);
    let mut commit = held.commit();
    commit.runs[0].runnable.push(held.key(0, 2));
    commit.admissions.push(held.key(0, 2));
    assert!(matches!(held.write(commit), Err(StoreError::Conflict(_))));
    assert_eq!(now(store.load(held.id)).unwrap().open.len(), 1);
    held.finish(0, 1);
    let mut again = held.commit();
    again.runs[0].runnable.push(held.key(0, 1));
    again.admissions.push(held.key(0, 1));
    assert!(matches!(held.write(again), Err(StoreError::Conflict(_))));
}

fn the_next_attempt_may_be_admitted_in_the_commit_that_ends_the_last(store: &impl Subject) {
    let mut held = Held::begin(store, 1);
    held.queue(0, 1, true);
    let mut commit = held.commit();
    commit.runs[0].ended.push((held.key(0, 1), report(Some(Reason::ExitCode))));
    commit.runs[0].runnable.push(held.key(0, 2));
    commit.admissions.push(held.key(0, 2));
    assert_eq!(held.write(commit).unwrap(), []);
    let attempts = store.attempts(held.id);
    assert_eq!(attempts[0].reason, Some(Reason::ExitCode));
    assert_eq!(attempts[0].message.as_deref(), Some("it ended with 1"));
    assert_eq!(attempts[0].exit_code, Some(1));
    assert_eq!(now(store.load(held.id)).unwrap().open, [(held.key(0, 2), Some(instance()))]);
}

fn an_attempt_may_end_in_the_commit_that_admits_it(store: &impl Subject) {
    let mut held = Held::begin(store, 1);
    let mut commit = held.commit();
    commit.runs[0].runnable.push(held.key(0, 1));
    commit.runs[0].started.push((held.key(0, 1), AT));
    commit.runs[0].ended.push((held.key(0, 1), report(Some(Reason::ArgumentTooLong))));
    commit.admissions.push(held.key(0, 1));
    held.write(commit).unwrap();
    let run = now(store.load(held.id)).unwrap();
    assert_eq!((run.open, run.runnable), (vec![], vec![]));
    assert_eq!(store.attempts(held.id)[0].started_at, Some(AT));
}

fn ending_twice_changes_nothing(store: &impl Subject) {
    let mut held = Held::begin(store, 1);
    held.queue(0, 1, true);
    held.finish(0, 1);
    let before = store.attempts(held.id);
    let mut commit = held.commit();
    let mut late = report(Some(Reason::Lost));
    late.finished_at = Timestamp(AT.0 + 99);
    commit.runs[0].ended = vec![(held.key(0, 1), late.clone()), (held.key(7, 1), late)];
    commit.runs[0].started = vec![(held.key(0, 1), AT), (held.key(7, 1), AT)];
    held.write(commit).unwrap();
    assert_eq!(store.attempts(held.id), before);
}

fn the_first_start_counts_unless_the_report_knows_better(store: &impl Subject) {
    let mut held = Held::begin(store, 1);
    held.queue(0, 1, true);
    held.queue(1, 1, true);
    for (at, node) in [(1, 0), (2, 0), (1, 1)] {
        let mut commit = held.commit();
        commit.runs[0].started.push((held.key(node, 1), Timestamp(at)));
        held.write(commit).unwrap();
    }
    let mut commit = held.commit();
    let mut precise = report(None);
    precise.started_at = Some(Timestamp(7));
    commit.runs[0].ended = vec![(held.key(0, 1), report(None)), (held.key(1, 1), precise)];
    held.write(commit).unwrap();
    let started: Vec<_> = store.attempts(held.id).iter().map(|a| a.started_at).collect();
    assert_eq!(started, [Some(Timestamp(1)), Some(Timestamp(7))]);
}

fn what_is_taken_off_the_queue_is_not_runnable(store: &impl Subject) {
    let mut held = Held::begin(store, 1);
    held.queue(0, 1, false);
    let mut commit = held.commit();
    commit.runs[0].runnable = vec![held.key(1, 1), held.key(0, 1)];
    commit.runs[0].unrunnable = vec![held.key(0, 1), held.key(1, 1), held.key(5, 1)];
    held.write(commit.clone()).unwrap();
    assert_eq!(now(store.load(held.id)).unwrap().runnable, []);
    commit.admissions.push(held.key(1, 1));
    assert!(matches!(held.write(commit), Err(StoreError::Conflict(_))));
}

fn attempts_of_others_are_refused(store: &impl Subject) {
    let other = Held::begin(store, 1);
    let mut held = Held::begin(store, 2);
    for wrong in [other.key(0, 1), held.key(0, 0)] {
        let mut commit = held.commit();
        commit.runs[0].runnable.push(wrong);
        assert!(matches!(held.write(commit), Err(StoreError::Conflict(_))));
        let mut commit = held.commit();
        commit.runs[0].ended.push((wrong, report(None)));
        assert!(matches!(held.write(commit), Err(StoreError::Conflict(_))));
    }
}

fn admissions_name_their_server(store: &impl Subject) {
    let mut held = Held::begin(store, 1);
    held.queue(0, 1, false);
    let mut commit = held.commit();
    commit.instance = None;
    commit.admissions.push(held.key(0, 1));
    assert!(matches!(held.write(commit), Err(StoreError::Conflict(_))));
    assert_eq!(now(store.load(held.id)).unwrap().runnable.len(), 1);
}

fn an_attempt_made_runnable_twice_is_off_the_queue_once_admitted(store: &impl Subject) {
    let mut held = Held::begin(store, 1);
    held.queue(0, 1, false);
    let mut commit = held.commit();
    let key = held.key(0, 1);
    commit.runs[0].runnable.push(key);
    commit.admissions.push(key);
    assert_eq!(held.write(commit).unwrap(), []);
    let run = now(store.load(held.id)).unwrap();
    assert_eq!((run.open, run.runnable), (vec![(key, Some(instance()))], vec![]));
}
