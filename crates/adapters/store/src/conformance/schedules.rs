//! Schedules: one name, one writer at a time, one workflow for a fire time.

use flowforge_model::event::Command;
use flowforge_model::id::ScheduleId;
use flowforge_model::shard::ShardSet;
use flowforge_model::status::WorkflowStatus;
use flowforge_model::time::Timestamp;
use flowforge_ports::schedules::{Firing, PutSchedule, ScheduleRow};
use flowforge_ports::store::{NewWorkflow, StoreError};
use uuid::Uuid;

use super::fixture::{AT, DEFAULT, Held, NOWHERE, new_workflow, now};
use super::{Subject, cases};

cases! {
    a_schedule_reads_back_as_it_was_written
    a_name_is_taken_once_in_a_project
    whoever_comes_second_is_refused
    a_fire_time_starts_its_workflow_and_keeps_the_state_with_it
    a_fire_time_starts_one_workflow
    a_refused_firing_leaves_nothing_behind
    runs_that_are_replaced_are_asked_to_end_and_those_that_ended_are_left_alone
    runs_come_latest_first_with_where_they_stand
    a_deleted_run_is_forgotten_by_the_next_firing
    schedules_come_in_pages
    a_deleted_schedule_leaves_its_runs_alone
    only_what_has_ended_can_be_deleted
}

fn id(number: u32) -> ScheduleId {
    let base = 0x0189_0a5d_ac96_774b_bcce_0000_0000_0000_u128;
    ScheduleId(Uuid::from_u128(base + u128::from(number)))
}

pub(super) fn put(number: u32) -> PutSchedule {
    PutSchedule {
        id: id(number),
        project: DEFAULT,
        name: format!("nightly-{number}"),
        document: "kind: CronWorkflow\n".repeat(20),
        suspended: false,
        state: "{}".to_owned(),
        next_at: Some(Timestamp(AT.0 + 1)),
        at: AT,
        replaces: None,
    }
}

fn create(store: &impl Subject, number: u32) -> ScheduleRow {
    now(store.put_schedule(put(number))).unwrap()
}

fn fire_time(number: i64) -> Timestamp {
    Timestamp(AT.0 + number * 60_000)
}

fn run(schedule: u32, number: i64) -> (Timestamp, NewWorkflow) {
    let at = fire_time(number);
    let mut new = new_workflow(id(schedule).run(at));
    new.idempotency = Some((format!("schedule/{}/{}", id(schedule), at.0), String::new()));
    (at, new)
}

fn firing(schedule: u32, version: u64) -> Firing {
    Firing {
        schedule: id(schedule),
        version,
        state: format!("{{\"v\": {version}}}"),
        next_at: None,
        problem: None,
        stop: Vec::new(),
        runs: Vec::new(),
        at: AT,
    }
}

fn conflicts<T: std::fmt::Debug>(answer: &Result<T, StoreError>) -> bool {
    matches!(answer, Err(StoreError::Conflict(_)))
}

fn a_schedule_reads_back_as_it_was_written(store: &impl Subject) {
    let row = create(store, 1);
    let written = put(1);
    assert_eq!(row.id, written.id);
    assert_eq!((&row.project, &row.name), (&written.project, &written.name));
    assert_eq!((&row.document, &row.state), (&written.document, &written.state));
    assert_eq!((row.suspended, row.next_at), (false, written.next_at));
    assert_eq!((row.version, row.created_at, row.updated_at), (1, AT, AT));
    assert_eq!(row.problem, None);
    assert_eq!(now(store.schedule(row.id)).unwrap(), row);
    assert_eq!(now(store.schedule_named(DEFAULT, "nightly-1".into())).unwrap(), row);
    let later = Timestamp(AT.0 + 9);
    let replaced = now(store.put_schedule(PutSchedule {
        document: "other".into(),
        suspended: true,
        next_at: None,
        at: later,
        replaces: Some(1),
        ..put(1)
    }))
    .unwrap();
    assert_eq!((replaced.document.as_str(), replaced.suspended), ("other", true));
    assert_eq!((replaced.version, replaced.created_at, replaced.updated_at), (2, AT, later));
    assert!(matches!(now(store.schedule(id(9))), Err(StoreError::NotFound)));
    let nobody = now(store.schedule_named(DEFAULT, "nobody".into()));
    assert!(matches!(nobody, Err(StoreError::NotFound)));
}

