//! What is archived, read back.

use std::fs;
use std::path::Path;

use flowforge_ports::store::{Store, StoreError};
use serde_json::{Value, json};

use super::databases::fresh;
use crate::conformance::fixture::{AT, now, workflow};
use crate::doctor::tests::populate;
use crate::{ARCHIVE_VERSION, Archive};

fn lines(path: &Path) -> Vec<Value> {
    let text = zstd::decode_all(fs::File::open(path).unwrap()).unwrap();
    String::from_utf8(text)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
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
    let archived = now(archive.keep(&store, id, AT)).unwrap();
    let read = lines(&archived.path);
    let stored = now(store.load(id)).unwrap();
    assert_eq!(read[0]["flowforge_archive"], json!(ARCHIVE_VERSION));
    assert_eq!(read[0]["workflow"], json!(id.to_string()));
    assert_eq!((&read[0]["project"], &read[0]["tenant"]), (&json!("default"), &json!("default")));
    assert_eq!(read[0]["seq"], json!(stored.seq));
    assert_eq!(archived.workflow.seq, stored.seq);
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
    let gone = now(archive.keep(&store, workflow(77), AT)).unwrap_err();
    assert!(matches!(gone, StoreError::NotFound), "{gone}");
    assert!(files(dir.path()).is_empty(), "nothing is left of one that failed");
    let first = now(archive.keep(&store, workflow(3), AT)).unwrap();
    let again = now(archive.keep(&store, workflow(3), AT)).unwrap();
    assert_eq!(first, again);
    let day = AT.rfc3339()[..10].to_owned();
    assert_eq!(files(dir.path()).join(" "), day);
    assert_eq!(files(&dir.path().join(day)), [format!("{}.jsonl.zst", workflow(3))]);
    // A directory that is not there any more is an error that names it.
    fs::remove_dir_all(dir.path()).unwrap();
    let error = now(archive.keep(&store, workflow(3), AT)).unwrap_err();
    assert!(error.to_string().contains(&dir.path().display().to_string()), "{error}");
}
