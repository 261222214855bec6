//! What several connections do at once, and what a caller that goes away leaves behind.

use std::pin::pin;
use std::task::{Context, Waker};

use flowforge_model::event::Command;
use flowforge_model::id::EntityId;
use flowforge_model::quota::Level;
use flowforge_model::shard::ShardSet;
use flowforge_model::status::{TaskStatus, WorkflowStatus};
use flowforge_organization::Edit;
use flowforge_ports::organization::Organizations;
use flowforge_ports::store::{Store, StoreError};
use uuid::Uuid;

use super::databases::{Fresh, fresh};
use crate::conformance::fixture::{AT, Held, instance, new_workflow, now, task, workflow};

/// Backends of a database that are inside of a transaction.
fn in_transactions(database: &Fresh) -> Vec<String> {
    database.run(
        "SELECT state || ': ' || query FROM pg_stat_activity
         WHERE datname = current_database() AND pid <> pg_backend_pid()
         AND state LIKE 'idle in transaction%'",
    )
}

/// Begins a call and drops it at once, before any answer came.
fn abandon<T>(future: impl Future<Output = T>) {
    let mut future = pin!(future);
    assert!(future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
}

/// Two connections, so that every one of them is used again after it was abandoned.
#[test]
#[ignore = "needs a PostgreSQL server: cargo xtask test --tier postgres"]
fn a_call_that_is_dropped_leaves_no_transaction_open() {
    let database = fresh();
    let store = database.store();
    let mut held = Held::begin(&store, 1);
    for number in 10..60 {
        abandon(store.insert(new_workflow(workflow(number))));
        abandon(store.load(held.id));
        abandon(store.ask(held.id, Command::Resume { task: None, outputs: Vec::new() }, AT));
        abandon(store.unfinished(ShardSet::ALL, None, 1));
    }
    // What was begun is carried through, and nobody works inside of a stranger's transaction.
    for node in 0..10 {
        held.queue(node, 1, true);
    }
    while now(store.unfinished(ShardSet::ALL, None, 100)).unwrap().len() < 51 {
        std::thread::yield_now();
    }
    assert_eq!(now(store.load(held.id)).unwrap().tasks.len(), 10);
    assert_eq!(in_transactions(&database), [""; 0]);
}

#[test]
#[ignore = "needs a PostgreSQL server: cargo xtask test --tier postgres"]
fn an_error_is_rolled_back_before_the_connection_is_used_again() {
    let database = fresh();
    let store = database.store();
    let mut held = Held::begin(&store, 1);
    for _ in 0..10 {
        let mut commit = held.commit();
        commit.runs[0].tasks.push(task(5, TaskStatus::Queued, 1, false));
        assert!(matches!(held.write(commit), Err(StoreError::Conflict(_))));
    }
    assert_eq!(in_transactions(&database), [""; 0]);
    held.queue(0, 1, true);
}

/// The statement after a long answer has to be prepared, which must not wait behind it.
#[test]
#[ignore = "needs a PostgreSQL server: cargo xtask test --tier postgres"]
fn a_long_answer_is_read_before_the_next_statement_is_prepared() {
    let database = fresh();
    let id = Held::begin(&database.store(), 1).id;
    database.run(&format!(
        "INSERT INTO task (workflow, node, slot, kind, name, template, status, attempt, failures,
         losses) SELECT '{}', n, 0, 'leaf', repeat('x', 1000), '', 'PENDING', 0, 0, 0
         FROM generate_series(0, 9999) n",
        id.0
    ));
    // Connections that have loaded nothing yet.
    let store = database.store();
    assert_eq!(now(store.load(id)).unwrap().tasks.len(), 10_000);
}

/// A cancel is acknowledged while commits go on: none that comes after may admit.
#[test]
#[ignore = "needs a PostgreSQL server: cargo xtask test --tier postgres"]
fn nothing_is_admitted_once_a_cancel_is_acknowledged() {
    let database = fresh();
    let store = database.store();
    for number in 1..=20 {
        let mut held = Held::begin(&store, number);
        let id = held.id;
        let refused = std::thread::scope(|scope| {
            let asked = scope.spawn(|| now(store.ask(id, Command::Cancel, AT)).unwrap());
            for node in 0..3 {
                held.queue(node, 1, true);
            }
            asked.join().unwrap();
            held.queue(3, 1, true)
        });
        assert_eq!(refused, [held.key(3, 1)]);
        let run = now(store.load(id)).unwrap();
        assert!(run.gate_closed && run.open.len() + run.runnable.len() == 4);
        // The controller opens the gate for what it has done; the cancel still waits.
        let mut commit = held.commit();
        commit.runs[0].gate_closed = Some(false);
        held.write(commit).unwrap();
        assert!(now(store.load(id)).unwrap().gate_closed);
    }
}

