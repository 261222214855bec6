//! What is kept, for how long, and who says so.

use flowforge_model::event::{Command, Timer};
use flowforge_model::id::{NodeIx, WorkflowId};
use flowforge_model::shard::ShardSet;
use flowforge_model::status::WorkflowStatus;
use flowforge_model::time::{Millis, Timestamp};
use flowforge_ports::store::{Store, StoreError};

use super::databases::{Fresh, fresh};
use crate::conformance::fixture::{AT, DEFAULT, Held, NOWHERE, new_workflow, now, workflow};
use crate::postgres::{EndedWorkflow, PostgresStore, Retention};

/// 1 succeeded, 2 failed, 3 succeeded with a time to live of its own, 4 runs, 5 waits. All ended at
/// [`AT`].
fn five(store: &PostgresStore) {
    Held::begin(store, 1).become_(WorkflowStatus::Succeeded, 1).unwrap();
    Held::begin(store, 2).become_(WorkflowStatus::Failed, 1).unwrap();
    let mut own = Held::begin(store, 3);
    let mut commit = own.commit();
    commit.runs[0].timers_set.push((NodeIx(0), Timer::Ttl, AT.plus(Millis(1_000_000))));
    own.write(commit).unwrap();
    own.become_(WorkflowStatus::Succeeded, 1).unwrap();
    Held::begin(store, 4);
    now(store.insert(new_workflow(workflow(5)))).unwrap();
}

fn seconds(completed: u64, succeeded: u64, failed: u64) -> Retention {
    let span = |seconds| (seconds > 0).then(|| Millis::from_secs(seconds));
    Retention { completed: span(completed), succeeded: span(succeeded), failed: span(failed) }
}

/// Which of the five are over so many seconds after they ended.
fn over(store: &PostgresStore, kept: Retention, after: u64) -> Vec<u32> {
    let page = now(store.expired(kept, AT.plus(Millis::from_secs(after)), None)).unwrap();
    assert_eq!(page.next, None);
    let number = |one: &EndedWorkflow| (1..=5).find(|number| workflow(*number) == one.id);
    page.workflows.iter().filter_map(number).collect()
}

fn tenant(database: &Fresh, completed: &str, succeeded: &str, failed: &str) {
    database.run(&format!(
        "UPDATE tenant SET retain_completed = {completed}, retain_succeeded = {succeeded},
         retain_failed = {failed}"
    ));
}

#[test]
#[ignore = "needs a PostgreSQL server: cargo xtask test --tier postgres"]
fn the_document_counts_before_the_tenant_and_the_tenant_before_the_settings() {
    let database = fresh();
    let store = database.store();
    five(&store);
    // Nobody says anything: for ever.
    assert!(over(&store, seconds(0, 0, 0), 1_000_000_000).is_empty());
    for (kept, after, expected) in [
        (seconds(10, 0, 0), 9, vec![]),
        (seconds(10, 0, 0), 10, vec![1, 2]),
        (seconds(0, 10, 0), 100, vec![1]),
        (seconds(0, 0, 10), 100, vec![2]),
        (seconds(10, 0, 50), 20, vec![1]),
        (seconds(10, 50, 0), 20, vec![2]),
    ] {
        assert_eq!(over(&store, kept, after), expected, "{kept:?} after {after} s");
    }
    tenant(&database, "20000", "NULL", "5000");
    for (kept, after, expected) in [
        (seconds(0, 0, 0), 5, vec![2]),
        (seconds(0, 0, 0), 20, vec![1, 2]),
        (seconds(1, 1, 1), 4, vec![]),
        (seconds(1, 1, 1), 19, vec![2]),
    ] {
        assert_eq!(over(&store, kept, after), expected, "tenant, {kept:?} after {after} s");
    }
    tenant(&database, "NULL", "1000", "NULL");
    assert_eq!(over(&store, seconds(10, 0, 0), 1), [1]);
    assert_eq!(over(&store, seconds(10, 0, 0), 10), [1, 2]);
}

