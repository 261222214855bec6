use std::path::Path;

use flowforge_model::id::NodeIx;
use flowforge_model::shard::ShardSet;
use flowforge_model::status::{TaskStatus, WorkflowStatus};
use flowforge_ports::catalog::{
    Catalog, LockFilter, LockUser, TaskFilter, WorkflowFilter, WorkflowView,
};
use flowforge_ports::organization::Organizations as _;
use flowforge_ports::store::{MemoWrite, Store, StoreError};
use flowforge_ports::templates::{TemplateFilter, Templates as _};
use rusqlite::Connection;

use super::SqliteStore;
use crate::conformance::fixture::{
    AT, DEFAULT, Held, NOWHERE, instance, locks, new_workflow, now, other_project, task,
    task_record, workflow,
};
use crate::conformance::sqlite;

fn path(dir: &tempfile::TempDir) -> std::path::PathBuf {
    dir.path().join("flowforge.db")
}

fn numbers(views: &[WorkflowView]) -> Vec<u32> {
    let number = |view: &WorkflowView| (0..100).find(|n| workflow(*n) == view.id).unwrap();
    views.iter().map(number).collect()
}

#[test]
fn what_was_committed_is_there_after_opening_again() {
    let (store, dir) = sqlite();
    let mut held = Held::begin(&store, 1);
    held.queue(0, 1, true);
    let (id, epoch, before) = (held.id, held.epoch, now(store.load(held.id)).unwrap());
    drop(store);
    let store = SqliteStore::open(&path(&dir)).unwrap();
    assert_eq!(now(store.load(id)).unwrap(), before);
    assert_eq!(now(store.take_over(instance())).unwrap(), epoch + 1);
}

/// The files as they lie on the disk while the server lives are what a killed one leaves behind.
#[test]
fn what_was_committed_is_there_after_a_kill() {
    let (store, dir) = sqlite();
    let mut held = Held::begin(&store, 1);
    held.queue(0, 1, true);
    let copy = tempfile::tempdir().unwrap();
    for name in ["flowforge.db", "flowforge.db-wal"] {
        std::fs::copy(dir.path().join(name), copy.path().join(name)).unwrap();
    }
    let findings = SqliteStore::doctor(&path(&copy)).unwrap();
    assert!(findings.iter().all(|finding| finding.ok), "{findings:#?}");
    let revived = SqliteStore::open(&path(&copy)).unwrap();
    assert_eq!(now(revived.load(held.id)).unwrap(), now(store.load(held.id)).unwrap());
}

