//! What is archived, read back.

use std::fs;
use std::path::Path;

use flowforge_model::id::WorkflowId;
use flowforge_model::status::WorkflowStatus;
use flowforge_model::time::Millis;
use flowforge_ports::store::{Store, StoreError};
use serde_json::{Value, json};

use super::databases::{config, fresh};
use crate::conformance::fixture::{AT, Held, now, workflow};
use crate::doctor::tests::populate;
use crate::{ARCHIVE_VERSION, Archive, EndedWorkflow, PostgresStore, Retention};

fn lines(path: &Path) -> Vec<Value> {
    let text = zstd::decode_all(fs::File::open(path).unwrap()).unwrap();
    String::from_utf8(text)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// As it is.
fn as_it_is(store: &PostgresStore, id: WorkflowId) -> EndedWorkflow {
    EndedWorkflow { id, seq: now(store.load(id)).unwrap().seq }
}

fn files(directory: &Path) -> Vec<String> {
    let mut all: Vec<String> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    all.sort();
    all
}

#[test]
#[ignore = "needs a PostgreSQL server: cargo xtask test --tier postgres"]
fn what_is_archived_reads_back_as_the_rows_with_columns_of_later_versions() {
    let database = fresh();
    let store = database.store();
    populate(&store);
    // More tasks and records than are read at a time, and a column that this program does not know.
    let id = workflow(1);
    database.run(&format!(
        "ALTER TABLE task ADD COLUMN later text DEFAULT 'kept';
         INSERT INTO task (workflow, node, slot, kind, name, template, status, attempt, failures,
         losses) SELECT '{0}', n, 0, 'leaf', 'x', '', 'PENDING', 0, 0, 0
         FROM generate_series(6, 5000) n;
         INSERT INTO attempt (workflow, node, number, instance, admitted_at, ended_at)
         SELECT '{0}', 7, n, '{0}', 1, 1 FROM generate_series(1, 4001) n;
         INSERT INTO event (workflow, seq, at, status, generation)
         SELECT '{0}', n, 1, 'RUNNING', 1 FROM generate_series(100, 4500) n",
        id.0
    ));
    let dir = tempfile::tempdir().unwrap();
    let archive = Archive::open(dir.path()).unwrap();
    let archived = now(archive.keep(&store, as_it_is(&store, id), AT)).unwrap();
    let read = lines(&archived.path);
    let stored = now(store.load(id)).unwrap();
    assert_eq!(read[0]["flowforge_archive"], json!(ARCHIVE_VERSION));
    assert_eq!(read[0]["workflow"], json!(id.to_string()));
    assert_eq!((&read[0]["project"], &read[0]["tenant"]), (&json!("default"), &json!("default")));
    assert_eq!(read[0]["seq"], json!(stored.seq));
    assert_eq!(read[1]["row"]["parameters"], json!(stored.parameters));
    assert_eq!(read[2]["row"]["text"], json!(stored.document));
    assert_eq!(read.last().unwrap(), &json!({"end": {"rows": read.len() - 2}}));
    assert_eq!(archived.rows, u64::try_from(read.len() - 2).unwrap());
    for (table, order) in
        [("workflow", "id"), ("task", "node"), ("attempt", "node, number"), ("event", "seq")]
    {
        let column = if table == "workflow" { "id" } else { "workflow" };
        let expected: Vec<Value> = database
            .run(&format!(
                "SELECT row_to_json(r) FROM {table} r WHERE {column} = '{}' ORDER BY {order}",
                id.0
            ))
            .iter()
            .map(|row| serde_json::from_str(row).unwrap())
            .collect();
        let rows: Vec<Value> = read
            .iter()
            .filter(|line| line["table"] == table)
            .map(|line| {
                // JSON is text in the database.
                let mut row = line["row"].clone();
                for name in ["parameters", "labels", "outputs", "item"] {
                    if row.get(name).is_some_and(|value| !value.is_null()) {
                        row[name] = json!(row[name].to_string());
                    }
                }
                row
            })
            .collect();
        assert_eq!(rows.len(), expected.len(), "{table}");
        assert_eq!(rows, expected, "{table}");
    }
    assert!(read.iter().any(|line| line["row"]["later"] == "kept"));
}

#[test]
#[ignore = "needs a PostgreSQL server: cargo xtask test --tier postgres"]
fn a_file_is_there_whole_or_not_at_all() {
    let database = fresh();
    let store = database.store();
    populate(&store);
    let dir = tempfile::tempdir().unwrap();
    let archive = Archive::open(dir.path()).unwrap();
    let gone =
        now(archive.keep(&store, EndedWorkflow { id: workflow(77), seq: 1 }, AT)).unwrap_err();
    assert!(matches!(gone, StoreError::NotFound), "{gone}");
    assert!(files(dir.path()).is_empty(), "nothing is left of one that failed");
    let one = as_it_is(&store, workflow(3));
    let first = now(archive.keep(&store, one, AT)).unwrap();
    let again = now(archive.keep(&store, one, AT)).unwrap();
    assert_eq!(first, again);
    let day = AT.rfc3339()[..10].to_owned();
    assert_eq!(files(dir.path()).join(" "), day);
    assert_eq!(files(&dir.path().join(day)), [format!("{}.jsonl.zst", workflow(3))]);
    // A directory that is not there any more is an error that names it.
    fs::remove_dir_all(dir.path()).unwrap();
    let error = now(archive.keep(&store, one, AT)).unwrap_err();
    assert!(error.to_string().contains(&dir.path().display().to_string()), "{error}");
}

/// The minutes that a page takes are enough for a workflow to be retried, and to end again.
#[test]
#[ignore = "needs a PostgreSQL server: cargo xtask test --tier postgres"]
fn what_was_retried_since_it_was_looked_at_stays_and_leaves_no_file() {
    let database = fresh();
    let store = database.store();
    let mut held = Held::begin(&store, 1);
    held.become_(WorkflowStatus::Failed, 1).unwrap();
    let kept = Retention { completed: Some(Millis(1)), ..Retention::default() };
    let expired = now(store.expired(kept, AT.plus(Millis(1)), None)).unwrap().workflows;
    assert_eq!(expired, [as_it_is(&store, held.id)]);
    let dir = tempfile::tempdir().unwrap();
    let archive = Archive::open(dir.path()).unwrap();
    for status in [WorkflowStatus::Running, WorkflowStatus::Failed] {
        held.become_(status, 2).unwrap();
        let error = now(archive.keep(&store, expired[0], AT)).unwrap_err();
        assert!(matches!(error, StoreError::NotFound), "{error}");
        assert!(now(store.retire(&expired, AT)).unwrap().is_empty());
    }
    assert!(files(dir.path()).is_empty());
    now(archive.keep(&store, as_it_is(&store, held.id), AT)).unwrap();
}

/// Every scheduler does it, each with what its host calls its first process.
#[test]
#[ignore = "needs a PostgreSQL server: cargo xtask test --tier postgres"]
fn two_that_archive_a_workflow_at_once_do_not_meet() {
    let database = fresh();
    let store = database.store();
    populate(&store);
    let one = as_it_is(&store, workflow(1));
    let dir = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let archive = Archive::open(dir.path()).unwrap();
                for _ in 0..50 {
                    let archived = now(archive.keep(&store, one, AT)).unwrap();
                    let read = lines(&archived.path);
                    assert_eq!(read.last().unwrap(), &json!({"end": {"rows": archived.rows}}));
                }
            });
        }
    });
    assert_eq!(files(dir.path()).len(), 1, "nothing is left but the day");
}

