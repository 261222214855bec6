//! Locks and remembered outputs.

use flowforge_model::event::Outputs;
use flowforge_model::limits::MEMOS_PER_CACHE;
use flowforge_model::status::WorkflowStatus;
use flowforge_model::time::Timestamp;
use flowforge_ports::store::{LockRow, MemoWrite, Remembered, StoreError};

use super::fixture::{AT, DEFAULT, Held, NOWHERE, locks, now};
use super::{Subject, cases};

cases! {
    locks_of_a_task_replace_those_it_had
    a_lock_goes_from_one_workflow_to_another_in_one_commit
    a_lock_held_by_too_many_is_refused_and_nothing_is_written
    a_task_has_each_of_its_own_locks_once
    locks_go_with_their_workflow
    outputs_are_remembered_by_project_cache_and_key
    what_is_remembered_outlives_its_workflow
    a_full_cache_forgets_the_oldest
}

fn rows(store: &impl Subject, held: &Held<'_, impl Subject>) -> Vec<LockRow> {
    now(store.load(held.id)).unwrap().locks
}

fn locks_of_a_task_replace_those_it_had(store: &impl Subject) {
    let mut one = Held::begin(store, 1);
    let mut commit = one.commit();
    commit.runs[0].locks =
        vec![locks(2, &[("b", 1), ("a", 3)], false), locks(1, &[("a", 2)], true)];
    one.write(commit).unwrap();
    let written = [locks(1, &[("a", 2)], true).rows, locks(2, &[("a", 3), ("b", 1)], false).rows];
    assert_eq!(rows(store, &one), written.concat());
    let mut commit = one.commit();
    commit.runs[0].locks = vec![locks(2, &[("c", 1)], true), locks(1, &[], false)];
    one.write(commit).unwrap();
    assert_eq!(rows(store, &one), locks(2, &[("c", 1)], true).rows);
    one.write(one.commit()).unwrap();
    assert_eq!(rows(store, &one).len(), 1, "a commit that says nothing changes nothing");
}

fn a_lock_goes_from_one_workflow_to_another_in_one_commit(store: &impl Subject) {
    let mut one = Held::begin(store, 1);
    let two = Held::begin(store, 2);
    one.epoch = two.epoch;
    let mut commit = one.commit();
    commit.runs[0].locks.push(locks(1, &[("m", 1)], true));
    one.write(commit).unwrap();
    // The one that takes comes first.
    let mut commit = two.commit();
    commit.runs[0].locks.push(locks(1, &[("m", 1)], true));
    let mut release = one.changes();
    release.locks.push(locks(1, &[], false));
    commit.runs.push(release);
    now(store.commit(commit)).unwrap();
    assert!(rows(store, &one).is_empty());
    assert_eq!(rows(store, &two).len(), 1);
}

fn a_lock_held_by_too_many_is_refused_and_nothing_is_written(store: &impl Subject) {
    let mut one = Held::begin(store, 1);
    let mut two = Held::begin(store, 2);
    one.epoch = two.epoch;
    let mut commit = one.commit();
    commit.runs[0].locks = vec![locks(1, &[("s", 2)], true), locks(2, &[("s", 2)], true)];
    one.write(commit).unwrap();
    let mut third = two.commit();
    third.runs[0].locks.push(locks(1, &[("s", 2)], true));
    third.runs[0].locks.push(locks(2, &[("x", 0)], false));
    assert!(matches!(now(store.commit(third.clone())), Err(StoreError::Conflict(_))));
    assert!(rows(store, &two).is_empty());
    // One that knows of a greater limit may; one that waits always may.
    third.runs[0].locks[0] = locks(1, &[("s", 3)], true);
    two.write(third).unwrap();
    let mut commit = two.commit();
    commit.runs[0].locks.push(locks(3, &[("s", 1)], false));
    two.write(commit).unwrap();
    assert_eq!(rows(store, &two).len(), 3);
    let mut commit = two.commit();
    commit.runs[0].locks.push(locks(4, &[("zero", 0)], true));
    assert!(matches!(two.write(commit), Err(StoreError::Conflict(_))));
}

