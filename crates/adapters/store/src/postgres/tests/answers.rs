//! Commits whose answers are lost: what was done is found by reading, and is not done again (INV-22).

use std::net::ToSocketAddrs;
use std::path::Path;

use flowforge_model::status::WorkflowStatus;
use flowforge_model::time::Millis;
use flowforge_ports::leases::{Attendance, Leases, Role};
use flowforge_ports::store::{Store, StoreError};
use flowforge_proxy::{Proxy, Speaks, Upstream};

use super::databases::{Fresh, config, empty, fresh};
use crate::conformance::fixture::{Held, instance, new_workflow, now, workflow};
use crate::postgres::{PostgresConfig, PostgresStore};

/// A line to the server, and a store behind it.
fn behind(database: &Fresh) -> (Proxy, PostgresStore) {
    let direct = config(&database.name);
    let place = direct.place();
    let (server, _) = place.rsplit_once('/').unwrap();
    let upstream = if server.starts_with('/') {
        let (folder, port) = server.rsplit_once(':').unwrap();
        Upstream::Unix(Path::new(folder).join(format!(".s.PGSQL.{port}")))
    } else {
        Upstream::Tcp(server.to_socket_addrs().unwrap().next().unwrap())
    };
    let proxy = Proxy::start(upstream, Speaks::Postgres).unwrap();
    let (user, address) = (direct.user(), proxy.address());
    let url = format!("postgresql://{user}@{address}/{}?sslmode=disable", database.name);
    let mut config = PostgresConfig::parse(&url).unwrap().connections(4);
    if let Some(password) = direct.driver.get_password() {
        config.driver.password(password);
    }
    (proxy, PostgresStore::connect(config).unwrap())
}

fn unknown<T>(answer: Result<T, StoreError>) {
    match answer {
        Err(StoreError::Unavailable(_)) => {}
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it was answered"),
    }
}

/// As many connections as a store here may have, and more.
const LINES: usize = 20;

#[test]
#[ignore = "needs a PostgreSQL server: cargo xtask test --tier postgres"]
fn a_submission_without_an_answer_is_there_once() {
    let database = fresh();
    let (proxy, store) = behind(&database);
    let mut new = new_workflow(workflow(1));
    new.idempotency = Some(("key".to_owned(), "digest".to_owned()));
    proxy.lose_commits(1);
    unknown(now(store.insert(new.clone())));
    assert_eq!(proxy.lost(), 1);
    let mut again = new_workflow(workflow(2));
    again.idempotency = new.idempotency.clone();
    let inserted = now(store.insert(again)).unwrap();
    assert_eq!((inserted.id, inserted.replayed), (new.id, true));
    assert_eq!(database.run("SELECT count(*) FROM workflow"), ["1"]);
    assert_eq!(database.run("SELECT count(*) FROM intent"), ["1"]);
}

#[test]
#[ignore = "needs a PostgreSQL server: cargo xtask test --tier postgres"]
fn a_turn_without_an_answer_is_found_by_reading_and_refused_again() {
    let database = fresh();
    let (proxy, store) = behind(&database);
    let mut held = Held::begin(&store, 1);
    proxy.lose_commits(1);
    unknown(held.become_(WorkflowStatus::Failed, 1));
    let after = now(store.load(held.id)).unwrap();
    assert_eq!((after.state.status, after.seq), (WorkflowStatus::Failed, 2));
    // From what it believed before.
    let error = held.become_(WorkflowStatus::Failed, 1).unwrap_err();
    assert!(matches!(error, StoreError::Conflict(_)), "{error}");
    assert_eq!(now(store.load(held.id)).unwrap(), after);
}

#[test]
#[ignore = "needs a PostgreSQL server: cargo xtask test --tier postgres"]
fn leases_taken_without_an_answer_are_ours_and_their_epochs_rise_once() {
    let database = fresh();
    let (proxy, store) = behind(&database);
    let said = Attendance::new(Role::Controller, instance(), Millis::from_secs(60));
    proxy.lose_commits(1);
    unknown(now(store.attend(said.clone())));
    let attended = now(store.attend(said)).unwrap();
    assert_eq!(attended.leases.len(), 64);
    assert!(attended.leases.iter().all(|lease| lease.epoch == 1));
}

/// Each step is durable when the program that took it finds the connection closed; the next program
/// goes on with the next.
#[test]
#[ignore = "needs a PostgreSQL server: cargo xtask test --tier postgres"]
fn migrations_without_an_answer_go_on_where_they_were() {
    let database = empty();
    let (proxy, store) = behind(&database);
    let steps = now(store.migration_status()).unwrap().len();
    for step in 0..steps {
        // A step that was taken before ends with a commit of nothing.
        proxy.lose_commit_after(u64::try_from(step).unwrap());
        unknown(now(store.migrate_up()));
        let status = now(store.migration_status()).unwrap();
        assert_eq!(status.iter().filter(|one| one.applied).count(), step + 1);
    }
    assert!(now(store.migrate_up()).unwrap().is_empty());
    Held::begin(&store, 1);
}

/// A line that is cut before the commit got through leaves nothing.
#[test]
#[ignore = "needs a PostgreSQL server: cargo xtask test --tier postgres"]
fn a_turn_that_never_arrived_is_done_again() {
    let database = fresh();
    let (proxy, store) = behind(&database);
    let mut held = Held::begin(&store, 1);
    let before = now(store.load(held.id)).unwrap();
    proxy.hold();
    std::thread::scope(|scope| {
        let done = scope.spawn(|| held.become_(WorkflowStatus::Failed, 1));
        // What is held back is with the proxy: cut, it never comes.
        while !proxy.is_holding() {}
        proxy.cut();
        unknown(done.join().unwrap());
    });
    proxy.heal();
    // Lines that were cut beside it may not be known to be closed yet: each says so once, when it is used.
    let after = (0..LINES).find_map(|_| match now(store.load(held.id)) {
        Err(StoreError::Unavailable(_)) => None,
        answered => Some(answered.unwrap()),
    });
    assert_eq!(after, Some(before));
    held.become_(WorkflowStatus::Failed, 1).unwrap();
}
