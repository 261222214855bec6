//! Any sequence of calls, right or wrong, gives the same answers and the same rows in all stores.

use flowforge_model::event::{Command, Outputs, Timer};
use flowforge_model::id::{NodeIx, WorkflowId};
use flowforge_model::shard::ShardSet;
use flowforge_model::status::{Reason, TaskStatus, WorkflowStatus};
use flowforge_model::time::Timestamp;
use flowforge_ports::store::{Commit, MemoWrite, RunChanges, Store, StoreError};
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};
use proptest::sample::select;
use proptest::test_runner::Config;

use super::fixture::{
    AT, DEFAULT, instance, key, locks, new_workflow, now, report, state, task, task_record,
    workflow, workflow_record,
};
use super::{Subject, sqlite};
use crate::MemoryStore;

const WORKFLOWS: u32 = 3;
const NODES: u32 = 3;
const ATTEMPTS: u32 = 3;

/// One call, resolved against the rows at the time it is made.
#[derive(Clone, Debug)]
enum Call {
    Insert { workflow: u32, key: Option<(u8, u8)> },
    Ask { workflow: u32, command: Command },
    TakeOver,
    Commit { stale: bool, runs: Vec<Change>, admit: Vec<(u32, u32, u32)>, done: usize },
}

/// A task, the locks it wants with their limits, and whether it holds them.
type Wish = (u32, Vec<(&'static str, u32)>, bool);

/// Changes of one workflow. Pairs are node and number.
#[derive(Clone, Debug)]
struct Change {
    workflow: u32,
    wrong_seq: bool,
    state: Option<(WorkflowStatus, u32)>,
    gate: Option<bool>,
    tasks: Vec<(u32, TaskStatus)>,
    records: u32,
    runnable: Vec<(u32, u32)>,
    unrunnable: Vec<(u32, u32)>,
    started: Vec<(u32, u32)>,
    ended: Vec<(u32, u32)>,
    timers: Vec<(u32, Timer, bool)>,
    /// Node, keys with limits, and whether they are held.
    locks: Vec<Wish>,
    memos: Vec<(u8, u8)>,
    delete: bool,
}

fn rarely() -> impl Strategy<Value = bool> {
    prop_oneof![19 => Just(false), 1 => Just(true)]
}

fn attempt() -> impl Strategy<Value = (u32, u32)> {
    (0..NODES, 1..=ATTEMPTS)
}

fn change() -> impl Strategy<Value = Change> {
    let head = (0..WORKFLOWS, rarely(), rarely());
    let state = prop_oneof![
        3 => Just(None),
        1 => (select(&WorkflowStatus::ALL[..]), 1..4_u32).prop_map(Some),
    ];
    let gate = prop_oneof![3 => Just(None), 1 => any::<bool>().prop_map(Some)];
    let tasks = vec((0..NODES, select(&TaskStatus::ALL[..])), 0..3);
    let timers = vec((0..NODES, select(&Timer::ALL[..]), any::<bool>()), 0..3);
    let queue = (vec(attempt(), 0..3), vec(attempt(), 0..2));
    let facts = (vec(attempt(), 0..2), vec(attempt(), 0..2));
    let keys = vec((select(vec!["a", "b"]), 1..3_u32), 0..3);
    let kept = (vec((0..NODES, keys, any::<bool>()), 0..2), vec((0..2_u8, 0..2_u8), 0..2));
    (head, state, gate, tasks, (timers, kept), 0..3_u32, queue, facts).prop_map(
        |(head, state, gate, tasks, (timers, kept), records, queue, facts)| {
            let (workflow, wrong_seq, delete) = head;
            Change {
                workflow,
                wrong_seq,
                state,
                gate,
                tasks,
                records,
                runnable: queue.0,
                unrunnable: queue.1,
                started: facts.0,
                ended: facts.1,
                timers,
                locks: kept.0,
                memos: kept.1,
                delete,
            }
        },
    )
}

fn command() -> impl Strategy<Value = Command> {
    select(vec![
        Command::Cancel,
        Command::Stop,
        Command::Terminate,
        Command::Pause,
        Command::Resume { task: None, outputs: vec![("a".to_owned(), "b".to_owned())] },
        Command::Retry,
    ])
}

fn call() -> impl Strategy<Value = Call> {
    let key = prop_oneof![2 => Just(None), 1 => (0..2_u8, 0..2_u8).prop_map(Some)];
    let admit = vec((0..WORKFLOWS, 0..NODES, 1..=ATTEMPTS), 0..2);
    prop_oneof![
        3 => (0..WORKFLOWS, key).prop_map(|(workflow, key)| Call::Insert { workflow, key }),
        2 => (0..WORKFLOWS, command())
            .prop_map(|(workflow, command)| Call::Ask { workflow, command }),
        1 => Just(Call::TakeOver),
        9 => (rarely(), vec(change(), 1..3), admit, 0..3_usize)
            .prop_map(|(stale, runs, admit, done)| Call::Commit { stale, runs, admit, done }),
    ]
}

/// The commit that a call means at this point.
fn resolve(rows: &MemoryStore, epoch: u64, call: &Call) -> Commit {
    let Call::Commit { stale, runs, admit, done } = call else {
        return Commit::default();
    };
    let intents = now(rows.intents(ShardSet::ALL, 0, 100)).unwrap();
    let mut commit = Commit {
        epoch: epoch.saturating_sub(u64::from(*stale)),
        instance: Some(instance()),
        at: AT,
        intents_done: intents.iter().take(*done).map(|intent| intent.id).collect(),
        admissions: admit
            .iter()
            .map(|(w, node, number)| key(workflow(*w), *node, *number))
            .collect(),
        ..Commit::default()
    };
    for change in runs {
        let id = workflow(change.workflow);
        if commit.runs.iter().all(|run| run.workflow != Some(id)) {
            commit.runs.push(changes(rows, id, change));
        }
    }
    commit
}

fn changes(rows: &MemoryStore, id: WorkflowId, change: &Change) -> RunChanges {
    let stored = now(rows.load(id)).ok();
    let seq = rows.history(id).last().map_or(0, |event| event.seq);
    let known = stored.map_or(0, |run| u32::try_from(run.tasks.len()).unwrap());
    let keys = |pairs: &[(u32, u32)]| {
        pairs.iter().map(|(node, number)| key(id, *node, *number)).collect::<Vec<_>>()
    };
    let mut tasks: Vec<(u32, TaskStatus)> = change.tasks.clone();
    tasks.sort_unstable();
    tasks.dedup_by_key(|(node, _)| *node);
    let (set, cleared) = change.timers.iter().partition::<Vec<_>, _>(|(_, _, set)| *set);
    let reason = Some(Reason::ExitCode);
    let admitted = rows.attempts(id);
    RunChanges {
        workflow: Some(id),
        state: change.state.map(|(status, generation)| state(status, generation)),
        gate_closed: change.gate,
        tasks: tasks.iter().map(|(node, status)| task(*node, *status, 1, *node >= known)).collect(),
        records: (0..change.records)
            .map(|n| match n {
                0 => task_record(0, TaskStatus::Running, 1),
                _ => workflow_record(WorkflowStatus::Running, n),
            })
            .collect(),
        seq_before: seq + u64::from(change.wrong_seq),
        // What was admitted before is never made runnable again: a retry has a number of its own.
        runnable: keys(&change.runnable)
            .into_iter()
            .filter(|key| {
                admitted.iter().all(|one| (one.node, one.number) != (key.node, key.number))
            })
            .collect(),
        unrunnable: keys(&change.unrunnable),
        started: keys(&change.started).into_iter().map(|key| (key, AT)).collect(),
        ended: keys(&change.ended).into_iter().map(|key| (key, report(reason))).collect(),
        timers_set: set
            .iter()
            .map(|(node, timer, _)| (NodeIx(*node), *timer, Timestamp(i64::from(*node))))
            .collect(),
        timers_cleared: cleared.iter().map(|(node, timer, _)| (NodeIx(*node), *timer)).collect(),
        locks: change.locks.iter().map(|(node, keys, held)| locks(*node, keys, *held)).collect(),
        memos: change
            .memos
            .iter()
            .map(|(cache, key)| MemoWrite {
                cache: cache.to_string(),
                key: key.to_string(),
                outputs: Outputs { result: Some(seq.to_string()), ..Outputs::default() },
            })
            .collect(),
        delete: change.delete,
        ..RunChanges::default()
    }
}

/// What a call gives, in words: errors by kind, because their texts differ.
fn make(store: &impl Subject, call: &Call, commit: Commit) -> String {
    match call {
        Call::Insert { workflow: number, key } => {
            let mut new = new_workflow(workflow(*number));
            new.idempotency = key.map(|(key, digest)| (key.to_string(), digest.to_string()));
            said(now(store.insert(new)))
        }
        Call::Ask { workflow: number, command } => {
            said(now(store.ask(workflow(*number), command.clone(), AT)))
        }
        Call::TakeOver => said(now(store.take_over(instance()))),
        Call::Commit { .. } => said(now(store.commit(commit))),
    }
}

fn said<T: std::fmt::Debug>(answer: Result<T, StoreError>) -> String {
    match answer {
        Ok(value) => format!("{value:?}"),
        Err(StoreError::Conflict(_)) => "conflict".to_owned(),
        Err(StoreError::Corrupt(_)) => "corrupt".to_owned(),
        Err(error) => format!("{error:?}"),
    }
}

/// Everything that can be seen of a store.
fn rows(store: &impl Subject) -> String {
    let mut seen = format!(
        "{:?}\n{:?}\n{:?}\n",
        now(store.intents(ShardSet::ALL, 0, 100)).unwrap(),
        now(store.unfinished(ShardSet::ALL, None, 100)).unwrap(),
        now(store.ended_timers(ShardSet::ALL)).unwrap(),
    );
    for number in 0..WORKFLOWS {
        let id = workflow(number);
        seen.push_str(&format!(
            "{}\n{:?}\n{:?}\n",
            said(now(store.load(id))),
            store.history(id),
            store.attempts(id)
        ));
    }
    for (cache, key) in [("0", "0"), ("0", "1"), ("1", "0"), ("1", "1")] {
        seen.push_str(&format!("{:?}\n", now(store.recall(DEFAULT, cache, key)).unwrap()));
    }
    seen
}

/// Makes the calls on a store and on the one in memory, and compares all that can be seen.
fn compare(store: &impl Subject, calls: &[Call]) {
    let memory = MemoryStore::new();
    for epoch in [now(store.take_over(instance())), now(memory.take_over(instance()))] {
        assert_eq!(epoch.unwrap(), 1);
    }
    let mut epoch = 1;
    for call in calls {
        let commit = resolve(&memory, epoch, call);
        epoch += u64::from(matches!(call, Call::TakeOver));
        let expected = make(&memory, call, commit.clone());
        assert_eq!(make(store, call, commit), expected, "{call:?}");
        assert_eq!(rows(store), rows(&memory), "after {call:?}, which gave {expected}");
    }
}

fn calls() -> impl Strategy<Value = Vec<Call>> {
    vec(call(), 1..40)
}

fn config() -> Config {
    Config { cases: 128, failure_persistence: None, ..Config::default() }
}

proptest! {
    #![proptest_config(config())]
    #[test]
    fn both_stores_do_the_same(calls in calls()) {
        let (disk, _dir) = sqlite();
        compare(&disk, &calls);
    }
}

mod on_postgres {
    use super::{calls, compare, config, proptest};

    proptest! {
        #![proptest_config(config())]
        #[test]
        #[ignore = "needs a PostgreSQL server: cargo xtask test --tier postgres"]
        fn both_stores_do_the_same(calls in calls()) {
            let fresh = crate::postgres::tests::fresh();
            compare(&fresh.store(), &calls);
        }
    }
}