fn a_task_has_each_of_its_own_locks_once(store: &impl Subject) {
    let one = Held::begin(store, 1);
    let mut strange = locks(1, &[("m", 1)], false);
    strange.node.0 = 2;
    for wrong in [strange, locks(1, &[("m", 1), ("m", 1)], false)] {
        let mut commit = one.commit();
        commit.runs[0].locks.push(wrong);
        assert!(matches!(now(store.commit(commit)), Err(StoreError::Conflict(_))));
    }
    assert!(rows(store, &one).is_empty());
}

fn locks_go_with_their_workflow(store: &impl Subject) {
    let mut one = Held::begin(store, 1);
    let mut commit = one.commit();
    commit.runs[0].locks.push(locks(1, &[("m", 1)], true));
    one.write(commit).unwrap();
    one.become_(WorkflowStatus::Cancelled, 1).unwrap();
    let mut commit = one.commit();
    commit.runs[0].delete = true;
    one.write(commit).unwrap();
    let mut two = Held::begin(store, 2);
    let mut commit = two.commit();
    commit.runs[0].locks.push(locks(1, &[("m", 1)], true));
    two.write(commit).unwrap();
}

fn outputs(text: &str) -> Outputs {
    Outputs { result: Some(text.to_owned()), ..Outputs::default() }
}

fn memo(cache: &str, key: &str, text: &str) -> MemoWrite {
    MemoWrite { cache: cache.to_owned(), key: key.to_owned(), outputs: outputs(text) }
}

fn outputs_are_remembered_by_project_cache_and_key(store: &impl Subject) {
    let mut one = Held::begin(store, 1);
    let mut commit = one.commit();
    commit.runs[0].memos = vec![memo("c", "k", "old"), memo("c", "", "none"), memo("d", "k", "d")];
    one.write(commit).unwrap();
    let mut commit = one.commit();
    commit.at = Timestamp(AT.0 + 9);
    commit.runs[0].memos = vec![memo("c", "k", "new ü")];
    one.write(commit).unwrap();
    let recall = |project, cache, key| now(store.recall(project, cache, key)).unwrap();
    let new = Remembered { outputs: outputs("new ü"), at: Timestamp(AT.0 + 9) };
    assert_eq!(recall(DEFAULT, "c", "k"), Some(new));
    assert_eq!(recall(DEFAULT, "d", "k").unwrap().at, AT);
    assert_eq!(recall(DEFAULT, "c", "").unwrap().outputs, outputs("none"));
    for absent in [(NOWHERE, "c", "k"), (DEFAULT, "e", "k"), (DEFAULT, "c", "K")] {
        assert_eq!(recall(absent.0, absent.1, absent.2), None);
    }
}

fn what_is_remembered_outlives_its_workflow(store: &impl Subject) {
    let mut one = Held::begin(store, 1);
    one.become_(WorkflowStatus::Succeeded, 1).unwrap();
    let mut commit = one.commit();
    commit.runs[0].memos = vec![memo("c", "k", "v")];
    commit.runs[0].delete = true;
    one.write(commit).unwrap();
    assert!(matches!(now(store.load(one.id)), Err(StoreError::NotFound)));
    assert_eq!(now(store.recall(DEFAULT, "c", "k")).unwrap().unwrap().outputs, outputs("v"));
}

fn a_full_cache_forgets_the_oldest(store: &impl Subject) {
    let mut one = Held::begin(store, 1);
    let mut commit = one.commit();
    let keys = (0..MEMOS_PER_CACHE - 1).map(|number| format!("k{number:06}"));
    commit.runs[0].memos = keys.map(|key| memo("c", &key, "v")).collect();
    commit.runs[0].memos.push(memo("d", "k", "v"));
    one.write(commit).unwrap();
    for (number, key) in ["new", "newer", "k000001"].into_iter().enumerate() {
        let mut commit = one.commit();
        commit.at = Timestamp(AT.0 + 1 + i64::try_from(number).unwrap());
        commit.runs[0].memos = vec![memo("c", key, "v")];
        one.write(commit).unwrap();
    }
    let kept = |cache, key| now(store.recall(DEFAULT, cache, key)).unwrap().is_some();
    assert!(!kept("c", "k000000"), "the oldest");
    for key in ["k000001", "k000002", "new", "newer"] {
        assert!(kept("c", key), "{key}");
    }
    assert!(kept("d", "k"));
}
