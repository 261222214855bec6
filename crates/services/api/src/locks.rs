//! Locks: who holds them, who waits.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use flowforge_model::id::WorkflowId;
use flowforge_ports::catalog::LockFilter;
use flowforge_wire::{Lock, Page};

use crate::Shared;
use crate::backend::Backend;
use crate::cursor::Scope;
use crate::path::workflow_id;
use crate::problem::Failure;
use crate::query::Query;
use crate::show;
use crate::workflows::after_page;

/// How many of those who hold a lock, and of those who wait for it, are shown.
const USERS: u32 = 100;

/// List locks
///
/// Mutexes and semaphores that a task holds or waits for, by key.
#[utoipa::path(
    get, path = "/api/v1/locks", tag = "locks",
    params(
        ("workflow_id" = Option<String>, Query, description = "Only those that a task of this workflow holds or waits for"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000, description = "Rows, 50 if missing"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the part before"),
    ),
    responses((status = 200, description = "A part of the list", body = Page<Lock>))
)]
pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    uri: Uri,
) -> Result<Json<Page<Lock>>, Failure> {
    let query = Query::parse(&uri, &["workflow_id", "limit", "cursor"])?;
    let limit = query.limit(50)?;
    let workflow: Option<WorkflowId> = query.read("workflow_id", workflow_id)?;
    let scope = Scope::new(&["locks", &format!("{workflow:?}")]);
    let after = query.one("cursor")?.map(|cursor| scope.open_text(cursor)).transpose()?;
    let filter = LockFilter { workflow, after, ..LockFilter::default() };
    let read = move |backend: &dyn Backend| backend.locks(filter, limit + 1, USERS);
    let mut rows = shared.call(read).await?;
    let next_cursor = after_page(&mut rows, limit).map(|last| scope.seal(last.key.as_bytes()));
    Ok(Json(Page { items: rows.into_iter().map(show::lock).collect(), next_cursor }))
}
