//! Reading workflows.

use crate::projects::sought;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header::{CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use flowforge_model::id::WorkflowId;
use flowforge_model::status::WorkflowStatus;
use flowforge_ports::catalog::WorkflowFilter;
use flowforge_ports::store::StoreError;
use flowforge_wire::{Page, Workflow};
use std::collections::BTreeMap;
use uuid::Uuid;

use crate::Shared;
use crate::backend::Backend;
use crate::cursor::Scope;
use crate::path::WorkflowPath;
use crate::problem::Failure;
use crate::query::Query;
use crate::show;

/// List workflows
///
/// Newest first. A filter that is given more than once, or has values separated by commas, wants
/// any of the statuses and all of the labels.
#[utoipa::path(
    get, path = "/api/v1/workflows", tag = "workflows",
    params(
        ("project_id" = Option<String>, Query, description = "Only this project; its id or name"),
        ("status" = Option<String>, Query, description = "Only these statuses"),
        ("label" = Option<Vec<String>>, Query, description = "Only with this label, `key=value`"),
        ("name" = Option<String>, Query, description = "Only names that begin so"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000, description = "Rows, 50 if missing"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the part before"),
    ),
    responses((status = 200, description = "A part of the list", body = Page<Workflow>))
)]
pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    uri: Uri,
) -> Result<Json<Page<Workflow>>, Failure> {
    let known = ["project_id", "status", "label", "name", "limit", "cursor"];
    let query = Query::parse(&uri, &known)?;
    let limit = query.limit(50)?;
    let label = |text: &str| {
        let (key, value) = text.split_once('=')?;
        Some((key.to_owned(), value.to_owned()))
    };
    let mut filter = WorkflowFilter {
        project: None,
        statuses: query.words("status", WorkflowStatus::parse)?,
        name_prefix: query.one("name")?.map(str::to_owned),
        labels: query.words("label", label)?,
        before: None,
    };
    let project = query.one("project_id")?.map(str::to_owned);
    let scope = Scope::new(&["workflows", &format!("{filter:?} {project:?}")]);
    if let Some(cursor) = query.one("cursor")? {
        filter.before = Some(WorkflowId(Uuid::from_bytes(scope.open(cursor)?)));
    }
    let read = move |backend: &dyn Backend| {
        filter.project = project.map(|text| sought(backend, &text)).transpose()?;
        let mut rows = backend.workflows(filter, limit + 1)?;
        let last = after_page(&mut rows, limit).map(|row| row.id);
        Ok::<_, Failure>((last, rows.into_iter().map(show::workflow).collect()))
    };
    let (last, items) = shared.call(read).await?;
    Ok(Json(Page { items, next_cursor: last.map(|id| scope.seal(id.0.as_bytes())) }))
}

/// Cuts off the row that was read to see whether there are more; the last one that stays then.
pub(crate) fn after_page<T>(rows: &mut Vec<T>, limit: u32) -> Option<&T> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    if rows.len() <= limit {
        return None;
    }
    rows.truncate(limit);
    rows.last()
}

/// Show a workflow
///
/// The `ETag` changes with every event; `If-None-Match` makes watching cheap.
#[utoipa::path(
    get, path = "/api/v1/workflows/{id}", tag = "workflows",
    params(
        ("id" = String, Path, description = "The workflow's id"),
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` that is known"),
    ),
    responses(
        (status = 200, description = "The workflow", body = Workflow, headers(("ETag" = String))),
        (status = 304, description = "Nothing changed"),
    )
)]
pub(crate) async fn get(
    State(shared): State<Arc<Shared>>,
    path: WorkflowPath,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    Query::parse(&uri, &[])?;
    let known = headers.get(IF_NONE_MATCH).cloned();
    let read = move |backend: &dyn Backend| {
        let view = backend.workflow(path.id)?;
        let etag = format!("W/\"{}\"", view.seq);
        if known.is_some_and(|known| matches(&known, &etag)) {
            return Ok((etag, None));
        }
        Ok::<_, StoreError>((etag, Some(show::whole_workflow(backend, view)?)))
    };
    let (etag, workflow) = shared.call(read).await?;
    Ok(match workflow {
        Some(workflow) => ([(ETAG, etag)], Json(workflow)).into_response(),
        None => (StatusCode::NOT_MODIFIED, [(ETAG, etag)]).into_response(),
    })
}

/// Weak comparison, as RFC 9110 wants it here.
fn matches(known: &HeaderValue, etag: &str) -> bool {
    let bare = |text: &str| text.trim().trim_start_matches("W/").to_owned();
    known
        .to_str()
        .is_ok_and(|list| list.split(',').any(|one| one.trim() == "*" || bare(one) == bare(etag)))
}

/// Show a workflow's document
///
/// As it was sent, with the stored documents it refers to behind it, as they were then.
#[utoipa::path(
    get, path = "/api/v1/workflows/{id}/document", tag = "workflows",
    params(("id" = String, Path, description = "The workflow's id")),
    responses((status = 200, description = "The document", content((String = "application/yaml"), (String = "application/json"))))
)]
pub(crate) async fn document(
    State(shared): State<Arc<Shared>>,
    path: WorkflowPath,
    uri: Uri,
) -> Result<Response, Failure> {
    Query::parse(&uri, &[])?;
    let text = shared.call(move |backend| backend.document(path.id)).await?;
    let json = text.trim_start().starts_with('{') && !text.contains("\n---\n");
    let kind = if json { "application/json" } else { "application/yaml" };
    Ok(([(CONTENT_TYPE, kind)], text).into_response())
}

/// Show a workflow's outputs
#[utoipa::path(
    get, path = "/api/v1/workflows/{id}/outputs", tag = "workflows",
    params(("id" = String, Path, description = "The workflow's id")),
    responses((status = 200, description = "Outputs by name", body = BTreeMap<String, String>))
)]
pub(crate) async fn outputs(
    State(shared): State<Arc<Shared>>,
    path: WorkflowPath,
    uri: Uri,
) -> Result<Json<BTreeMap<String, String>>, Failure> {
    Query::parse(&uri, &[])?;
    let view = shared.call(move |backend| backend.workflow(path.id)).await?;
    Ok(Json(show::outputs(view.state.outputs)))
}