#[test]
#[ignore = "needs a PostgreSQL server: cargo xtask test --tier postgres"]
fn what_has_changed_or_waits_for_something_is_not_retired() {
    let database = fresh();
    let store = database.store();
    five(&store);
    let page = now(store.expired(seconds(1, 0, 0), AT.plus(Millis(5000)), None)).unwrap();
    let [first, second] = page.workflows[..] else { panic!("{page:?}") };
    let stale = EndedWorkflow { seq: first.seq - 1, ..first };
    let running = EndedWorkflow { id: workflow(4), seq: 1 };
    let gone = EndedWorkflow { id: workflow(77), seq: 1 };
    assert!(now(store.retire(&[stale, running, gone], AT)).unwrap().is_empty());
    now(store.ask(second.id, Command::Retry, AT)).unwrap();
    assert_eq!(now(store.retire(&[first, second], AT)).unwrap(), [first.id]);
    // Asked once, and not looked at again while it waits.
    assert!(now(store.retire(&[first], AT)).unwrap().is_empty());
    assert!(over(&store, seconds(1, 0, 0), 5).is_empty());
    let asked: Vec<(WorkflowId, Option<Command>)> = now(store.intents(ShardSet::ALL, 0, 100))
        .unwrap()
        .into_iter()
        .map(|one| (one.workflow, one.command))
        .collect();
    assert!(asked.contains(&(first.id, Some(Command::Delete))), "{asked:?}");
    assert_eq!(now(store.waiting_intents(2)).unwrap(), 2);
    assert_eq!(now(store.waiting_intents(100)).unwrap(), u64::try_from(asked.len()).unwrap());
}

#[test]
#[ignore = "needs a PostgreSQL server: cargo xtask test --tier postgres"]
fn the_ended_are_found_by_project_and_time_page_by_page() {
    let database = fresh();
    let store = database.store();
    five(&store);
    let ended = |before: Option<Timestamp>, project, after| {
        let page = now(store.ended(before, project, after)).unwrap();
        page.workflows.iter().map(|one| one.id).collect::<Vec<_>>()
    };
    let all = [workflow(1), workflow(2), workflow(3)];
    assert_eq!(ended(None, None, None), all);
    assert_eq!(ended(Some(AT.plus(Millis(1))), Some(DEFAULT), None), all);
    assert!(ended(Some(AT), None, None).is_empty());
    assert_eq!(ended(None, None, Some(workflow(1))), all[1..]);
    assert!(ended(None, Some(NOWHERE), None).is_empty());
    // More than a page of workflows that are not wanted is stepped over, one page at a time.
    database.run(
        "INSERT INTO workflow (id, tenant, project, name, description, parameters, labels, priority,
         submitted_by, created_at)
         SELECT ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, 1, 1, 'x', '', '[]',
         '[]', 0, '', 1 FROM generate_series(1, 700) n",
    );
    let page = now(store.ended(None, None, None)).unwrap();
    assert!(page.workflows.is_empty() && page.next.is_some(), "{page:?}");
    assert_eq!(ended(None, None, page.next), all);
    let page = now(store.expired(seconds(1, 0, 0), AT.plus(Millis(5000)), None)).unwrap();
    assert!(page.workflows.is_empty() && page.next.is_some(), "{page:?}");
}

#[test]
#[ignore = "needs a PostgreSQL server: cargo xtask test --tier postgres"]
fn a_moment_is_in_utc_unless_it_says_otherwise() {
    let database = fresh();
    database.run(&format!("ALTER DATABASE {} SET timezone = 'Asia/Tokyo'", database.name));
    let store = database.store();
    for text in
        ["2023-11-14T22:13:20.007Z", "2023-11-14 22:13:20.007", "2023-11-15T00:13:20.007+02"]
    {
        assert_eq!(now(store.moment(text)).unwrap(), Timestamp(1_700_000_000_007), "{text}");
    }
    assert!(matches!(now(store.moment("soon")), Err(StoreError::Conflict(_))));
}
