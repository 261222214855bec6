//! Whole histories of tasks that come, wait, run and end, by a clock of their own: who waits for how long,
//! how much of what there is is used, and what deciding costs.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use flowforge_model::attempt::AttemptKey;
use flowforge_model::id::{EntityId, NodeIx};
use flowforge_model::quota::{Amounts, Dimension, Entity, Level, Quota};
use flowforge_model::time::{Millis, Timestamp};
use flowforge_scheduler::{Candidate, FairShare, Settings};

use crate::installation::{Dice, entity_id, workflow_id};
use crate::meter::{processor, real, row};

/// A task that is a workflow of its own. Times in milliseconds.
struct Task {
    at: i64,
    project: u64,
    class: &'static str,
    pods: u64,
    priority: i32,
    runs: i64,
    /// It says how long it runs at most.
    bounded: bool,
}

struct History {
    case: &'static str,
    /// Pods at a time.
    capacity: u32,
    /// Tenants, each with so many projects, and limits of pods of both.
    tenants: u64,
    projects: u64,
    limits: (Option<u64>, Option<u64>),
    tasks: Vec<Task>,
}

const SECOND: i64 = 1000;
const HOUR: i64 = 3600 * SECOND;
const BEGIN: i64 = 1_000_000;

/// Gangs that need 60 % of all, in a stream of small tasks for which that is never free by itself.
pub(crate) fn gangs() {
    let mut dice = Dice::new(11);
    let mut tasks = Vec::new();
    let mut at = BEGIN;
    while at < BEGIN + 10 * HOUR {
        at += i64::try_from(dice.below(750)).unwrap_or(0);
        let runs = 60 * SECOND + i64::try_from(dice.below(540_000)).unwrap_or(0);
        let (class, project) = ("small", project(0, dice.amount(4)));
        tasks.push(Task { at, project, class, pods: 1, priority: 50, runs, bounded: true });
    }
    for number in 1..20 {
        let at = BEGIN + number * HOUR / 2;
        let (class, project, runs) = ("gang", project(1, 0), 900 * SECOND);
        tasks.push(Task { at, project, class, pods: 600, priority: 50, runs, bounded: true });
    }
    let limits = (None, None);
    let all = History { case: "gangs", capacity: 1000, tenants: 2, projects: 4, limits, tasks };
    run(all, Some(BEGIN + 10 * HOUR));
}

/// The numbers of Kueue's `test/performance/scheduler/configs/baseline`: 5 cohorts of 6 queues, which have 20
/// and may borrow 100; 350 small, 100 medium and 50 large workloads in each.
pub(crate) fn kueue() {
    let classes = [
        ("small", 350, 100, 1, 50, 200),
        ("medium", 100, 500, 5, 100, 500),
        ("large", 50, 1200, 20, 200, 1000),
    ];
    let mut tasks = Vec::new();
    for (cohort, queue) in (0..5).flat_map(|cohort| (0..6).map(move |queue| (cohort, queue))) {
        for (class, count, every, pods, priority, runs) in classes {
            for number in 0..count {
                let (at, project) = (BEGIN + number * every, project(cohort, queue));
                tasks.push(Task { at, project, class, pods, priority, runs, bounded: false });
            }
        }
    }
    let limits = (Some(120), Some(120));
    run(History { case: "kueue", capacity: 600, tenants: 5, projects: 6, limits, tasks }, None);
}

/// A week of a cluster for training, as published traces have it: most tasks are small and short, most of
/// the work is in the few that are not, and by day three times as much comes as by night.
pub(crate) fn week() {
    let mut dice = Dice::new(13);
    let sizes = [(70, 1), (10, 2), (8, 4), (8, 8), (3, 16), (1, 32)];
    let (mut tasks, mut at) = (Vec::new(), BEGIN);
    while at < BEGIN + 7 * 24 * HOUR {
        let day = (at - BEGIN) / (12 * HOUR) % 2 == 0;
        let gap = if day { 22_000 } else { 66_000 };
        at += i64::try_from(dice.below(gap)).unwrap_or(0);
        let mut point = dice.amount(100);
        let mut pods = 1;
        for (share, size) in sizes {
            pods = size;
            if point < share {
                break;
            }
            point -= share;
        }
        let class = match pods {
            1 => "one pod",
            2..=8 => "2 to 8 pods",
            _ => "16 to 32 pods",
        };
        let longest = (30 * SECOND) << dice.below(10);
        let runs = longest / 2 + i64::try_from(dice.below(1000)).unwrap_or(0) * longest / 2000;
        // Some tenants ask for more than others.
        let tenant = dice.amount(8).min(dice.amount(8));
        let project = project(tenant, dice.amount(3));
        let bounded = dice.below(2) == 0;
        tasks.push(Task { at, project, class, pods, priority: 50, runs, bounded });
    }
    let limits = (None, None);
    let all = History { case: "week", capacity: 512, tenants: 8, projects: 3, limits, tasks };
    run(all, Some(BEGIN + 7 * 24 * HOUR));
}

