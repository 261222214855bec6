use std::path::PathBuf;

use flowforge_model::event::{Command, Record, Timer};
use flowforge_model::id::NodeIx;
use flowforge_model::status::{Reason, TaskStatus, WorkflowStatus};
use flowforge_ports::store::{Store, StoreError};
use rusqlite::Connection;

use super::Finding;
use super::queries::CHECKS;
use crate::SqliteStore;
use crate::conformance::fixture::{
    AT, Held, locks, new_workflow, now, task, task_record, workflow,
};
use crate::conformance::sqlite;

/// A database with a workflow in every stage: 1 runs (task 0 succeeded, 1 is admitted and holds a
/// lock, 2 is queued, 3 retries, 4 is pending, 5 waits for the lock), 2 waits to be begun, 3 has ended and has its time to live,
/// 4 is asked to be cancelled.
fn healthy() -> (SqliteStore, PathBuf, tempfile::TempDir) {
    let (store, dir) = sqlite();
    populate(&store);
    let path = dir.path().join("flowforge.db");
    (store, path, dir)
}

pub(crate) fn populate(store: &impl Store) {
    let mut ended = Held::begin(store, 3);
    ended.queue(0, 1, true);
    ended.finish(0, 1);
    let mut commit = ended.commit();
    commit.runs[0].timers_set.push((NodeIx(0), Timer::Ttl, AT));
    ended.write(commit).unwrap();
    ended.become_(WorkflowStatus::Succeeded, 1).unwrap();
    Held::begin(store, 4);
    let mut running = Held::begin(store, 1);
    let mut commit = running.commit();
    for (node, status) in [
        (0, TaskStatus::Pending),
        (1, TaskStatus::Pending),
        (2, TaskStatus::Pending),
        (3, TaskStatus::Retrying),
        (4, TaskStatus::Pending),
        (5, TaskStatus::Pending),
    ] {
        let mut write = task(node, status, 0, true);
        write.shape.as_mut().unwrap().parent = None;
        commit.runs[0].tasks.push(write);
        commit.runs[0].records.push(task_record(node, status, 0));
    }
    commit.runs[0].timers_set.push((NodeIx(3), Timer::Retry, AT));
    running.write(commit).unwrap();
    for node in 0..3 {
        let mut commit = running.commit();
        commit.runs[0].tasks.push(task(node, TaskStatus::Queued, 1, false));
        commit.runs[0].records.push(task_record(node, TaskStatus::Queued, 1));
        commit.runs[0].runnable.push(running.key(node, 1));
        if node < 2 {
            commit.admissions.push(running.key(node, 1));
        }
        running.write(commit).unwrap();
    }
    running.finish(0, 1);
    let mut commit = running.commit();
    let mut waiting = task(5, TaskStatus::Queued, 0, false);
    waiting.state.reason = Some(Reason::Lock);
    commit.runs[0].tasks.push(waiting);
    commit.runs[0].records.push(Record::Task {
        node: NodeIx(5),
        status: TaskStatus::Queued,
        reason: Some(Reason::Lock),
        message: None,
        attempt: 0,
        exit_code: None,
    });
    for (node, held) in [(1, true), (5, false)] {
        commit.runs[0].locks.push(locks(node, &[("m", 1)], held));
    }
    running.write(commit).unwrap();
    now(store.insert(new_workflow(workflow(2)))).unwrap();
    now(store.ask(workflow(4), Command::Cancel, AT)).unwrap();
}

/// The ids of the invariants that are broken.
pub(crate) fn broken(findings: &[Finding]) -> Vec<&'static str> {
    findings.iter().filter(|finding| !finding.ok).map(|finding| finding.id).collect()
}

#[test]
fn a_healthy_database_is_healthy_beside_its_server_and_without_it() {
    let (store, path, _dir) = healthy();
    let findings = SqliteStore::doctor(&path).unwrap();
    let wrong: Vec<_> = findings.iter().filter(|finding| !finding.ok).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(findings.iter().all(|finding| finding.detail.is_empty()));
    drop(store);
    assert!(broken(&SqliteStore::doctor(&path).unwrap()).is_empty());
    SqliteStore::open(&path).unwrap();
}

