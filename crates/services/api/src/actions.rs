//! What users ask of a workflow. The answer is 202: the wish is stored, the controller carries
//! it out.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use flowforge_model::event::Command;
use flowforge_model::id::WorkflowId;
use flowforge_ports::nudge::Nudge;
use flowforge_ports::store::StoreError;
use flowforge_wire::{Resubmit, Resume, Workflow};

use crate::Shared;
use crate::backend::Backend;
use crate::body::optional_json;
use crate::envelope::{Fields, Pairs};
use crate::path::WorkflowPath;
use crate::problem::Failure;
use crate::query::Query;
use crate::show;
use crate::submission::Submission;
use crate::submit::{idempotency_key, insert, request_digest};
use crate::suspension::{all_ready, waiting};

type Accepted = (StatusCode, Json<Workflow>);

/// Stores a wish, wakes the controller, shows the workflow as it is now.
async fn ask(shared: Arc<Shared>, id: WorkflowId, command: Command) -> Result<Accepted, Failure> {
    let inner = Arc::clone(&shared);
    let work = move |backend: &dyn Backend| {
        backend.ask(id, command, inner.now())?;
        (inner.config.nudge)(Nudge { workflow: id, plan: None });
        show::whole_workflow(backend, backend.workflow(id)?)
    };
    Ok((StatusCode::ACCEPTED, Json(shared.call(work).await?)))
}

macro_rules! plain_actions {
    ($($name:ident, $method:ident, $path:literal, $command:ident, $title:literal, $text:literal;)+) => {$(
        #[doc = $title]
        #[doc = ""]
        #[doc = $text]
        #[utoipa::path(
            $method, path = $path, tag = "actions",
            params(("id" = String, Path, description = "The workflow's id")),
            responses((status = 202, description = "Stored; it will be done", body = Workflow))
        )]
        pub(crate) async fn $name(
            State(shared): State<Arc<Shared>>,
            path: WorkflowPath,
            uri: Uri,
            headers: HeaderMap,
            body: Body,
        ) -> Result<Accepted, Failure> {
            Query::parse(&uri, &[])?;
            let text = optional_json(&shared, &headers, body).await?;
            Fields::read(&text)?.finish()?;
            ask(shared, path.id, Command::$command).await
        }
    )+};
}

plain_actions! {
    delete, delete, "/api/v1/workflows/{id}", Cancel, "Cancel a workflow", "The same as `POST .../cancel`: history and outputs stay.";
    cancel, post, "/api/v1/workflows/{id}/cancel", Cancel, "Cancel a workflow", "Ends it now, as `CANCELLED`, without exit handlers.";
    pause, post, "/api/v1/workflows/{id}/pause", Pause, "Pause a workflow", "Starts no more tasks; those that run go on.";
    stop, post, "/api/v1/workflows/{id}/stop", Stop, "Stop a workflow", "Starts no more tasks, stops those that run, then runs the exit handlers; it ends `FAILED`.";
    terminate, post, "/api/v1/workflows/{id}/terminate", Terminate, "Terminate a workflow", "Ends it now, as `FAILED`, without exit handlers.";
    retry, post, "/api/v1/workflows/{id}/retry", Retry, "Retry a workflow", "Runs again what did not succeed, as the next generation of the same workflow.";
}

/// Resume a workflow
///
/// Undoes a pause, or lets suspensions go on; with `task` (a dotted name or an id) only that
/// suspension, which must be waiting. Outputs that are to be supplied and have no default must be.
#[utoipa::path(
    post, path = "/api/v1/workflows/{id}/resume", tag = "actions",
    params(("id" = String, Path, description = "The workflow's id")),
    request_body = Option<Resume>,
    responses((status = 202, description = "Stored; it will be done", body = Workflow))
)]
pub(crate) async fn resume(
    State(shared): State<Arc<Shared>>,
    path: WorkflowPath,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Accepted, Failure> {
    Query::parse(&uri, &[])?;
    let text = optional_json(&shared, &headers, body).await?;
    let mut fields = Fields::read(&text)?;
    let task = fields.string("task");
    let outputs = fields.pairs("outputs", true);
    if task.is_none() && !outputs.is_empty() {
        fields.missing("/task", "`outputs` are those of one suspension: name it as `task`");
    }
    fields.finish()?;
    let (id, given) = (path.id, outputs.clone());
    let task = match task {
        Some(task) => {
            let check = move |backend: &dyn Backend| waiting(backend, id, &task, &given);
            Some(shared.call(check).await?)
        }
        None => {
            shared.call(move |backend: &dyn Backend| all_ready(backend, id)).await?;
            None
        }
    };
    ask(shared, id, Command::Resume { task, outputs }).await
}

/// Resubmit a workflow
///
/// Submits its document again as a new workflow, with values of its own where they are given.
#[utoipa::path(
    post, path = "/api/v1/workflows/{id}/resubmit", tag = "actions",
    params(
        ("id" = String, Path, description = "The workflow's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Repeating a request with the same key (1 to 255 visible characters) does it once."),
    ),
    request_body = Option<Resubmit>,
    responses(
        (status = 201, description = "Stored; it will run", body = Workflow, headers(("Location" = String))),
        (status = 200, description = "A repetition of an earlier request with the same key", body = Workflow, headers(("Idempotency-Replayed" = bool))),
    )
)]
pub(crate) async fn resubmit(
    State(shared): State<Arc<Shared>>,
    path: WorkflowPath,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    Query::parse(&uri, &[])?;
    let id = path.id;
    let key = idempotency_key(&headers)?;
    let text = optional_json(&shared, &headers, body).await?;
    let mut fields = Fields::read(&text)?;
    let name = fields.string("name");
    let parameters = fields.pairs("parameters", true);
    let labels = fields.pairs("labels", false);
    let priority = fields.value("priority", "a whole number of 32 bits");
    fields.finish()?;
    let read = move |backend: &dyn Backend| {
        let view = backend.workflow(id)?;
        Ok::<_, StoreError>((view, backend.document(id)?))
    };
    let (view, document) = shared.call(read).await?;
    let submission = Submission {
        project: Some(view.project.to_string()),
        name: name.or(Some(view.name)),
        description: view.description,
        document,
        parameters: overlay(view.parameters, parameters),
        labels: overlay(view.labels, labels),
        priority: priority.or(Some(view.priority)),
        ..Submission::default()
    };
    let inner = Arc::clone(&shared);
    let work = move |backend: &dyn Backend| submission.prepare(&inner, backend);
    let prepared = shared.compute_with(work).await?;
    let idempotency = key.map(|key| (key, request_digest(&["resubmit", &id.to_string(), &text])));
    insert(&shared, prepared, Some(id), idempotency).await
}

fn overlay(base: Pairs, over: Pairs) -> Pairs {
    let merged: BTreeMap<_, _> = base.into_iter().chain(over).collect();
    merged.into_iter().collect()
}
