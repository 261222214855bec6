//! One workflow with its tasks, as `run`, `get` and `submit --wait` show it.

use std::collections::BTreeMap;

use flowforge_wire::{Attempt, Lock, Task, TaskArtifact, Time, Workflow, WorkflowParent};
use serde::Serialize;

use crate::args::Form;
use crate::exit::Failure;
use crate::list::{age, lasted, plain};
use crate::locks;
use crate::output::Context;
use crate::paint::{cut, shown, span};
use crate::tree::note;

/// Columns of a message in the narrow table.
const MESSAGE_COLUMNS: usize = 60;
/// Artifacts that are shown without being asked for.
const ARTIFACTS_SHOWN: usize = 20;
/// Columns of an output in the table.
const OUTPUT_COLUMNS: usize = 100;

/// The object of `-o json`: every key is always there.
#[derive(Debug, Serialize)]
pub(crate) struct Report<'a> {
    id: &'a str,
    name: &'a str,
    status: &'a str,
    reason: Option<&'a str>,
    message: Option<&'a str>,
    project_id: &'a str,
    generation: u32,
    priority: i32,
    labels: &'a BTreeMap<String, String>,
    parameters: &'a BTreeMap<String, String>,
    created_at: Time,
    started_at: Option<Time>,
    finished_at: Option<Time>,
    tasks: Vec<TaskReport<'a>>,
    outputs: &'a BTreeMap<String, String>,
    parent: Option<&'a WorkflowParent>,
}

#[derive(Debug, Serialize)]
struct TaskReport<'a> {
    id: &'a str,
    name: &'a str,
    kind: &'a str,
    template: &'a str,
    status: &'a str,
    reason: Option<&'a str>,
    message: Option<&'a str>,
    started_at: Option<Time>,
    finished_at: Option<Time>,
    attempts: Vec<AttemptReport<'a>>,
    outputs: &'a BTreeMap<String, String>,
    artifacts: &'a [TaskArtifact],
}

#[derive(Debug, Serialize)]
struct AttemptReport<'a> {
    number: u32,
    started_at: Option<Time>,
    finished_at: Option<Time>,
    exit_code: Option<i32>,
    reason: Option<&'a str>,
    message: Option<&'a str>,
    workflow_id: Option<&'a str>,
}

/// The object for a workflow and its leaves.
pub(crate) fn report<'a>(workflow: &'a Workflow, tasks: &'a [Task]) -> Report<'a> {
    Report {
        id: &workflow.id,
        name: &workflow.name,
        status: &workflow.status,
        reason: workflow.reason.as_deref(),
        message: workflow.message.as_deref(),
        project_id: &workflow.project_id,
        generation: workflow.generation,
        priority: workflow.priority,
        labels: &workflow.labels,
        parameters: &workflow.parameters,
        created_at: workflow.created_at,
        started_at: workflow.started_at,
        finished_at: workflow.finished_at,
        tasks: tasks.iter().map(task_report).collect(),
        outputs: &workflow.outputs,
        parent: workflow.parent.as_ref(),
    }
}

fn task_report(task: &Task) -> TaskReport<'_> {
    TaskReport {
        id: &task.id,
        name: &task.name,
        kind: &task.kind,
        template: &task.template,
        status: &task.status,
        reason: task.reason.as_deref(),
        message: task.message.as_deref(),
        started_at: task.started_at,
        finished_at: task.finished_at,
        attempts: task.attempts.iter().map(attempt_report).collect(),
        outputs: &task.outputs,
        artifacts: &task.artifacts,
    }
}

fn attempt_report(attempt: &Attempt) -> AttemptReport<'_> {
    AttemptReport {
        number: attempt.number,
        started_at: attempt.started_at,
        finished_at: attempt.finished_at,
        exit_code: attempt.exit_code,
        reason: attempt.reason.as_deref(),
        message: attempt.message.as_deref(),
        workflow_id: attempt.workflow_id.as_deref(),
    }
}

/// Prints a workflow and its tasks in the form that is wanted.
pub(crate) fn print(
    context: &mut Context,
    workflow: &Workflow,
    tasks: &[Task],
) -> Result<(), Failure> {
    print_with(context, workflow, (tasks, &[]))
}

/// The same with the locks that its tasks hold or wait for.
pub(crate) fn print_with(
    context: &mut Context,
    workflow: &Workflow,
    (tasks, locks): (&[Task], &[Lock]),
) -> Result<(), Failure> {
    match context.form() {
        Form::Json | Form::Yaml => context.document(&report(workflow, tasks)),
        Form::Name => Ok(context.out.line(&shown(&workflow.id))?),
        Form::Table | Form::Wide => people(context, workflow, (tasks, locks)),
    }
}

