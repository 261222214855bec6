//! Up, down and up again.

use flowforge_ports::store::{Store, StoreError};
use uuid::Uuid;

use super::databases::{Fresh, config, empty, fresh};
use crate::conformance::fixture::{Held, now, workflow};
use crate::doctor::tests::populate;
use crate::postgres::{PostgresStore, migrations};

fn connect(database: &Fresh) -> PostgresStore {
    PostgresStore::connect(config(&database.name)).unwrap()
}

fn tables(database: &Fresh) -> Vec<String> {
    database.run(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace
         AND relkind IN ('r', 'p', 'S', 'i') ORDER BY 1",
    )
}

fn applied(store: &PostgresStore) -> Vec<bool> {
    now(store.migration_status()).unwrap().iter().map(|one| one.applied).collect()
}

#[test]
#[ignore = "needs a PostgreSQL server: cargo xtask test --tier postgres"]
fn an_empty_database_goes_up_and_down_and_up() {
    let database = empty();
    let store = connect(&database);
    assert_eq!(applied(&store), [false; 16]);
    assert_eq!(
        now(store.migrate_up()).unwrap(),
        [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]
    );
    assert!(now(store.migrate_up()).unwrap().is_empty());
    let full = tables(&database);
    assert_eq!(
        now(store.migrate_down(2)).unwrap(),
        [16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3]
    );
    assert_eq!(
        applied(&store),
        [
            true, true, false, false, false, false, false, false, false, false, false, false,
            false, false, false, false
        ]
    );
    let error = now(PostgresStore::open_migrated(config(&database.name))).unwrap_err();
    assert!(error.to_string().contains("has schema 2"), "{error}");
    assert_eq!(now(store.migrate_down(0)).unwrap(), [2, 1]);
    assert_eq!(tables(&database), ["flowforge_schema", "flowforge_schema_pkey"]);
    assert_eq!(
        now(store.migrate_up()).unwrap(),
        [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]
    );
    assert_eq!(tables(&database), full);
    Held::begin(&store, 1);
}

#[test]
#[ignore = "needs a PostgreSQL server: cargo xtask test --tier postgres"]
fn a_filled_database_goes_up_and_down_and_up() {
    let database = fresh();
    let store = connect(&database);
    populate(&store);
    // The newest step takes its own tables only.
    assert_eq!(
        now(store.migrate_down(2)).unwrap(),
        [16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3]
    );
    assert_eq!(now(store.migrate_up()).unwrap(), [3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]);
    assert!(now(store.load(workflow(1))).is_ok());
    assert_eq!(
        now(store.migrate_down(0)).unwrap(),
        [16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1]
    );
    assert_eq!(
        now(store.migrate_up()).unwrap(),
        [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]
    );
    assert!(matches!(now(store.load(workflow(1))), Err(StoreError::NotFound)));
    populate(&store);
    assert!(now(store.doctor()).unwrap().iter().all(|finding| finding.ok));
}

#[test]
#[ignore = "needs a PostgreSQL server: cargo xtask test --tier postgres"]
fn two_programs_that_migrate_at_once_do_it_once() {
    let database = empty();
    let stores = [connect(&database), connect(&database), connect(&database)];
    let done: Vec<u32> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            stores.iter().map(|store| scope.spawn(|| now(store.migrate_up()).unwrap())).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(done.len(), 16);
}

#[test]
#[ignore = "needs a PostgreSQL server: cargo xtask test --tier postgres"]
fn a_newer_schema_is_refused() {
    let database = fresh();
    database.run("INSERT INTO flowforge_schema (version, name) VALUES (99, 'later')");
    let store = connect(&database);
    for error in [
        now(PostgresStore::open(config(&database.name))).unwrap_err(),
        now(PostgresStore::open_migrated(config(&database.name))).unwrap_err(),
        now(store.migrate_down(0)).unwrap_err(),
        now(store.doctor()).unwrap_err(),
    ] {
        let StoreError::FutureSchema { found: 99, known } = error else { panic!("{error}") };
        assert_eq!(known, migrations::known());
    }
}