fn a_name_is_taken_once_in_a_project(store: &impl Subject) {
    create(store, 1);
    let mut second = put(2);
    second.name = "nightly-1".into();
    assert!(conflicts(&now(store.put_schedule(second))));
    let mut nowhere = put(3);
    nowhere.project = NOWHERE;
    assert!(matches!(now(store.put_schedule(nowhere)), Err(StoreError::Refused(_))));
}

fn whoever_comes_second_is_refused(store: &impl Subject) {
    create(store, 1);
    assert_eq!(now(store.fire(firing(1, 1))).unwrap(), 2);
    assert!(conflicts(&now(store.fire(firing(1, 1)))));
    assert!(conflicts(&now(store.put_schedule(PutSchedule { replaces: Some(1), ..put(1) }))));
    assert_eq!(now(store.schedule(id(1))).unwrap().state, "{\"v\": 1}");
    assert!(matches!(now(store.fire(firing(9, 1))), Err(StoreError::NotFound)));
}

fn a_fire_time_starts_its_workflow_and_keeps_the_state_with_it(store: &impl Subject) {
    create(store, 1);
    let (at, new) = run(1, 1);
    now(store.fire(Firing {
        runs: vec![(at, new.clone())],
        next_at: Some(fire_time(2)),
        problem: Some("why".into()),
        ..firing(1, 1)
    }))
    .unwrap();
    let row = now(store.schedule(id(1))).unwrap();
    assert_eq!((row.state.as_str(), row.next_at), ("{\"v\": 1}", Some(fire_time(2))));
    assert_eq!(row.problem.as_deref(), Some("why"));
    let begun = now(store.load(new.id)).unwrap();
    assert_eq!((begun.document, begun.labels), (new.document, new.labels));
    let intents = now(store.intents(ShardSet::ALL, 0, 10)).unwrap();
    assert_eq!((intents.len(), intents[0].workflow), (1, new.id));
}

fn a_fire_time_starts_one_workflow(store: &impl Subject) {
    create(store, 1);
    now(store.fire(Firing { runs: vec![run(1, 1)], ..firing(1, 1) })).unwrap();
    assert!(conflicts(&now(store.fire(Firing { runs: vec![run(1, 1)], ..firing(1, 2) }))));
    let (at, mut other) = run(1, 1);
    other.id = id(1).run(fire_time(5));
    other.idempotency = None;
    assert!(conflicts(&now(store.fire(Firing { runs: vec![(at, other)], ..firing(1, 2) }))));
    assert_eq!(now(store.intents(ShardSet::ALL, 0, 10)).unwrap().len(), 1);
}

fn a_refused_firing_leaves_nothing_behind(store: &impl Subject) {
    let before = create(store, 1);
    let mut nowhere = run(1, 2);
    nowhere.1.project = NOWHERE;
    let refused = now(store.fire(Firing { runs: vec![run(1, 1), nowhere], ..firing(1, 1) }));
    assert!(matches!(refused, Err(StoreError::Refused(_))));
    assert_eq!(now(store.schedule(id(1))).unwrap(), before);
    assert_eq!(now(store.schedule_runs(id(1), 10)).unwrap(), []);
    assert_eq!(now(store.intents(ShardSet::ALL, 0, 10)).unwrap(), []);
    assert!(matches!(now(store.load(run(1, 1).1.id)), Err(StoreError::NotFound)));
}