/// A disk that hangs holds up whoever writes, and not the threads of the store.
#[test]
#[ignore = "needs a PostgreSQL server: cargo xtask test --tier postgres"]
fn the_store_answers_while_archives_wait_for_the_disk() {
    let database = fresh();
    // A connection to read for each, and one more.
    let store = now(PostgresStore::open_migrated(config(&database.name).connections(8))).unwrap();
    populate(&store);
    database.run(&format!(
        "INSERT INTO event (workflow, seq, at, status, generation)
         SELECT '{}', n, 1, 'RUNNING', 1 FROM generate_series(100, 50000) n",
        workflow(1).0
    ));
    let one = as_it_is(&store, workflow(1));
    std::thread::scope(|scope| {
        let store = &store;
        let mut disks = Vec::new();
        for _ in 0..3 {
            let (to, mut disk) = tokio::sync::mpsc::channel(1);
            let writer = scope.spawn(move || now(store.export(one, AT, to)).unwrap_err());
            // From here on nothing more is taken from it.
            assert!(!now(disk.recv()).unwrap().is_empty());
            disks.push((disk, writer));
        }
        assert_eq!(now(store.load(workflow(1))).unwrap().seq, one.seq);
        for (disk, writer) in disks {
            drop(disk);
            let error = writer.join().unwrap();
            assert!(error.to_string().contains("nobody writes"), "{error}");
        }
    });
}