fn project(tenant: u64, number: u64) -> u64 {
    (tenant + 1) * 1000 + number
}

fn installation(all: &History) -> FairShare {
    let mut fair = FairShare::new(all.capacity, Settings::default());
    let mut put = |number, level, parent: Option<u64>, pods| {
        let mut quota = Quota::default();
        if let Some(limit) = quota.limits.get_mut(Dimension::Pods as usize) {
            *limit = pods;
        }
        let (id, parent, name) = (entity_id(number), parent.map(entity_id), number.to_string());
        let put =
            fair.upsert(&Entity { id, level, parent, name, quota: Some(quota), cluster: None });
        assert_eq!(put, Ok(()));
    };
    for tenant in 0..all.tenants {
        let top = tenant + 1;
        put(top, Level::Tenant, None, all.limits.0);
        for number in 0..all.projects {
            put(project(tenant, number), Level::Project, Some(top), all.limits.1);
        }
    }
    fair
}

fn candidate(number: usize, task: &Task) -> Candidate {
    let workflow = workflow_id(u64::try_from(number).unwrap_or(0));
    let runs = Millis(u64::try_from(task.runs).unwrap_or(0));
    Candidate {
        key: AttemptKey { workflow, node: NodeIx(0), number: 1 },
        priority: task.priority,
        since: Timestamp(task.at),
        parallelism: None,
        project: project_id(task),
        need: Amounts::ZERO.with(Dimension::Pods, task.pods),
        root: workflow,
        storage: 0,
        called: false,
        lasts: task.bounded.then_some(runs),
        retry: false,
        template: None,
    }
}

fn project_id(task: &Task) -> EntityId {
    entity_id(task.project)
}

/// Until all have ended; what is used counts until `end`, or to the last end.
fn run(mut all: History, end: Option<i64>) {
    all.tasks.sort_by_key(|task| task.at);
    let mut fair = installation(&all);
    let mut numbers: BTreeMap<AttemptKey, usize> = BTreeMap::new();
    let mut ends: BinaryHeap<Reverse<(i64, AttemptKey)>> = BinaryHeap::new();
    let mut waits: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
    let (mut next, mut used, mut work, mut now) = (0, 0_u64, 0_i64, BEGIN);
    let spent = processor();
    loop {
        let arrives = all.tasks.get(next).map(|task| task.at);
        let ended = ends.peek().map(|Reverse((at, _))| *at);
        let Some(then) = arrives.into_iter().chain(ended).min() else { break };
        let until = end.map_or(then, |end| then.min(end));
        work += (until - now).max(0) * i64::try_from(used).unwrap_or(0);
        now = then;
        while let Some(Reverse((_, key))) =
            ends.peek().filter(|Reverse((at, _))| *at <= now).copied()
        {
            ends.pop();
            fair.release(key);
            fair.end_workflow(key.workflow);
            used -= numbers.get(&key).and_then(|at| all.tasks.get(*at)).map_or(0, |of| of.pods);
        }
        while let Some(task) = all.tasks.get(next).filter(|task| task.at <= now) {
            let candidate = candidate(next, task);
            numbers.insert(candidate.key, next);
            fair.offer(candidate);
            next += 1;
        }
        for key in fair.admit(Timestamp(now), usize::MAX) {
            let Some(task) = numbers.get(&key).and_then(|at| all.tasks.get(*at)) else { continue };
            waits.entry(task.class).or_default().push(now - task.at);
            used += task.pods;
            ends.push(Reverse((now + task.runs, key)));
        }
    }
    let spent = processor().saturating_sub(spent).as_secs_f64();
    let case = all.case;
    row(case, "tasks", "1", real(all.tasks.len()));
    row(case, "starts", "1/CPU-s", real(waits.values().map(Vec::len).sum()) / spent);
    if end.is_none() {
        row(case, "all have ended after", "s", seconds(now - BEGIN));
    }
    let whole = (end.unwrap_or(now) - BEGIN) / SECOND * i64::from(all.capacity);
    row(case, "utilisation", "1", seconds(work) / seconds(whole * SECOND));
    for (class, mut waits) in waits {
        waits.sort_unstable();
        row(case, &format!("{class}: started"), "1", real(waits.len()));
        let mean = waits.iter().sum::<i64>() / i64::try_from(waits.len().max(1)).unwrap_or(1);
        row(case, &format!("{class}: waited, mean"), "s", seconds(mean));
        for (part, name) in [(50, "p50"), (99, "p99"), (100, "longest")] {
            let at = (waits.len().saturating_sub(1) * part).div_ceil(100);
            let wait = waits.get(at).copied().unwrap_or(0);
            row(case, &format!("{class}: waited, {name}"), "s", seconds(wait));
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a figure")]
fn seconds(millis: i64) -> f64 {
    millis as f64 / 1000.0
}