fn runs_that_are_replaced_are_asked_to_end_and_those_that_ended_are_left_alone(
    store: &impl Subject,
) {
    create(store, 1);
    let mut ended = Held::begin(store, 1);
    ended.become_(WorkflowStatus::Succeeded, 1).unwrap();
    let running = Held::begin(store, 2).id;
    let missing = id(1).run(fire_time(9));
    let stop = vec![ended.id, running, missing];
    now(store.fire(Firing { stop, ..firing(1, 1) })).unwrap();
    let asked = now(store.intents(ShardSet::ALL, 0, 100)).unwrap();
    assert_eq!(asked.len(), 1);
    assert_eq!((asked[0].workflow, &asked[0].command), (running, &Some(Command::Terminate)));
    assert!(now(store.load(running)).unwrap().gate_closed);
}

fn runs_come_latest_first_with_where_they_stand(store: &impl Subject) {
    create(store, 1);
    now(store.fire(Firing { runs: vec![run(1, 1), run(1, 2)], ..firing(1, 1) })).unwrap();
    now(store.fire(Firing { runs: vec![run(1, 3)], ..firing(1, 2) })).unwrap();
    let runs = now(store.schedule_runs(id(1), 2)).unwrap();
    let shown: Vec<_> = runs.iter().map(|run| (run.at, run.workflow, run.status)).collect();
    let pending = Some(WorkflowStatus::Pending);
    assert_eq!(
        shown,
        [(fire_time(3), run(1, 3).1.id, pending), (fire_time(2), run(1, 2).1.id, pending)]
    );
    assert_eq!(now(store.schedule_runs(id(2), 10)).unwrap(), []);
}

fn a_deleted_run_is_forgotten_by_the_next_firing(store: &impl Subject) {
    create(store, 1);
    let mut held = Held::begin(store, 1);
    let mut own = run(1, 1);
    own.1.idempotency = None;
    now(store.fire(Firing { runs: vec![own.clone()], ..firing(1, 1) })).unwrap();
    held.id = own.1.id;
    held.seq = 0;
    let mut commit = held.commit();
    commit.runs[0].delete = true;
    held.write(commit).unwrap();
    let runs = now(store.schedule_runs(id(1), 10)).unwrap();
    assert_eq!((runs.len(), runs[0].status), (1, None));
    now(store.fire(firing(1, 2))).unwrap();
    assert_eq!(now(store.schedule_runs(id(1), 10)).unwrap(), []);
}

fn schedules_come_in_pages(store: &impl Subject) {
    for number in 1..=5 {
        create(store, number);
    }
    let page = |after: Option<u32>, limit| {
        let rows = now(store.schedules(None, after.map(id), limit)).unwrap();
        rows.into_iter().map(|row| row.id).collect::<Vec<_>>()
    };
    assert_eq!(page(None, 2), [id(1), id(2)]);
    assert_eq!(page(Some(2), 9), [id(3), id(4), id(5)]);
    let of = |project| now(store.schedules(Some(project), None, 9)).unwrap().len();
    assert_eq!((of(DEFAULT), of(NOWHERE)), (5, 0));
}

fn a_deleted_schedule_leaves_its_runs_alone(store: &impl Subject) {
    create(store, 1);
    now(store.fire(Firing { runs: vec![run(1, 1)], ..firing(1, 1) })).unwrap();
    now(store.delete_schedule(id(1))).unwrap();
    assert!(matches!(now(store.schedule(id(1))), Err(StoreError::NotFound)));
    assert!(matches!(now(store.delete_schedule(id(1))), Err(StoreError::NotFound)));
    assert!(now(store.load(run(1, 1).1.id)).is_ok());
    assert_eq!(now(store.schedule_runs(id(1), 10)).unwrap(), []);
    let again = PutSchedule { id: id(2), name: "nightly-1".into(), ..put(2) };
    assert_eq!(now(store.put_schedule(again)).unwrap().version, 1);
}

fn only_what_has_ended_can_be_deleted(store: &impl Subject) {
    let mut held = Held::begin(store, 1);
    let ask = |id| now(store.ask(id, Command::Delete, AT));
    assert!(matches!(ask(held.id), Err(StoreError::Refused(_))));
    held.become_(WorkflowStatus::Succeeded, 1).unwrap();
    ask(held.id).unwrap();
    ask(held.id).unwrap();
    assert_eq!(now(store.intents(ShardSet::ALL, 0, 100)).unwrap().len(), 1);
}