fn people(
    context: &mut Context,
    workflow: &Workflow,
    (tasks, locks): (&[Task], &[Lock]),
) -> Result<(), Failure> {
    let now = crate::now();
    let paint = context.out.paint;
    let mut facts = vec![
        ("Name", shown(&workflow.name).into_owned()),
        ("Id", shown(&workflow.id).into_owned()),
        ("Status", paint.status(&shown(&workflow.status))),
        ("Age", age(workflow, now)),
        ("Duration", lasted(workflow, now)),
    ];
    if let Some(parent) = &workflow.parent {
        facts.push(("Started by", shown(&parent.workflow_id).into_owned()));
    }
    if let Some(why) = note(workflow.reason.as_deref(), workflow.message.as_deref()) {
        facts.push(("Message", shown(&why).into_owned()));
    }
    for (what, waits) in group_waits(workflow, (tasks, locks)) {
        facts.push(("Waits", shown(&format!("{what} is {waits}")).into_owned()));
    }
    if !workflow.labels.is_empty() {
        facts.push(("Labels", plain(&workflow.labels)));
    }
    if !workflow.parameters.is_empty() {
        let text = plain(&workflow.parameters);
        facts.push(("Parameters", cut(&text, OUTPUT_COLUMNS).into_owned()));
    }
    for (name, value) in facts {
        context.out.line(&format!("{name:<12}{value}"))?;
    }
    if !tasks.is_empty() {
        context.out.line("")?;
        task_table(context, workflow, (tasks, locks), now)?;
    }
    artifacts(context, tasks)?;
    outputs(context, workflow)
}

/// What waits for a lock but is no row of the table: groups, and the workflow itself.
fn group_waits(workflow: &Workflow, (tasks, locks): (&[Task], &[Lock])) -> Vec<(String, String)> {
    let mine = locks.iter().flat_map(|lock| &lock.waiters);
    let mine = mine.filter(|user| user.workflow_id == workflow.id);
    let groups = mine.filter(|user| tasks.iter().all(|task| task.node != user.node));
    let groups: BTreeMap<u32, &str> = groups.map(|user| (user.node, &*user.task)).collect();
    let named = groups.into_iter().filter_map(|(node, task)| {
        let what = if task.is_empty() { "the workflow" } else { task };
        Some((what.to_owned(), locks::waits(locks, &workflow.id, node)?))
    });
    named.collect()
}

/// Artifacts that tasks gave, a line each.
fn artifacts(context: &mut Context, tasks: &[Task]) -> Result<(), Failure> {
    let all = tasks.iter().flat_map(|task| task.artifacts.iter().map(move |one| (task, one)));
    let count = all.clone().count();
    if count == 0 {
        return Ok(());
    }
    context.out.line("")?;
    if context.form() != Form::Wide && count > ARTIFACTS_SHOWN {
        let text = format!("{count} artifacts: -o wide shows them");
        return Ok(context.out.line(&text)?);
    }
    let row = |(task, one): (&Task, &TaskArtifact)| {
        let texts = [&task.name, &one.name, &one.store, &one.key];
        texts.map(|text| shown(text).into_owned()).to_vec()
    };
    Ok(context.table(&["TASK", "ARTIFACT", "STORE", "KEY"], all.map(row).collect())?)
}

/// The outputs of a workflow, a line each.
pub(crate) fn outputs(context: &mut Context, workflow: &Workflow) -> Result<(), Failure> {
    if workflow.outputs.is_empty() {
        return Ok(());
    }
    context.out.line("")?;
    context.out.line("Outputs")?;
    for (name, value) in &workflow.outputs {
        // What is shown is cut first: an output may have megabytes.
        let head: String = value.chars().take(OUTPUT_COLUMNS + 1).collect();
        let text = shown(&head);
        let line = format!("  {} = {}", shown(name), cut(&text, OUTPUT_COLUMNS));
        context.out.line(&line)?;
    }
    Ok(())
}

fn task_table(
    context: &mut Context,
    workflow: &Workflow,
    (tasks, locks): (&[Task], &[Lock]),
    now: i64,
) -> Result<(), Failure> {
    let wide = context.form() == Form::Wide;
    let head = ["TASK", "STATUS", "TRIES", "EXIT", "DURATION", "MESSAGE"];
    let head_wide = ["TEMPLATE", "ID"];
    let rows = tasks.iter().map(|task| {
        let waits = locks::waits(locks, &workflow.id, task.node);
        let why = waits.or_else(|| note(task.reason.as_deref(), task.message.as_deref()));
        let why = why.or_else(|| started(task));
        let why = shown(&why.unwrap_or_default()).into_owned();
        let mut row = vec![
            shown(&task.name).into_owned(),
            shown(&task.status).into_owned(),
            task.attempt.to_string(),
            task.exit_code.map_or_else(|| "-".to_owned(), |code| code.to_string()),
            took(task, now),
            if wide { why } else { cut(&why, MESSAGE_COLUMNS).into_owned() },
        ];
        if wide {
            row.splice(1..1, [shown(&task.template).into_owned()]);
            row.push(shown(&task.id).into_owned());
        }
        row
    });
    let rows: Vec<_> = rows.collect();
    let mut columns = head.to_vec();
    if wide {
        columns.splice(1..1, [head_wide[0]]);
        columns.push(head_wide[1]);
    }
    Ok(context.table(&columns, rows)?)
}

/// The workflow that its latest attempt started.
fn started(task: &Task) -> Option<String> {
    let id = task.attempts.last()?.workflow_id.as_deref()?;
    Some(format!("workflow {id}"))
}

fn took(task: &Task, now: i64) -> String {
    let Some(start) = task.started_at else {
        return "-".to_owned();
    };
    let end = task.finished_at.map_or(now, |at| at.0.0);
    span(u64::try_from(end.saturating_sub(start.0.0)).unwrap_or(0))
}
