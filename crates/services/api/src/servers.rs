//! Who lives, by what servers say of themselves.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use flowforge_model::time::Timestamp;
use flowforge_ports::queue::{Beat, Role};
use flowforge_wire::{Page, Server, Time};
use serde::Deserialize;

use crate::Shared;
use crate::backend::Backend;
use crate::cursor::Scope;
use crate::problem::Failure;
use crate::query::Query;
use crate::workflows::after_page;

const ROLES: [Role; 7] = [
    Role::Api,
    Role::Collector,
    Role::Controller,
    Role::Cron,
    Role::Executor,
    Role::Logs,
    Role::Scheduler,
];

/// What a server says of itself; anything may be missing from that of another version.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Said {
    name: String,
    version: String,
    since_ms: Option<i64>,
}

/// List servers
///
/// Those that gave a sign of life within the last seconds, by role and id. For people: nothing is
/// decided by it. Empty without a queue, and after it was emptied for some seconds.
#[utoipa::path(
    get, path = "/api/v1/servers", tag = "servers",
    params(
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000, description = "Rows, 1000 if missing"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the part before"),
    ),
    responses((status = 200, description = "A part of the list", body = Page<Server>))
)]
pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    uri: Uri,
) -> Result<Json<Page<Server>>, Failure> {
    let query = Query::parse(&uri, &["limit", "cursor"])?;
    let limit = query.limit(1000)?;
    let scope = Scope::new(&["servers"]);
    let after = query.one("cursor")?.map(|cursor| scope.open_text(cursor)).transpose()?;
    let Some(queue) = shared.config.queue.clone() else {
        return Ok(Json(Page { items: Vec::new(), next_cursor: None }));
    };
    let read = move |_: &dyn Backend| {
        let mut all = Vec::new();
        for role in ROLES {
            all.extend(queue.alive(role)?.into_iter().map(|beat| server(role, &beat)));
        }
        Ok::<_, Failure>(all)
    };
    let mut rows = shared.call(read).await?;
    let key = |row: &Server| format!("{}/{}", row.role, row.id);
    rows.sort_by_key(key);
    rows.retain(|row| after.as_ref().is_none_or(|after| key(row) > *after));
    let next_cursor = after_page(&mut rows, limit).map(|last| scope.seal(key(last).as_bytes()));
    Ok(Json(Page { items: rows, next_cursor }))
}

fn server(role: Role, beat: &Beat) -> Server {
    let said: Said = serde_json::from_str(&beat.body).unwrap_or_default();
    Server {
        id: beat.id.to_string(),
        role: role.as_str().to_owned(),
        name: said.name,
        version: said.version,
        since: said.since_ms.map(|at| Time(Timestamp(at))),
    }
}
