//! The same invariants as on SQLite, under the same names.

use std::collections::BTreeSet;

use super::databases::fresh;
use crate::SqliteStore;
use crate::conformance::fixture::{now, workflow};
use crate::conformance::sqlite;
use crate::doctor::tests::{PLANTS, broken, populate};

/// Those of PostgreSQL alone.
const OWN_PLANTS: &[(&str, &str)] = &[
    ("INV-20", "UPDATE gate SET closed = FALSE WHERE workflow = W4"),
    ("ORPHANS", "DELETE FROM gate WHERE workflow = W1"),
    ("ORPHANS", "INSERT INTO gate VALUES (zeroblob(16), FALSE)"),
    (
        "FILE",
        "UPDATE pg_index SET indisvalid = FALSE
         WHERE indexrelid = 'workflow_of_status'::regclass",
    ),
];

/// Guards that would refuse the plants.
const NO_GUARDS: &str = "DO $$ DECLARE c record; BEGIN
    FOR c IN SELECT conrelid::regclass AS t, conname FROM pg_constraint
        WHERE contype = 'c' AND connamespace = 'public'::regnamespace
    LOOP EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', c.t, c.conname); END LOOP; END $$";

#[test]
#[ignore = "needs a PostgreSQL server: cargo xtask test --tier postgres"]
fn a_healthy_database_is_healthy_and_every_planted_corruption_is_found() {
    let healthy = fresh();
    populate(&healthy.store());
    let findings = now(healthy.store().doctor()).unwrap();
    assert!(broken(&findings).is_empty(), "{findings:#?}");
    let mut bit = BTreeSet::new();
    for (id, plant) in PLANTS.iter().chain(OWN_PLANTS) {
        let copy = healthy.copy();
        copy.run(NO_GUARDS);
        let mut sql = plant.replace("zeroblob(16)", "'00000000-0000-0000-0000-000000000000'");
        sql = sql.replace("x''", "''");
        for number in 1..=4 {
            sql = sql.replace(&format!("W{number}"), &format!("'{}'", workflow(number).0));
        }
        copy.run(&sql);
        let findings = now(copy.store().doctor()).unwrap();
        assert!(broken(&findings).contains(id), "{plant}: {findings:#?}");
        bit.extend(broken(&findings));
    }
    // No query is without a plant, and none has another name than on SQLite.
    let (store, dir) = sqlite();
    drop(store);
    let on_sqlite = SqliteStore::doctor(&dir.path().join("flowforge.db")).unwrap();
    let names = |findings: &[crate::doctor::Finding]| {
        findings.iter().map(|finding| (finding.id, finding.title)).collect::<Vec<_>>()
    };
    assert_eq!(names(&on_sqlite), names(&findings));
    assert_eq!(bit.len(), findings.len());
}