#[test]
fn a_new_database_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let (store, dir) = sqlite();
    now(store.insert(new_workflow(workflow(1)))).unwrap();
    for name in ["flowforge.db", "flowforge.db-wal", "flowforge.db-shm"] {
        let mode = std::fs::metadata(dir.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[test]
fn what_cannot_be_opened_says_why_and_stays_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |path: &Path, why: &str| {
        let before = std::fs::read(path).ok();
        let error = SqliteStore::open(path).unwrap_err();
        assert!(matches!(&error, StoreError::Unavailable(said) if said.contains(why)), "{error}");
        assert!(error.to_string().contains(&path.display().to_string()), "{error}");
        assert_eq!(std::fs::read(path).ok(), before);
    };
    refused(dir.path(), "directory");
    refused(&dir.path().join("nowhere").join("a.db"), "No such file");
    let text = dir.path().join("text.db");
    std::fs::write(&text, "hello ".repeat(1000)).unwrap();
    refused(&text, "not a database");
    let foreign = dir.path().join("foreign.db");
    Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE a (b)").unwrap();
    refused(&foreign, "another program");
}

#[test]
fn a_newer_schema_is_refused() {
    let (store, dir) = sqlite();
    drop(store);
    Connection::open(path(&dir)).unwrap().pragma_update(None, "user_version", 99).unwrap();
    for error in
        [SqliteStore::open(&path(&dir)).unwrap_err(), SqliteStore::doctor(&path(&dir)).unwrap_err()]
    {
        let StoreError::FutureSchema { found: 99, known } = error else { panic!("{error}") };
        assert_eq!(known, super::migrations::known());
    }
}

#[test]
fn a_database_of_the_first_schema_is_brought_up_to_date_with_all_it_holds() {
    let dir = tempfile::tempdir().unwrap();
    let raw = Connection::open(path(&dir)).unwrap();
    raw.execute_batch(include_str!("../../migrations/sqlite/0001_first.sql")).unwrap();
    raw.pragma_update(None, "user_version", 1).unwrap();
    raw.pragma_update(None, "application_id", 0x464c_4f57).unwrap();
    raw.execute("UPDATE project SET name = 'default ü'", []).unwrap();
    drop(raw);
    let store = SqliteStore::open(&path(&dir)).unwrap();
    let organization = now(store.organization()).unwrap();
    assert_eq!(organization.node(DEFAULT).unwrap().name, "default ü");
    let mut run = new_workflow(workflow(1));
    run.project = DEFAULT;
    now(store.insert(run)).unwrap();
    // Locks that were held before the change go on under the key they have.
    assert_eq!(now(store.load(workflow(1))).unwrap().lock_name, "default ü");
    assert!(now(store.templates(TemplateFilter::default(), 1)).unwrap().is_empty());
    let findings = SqliteStore::doctor(&path(&dir)).unwrap();
    assert!(findings.iter().all(|finding| finding.ok));
}

#[test]
fn a_corrupt_row_spoils_its_own_workflow_only() {
    let (store, dir) = sqlite();
    for number in 1..=4 {
        Held::begin(&store, number).queue(0, 1, false);
    }
    let raw = Connection::open(path(&dir)).unwrap();
    raw.pragma_update(None, "ignore_check_constraints", 1).unwrap();
    for (number, sql) in [
        (1, "UPDATE task SET status = 'DONE' WHERE workflow = ?1"),
        (2, "UPDATE document SET zstd = x'00' WHERE workflow = ?1"),
        (3, "UPDATE workflow SET parameters = '[[' WHERE id = ?1"),
    ] {
        raw.execute(sql, [workflow(number).0]).unwrap();
        let error = now(store.load(workflow(number))).unwrap_err();
        assert!(matches!(error, StoreError::Corrupt(_)), "{sql}: {error}");
    }
    assert!(now(store.load(workflow(4))).is_ok());
    assert_eq!(now(store.unfinished(ShardSet::ALL, None, 9)).unwrap().len(), 4);
}

/// SQLite's own bound on the file stands for a full disk: the same error at the same places.
#[test]
fn a_full_disk_refuses_the_commit_and_a_freed_one_goes_on() {
    let (store, _dir) = sqlite();
    let mut held = Held::begin(&store, 1);
    let before = now(store.load(held.id)).unwrap();
    let bound = |pages: u32| {
        store.writer().pragma_update(None, "max_page_count", pages).unwrap();
    };
    bound(1);
    let mut commit = held.commit();
    for node in 0..500 {
        commit.runs[0].tasks.push(task(node, TaskStatus::Pending, 0, true));
        commit.runs[0].records.push(task_record(node, TaskStatus::Pending, 0));
    }
    let error = held.write(commit.clone()).unwrap_err();
    assert!(matches!(&error, StoreError::Unavailable(why) if why.contains("full")), "{error}");
    assert_eq!(now(store.load(held.id)).unwrap(), before);
    bound(1_000_000);
    held.write(commit).unwrap();
    assert_eq!(now(store.load(held.id)).unwrap().tasks.len(), 500);
}

#[test]
fn a_page_of_workflows_is_newest_first_and_filtered() {
    let (store, _dir) = sqlite();
    let other = other_project(&store);
    for number in 1..=6 {
        let mut new = new_workflow(workflow(number));
        new.name = ["a%b", "aXb", "A%b", "a%c", "b", "ä%"][usize::try_from(number).unwrap() - 1]
            .to_owned();
        if number % 2 == 0 {
            new.project = other;
            new.labels.push(("tier".to_owned(), format!("{number}")));
        }
        now(store.insert(new)).unwrap();
    }
    let epoch = now(store.take_over(instance())).unwrap();
    for (number, status) in [(2, WorkflowStatus::Failed), (5, WorkflowStatus::Running)] {
        let mut held = Held { store: &store, epoch, id: workflow(number), seq: 0 };
        held.become_(status, 1).unwrap();
    }
    let list =
        |filter: WorkflowFilter, limit| numbers(&now(store.workflows(filter, limit)).unwrap());
    let all = WorkflowFilter::default;
    assert_eq!(list(all(), 100), [6, 5, 4, 3, 2, 1]);
    assert_eq!(list(WorkflowFilter { before: Some(workflow(5)), ..all() }, 2), [4, 3]);
    let project = Some(other);
    assert_eq!(list(WorkflowFilter { project, ..all() }, 100), [6, 4, 2]);
    let statuses = vec![WorkflowStatus::Failed, WorkflowStatus::Running, WorkflowStatus::Failed];
    assert_eq!(list(WorkflowFilter { statuses, ..all() }, 100), [5, 2]);
    let statuses = vec![WorkflowStatus::Failed, WorkflowStatus::Pending];
    assert_eq!(list(WorkflowFilter { statuses, ..all() }, 3), [6, 4, 3]);
    for (prefix, expected) in
        [("a%", &[4, 1][..]), ("ä", &[6]), ("a_", &[]), ("", &[6, 5, 4, 3, 2, 1]), ("' OR 1", &[])]
    {
        let name_prefix = Some(prefix.to_owned());
        assert_eq!(list(WorkflowFilter { name_prefix, ..all() }, 100), expected, "{prefix}");
    }
    let label = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let labels = vec![label("team", "data"), label("tier", "4")];
    assert_eq!(list(WorkflowFilter { labels, ..all() }, 100), [4]);
    let labels = vec![label("tier", "data")];
    assert!(list(WorkflowFilter { labels, ..all() }, 100).is_empty());
}

#[test]
fn a_workflow_is_shown_as_it_was_sent() {
    let (store, _dir) = sqlite();
    let mut new = new_workflow(workflow(2));
    new.resubmitted_from = Some(workflow(1));
    now(store.insert(new.clone())).unwrap();
    let view = now(store.workflow(new.id)).unwrap();
    assert_eq!((view.name, view.description), (new.name, new.description));
    assert_eq!((view.parameters, view.labels), (new.parameters, new.labels));
    assert_eq!((view.submitted_by, view.priority), (new.submitted_by, new.priority));
    assert_eq!((view.resubmitted_from, view.project), (new.resubmitted_from, new.project));
    assert_eq!(now(store.document(new.id)).unwrap(), new.document);
}

#[test]
fn tasks_events_and_counts_are_filtered_and_paged() {
    let (store, _dir) = sqlite();
    let mut held = Held::begin(&store, 1);
    for node in 0..4 {
        held.queue(node, 1, true);
    }
    held.finish(2, 1);
    let list = |filter: TaskFilter, limit| -> Vec<u32> {
        let rows = now(store.tasks(held.id, filter, limit)).unwrap();
        rows.iter().map(|row| row.node.0).collect()
    };
    let all = TaskFilter::default;
    assert_eq!(list(all(), 3), [0, 1, 2]);
    assert_eq!(list(TaskFilter { after: Some(NodeIx(2)), leaves: true, ..all() }, 9), [3]);
    assert_eq!(list(TaskFilter { name: Some("task-1".to_owned()), ..all() }, 9), [1]);
    let statuses = vec![TaskStatus::Succeeded, TaskStatus::Failed];
    assert_eq!(list(TaskFilter { statuses, ..all() }, 9), [2]);
    let counts = now(store.task_counts(held.id)).unwrap();
    assert_eq!(counts, [(TaskStatus::Queued, 3), (TaskStatus::Succeeded, 1)]);
    let events = now(store.events(held.id, 4, 1)).unwrap();
    assert_eq!((events[0].seq, events[0].task_name.as_deref()), (5, Some("task-3")));
    assert_eq!(now(store.events(held.id, u64::MAX, 1)).unwrap(), []);
    let attempts = now(store.attempts(held.id, NodeIx(1), NodeIx(2))).unwrap();
    assert_eq!(attempts.iter().map(|attempt| attempt.node.0).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn what_is_not_there_is_not_found() {
    let (store, _dir) = sqlite();
    let id = workflow(1);
    let answers = [
        now(store.workflow(id)).map(|_| ()),
        now(store.document(id)).map(|_| ()),
        now(store.tasks(id, TaskFilter::default(), 1)).map(|_| ()),
        now(store.task_counts(id)).map(|_| ()),
        now(store.attempts(id, NodeIx(0), NodeIx(9))).map(|_| ()),
        now(store.events(id, 0, 1)).map(|_| ()),
    ];
    for answer in answers {
        assert!(matches!(answer, Err(StoreError::NotFound)));
    }
}

#[test]
fn the_outbox_has_a_row_per_commit_and_forgets_the_oldest() {
    let (store, dir) = sqlite();
    let held = Held::begin(&store, 1);
    let raw = Connection::open(path(&dir)).unwrap();
    let body: String =
        raw.query_row("SELECT body FROM outbox WHERE seq = 1", [], |row| row.get(0)).unwrap();
    assert_eq!(body, format!("[[\"{}\",1]]", held.id));
    // As if 11,998 commits had been made; the next two are real.
    raw.execute_batch(
        "WITH RECURSIVE n (i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 11998)
         INSERT INTO outbox SELECT 0, i, 1, 0, '[]' FROM n",
    )
    .unwrap();
    for _ in 0..2 {
        now(store.commit(held.commit())).unwrap();
    }
    let range: (i64, i64, i64) = raw
        .query_row("SELECT min(seq), max(seq), count(*) FROM outbox", [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .unwrap();
    assert_eq!(range, (2001, 12_000, 10_000));
}

/// More readers than connections, while a writer writes: each sees what was committed before.
#[test]
fn readers_see_every_commit_that_returned_before() {
    let (store, _dir) = sqlite();
    let mut held = Held::begin(&store, 1);
    let id = held.id;
    let seen = std::sync::atomic::AtomicU64::new(held.seq);
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                while seen.load(std::sync::atomic::Ordering::SeqCst) < 60 {
                    let before = seen.load(std::sync::atomic::Ordering::SeqCst);
                    assert!(now(store.workflow(id)).unwrap().seq >= before);
                }
            });
        }
        for node in 0..60 {
            held.queue(node, 1, false);
            seen.store(held.seq, std::sync::atomic::Ordering::SeqCst);
        }
    });
}