/// SQL that breaks a healthy database, and the invariant that has to say so. `W1` to `W4` stand
/// for the ids of the workflows.
pub(crate) const PLANTS: &[(&str, &str)] = &[
    ("INV-1", "DELETE FROM intent WHERE workflow = W2"),
    ("INV-1", "UPDATE task SET status = 'SKIPPED', finished_at = 1 WHERE workflow = W1"),
    ("INV-2", "DELETE FROM runnable WHERE workflow = W1"),
    ("INV-2", "UPDATE attempt SET ended_at = 1 WHERE workflow = W1 AND node = 1"),
    (
        "INV-2",
        "UPDATE task SET status = 'RUNNING' WHERE workflow = W1 AND node = 1;
         UPDATE event SET status = 'RUNNING' WHERE workflow = W1 AND node = 1;
         DELETE FROM attempt WHERE workflow = W1 AND node = 1",
    ),
    ("INV-2", "DELETE FROM timer WHERE workflow = W1"),
    ("INV-2", "UPDATE task SET parent = 0 WHERE workflow = W1 AND node = 4"),
    (
        "INV-3",
        "INSERT INTO attempt (workflow, node, number, instance, admitted_at, ended_at)
         VALUES (W1, 0, 2, zeroblob(16), 9, 10)",
    ),
    ("INV-3", "UPDATE attempt SET ended_at = NULL WHERE workflow = W1 AND node = 0"),
    ("INV-2", "DELETE FROM lock WHERE workflow = W1 AND node = 5"),
    ("INV-2", "UPDATE lock SET held = TRUE WHERE workflow = W1 AND node = 5"),
    ("INV-3", "INSERT INTO runnable (workflow, node, number) VALUES (W1, 0, 2)"),
    ("INV-4", "UPDATE workflow SET finished_at = NULL WHERE id = W3"),
    ("INV-4", "UPDATE workflow SET finished_at = 1 WHERE id = W1"),
    ("INV-4", "UPDATE task SET finished_at = NULL WHERE workflow = W3"),
    ("INV-4", "UPDATE task SET status = 'QUEUED', finished_at = NULL WHERE workflow = W3"),
    (
        "INV-5",
        "DROP INDEX attempt_open;
         INSERT INTO attempt (workflow, node, number, instance, admitted_at)
         VALUES (W1, 1, 2, zeroblob(16), 9)",
    ),
    ("INV-8", "UPDATE attempt SET ended_at = NULL WHERE workflow = W3"),
    ("INV-8", "UPDATE lock SET held = TRUE, capacity = 1 WHERE workflow = W1"),
    ("INV-10", "DELETE FROM event WHERE workflow = W1 AND seq = 3"),
    ("INV-10", "DELETE FROM event WHERE workflow = W1 AND seq = 1"),
    ("INV-10", "UPDATE workflow SET seq = seq + 1 WHERE id = W3"),
    ("INV-11", "UPDATE task SET status = 'RUNNING' WHERE workflow = W1 AND node = 1"),
    ("INV-11", "UPDATE task SET attempt = 7 WHERE workflow = W1 AND node = 1"),
    ("INV-11", "UPDATE task SET exit_code = 3 WHERE workflow = W1 AND node = 0"),
    ("INV-11", "UPDATE task SET reason = 'lost' WHERE workflow = W1 AND node = 4"),
    ("INV-11", "DELETE FROM task WHERE workflow = W1 AND node = 4"),
    ("INV-11", "DELETE FROM event WHERE workflow = W3 AND node = 0"),
    ("INV-11", "UPDATE workflow SET status = 'PAUSED' WHERE id = W1"),
    ("INV-11", "UPDATE workflow SET generation = 2 WHERE id = W3"),
    ("INV-16", "INSERT INTO runnable (workflow, node, number) VALUES (W3, 0, 2)"),
    ("INV-16", "INSERT INTO timer (workflow, node, kind, at) VALUES (W3, 0, 'deadline', 1)"),
    ("INV-16", "UPDATE lock SET workflow = W3 WHERE workflow = W1 AND node = 1"),
    ("INV-16", "INSERT INTO lock VALUES (W1, 9, 'x', 1, FALSE, 1)"),
    (
        "INV-16",
        "INSERT INTO task SELECT workflow, 6, parent, slot, kind, name, template, item, status,
             reason, message, attempt, failures, losses, exit_code, queued_at, started_at,
             finished_at, outputs FROM task WHERE workflow = W1 AND node = 0;
         INSERT INTO lock VALUES (W1, 6, 'x', 1, FALSE, 1)",
    ),
    ("ORPHANS", "DELETE FROM document WHERE workflow = W1"),
    ("ORPHANS", "INSERT INTO document VALUES (zeroblob(16), 0, x'')"),
    ("ORPHANS", "INSERT INTO intent (workflow, closes, asked_at) VALUES (zeroblob(16), FALSE, 1)"),
    ("ORPHANS", "INSERT INTO runnable (workflow, node, number) VALUES (zeroblob(16), 0, 1)"),
    ("ORPHANS", "INSERT INTO timer (workflow, node, kind, at) VALUES (zeroblob(16), 0, 'ttl', 1)"),
    ("ORPHANS", "INSERT INTO lock VALUES (zeroblob(16), 0, 'x', 1, TRUE, 1)"),
    (
        "ORPHANS",
        "DELETE FROM workflow WHERE id = W3; DELETE FROM document WHERE workflow = W3;
                 DELETE FROM event WHERE workflow = W3; DELETE FROM attempt WHERE workflow = W3;
                 DELETE FROM timer WHERE workflow = W3",
    ),
    ("ORPHANS", "UPDATE event SET workflow = zeroblob(16) WHERE workflow = W3"),
    ("ORPHANS", "UPDATE attempt SET workflow = zeroblob(16) WHERE workflow = W3"),
    ("TREE", "DELETE FROM task WHERE workflow = W1 AND node = 2"),
    ("TREE", "UPDATE task SET parent = 4 WHERE workflow = W1 AND node = 3"),
    ("OUTBOX", "DELETE FROM outbox WHERE seq = 3"),
];

