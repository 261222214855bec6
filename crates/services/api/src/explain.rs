//! Why something waits, and who uses what: from the rows where they say it, else from the scheduler.

mod history;
pub(crate) mod metrics;
mod rows;
mod show;
pub(crate) mod simulate;
mod usage;
mod words;
mod workflow;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use flowforge_model::event::TaskRow;
use flowforge_model::id::{TaskId, WorkflowId};
use flowforge_ports::catalog::WorkflowFilter;
use flowforge_ports::explain::{Answer, Question};
use flowforge_wire::{TaskWhy, UsageHistory, UsageReport, WorkflowWhy};
use uuid::Uuid;

use crate::Shared;
use crate::backend::Backend;
use crate::path::{Name, WorkflowPath};
use crate::problem::{Code, Failure, shown};
use crate::query::Query;
use crate::tasks;

pub(crate) use history::of as usage_history;
pub(crate) use usage::of as usage;

/// Workflows whose ids begin alike that are looked through for a task: those of one millisecond.
const ALIKE: u32 = 100;

/// Explain a task
///
/// Why it stands where it stands; of one that waits in the scheduler's queue, at which level there is
/// too little of what, who holds it, who goes first, and what would help.
#[utoipa::path(
    get, path = "/api/v1/tasks/{id}/why", tag = "tasks",
    params(("id" = String, Path, description = "The task's id")),
    responses((status = 200, description = "Why", body = TaskWhy))
)]
pub(crate) async fn task(
    State(shared): State<Arc<Shared>>,
    Name(id): Name,
    uri: Uri,
) -> Result<Json<TaskWhy>, Failure> {
    Query::parse(&uri, &[])?;
    let inner = Arc::clone(&shared);
    let read = move |backend: &dyn Backend| {
        let (workflow, row) = by_id(backend, &id)?;
        rows::why(&inner, backend, workflow, &row)
    };
    Ok(Json(shared.question(read).await?))
}

/// Explain a task by its name
///
/// The same by the task's dotted name.
#[utoipa::path(
    get, path = "/api/v1/workflows/{id}/tasks/{task}/why", tag = "tasks",
    params(
        ("id" = String, Path, description = "The workflow's id"),
        ("task" = String, Path, description = "The task's dotted name, or its id"),
    ),
    responses((status = 200, description = "Why", body = TaskWhy))
)]
pub(crate) async fn named(
    State(shared): State<Arc<Shared>>,
    path: WorkflowPath,
    uri: Uri,
) -> Result<Json<TaskWhy>, Failure> {
    Query::parse(&uri, &[])?;
    let inner = Arc::clone(&shared);
    let read = move |backend: &dyn Backend| {
        let row = tasks::find(backend, path.id, &path.inner)?;
        rows::why(&inner, backend, path.id, &row)
    };
    Ok(Json(shared.question(read).await?))
}

/// Explain a workflow
///
/// Its unfinished tasks by what they wait for. Of those in the scheduler's queue the first hundred are
/// looked at.
#[utoipa::path(
    get, path = "/api/v1/workflows/{id}/why", tag = "workflows",
    params(("id" = String, Path, description = "The workflow's id")),
    responses((status = 200, description = "Why", body = WorkflowWhy))
)]
pub(crate) async fn workflow(
    State(shared): State<Arc<Shared>>,
    path: WorkflowPath,
    uri: Uri,
) -> Result<Json<WorkflowWhy>, Failure> {
    Query::parse(&uri, &[])?;
    let inner = Arc::clone(&shared);
    let read = move |backend: &dyn Backend| workflow::why(&inner, backend, path.id);
    Ok(Json(shared.question(read).await?))
}

/// Show what the installation uses
///
/// At this moment, and what each tenant uses.
#[utoipa::path(
    get, path = "/api/v1/usage", tag = "usage",
    responses((status = 200, description = "What it uses", body = UsageReport))
)]
pub(crate) async fn installation(
    State(shared): State<Arc<Shared>>,
    uri: Uri,
) -> Result<Json<UsageReport>, Failure> {
    usage::installation(&shared, &uri).await
}

/// Show what the installation used
///
/// Over some time, in steps: the mean and the most of each.
#[utoipa::path(
    get, path = "/api/v1/usage/history", tag = "usage",
    params(
        ("from" = Option<String>, Query, description = "When it begins, a day before its end if missing"),
        ("to" = Option<String>, Query, description = "When it ends, now if missing"),
        ("step" = Option<String>, Query, description = "Such as `5m` or `1h`; if missing, what makes some 300 points at most"),
    ),
    responses((status = 200, description = "What it used", body = UsageHistory))
)]
pub(crate) async fn installation_history(
    State(shared): State<Arc<Shared>>,
    uri: Uri,
) -> Result<Json<UsageHistory>, Failure> {
    history::installation(&shared, &uri).await
}

/// Asks the scheduler that decides. Inner details go to the log only.
fn ask(shared: &Shared, question: &Question) -> Result<Answer, Failure> {
    let unavailable =
        || Failure::new(Code::SchedulerUnavailable, Code::SchedulerUnavailable.text());
    let Some(explains) = &shared.config.explains else {
        return Err(unavailable());
    };
    explains.ask(question).map_err(|error| {
        tracing::warn!(%error, "nobody can be asked why");
        unavailable()
    })
}

/// The scheduler answered something else than it was asked: one of another version.
fn beside_the_point() -> Failure {
    tracing::warn!("the scheduler answers something else than it was asked");
    Failure::new(Code::SchedulerUnavailable, Code::SchedulerUnavailable.text())
}

/// The task with this id. The first 48 bits are the millisecond of its workflow's id, the rest is a
/// hash of the workflow and its place there.
fn by_id(backend: &dyn Backend, text: &str) -> Result<(WorkflowId, TaskRow), Failure> {
    let missing = || Failure::new(Code::NotFound, format!("there is no task `{}`", shown(text)));
    let id: TaskId = text.parse().map_err(|_| missing())?;
    if id.to_string() != text {
        return Err(missing());
    }
    let millisecond = id.0.as_u128() >> 80;
    let before = millisecond.checked_add(1).and_then(|next| next.checked_mul(1 << 80));
    let before = before.map(|next| WorkflowId(Uuid::from_u128(next)));
    let filter = WorkflowFilter { before, ..WorkflowFilter::default() };
    for view in backend.workflows(filter, ALIKE)? {
        if view.id.0.as_u128() >> 80 != millisecond {
            break;
        }
        match tasks::find(backend, view.id, text) {
            Ok(row) => return Ok((view.id, row)),
            Err(failure) if failure.code == Code::NotFound => {}
            Err(failure) => return Err(failure),
        }
    }
    Err(missing())
}