#[test]
fn locks_show_who_holds_and_who_waits_in_the_order_of_the_queue() {
    let (store, _dir) = sqlite();
    let mut urgent = new_workflow(workflow(9));
    urgent.priority = 5;
    now(store.insert(urgent)).unwrap();
    let one = Held::begin(&store, 1);
    let mut two = Held::begin(&store, 2);
    let mut commit = one.commit();
    commit.epoch = two.epoch;
    commit.runs[0].tasks = (0..4).map(|node| task(node, TaskStatus::Pending, 0, true)).collect();
    commit.runs[0].locks = vec![
        locks(0, &[("a", 1)], true),
        locks(3, &[("b", 2)], false),
        locks(1, &[("b", 1), ("a", 1)], false),
    ];
    now(store.commit(commit)).unwrap();
    let mut commit = two.commit();
    let mut first = two.changes();
    first.workflow = Some(workflow(9));
    first.seq_before = 0;
    first.locks = vec![locks(7, &[("b", 2)], false)];
    commit.runs[0].locks = vec![locks(0, &[("b", 2)], true)];
    commit.runs.push(first);
    two.write(commit).unwrap();
    let text = |users: &[LockUser]| {
        let one = |user: &LockUser| {
            let number = (0..10).find(|n| workflow(*n) == user.workflow).unwrap();
            format!("{number}:{} {:?} {}", user.node.0, user.task_name, user.since.0 - AT.0)
        };
        users.iter().map(one).collect::<Vec<_>>().join(", ")
    };
    let page = |filter: LockFilter, limit, users| {
        let found = now(Catalog::locks(&store, filter, limit, users)).unwrap();
        let line = |lock: &flowforge_ports::catalog::LockView| {
            let (held, waiting) = (text(&lock.holders), text(&lock.waiters));
            let counts = format!("{}/{} {}", lock.holding, lock.limit, lock.waiting);
            format!("{} {counts}: {held} < {waiting}", lock.key)
        };
        found.iter().map(line).collect::<Vec<_>>()
    };
    let a = "a 1/1 1: 1:0 Some(\"task-0\") 0 < 1:1 Some(\"task-1\") 1";
    let b = "b 1/2 3: 2:0 None 0 < 9:7 None 7, 1:1 Some(\"task-1\") 1, 1:3 Some(\"task-3\") 3";
    assert_eq!(page(LockFilter::default(), 9, 9), [a, b]);
    assert_eq!(page(LockFilter::default(), 1, 9), [a]);
    assert_eq!(page(LockFilter { after: Some("a".to_owned()), ..Default::default() }, 9, 9), [b]);
    assert_eq!(page(LockFilter { keys: vec!["b".to_owned()], ..Default::default() }, 9, 9), [b]);
    let of = |number| LockFilter { workflow: Some(workflow(number)), ..LockFilter::default() };
    assert_eq!(page(of(2), 9, 9), [b]);
    assert_eq!(page(of(1), 9, 1).len(), 2);
    assert!(page(of(1), 9, 1)[1].ends_with("< 9:7 None 7"));
    let rows = now(store.locks_of(one.id, NodeIx(1), NodeIx(2))).unwrap();
    assert_eq!(rows.iter().map(|row| &*row.key).collect::<Vec<_>>(), ["a", "b"]);
    assert!(matches!(
        now(store.locks_of(workflow(5), NodeIx(0), NodeIx(9))),
        Err(StoreError::NotFound)
    ));
}

