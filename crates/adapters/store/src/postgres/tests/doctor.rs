//! The same invariants as on SQLite, under the same names.

use std::collections::BTreeSet;

use super::databases::{Fresh, fresh};
use crate::SqliteStore;
use crate::conformance::fixture::{now, workflow};
use crate::conformance::sqlite;
use crate::doctor::tests::{PLANTS, broken, populate};
use crate::doctor::{Finding, ROWS_SHOWN};

/// Those of PostgreSQL alone.
const OWN_PLANTS: &[(&str, &str)] = &[
    ("INV-20", "UPDATE gate SET closed = FALSE WHERE workflow = W4"),
    ("ORPHANS", "DELETE FROM gate WHERE workflow = W1"),
    (
        "FILE",
        "UPDATE pg_index SET indisvalid = FALSE
         WHERE indexrelid = 'workflow_of_status'::regclass",
    ),
];

/// Those of the tables of roles: the check, what it says, and the damage. `H` stands for the moment
/// at which a lease that is held runs out.
const ROLE_PLANTS: &[(&str, &str, &str)] = &[
    ("INV-6", "slot 5 of role controller has no lease", "DELETE FROM holding WHERE slot = 5"),
    ("INV-6", "held by nobody, with an end", "UPDATE holding SET until = H WHERE slot = 5"),
    ("INV-6", "held without an end", "UPDATE holding SET holder = W1 WHERE slot = 5"),
    ("INV-6", "which is not known", "UPDATE holding SET holder = W1, until = H WHERE slot = 5"),
    (
        "INV-6",
        "is held in epoch 0",
        "INSERT INTO member VALUES ('controller', W1, H, 1, FALSE);
         UPDATE lease SET epoch = 0 WHERE slot = 5;
         UPDATE holding SET holder = W1, until = H WHERE slot = 5 AND role = 'controller'",
    ),
    (
        "ORDERS",
        "neither runnable nor open",
        "INSERT INTO work_order VALUES (W1, 0, 1, 0, 1, NULL, 0, 0, 0, '{}')",
    ),
    ("ORDERS", "waits for an executor", "UPDATE attempt SET instance = NULL WHERE workflow = W1"),
    (
        "CLAIMS",
        "which is buried",
        "INSERT INTO member VALUES ('executor', W2, H, 1, TRUE);
         UPDATE attempt SET instance = W2 WHERE workflow = W1 AND node = 1",
    ),
    (
        "NEWS",
        "which has ended",
        "UPDATE holding SET holder = W1, until = H;
         INSERT INTO news (workflow, node, number, finished, body) VALUES (W1, 0, 1, TRUE, '{}')",
    ),
    (
        "NEWS",
        "a workflow that is gone",
        "UPDATE holding SET holder = W1, until = H;
         INSERT INTO news (workflow, node, number, finished, body)
         VALUES (zeroblob(16), 0, 1, TRUE, '{}')",
    ),
    (
        "CALLS",
        "has 2 calls, numbered 4 to 6, its last is 6",
        "UPDATE call_log SET last = 6 WHERE shard = 5; INSERT INTO call VALUES (5, 4, '[]'), (5, 6, '[]')",
    ),
    (
        "CALLS",
        "has 1 calls, numbered 4 to 4, its last is 5",
        "UPDATE call_log SET last = 5 WHERE shard = 5; INSERT INTO call VALUES (5, 4, '[]')",
    ),
    ("CALLS", "shard 5 has no log", "DELETE FROM call_log WHERE shard = 5"),
    (
        "ORPHANS",
        "left a work order",
        "INSERT INTO work_order VALUES (zeroblob(16), 0, 1, 0, 1, NULL, 0, 0, 0, '{}')",
    ),
    ("ORPHANS", "left a gate", "INSERT INTO gate VALUES (zeroblob(16), FALSE)"),
];

/// Guards that would refuse the plants.
const NO_GUARDS: &str = "DO $$ DECLARE c record; BEGIN
    FOR c IN SELECT conrelid::regclass AS t, conname FROM pg_constraint
        WHERE contype = 'c' AND connamespace = 'public'::regnamespace
    LOOP EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', c.t, c.conname); END LOOP; END $$";

/// What the doctor finds in a copy of a database with some damage, one workflow at a time.
fn damaged(healthy: &Fresh, plant: &str) -> Vec<Finding> {
    let copy = healthy.copy();
    copy.run(NO_GUARDS);
    let mut sql = plant.replace("zeroblob(16)", "'00000000-0000-0000-0000-000000000000'");
    // What is runnable is shown by a view here.
    sql =
        sql.replace("INTO runnable", "INTO work_order").replace("FROM runnable", "FROM work_order");
    sql = sql.replace("x''", "''").replace(" H", " now() + interval '1 hour'");
    for number in 1..=4 {
        sql = sql.replace(&format!("W{number}"), &format!("'{}'", workflow(number).0));
    }
    copy.run(&sql);
    now(copy.store().doctor_by(1)).unwrap()
}

