//! All routes, and the token before them.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, HttpBody as _, to_bytes};
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use flowforge_listen::carries;
use flowforge_model::id::WorkflowId;
use flowforge_model::limits;
use flowforge_ports::logs::{Intake, LogPage, LogRead, LogStore, SHIPPED_LINES, Shipments};
use flowforge_wire::Health;
use serde::de::DeserializeOwned;

use crate::Shared;
use crate::problem::Failure;

/// Bytes of a request: twice what is shipped at once.
const BODY_BYTES: usize = 2 * 1024 * 1024;
/// A body must arrive within this time.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes of text in one answer; six times as many in JSON if all are control characters.
const PAGE_BYTES: usize = 1024 * 1024;

type Service = State<Arc<Shared>>;

pub(crate) fn build(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/v1/shipments", post(take_in))
        .route("/v1/workflows/{id}/read", post(read))
        .route("/v1/workflows/{id}/seal", post(seal))
        .route("/v1/workflows/{id}", delete(remove))
        .route("/v1/ready", get(ready))
        .layer(from_fn_with_state(Arc::clone(&shared), require))
        .route("/livez", get(async || Json(health("ok"))))
        .route("/readyz", get(ready))
        .fallback(async || Failure::not_found())
        .with_state(shared)
}

/// Lets a request pass that carries the token.
async fn require(State(shared): Service, request: Request, next: Next) -> Response {
    if carries(request.headers(), &shared.token) {
        next.run(request).await
    } else {
        Failure::unauthorized().into_response()
    }
}

/// Takes in lines, each once however often it comes. What was answered with success is kept.
async fn take_in(State(shared): Service, body: Body) -> Result<Json<Health>, Failure> {
    let sent: Shipments = json(body).await?;
    check(&sent)?;
    let store = move |logs: &dyn Intake| {
        sent.shipments.iter().try_for_each(|shipment| logs.take_in(sent.source, shipment))
    };
    shared.call(store).await?;
    Ok(Json(health("ok")))
}

fn check(sent: &Shipments) -> Result<(), Failure> {
    let lines: usize = sent.shipments.iter().map(|shipment| shipment.lines.len()).sum();
    if lines > SHIPPED_LINES {
        return Err(Failure::invalid(format!("{lines} lines; at most {SHIPPED_LINES} at once")));
    }
    for shipment in &sent.shipments {
        if shipment.seq == 0 || shipment.seq.checked_add(SHIPPED_LINES as u64).is_none() {
            return Err(Failure::invalid("lines are numbered from 1 on"));
        }
        if shipment.lines.iter().any(|line| line.text.len() > limits::LOG_LINE_BYTES) {
            let most = limits::LOG_LINE_BYTES;
            return Err(Failure::invalid(format!("a line has at most {most} bytes")));
        }
    }
    Ok(())
}

/// A page of lines: at most as many as are asked for, as are given at once, and as have room.
async fn read(
    State(shared): Service,
    Path(id): Path<String>,
    body: Body,
) -> Result<Json<LogPage>, Failure> {
    let id = workflow(&id)?;
    let LogRead { query, after, limit } = json(body).await?;
    let limit = limit.min(SHIPPED_LINES);
    let page = shared.call(move |logs| logs.read(id, &query, after, limit)).await?;
    Ok(Json(bounded(page)))
}

fn bounded(mut page: LogPage) -> LogPage {
    let mut bytes = 0;
    let fits = |text: &str| {
        bytes += text.len();
        bytes <= PAGE_BYTES
    };
    let room = page.lines.iter().map(|(_, line)| &*line.text).map(fits);
    let room = room.take_while(|fits| *fits).count().max(1);
    if room < page.lines.len() {
        page.lines.truncate(room);
        page.end = false;
        page.next = page.lines.last().map_or(page.next, |(cursor, _)| *cursor);
    }
    page
}

async fn seal(State(shared): Service, Path(id): Path<String>) -> Result<StatusCode, Failure> {
    let id = workflow(&id)?;
    shared.call(move |logs| logs.seal(id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn remove(State(shared): Service, Path(id): Path<String>) -> Result<StatusCode, Failure> {
    let id = workflow(&id)?;
    shared.call(move |logs| logs.delete(id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn ready(State(shared): Service) -> Result<Json<Health>, Failure> {
    if shared.closing.leaving() {
        return Err(Failure::unavailable("the server is going down"));
    }
    shared.call(LogStore::ready).await?;
    Ok(Json(health("ok")))
}

fn health(status: &str) -> Health {
    Health { status: status.to_owned() }
}

fn workflow(id: &str) -> Result<WorkflowId, Failure> {
    id.parse().map_err(|_| Failure::not_found())
}

async fn json<T: DeserializeOwned>(body: Body) -> Result<T, Failure> {
    if body.size_hint().lower() > BODY_BYTES as u64 {
        return Err(Failure::too_large(BODY_BYTES));
    }
    let whole = tokio::time::timeout(BODY_TIMEOUT, to_bytes(body, BODY_BYTES)).await;
    // One that broke off comes again: that is no fault of what it holds.
    let bytes = whole.ok().and_then(Result::ok).ok_or_else(Failure::timeout)?;
    serde_json::from_slice(&bytes).map_err(|error| Failure::invalid(error.to_string()))
}

impl Shared {
    /// Calls the store on a blocking thread. The call runs to its end even if the client goes away.
    async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Intake) -> io::Result<T> + Send + 'static,
    ) -> Result<T, Failure> {
        let permit = Arc::clone(&self.calls).acquire_owned().await;
        let permit = permit.map_err(|_| Failure::unavailable("the server is going down"))?;
        let logs = Arc::clone(&self.logs);
        let held = move || {
            let _permit = permit;
            work(&*logs)
        };
        let done = tokio::task::spawn_blocking(held).await;
        match done.map_err(io::Error::other).and_then(|done| done) {
            Ok(value) => Ok(value),
            Err(error) => {
                tracing::error!(%error, "the log store failed");
                Err(Failure::unavailable("the log store failed; its server's log has the details"))
            }
        }
    }
}