#[test]
fn caches_are_shown_and_forgotten() {
    let (store, _dir) = sqlite();
    let mut one = Held::begin(&store, 1);
    let mut commit = one.commit();
    let memo = |cache: &str, key: &str| MemoWrite {
        cache: cache.to_owned(),
        key: key.to_owned(),
        outputs: flowforge_model::event::Outputs::default(),
    };
    commit.runs[0].memos = vec![memo("c", "x"), memo("c", "y"), memo("d", "x"), memo("c", "x")];
    one.write(commit).unwrap();
    let caches = |after: Option<&str>| {
        let found = now(store.caches(DEFAULT, after.map(str::to_owned), 9)).unwrap();
        found.into_iter().map(|view| format!("{} {}", view.cache, view.memos)).collect::<Vec<_>>()
    };
    assert_eq!(caches(None), ["c 2", "d 1"]);
    assert_eq!(caches(Some("c")), ["d 1"]);
    assert!(now(store.caches(NOWHERE, None, 9)).unwrap().is_empty());
    let keys = |after, limit| now(store.memos(DEFAULT, "c".to_owned(), after, limit)).unwrap();
    let first = keys(0, 1).pop().unwrap();
    assert_eq!((&*first.key, first.workflow, first.remembered.at), ("x", one.id, AT));
    assert_eq!(keys(first.id, 9)[0].key, "y");
    let forget = |cache: &str, key: Option<&str>| {
        now(store.forget(DEFAULT, cache.to_owned(), key.map(str::to_owned))).unwrap()
    };
    assert_eq!(forget("c", Some("z")), 0);
    assert_eq!(forget("c", Some("x")), 1);
    assert_eq!(caches(None), ["c 1", "d 1"]);
    assert_eq!(forget("d", None), 1);
    assert_eq!(caches(None), ["c 1"]);
}