#[test]
#[ignore = "needs a PostgreSQL server: cargo xtask test --tier postgres"]
fn a_healthy_database_is_healthy_and_every_planted_corruption_is_found() {
    let healthy = fresh();
    populate(&healthy.store());
    let findings = now(healthy.store().doctor()).unwrap();
    assert!(broken(&findings).is_empty(), "{findings:#?}");
    let mut bit = BTreeSet::new();
    for (id, plant) in PLANTS.iter().chain(OWN_PLANTS) {
        let findings = damaged(&healthy, plant);
        assert!(broken(&findings).contains(id), "{plant}: {findings:#?}");
        bit.extend(broken(&findings));
    }
    // No query is without a plant, and none has another name than on SQLite.
    let (store, dir) = sqlite();
    drop(store);
    let on_sqlite = SqliteStore::doctor(&dir.path().join("flowforge.db")).unwrap();
    let names = |findings: &[Finding]| {
        findings.iter().map(|finding| (finding.id, finding.title)).collect::<Vec<_>>()
    };
    let (shared, roles) = findings.split_at(on_sqlite.len());
    assert_eq!(names(&on_sqlite), names(shared));
    let roles: BTreeSet<_> = roles.iter().map(|finding| finding.id).collect();
    let planted: BTreeSet<_> = ROLE_PLANTS.iter().map(|(id, ..)| *id).collect();
    assert!(shared.iter().all(|finding| bit.contains(finding.id)), "{bit:?}");
    assert!(roles.is_subset(&planted), "{roles:?}");
}

#[test]
#[ignore = "needs a PostgreSQL server: cargo xtask test --tier postgres"]
fn what_roles_share_is_examined_too() {
    let healthy = fresh();
    populate(&healthy.store());
    let findings = now(healthy.store().doctor_by(1)).unwrap();
    assert!(broken(&findings).is_empty(), "{findings:#?}");
    for (id, says, plant) in ROLE_PLANTS {
        let findings = damaged(&healthy, plant);
        let found = findings.iter().find(|finding| finding.id == *id).unwrap();
        assert!(found.detail.iter().any(|line| line.contains(says)), "{says}: {findings:#?}");
    }
    let outlives = "INSERT INTO member (role, instance, until, capacity, buried, keeps)
         VALUES ('executor', W2, H, 1, TRUE, TRUE);
         UPDATE attempt SET instance = W2 WHERE workflow = W1 AND node = 1";
    let findings = damaged(&healthy, outlives);
    assert!(broken(&findings).is_empty(), "it waits for the next one: {findings:#?}");
}

/// Orphans lie between the workflows, before the first and behind the last.
#[test]
#[ignore = "needs a PostgreSQL server: cargo xtask test --tier postgres"]
fn pages_leave_no_gap_and_say_what_they_leave_out() {
    let database = fresh();
    populate(&database.store());
    for (count, id) in [(1, "00000000-0000-0000-0000-000000000000"), (30, "ffffffff-%")] {
        database.run(&format!(
            "INSERT INTO timer (workflow, node, kind, at) SELECT
             replace('{id}', '%', lpad(n::text, 4, '0') || '-0000-0000-000000000000')::uuid,
             n, 'ttl', 1 FROM generate_series(1, {count}) n"
        ));
    }
    for page in [1, 2, 3, 1000] {
        let findings = now(database.store().doctor_by(page)).unwrap();
        let orphans = findings.iter().find(|finding| finding.id == "ORPHANS").unwrap();
        assert_eq!(orphans.detail.len(), ROWS_SHOWN + 1, "{page}");
        assert!(orphans.detail[0].starts_with("workflow 00000000-"), "{page}: {orphans:#?}");
        assert_eq!(orphans.detail.last().unwrap(), "there are more");
    }
}

/// An end that is reported twice is news of an ended attempt until the next turn: no damage yet.
#[test]
#[ignore = "needs a PostgreSQL server: cargo xtask test --tier postgres"]
fn news_that_are_taken_in_meanwhile_are_no_finding() {
    let database = fresh();
    populate(&database.store());
    let instance = workflow(9).0;
    database.run(&format!(
        "INSERT INTO member VALUES ('controller', '{instance}', now() + interval '1 hour', 1, FALSE);
         UPDATE holding SET holder = '{instance}', until = now() + interval '1 hour'
         WHERE role = 'controller';
         INSERT INTO news (workflow, node, number, finished, body)
         SELECT workflow, node, number, TRUE, '{{}}' FROM attempt WHERE ended_at IS NOT NULL",
    ));
    let store = database.store();
    let findings = std::thread::scope(|scope| {
        let doctor = scope.spawn(|| now(store.doctor()).unwrap());
        // Looked at once: what is deleted then was seen.
        let seen = "SELECT query FROM pg_stat_activity WHERE datname = current_database()
                    AND pid <> pg_backend_pid() AND query = 'ROLLBACK' AND state = 'idle'
                    AND now() - state_change > interval '1 second'";
        while database.run(seen).is_empty() {}
        database.run("DELETE FROM news");
        doctor.join().unwrap()
    });
    assert!(broken(&findings).is_empty(), "{findings:#?}");
}
