//! What an item of a loop costs beside a task that stands in the document: nanoseconds per task to
//! begin them all, to make their rows, and to end one after the other.
//!
//! ```text
//! cargo run --release -p flowforge-engine --example loop_speed -- 100000
//! ```
#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measurement: it looks at a clock and prints"
)]

use std::time::Instant;

use flowforge_engine::{Context, Run, step, task_write};
use flowforge_model::attempt::Report;
use flowforge_model::event::{Effect, Event};
use flowforge_model::id::{EntityId, WorkflowId};
use flowforge_model::plan::{
    Body, Container, Dag, Plan, Repeat, Rows, Sequence, Task, Template, TemplateIx,
};
use flowforge_model::resources::Resources;
use flowforge_model::text::Text;
use flowforge_model::time::Timestamp;

const LEAF: TemplateIx = TemplateIx(0);

fn plan(tasks: Vec<Task>) -> Plan {
    let container = Container {
        image: Text::plain("busybox"),
        command: vec![Text::plain("true")],
        args: Vec::new(),
        env: Vec::new(),
        secrets: Vec::new(),
        mounts: Vec::new(),
        working_dir: None,
        resources: Resources::default(),
        variables: false,
        pull: None,
        security: None,
    };
    let leaf = Template::new("leaf", Body::Container(container));
    let count = u32::try_from(tasks.len()).expect("few enough");
    let dag = Dag {
        dependents: Rows::from_pairs(tasks.len(), &[]),
        targets: (0..count).collect(),
        order: (0..count).collect(),
        tasks,
        fail_fast: false,
    };
    Plan::new(vec![leaf, Template::new("main", Body::Dag(dag))], TemplateIx(1))
}

fn loop_of(repeat: Repeat) -> Plan {
    plan(vec![Task { repeat: Some(Box::new(repeat)), ..Task::new("t", LEAF) }])
}

/// Nanoseconds per task to begin, to write and to end `count` of them.
fn measure(plan: &Plan, count: u32) -> [u128; 3] {
    let context = Context {
        id: WorkflowId(uuid::Uuid::from_u128(7)),
        project_id: EntityId::DEFAULT_PROJECT,
        name: "speed".to_owned(),
        project: "default".to_owned(),
        lock_name: "default".to_owned(),
        labels: Vec::new(),
        priority: 0,
        created_at: Timestamp(1),
    };
    let mut run = Run::new(context);
    let begun = Instant::now();
    let changes = step(plan, &mut run, &Event::Submitted, Timestamp(1)).expect("begins");
    let begin = begun.elapsed().as_nanos();
    let written = Instant::now();
    let rows = changes.touched.iter().filter_map(|(ix, new)| task_write(plan, &run, *ix, *new));
    let names: usize = rows.filter_map(|row| row.shape).map(|shape| shape.name.len()).sum();
    let write = written.elapsed().as_nanos();
    assert!(names > 0, "they have names");
    let ended = Instant::now();
    for effect in &changes.effects {
        let Effect::Runnable { node, number } = *effect else { continue };
        let report = Report {
            started_at: Some(Timestamp(2)),
            finished_at: Timestamp(2),
            exit_code: Some(0),
            failure: None,
            outputs: Vec::new(),
            artifacts: Vec::new(),
            result: None,
        };
        let event = Event::Finished { node, number, report: Box::new(report) };
        step(plan, &mut run, &event, Timestamp(2)).expect("ends");
    }
    let end = ended.elapsed().as_nanos();
    assert!(run.state().status.terminal(), "all have ended");
    [begin, write, end].map(|nanos| nanos / u128::from(count))
}

fn main() {
    let count = std::env::args().nth(1).and_then(|count| count.parse().ok()).unwrap_or(100_000);
    let tasks = (0..count).map(|n| Task::new(&format!("t({n}:{n})"), LEAF)).collect();
    let text = |n: u32| Some(Text::plain(&n.to_string()));
    let numbers = Sequence { count: text(count), start: None, end: None, format: None };
    let items = (0..count).map(|n| Text::plain(&n.to_string())).collect();
    let list = format!("[{}]", (0..count).map(|n| n.to_string()).collect::<Vec<_>>().join(","));
    let plans = [
        ("tasks of a dag", plan(tasks)),
        ("withSequence", loop_of(Repeat::Sequence(numbers))),
        ("withItems", loop_of(Repeat::Items(items))),
        ("withParam", loop_of(Repeat::Param(Text::plain(&list)))),
    ];
    for (name, plan) in &plans {
        // The best of five: the machine does other things as well.
        let best = (0..5).map(|_| measure(plan, count)).reduce(|best, next| {
            let [(a, x), (b, y), (c, z)] = [0, 1, 2].map(|at| (best[at], next[at]));
            [a.min(x), b.min(y), c.min(z)]
        });
        let [begin, write, end] = best.unwrap_or_default();
        println!("{name:<15} begin {begin:>5} ns  rows {write:>5} ns  end {end:>5} ns per task");
    }
}