/// Those of SQLite alone.
const OWN_PLANTS: &[(&str, &str)] = &[
    ("INV-20", "UPDATE workflow SET gate_closed = 0 WHERE id = W4"),
    // The index of status is emptied behind SQLite's back.
    (
        "FILE",
        "PRAGMA writable_schema = ON;
         UPDATE sqlite_schema SET sql = 'CREATE INDEX workflow_of_status ON workflow (name, id)'
         WHERE name = 'workflow_of_status'",
    ),
];

#[test]
fn every_planted_corruption_is_found_where_it_belongs() {
    let mut bit: Vec<&str> = Vec::new();
    for (id, plant) in PLANTS.iter().chain(OWN_PLANTS) {
        let (store, path, _dir) = healthy();
        drop(store);
        let mut sql = (*plant).to_owned();
        for number in 1..=4 {
            let hex = format!("x'{}'", workflow(number).0.simple());
            sql = sql.replace(&format!("W{number}"), &hex);
        }
        let raw = Connection::open(&path).unwrap();
        raw.execute_batch("PRAGMA ignore_check_constraints = ON").unwrap();
        raw.execute_batch(&sql).unwrap();
        drop(raw);
        let findings = SqliteStore::doctor(&path).unwrap();
        assert!(broken(&findings).contains(id), "{plant}: {findings:#?}");
        assert!(findings.iter().all(|finding| finding.ok == finding.detail.is_empty()));
        let mut conn = Connection::open(&path).unwrap();
        let tx = conn.transaction().unwrap();
        let queries = CHECKS.iter().filter(|check| check.id == *id).flat_map(|check| check.queries);
        bit.extend(queries.filter(|sql| !super::broken(&tx, sql).unwrap().is_empty()));
    }
    // A query that no plant sets off could rot unseen.
    for query in CHECKS.iter().flat_map(|check| check.queries) {
        assert!(bit.contains(query), "no plant for {query}");
    }
}

#[test]
fn the_rows_shown_are_bounded_and_the_rest_is_said() {
    let (store, path, _dir) = healthy();
    drop(store);
    let raw = Connection::open(&path).unwrap();
    for node in 0..100 {
        raw.execute(
            "INSERT INTO runnable (workflow, node, number) VALUES (zeroblob(16), ?1, 1)",
            [node],
        )
        .unwrap();
    }
    drop(raw);
    let findings = SqliteStore::doctor(&path).unwrap();
    let orphans = findings.iter().find(|finding| finding.id == "ORPHANS").unwrap();
    assert_eq!(orphans.detail.len(), super::ROWS_SHOWN + 1);
    assert_eq!(orphans.detail.last().unwrap(), "there are more");
    assert!(orphans.detail[0].starts_with("workflow 00000000-0000-0000-0000-000000000000: "));
}

#[test]
fn a_damaged_page_is_a_finding() {
    let (store, path, _dir) = healthy();
    drop(store);
    let mut bytes = std::fs::read(&path).unwrap();
    let last = bytes.len() - 4096;
    bytes[last..].fill(0x5a);
    std::fs::write(&path, bytes).unwrap();
    assert!(broken(&SqliteStore::doctor(&path).unwrap()).contains(&"FILE"));
}

#[test]
fn what_is_no_database_of_ours_is_an_error_that_names_it() {
    let (_store, _path, dir) = healthy();
    let missing = dir.path().join("missing.db");
    let text = dir.path().join("text.db");
    std::fs::write(&text, "hello ".repeat(1000)).unwrap();
    let foreign = dir.path().join("foreign.db");
    Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE a (b)").unwrap();
    for path in [&missing, &text, &foreign, &dir.path().to_owned()] {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let error = SqliteStore::doctor(path).unwrap_err();
        assert!(
            matches!(&error, StoreError::Unavailable(why) if why.contains(&name)),
            "{name}: {error}"
        );
    }
    assert!(!missing.exists());
}