/// While servers are replaced one by one, a later one has migrated already.
#[test]
#[ignore = "needs a PostgreSQL server: cargo xtask test --tier postgres"]
fn a_newer_schema_that_only_expands_is_worked_with() {
    let database = fresh();
    let known = migrations::known();
    let later = |number: u32, oldest: u32| {
        let version = known + number;
        database.run(&format!(
            "INSERT INTO flowforge_schema (version, name, oldest)
             VALUES ({version}, 'later', {oldest})"
        ));
    };
    later(1, known);
    database.run("ALTER TABLE task ADD COLUMN later text NOT NULL DEFAULT ''");
    let store = now(PostgresStore::open(config(&database.name))).unwrap();
    populate(&store);
    assert!(now(store.doctor()).unwrap().iter().all(|finding| finding.ok));
    let status = now(store.migration_status()).unwrap();
    assert!(status.iter().all(|one| one.applied));
    let last = status.last().unwrap();
    assert_eq!((last.version, last.name.as_str()), (known + 1, "later"));
    let error = now(store.migrate_down(0)).unwrap_err();
    assert!(matches!(error, StoreError::FutureSchema { .. }), "{error}");
    // One that does not only expand, somewhere on the way, is enough.
    later(2, known + 1);
    later(3, known);
    let error = now(PostgresStore::open(config(&database.name))).unwrap_err();
    assert!(matches!(error, StoreError::FutureSchema { .. }), "{error}");
}

/// Written by a program that did not know the mark.
#[test]
#[ignore = "needs a PostgreSQL server: cargo xtask test --tier postgres"]
fn a_schema_without_marks_is_read_and_gets_them() {
    let database = fresh();
    let store = connect(&database);
    now(store.migrate_down(4)).unwrap();
    database.run("ALTER TABLE flowforge_schema DROP COLUMN oldest");
    let error = now(PostgresStore::open_migrated(config(&database.name))).unwrap_err();
    assert!(error.to_string().contains("run `flowforge migrate up`"), "{error}");
    assert_eq!(now(store.migrate_up()).unwrap(), [5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]);
    let marks = database
        .run("SELECT version || ' ' || coalesce(oldest, 0) FROM flowforge_schema ORDER BY 1");
    assert_eq!(
        marks,
        [
            "1 0", "10 10", "11 10", "12 12", "13 12", "14 12", "15 15", "16 15", "2 0", "3 0",
            "4 0", "5 4", "6 4", "7 7", "8 7", "9 7"
        ]
    );
}

#[test]
#[ignore = "needs a PostgreSQL server: cargo xtask test --tier postgres"]
fn rows_know_the_shard_of_their_workflow() {
    let database = fresh();
    let store = connect(&database);
    populate(&store);
    for number in 1..=4 {
        let id = workflow(number);
        let shards = database.run(&format!(
            "SELECT DISTINCT shard FROM (SELECT shard FROM workflow WHERE id = '{0}'
             UNION SELECT shard FROM timer WHERE workflow = '{0}'
             UNION SELECT shard FROM intent WHERE workflow = '{0}'
             UNION SELECT shard FROM runnable WHERE workflow = '{0}') s",
            id.0
        ));
        assert_eq!(shards, [id.shard().to_string()]);
    }
}

/// A server that runs attempts itself took attempts back and left their orders; others it left without one.
#[test]
#[ignore = "needs a PostgreSQL server: cargo xtask test --tier postgres"]
fn orders_of_attempts_that_were_taken_back_start_nothing_after_the_table_of_runnable_ones_is_gone()
{
    let database = fresh();
    let store = database.store();
    now(store.migrate_down(9)).unwrap();
    let id = Uuid::from_u128(1);
    database.run(&format!(
        "INSERT INTO work_order (workflow, node, number, priority, since, cpu, memory, gpu, body)
         SELECT '{id}', node, 1, 7, 1, 0, 0, 0, '{{}}' FROM generate_series(1, 4) node;
         INSERT INTO runnable (workflow, node, number) VALUES ('{id}', 1, 1), ('{id}', 5, 1);
         INSERT INTO attempt (workflow, node, number, instance, admitted_at, ended_at)
         VALUES ('{id}', 2, 1, NULL, 1, NULL), ('{id}', 3, 1, '{id}', 1, 2)"
    ));
    now(store.migrate_up()).unwrap();
    let orders = "SELECT node || ' ' || priority FROM work_order ORDER BY node";
    assert_eq!(database.run(orders), ["1 7", "2 7", "5 0"]);
    assert_eq!(database.run("SELECT node FROM runnable ORDER BY node"), ["1", "5"]);
    now(store.migrate_down(9)).unwrap();
    assert_eq!(database.run("SELECT node FROM runnable ORDER BY node"), ["1", "5"]);
    assert_eq!(database.run(orders), ["1 7", "2 7"]);
}
