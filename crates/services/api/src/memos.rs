//! Remembered outputs.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use flowforge_ports::catalog::MemoView;
use flowforge_wire::{Cache, Forgotten, Memo, Page, Time};

use crate::Shared;
use crate::backend::Backend;
use crate::cursor::Scope;
use crate::path::Name;
use crate::problem::Failure;
use crate::projects::wanted;
use crate::query::Query;
use crate::show;
use crate::workflows::after_page;

/// List caches
///
/// Caches in which tasks with `memoize` remember their outputs, by name.
#[utoipa::path(
    get, path = "/api/v1/memos", tag = "memos",
    params(
        ("project_id" = Option<String>, Query, description = "The project, by id or name; the default one if missing"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000, description = "Rows, 50 if missing"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the part before"),
    ),
    responses((status = 200, description = "A part of the list", body = Page<Cache>))
)]
pub(crate) async fn caches(
    State(shared): State<Arc<Shared>>,
    uri: Uri,
) -> Result<Json<Page<Cache>>, Failure> {
    let query = Query::parse(&uri, &["project_id", "limit", "cursor"])?;
    let limit = query.limit(50)?;
    let project = query.one("project_id")?.map(str::to_owned);
    let scope = Scope::new(&["caches", &format!("{project:?}")]);
    let after = query.one("cursor")?.map(|cursor| scope.open_text(cursor)).transpose()?;
    let inner = Arc::clone(&shared);
    let read = move |backend: &dyn Backend| {
        let project = wanted(&inner, backend, project.as_deref())?;
        let rows = backend.caches(project, after, limit + 1)?;
        Ok::<_, Failure>((rows, project.to_string()))
    };
    let (mut rows, project_id) = shared.call(read).await?;
    let next_cursor = after_page(&mut rows, limit).map(|last| scope.seal(last.cache.as_bytes()));
    let items = rows.into_iter().map(|row| Cache {
        name: row.cache,
        project_id: project_id.clone(),
        memos: row.memos,
        last_at: Time(row.last_at),
    });
    Ok(Json(Page { items: items.collect(), next_cursor }))
}

/// List what a cache remembers
///
/// In the order in which the keys were first remembered.
#[utoipa::path(
    get, path = "/api/v1/memos/{cache}", tag = "memos",
    params(
        ("cache" = String, Path, description = "The cache's name"),
        ("project_id" = Option<String>, Query, description = "The project, by id or name; the default one if missing"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000, description = "Rows, 50 if missing"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the part before"),
    ),
    responses((status = 200, description = "A part of the list", body = Page<Memo>))
)]
pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    Name(cache): Name,
    uri: Uri,
) -> Result<Json<Page<Memo>>, Failure> {
    let query = Query::parse(&uri, &["project_id", "limit", "cursor"])?;
    let limit = query.limit(50)?;
    let project = query.one("project_id")?.map(str::to_owned);
    let scope = Scope::new(&["memos", &cache, &format!("{project:?}")]);
    let after = match query.one("cursor")? {
        Some(cursor) => i64::from_be_bytes(scope.open(cursor)?),
        None => 0,
    };
    let inner = Arc::clone(&shared);
    let read = move |backend: &dyn Backend| {
        let project = wanted(&inner, backend, project.as_deref())?;
        Ok::<_, Failure>(backend.memos(project, cache, after, limit + 1)?)
    };
    let mut rows = shared.call(read).await?;
    let next_cursor = after_page(&mut rows, limit).map(|last| scope.seal(&last.id.to_be_bytes()));
    Ok(Json(Page { items: rows.into_iter().map(memo).collect(), next_cursor }))
}

fn memo(view: MemoView) -> Memo {
    let mut outputs = view.remembered.outputs;
    let artifacts = std::mem::take(&mut outputs.artifacts);
    Memo {
        key: view.key,
        at: Time(view.remembered.at),
        workflow_id: view.workflow.to_string(),
        outputs: show::outputs(Some(outputs)),
        artifacts: artifacts.into_iter().map(show::artifact).collect(),
    }
}

/// Forget what a cache remembers
///
/// Under one key, or all of it. Tasks that would have been spared run again.
#[utoipa::path(
    delete, path = "/api/v1/memos/{cache}", tag = "memos",
    params(
        ("cache" = String, Path, description = "The cache's name"),
        ("key" = Option<String>, Query, description = "Only this key"),
        ("project_id" = Option<String>, Query, description = "The project, by id or name; the default one if missing"),
    ),
    responses((status = 200, description = "How much was forgotten", body = Forgotten))
)]
pub(crate) async fn forget(
    State(shared): State<Arc<Shared>>,
    Name(cache): Name,
    uri: Uri,
) -> Result<Json<Forgotten>, Failure> {
    let query = Query::parse(&uri, &["key", "project_id"])?;
    let project = query.one("project_id")?.map(str::to_owned);
    let key = query.one("key")?.map(str::to_owned);
    let inner = Arc::clone(&shared);
    let work = move |backend: &dyn Backend| {
        let project = wanted(&inner, backend, project.as_deref())?;
        Ok::<_, Failure>(backend.forget(project, cache, key)?)
    };
    Ok(Json(Forgotten { forgotten: shared.call(work).await? }))
}
