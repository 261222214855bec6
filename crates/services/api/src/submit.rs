//! `POST /workflows` and `POST /lint`.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use flowforge_model::id::WorkflowId;
use flowforge_ports::nudge::Nudge;
use flowforge_ports::store::NewWorkflow;
use flowforge_wire::{LintReport, Submit, Workflow};

use crate::Shared;
use crate::backend::Backend;
use crate::body::{self, Format};
use crate::cursor::digest;
use crate::problem::{Code, Failure};
use crate::query::Query;
use crate::show;
use crate::submission::{Prepared, Submission};

/// Submit a workflow
///
/// The body is a workflow document (JSON or YAML), or an object with `dag_spec` and more.
/// Nothing is stored unless everything is right.
#[utoipa::path(
    post, path = "/api/v1/workflows", tag = "workflows",
    params(("Idempotency-Key" = Option<String>, Header, description = "Repeating a request with the same key (1 to 255 visible characters) does it once.")),
    request_body(content((Submit = "application/json"), (String = "application/yaml"))),
    responses(
        (status = 201, description = "Stored; it will run", body = Workflow, headers(("Location" = String))),
        (status = 200, description = "A repetition of an earlier request with the same key", body = Workflow, headers(("Idempotency-Replayed" = bool))),
    )
)]
pub(crate) async fn create(
    State(shared): State<Arc<Shared>>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    Query::parse(&uri, &[])?;
    let key = idempotency_key(&headers)?;
    let (format, text) = body::text(&shared, &headers, body).await?;
    let inner = Arc::clone(&shared);
    let work = move |backend: &dyn Backend| {
        let kind = if format == Format::Json { "json" } else { "yaml" };
        let idempotency = key.map(|key| (key, request_digest(&["submit", kind, &text])));
        let prepared = Submission::read(format, text)?.prepare(&inner, backend)?;
        Ok((prepared, idempotency))
    };
    let (prepared, idempotency) = shared.compute_with(work).await?;
    insert(&shared, prepared, None, idempotency).await
}

/// Check a workflow
///
/// Takes what `POST /workflows` takes and says what is wrong with it; stores nothing.
#[utoipa::path(
    post, path = "/api/v1/lint", tag = "workflows",
    request_body(content((Submit = "application/json"), (String = "application/yaml"))),
    responses((status = 200, description = "What is to be said about it", body = LintReport))
)]
pub(crate) async fn lint(
    State(shared): State<Arc<Shared>>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<LintReport>, Failure> {
    Query::parse(&uri, &[])?;
    let (format, text) = body::text(&shared, &headers, body).await?;
    let inner = Arc::clone(&shared);
    // What is wrong with the document is the answer; that the store failed is none.
    let work = move |backend: &dyn Backend| {
        let prepared = Submission::read(format, text)
            .and_then(|submission| submission.prepare(&inner, backend));
        match prepared {
            Err(failure) if failure.code.status().is_server_error() => Err(failure),
            said => Ok(said),
        }
    };
    Ok(Json(match shared.compute_with(work).await? {
        Ok(prepared) => {
            LintReport { ok: true, warnings: prepared.warnings, ..LintReport::default() }
        }
        Err(failure) => {
            let (errors, omitted) = failure.into_errors();
            LintReport { errors, omitted, ..LintReport::default() }
        }
    }))
}

/// The key of a request that must be done once.
pub(crate) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Failure> {
    let mut values = headers.get_all("idempotency-key").iter();
    let (first, second) = (values.next(), values.next());
    let Some(value) = first else {
        return Ok(None);
    };
    let bytes = value.as_bytes();
    let fine = (1..=255).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic);
    match value.to_str() {
        Ok(key) if fine && second.is_none() => Ok(Some(key.to_owned())),
        _ => Err(Failure::new(Code::BadIdempotencyKey, Code::BadIdempotencyKey.text())),
    }
}

/// What a request with a key asked for, to recognise another one with the same key.
pub(crate) fn request_digest(parts: &[&str]) -> String {
    let bytes = digest(parts.iter().map(|part| part.as_bytes()));
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Stores a workflow, wakes the controller, answers.
pub(crate) async fn insert(
    shared: &Arc<Shared>,
    prepared: Prepared,
    resubmitted_from: Option<WorkflowId>,
    idempotency: Option<(String, String)>,
) -> Result<Response, Failure> {
    let inner = Arc::clone(shared);
    let work = move |backend: &dyn Backend| {
        let new = NewWorkflow {
            id: prepared.id,
            project: prepared.project,
            name: prepared.name,
            description: prepared.description,
            document: prepared.document,
            parameters: prepared.parameters,
            labels: prepared.labels,
            priority: prepared.priority,
            storage: prepared.plan.storage(),
            submitted_by: inner.config.principal.clone(),
            resubmitted_from,
            at: inner.now(),
            idempotency,
            parent: None,
        };
        let stored = show::new_workflow(&new);
        let inserted = backend.insert(new)?;
        let mut workflow = if inserted.replayed {
            show::whole_workflow(backend, backend.workflow(inserted.id)?)?
        } else {
            let plan = Some(Arc::new(prepared.plan));
            (inner.config.nudge)(Nudge { workflow: inserted.id, plan });
            stored
        };
        workflow.warnings = prepared.warnings;
        Ok::<_, Failure>((inserted, workflow))
    };
    let (inserted, workflow) = shared.call(work).await?;
    if inserted.replayed {
        let replayed = HeaderName::from_static("idempotency-replayed");
        return Ok(([(replayed, "true")], Json(workflow)).into_response());
    }
    let mut response = (StatusCode::CREATED, Json(workflow)).into_response();
    let location = format!("/api/v1/workflows/{}", inserted.id);
    if let Ok(value) = HeaderValue::try_from(location) {
        response.headers_mut().insert(LOCATION, value);
    }
    Ok(response)
}
