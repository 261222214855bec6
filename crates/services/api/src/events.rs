//! The history of a workflow: pages, and a stream.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse, Response};
use flowforge_model::id::WorkflowId;
use flowforge_model::limits::PAGE_ROWS;
use flowforge_ports::store::StoreError;
use flowforge_wire::{Event, Feed};

use crate::Shared;
use crate::backend::Backend;
use crate::follow::{self, Piece, Source, negotiate, resume_point};
use crate::path::WorkflowPath;
use crate::problem::{Code, Failure};
use crate::query::Query;
use crate::show;

/// Read or follow a workflow's history
///
/// With `Accept: text/event-stream` a stream of server-sent events: `id` is the event's `seq`,
/// `Last-Event-ID` goes on behind it, and `event: end` says that the workflow has ended and
/// everything was sent.
#[utoipa::path(
    get, path = "/api/v1/workflows/{id}/events", tag = "events",
    params(
        ("id" = String, Path, description = "The workflow's id"),
        ("after" = Option<u64>, Query, description = "Only events behind this `seq`"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000, description = "Rows of a page, 100 if missing"),
        ("Last-Event-ID" = Option<u64>, Header, description = "Like `after`, of a stream that comes back"),
    ),
    responses((status = 200, description = "A page, or a stream", content((Feed<Event> = "application/json"), (String = "text/event-stream"))))
)]
pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    path: WorkflowPath,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let query = Query::parse(&uri, &["after", "limit"])?;
    let (id, limit) = (path.id, query.limit(100)?);
    let after = resume_point(&query, &headers)?;
    let stream = negotiate(&headers, &["application/json", "text/event-stream"])?;
    let mut source = Events { id, after };
    let page = source.page(&shared, if stream == "text/event-stream" { 1 } else { limit });
    let page = page.await?;
    if after > page.last {
        let detail = format!("the workflow's last event is {}", page.last);
        return Err(Failure::at(Code::BadCursor, "?after", detail));
    }
    if stream == "text/event-stream" {
        return follow::respond(shared, id, Events { id, after });
    }
    Ok(Json(Feed { end: source.after >= page.last, next: source.after, items: page.items })
        .into_response())
}

/// A reader of one workflow's history.
#[derive(Debug)]
struct Events {
    id: WorkflowId,
    after: u64,
}

struct Page {
    items: Vec<Event>,
    /// The last event there was before the items were read.
    last: u64,
    /// The final status, if it was final before the items were read.
    ended: Option<&'static str>,
}

impl Events {
    async fn page(&mut self, shared: &Arc<Shared>, limit: u32) -> Result<Page, Failure> {
        let (id, after) = (self.id, self.after);
        let read = move |backend: &dyn Backend| {
            // The state first: what was written before it is then among the items.
            let view = backend.workflow(id)?;
            let items = backend.events(id, after, limit)?;
            Ok::<_, StoreError>((view, items))
        };
        let (view, items) = shared.call(read).await?;
        self.after = items.last().map_or(after, |event| event.seq);
        let status = view.state.status;
        Ok(Page {
            items: items.into_iter().map(show::event).collect(),
            last: view.seq,
            ended: status.terminal().then(|| status.as_str()),
        })
    }
}

impl Source for Events {
    async fn read(&mut self, shared: &Arc<Shared>) -> Result<Piece, Failure> {
        let page = self.page(shared, PAGE_ROWS).await?;
        let mut piece = Piece {
            more: self.after < page.last,
            end: page.ended.filter(|_| self.after >= page.last),
            ..Piece::default()
        };
        for event in &page.items {
            piece.push(&event.r#type, event.seq, event);
        }
        Ok(piece)
    }

    fn patience(&self, shared: &Shared) -> Duration {
        shared.config.limits.reread
    }
}
