//! Servers that cannot be used, connections that break, and values PostgreSQL does not take.

use std::net::TcpListener;

use flowforge_model::event::Record;
use flowforge_model::status::{TaskStatus, WorkflowStatus};
use flowforge_ports::store::{Store, StoreError};

use super::databases::{admin, config, fresh, run, url};
use crate::conformance::fixture::{Held, new_workflow, now, task, task_record, workflow};
use crate::postgres::{PostgresConfig, PostgresStore};

fn refused(url: &str) -> String {
    let config = PostgresConfig::parse(url).unwrap();
    match now(PostgresStore::open(config)).unwrap_err() {
        StoreError::Unavailable(why) => why,
        other => panic!("{other}"),
    }
}

#[test]
#[ignore = "needs a PostgreSQL server: cargo xtask test --tier postgres"]
fn what_cannot_be_reached_or_used_says_why() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let why = refused(&format!("postgresql://u@{nobody}/d?sslmode=disable"));
    assert!(why.contains(&nobody.to_string()) && why.contains("refused"), "{why}");
    let why = refused(&url("nowhere"));
    assert!(why.contains("CREATE DATABASE"), "{why}");
    let database = fresh();
    admin(&format!("ALTER DATABASE {} SET default_transaction_read_only = on", database.name));
    let why = refused(&url(&database.name));
    assert!(why.contains("read-only"), "{why}");
}

#[test]
#[ignore = "needs a PostgreSQL server: cargo xtask test --tier postgres"]
fn a_connection_that_breaks_is_replaced_and_its_transaction_undone() {
    let database = fresh();
    let store = database.store();
    let mut held = Held::begin(&store, 1);
    let before = now(store.load(held.id)).unwrap();
    // What the lock of another holds up is ended with its connection.
    let name = database.name.clone();
    std::thread::scope(|scope| {
        let committed = scope.spawn(|| {
            let blocked = "BEGIN; SELECT 1 FROM controller FOR UPDATE; SELECT pg_sleep(0.5)";
            run(&name, blocked);
        });
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                       AND query LIKE '%pg_sleep%' AND pid <> pg_backend_pid()";
        while run(&name, waiting) != ["1"] {}
        let killer = scope.spawn(|| {
            let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                       WHERE datname = current_database() AND wait_event_type = 'Lock'";
            while run(&name, sql).is_empty() {}
        });
        let error = held.become_(WorkflowStatus::Failed, 1).unwrap_err();
        assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
        killer.join().unwrap();
        committed.join().unwrap();
    });
    assert_eq!(now(store.load(held.id)).unwrap(), before);
    held.become_(WorkflowStatus::Failed, 1).unwrap();
}

/// A full disk stops a commit, nothing else, and says what it is.
#[test]
#[ignore = "needs a PostgreSQL server: cargo xtask test --tier postgres"]
fn a_full_disk_and_missing_rights_say_what_to_do() {
    let database = fresh();
    let store = database.store();
    let mut held = Held::begin(&store, 1);
    for (code, advice) in
        [("53100", "disk of the database"), ("25006", "primary"), ("42501", "grant")]
    {
        database.run(&format!(
            "CREATE OR REPLACE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{code}'; END $$;
             CREATE OR REPLACE TRIGGER fail BEFORE INSERT ON event EXECUTE FUNCTION fail()"
        ));
        let StoreError::Unavailable(why) = held.become_(WorkflowStatus::Failed, 1).unwrap_err()
        else {
            panic!("{code} may be tried again");
        };
        assert!(why.contains(code) && why.contains(advice), "{why}");
    }
    database.run("DROP TRIGGER fail ON event");
    held.become_(WorkflowStatus::Failed, 1).unwrap();
}

/// A task may print any character; it must not stop the commit of all others.
#[test]
#[ignore = "needs a PostgreSQL server: cargo xtask test --tier postgres"]
fn the_character_that_postgresql_refuses_stops_nobody() {
    let database = fresh();
    let store = database.store();
    let mut new = new_workflow(workflow(2));
    new.description = "a\0b".to_owned();
    new.parameters.push(("p".to_owned(), "a\0b".to_owned()));
    new.document = "a\0b".to_owned();
    now(store.insert(new.clone())).unwrap();
    let read = now(store.load(new.id)).unwrap();
    assert_eq!((read.parameters, read.document), (new.parameters, new.document));
    let mut held = Held::begin(&store, 1);
    let mut commit = held.commit();
    let mut write = task(0, TaskStatus::Succeeded, 1, true);
    write.state.message = Some("a\0b".to_owned());
    write.state.outputs.as_mut().unwrap().result = Some("a\0b".to_owned());
    commit.runs[0].tasks.push(write.clone());
    let mut record = task_record(0, TaskStatus::Succeeded, 1);
    if let Record::Task { message, .. } = &mut record {
        *message = Some("\0".to_owned());
    }
    commit.runs[0].records.push(record);
    held.write(commit).unwrap();
    let state = now(store.load(held.id)).unwrap().tasks.remove(0).state;
    assert_eq!(state.message.as_deref(), Some("a\u{fffd}b"));
    assert_eq!(state.outputs, write.state.outputs);
}

#[test]
#[ignore = "needs a PostgreSQL server: cargo xtask test --tier postgres"]
fn connections_say_who_they_are_and_give_up_in_time() {
    let database = fresh();
    let store = database.store();
    Held::begin(&store, 1);
    let names = database.run(
        "SELECT DISTINCT application_name FROM pg_stat_activity
         WHERE datname = current_database() AND pid <> pg_backend_pid()",
    );
    assert_eq!(names, ["flowforge"]);
    let most: usize = database
        .run("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")[0]
        .parse()
        .unwrap();
    assert!(most <= 5, "{most}");
    assert!(format!("{:?}", config(&database.name)).contains(&database.name));
}