#[test]
#[ignore = "needs a PostgreSQL server: cargo xtask test --tier postgres"]
fn the_same_request_at_the_same_moment_is_one_workflow() {
    let database = fresh();
    let store = database.store();
    for round in 0..10_u32 {
        let ids: Vec<_> = std::thread::scope(|scope| {
            let send = |number: u32| {
                let store = &store;
                scope.spawn(move || {
                    let mut new = new_workflow(workflow(10 * round + number));
                    new.idempotency = Some((format!("key-{round}"), "digest".to_owned()));
                    now(store.insert(new)).unwrap().id
                })
            };
            let threads: Vec<_> = (0..3).map(send).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(ids.iter().all(|id| *id == ids[0]));
    }
    assert_eq!(now(store.unfinished(ShardSet::ALL, None, 100)).unwrap().len(), 10);
}

/// A take-over waits for the commit under way, and fences all that come later.
#[test]
#[ignore = "needs a PostgreSQL server: cargo xtask test --tier postgres"]
fn a_take_over_among_commits_fences_them_and_loses_none() {
    let database = fresh();
    let store = database.store();
    let mut held = Held::begin(&store, 1);
    std::thread::scope(|scope| {
        let taker = scope.spawn(|| now(store.take_over(instance())).unwrap());
        let fenced = (0..10_000).find_map(|_| held.become_(WorkflowStatus::Running, 1).err());
        assert!(matches!(fenced, Some(StoreError::Fenced)), "{fenced:?}");
        assert_eq!(taker.join().unwrap(), held.epoch + 1);
    });
    assert_eq!(now(store.load(held.id)).unwrap().seq, held.seq);
}

/// Two controllers may take the same lock in their own commits.
#[test]
#[ignore = "needs a PostgreSQL server: cargo xtask test --tier postgres"]
fn a_lock_taken_by_two_commits_at_once_is_held_by_one() {
    let database = fresh();
    let store = database.store();
    for round in 0..10 {
        let mut pair: Vec<_> =
            [2 * round + 1, 2 * round + 2].map(|number| Held::begin(&store, number)).into();
        let epoch = pair[1].epoch;
        let key = format!("lock-{round}");
        let taken: Vec<bool> = std::thread::scope(|scope| {
            let threads: Vec<_> = pair
                .iter_mut()
                .map(|held| {
                    let key = &key;
                    scope.spawn(move || {
                        let mut commit = held.commit();
                        commit.epoch = epoch;
                        let locks = crate::conformance::fixture::locks(1, &[(key, 1)], true);
                        commit.runs[0].locks.push(locks);
                        now(held.store.commit(commit))
                    })
                })
                .collect();
            threads
                .into_iter()
                .map(|thread| match thread.join().unwrap() {
                    Ok(_) => true,
                    // Not the next best guard: the number of the row in the outbox.
                    Err(StoreError::Conflict(why)) if why.contains(&key) => false,
                    Err(other) => panic!("{other}"),
                })
                .collect()
        });
        assert_eq!(taken.iter().filter(|taken| **taken).count(), 1, "{taken:?}");
    }
}

/// Neither a workflow that was taken in nor the project it is in may be lost: whoever submits while the
/// project is deleted is refused, or keeps it.
#[test]
#[ignore = "needs a PostgreSQL server: cargo xtask test --tier postgres"]
fn nothing_is_submitted_to_a_project_that_is_gone() {
    let database = fresh();
    let (one, two) = (database.store(), database.store());
    for round in 0..60_u32 {
        let project = EntityId(Uuid::from_u128(u128::from(round) + 0x1000));
        let edit = Edit::Create {
            id: project,
            level: Level::Project,
            parent: Some(EntityId::DEFAULT_TENANT),
            name: format!("p{round}"),
            quota: None,
            cluster: None,
        };
        now(one.edit(edit, AT)).unwrap().unwrap();
        std::thread::scope(|scope| {
            let submit = scope.spawn(|| {
                let mut new = new_workflow(workflow(round));
                new.project = project;
                now(two.insert(new)).is_ok()
            });
            let edit = Edit::Delete { id: project, version: None, drain: true, cascade: false };
            now(one.edit(edit, AT)).unwrap().unwrap();
            let left = now(one.reap(AT)).unwrap().is_empty();
            let submitted = submit.join().unwrap();
            assert_eq!(left, submitted, "round {round}");
        });
    }
}
