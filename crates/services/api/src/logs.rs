//! The output of tasks: pages, a stream, and plain text.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use flowforge_model::id::{NodeIx, WorkflowId};
use flowforge_ports::logs::{LogCursor, LogQuery, Stream};
use flowforge_wire::{Feed, LogLine, Time};
use futures_util::stream;

use crate::Shared;
use crate::backend::Backend;
use crate::follow::{self, Piece, Source, negotiate, resume_point};
use crate::path::WorkflowPath;
use crate::problem::Failure;
use crate::query::{Query, bad, digits};
use crate::tasks;

const KNOWN: [&str; 8] =
    ["task", "attempt", "contains", "stream", "since", "until", "limit", "after"];
/// Lines of one read of a stream: at most 16 MiB, usually some 100 KiB.
const LINES: usize = 1000;

/// Read or follow the output of a workflow's tasks
///
/// With `Accept: text/event-stream` a stream of server-sent events: `id` is the line's `cursor`,
/// `Last-Event-ID` goes on behind it, and `event: end` says that the workflow has ended and
/// everything was sent. With `Accept: text/plain` all the lines there are.
#[utoipa::path(
    get, path = "/api/v1/workflows/{id}/logs", tag = "logs",
    params(
        ("id" = String, Path, description = "The workflow's id"),
        ("task" = Option<Vec<String>>, Query, description = "Only these tasks; dotted name or id"),
        ("attempt" = Option<u32>, Query, minimum = 1, description = "Only this attempt"),
        ("contains" = Option<String>, Query, description = "Only lines with this text"),
        ("stream" = Option<String>, Query, description = "`stdout`, `stderr` or `system`"),
        ("since" = Option<String>, Query, format = DateTime, description = "Not before, RFC 3339"),
        ("until" = Option<String>, Query, format = DateTime, description = "Not after, RFC 3339"),
        ("after" = Option<u64>, Query, description = "Only lines behind this `cursor`"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000, description = "Lines of a page, 1000 if missing"),
        ("Last-Event-ID" = Option<u64>, Header, description = "Like `after`, of a stream that comes back"),
    ),
    responses((status = 200, description = "A page, a stream, or text", content((Feed<LogLine> = "application/json"), (String = "text/event-stream"), (String = "text/plain"))))
)]
pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    path: WorkflowPath,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let query = Query::parse(&uri, &KNOWN)?;
    let limit = usize::try_from(query.limit(1000)?).unwrap_or(LINES);
    let after = resume_point(&query, &headers)?;
    let offers = ["application/json", "text/event-stream", "text/plain"];
    let form = negotiate(&headers, &offers)?;
    let mut lines = Lines {
        id: path.id,
        query: Arc::new(read_query(&query)?),
        after: LogCursor(after),
        names: BTreeMap::new(),
        over_since: None,
    };
    let wanted: Vec<String> = query.each("task").map(str::to_owned).collect();
    let named = wanted.len() == 1;
    lines.find_tasks(&shared, wanted).await?;
    match form {
        "text/event-stream" => follow::respond(shared, path.id, lines),
        "text/plain" => Ok(lines.text(shared, named)),
        _ => {
            let page = lines.page(&shared, limit).await?;
            Ok(Json(Feed { items: page.items, next: lines.after.0, end: page.end }).into_response())
        }
    }
}

fn read_query(query: &Query) -> Result<LogQuery, Failure> {
    let stream = |text: &str| match text {
        "stdout" => Some(Stream::Stdout),
        "stderr" => Some(Stream::Stderr),
        "system" => Some(Stream::System),
        _ => None,
    };
    let number = |text: &str| u32::try_from(digits(text)?).ok().filter(|&n| n > 0);
    let (since, until) = (query.time("since")?, query.time("until")?);
    if since > until && until.is_some() {
        return Err(bad("until", "`until` is before `since`"));
    }
    Ok(LogQuery {
        nodes: Vec::new(),
        attempt: query.read("attempt", number)?,
        contains: query.one("contains")?.filter(|t| !t.is_empty()).map(str::to_owned),
        stream: query.read("stream", stream)?,
        since,
        until,
    })
}

/// A reader of one workflow's log.
#[derive(Debug)]
struct Lines {
    id: WorkflowId,
    query: Arc<LogQuery>,
    after: LogCursor,
    names: BTreeMap<NodeIx, String>,
    /// Since when this stream knows that the workflow has ended.
    over_since: Option<Instant>,
}

struct Page {
    items: Vec<LogLine>,
    end: bool,
    /// The final status, if it was final before the lines were read.
    ended: Option<&'static str>,
}

impl Lines {
    /// Fails if there is no such workflow or task.
    async fn find_tasks(&mut self, shared: &Shared, wanted: Vec<String>) -> Result<(), Failure> {
        let id = self.id;
        let read = move |backend: &dyn Backend| {
            backend.workflow(id)?;
            let find = |task: &String| tasks::find(backend, id, task).map(|row| row.node);
            wanted.iter().map(find).collect::<Result<Vec<_>, Failure>>()
        };
        let nodes = shared.call(read).await?;
        self.query = Arc::new(LogQuery { nodes, ..LogQuery::clone(&self.query) });
        Ok(())
    }

    async fn page(&mut self, shared: &Shared, limit: usize) -> Result<Page, Failure> {
        let (id, after, query) = (self.id, self.after, Arc::clone(&self.query));
        let mut names = std::mem::take(&mut self.names);
        let read = move |backend: &dyn Backend| {
            // The state first: what was written before the end is then among the lines.
            let status = backend.workflow(id)?.state.status;
            let page = backend.logs(id, &query, after, limit);
            let page = page.map_err(|error| Failure::of_logs(&error))?;
            let nodes = page.lines.iter().map(|(_, line)| line.node).collect();
            tasks::add_names(backend, id, nodes, &mut names)?;
            Ok((status, page, names))
        };
        let (status, page, names) = shared.call_logs(read).await?;
        self.names = names;
        self.after = page.next;
        let show = |(cursor, line): (LogCursor, flowforge_ports::logs::LogLine)| LogLine {
            cursor: cursor.0,
            at: Time(line.at),
            task: self.names.get(&line.node).cloned().unwrap_or_default(),
            attempt: line.attempt,
            stream: stream_name(line.stream).to_owned(),
            text: line.text,
            cut: line.cut,
        };
        Ok(Page {
            items: page.lines.into_iter().map(show).collect(),
            end: page.end,
            ended: status.terminal().then(|| status.as_str()),
        })
    }

    /// Whether the workflow ended so long ago that nothing more comes.
    fn over(&mut self, late: Duration) -> bool {
        self.over_since.get_or_insert_with(Instant::now).elapsed() >= late
    }

    /// All lines there are, as text; with the task before each unless only one was asked for.
    fn text(self, shared: Arc<Shared>, named: bool) -> Response {
        let pieces = stream::unfold(Some((self, shared)), move |state| async move {
            let (mut lines, shared) = state?;
            let Ok(page) = lines.page(&shared, LINES).await else {
                // In the middle of a body an error can only break it off.
                return Some((Err(std::io::Error::other("the log broke off")), None));
            };
            let mut text = String::new();
            for line in &page.items {
                let end = if line.cut { "" } else { "\n" };
                let written = if named {
                    write!(text, "{}{end}", line.text)
                } else {
                    write!(text, "{}: {}{end}", line.task, line.text)
                };
                debug_assert!(written.is_ok());
            }
            let rest = (!page.end).then_some((lines, shared));
            Some((Ok(Bytes::from(text)), rest))
        });
        let kind = [(CONTENT_TYPE, "text/plain; charset=utf-8")];
        (kind, Body::from_stream(pieces)).into_response()
    }
}

fn stream_name(stream: Stream) -> &'static str {
    match stream {
        Stream::Stdout => "stdout",
        Stream::Stderr => "stderr",
        Stream::System => "system",
    }
}

impl Source for Lines {
    async fn read(&mut self, shared: &Arc<Shared>) -> Result<Piece, Failure> {
        let page = self.page(shared, LINES).await?;
        let over = page.ended.is_some() && page.end && self.over(shared.config.limits.late_logs);
        let mut piece =
            Piece { more: !page.end, end: page.ended.filter(|_| over), ..Piece::default() };
        for line in &page.items {
            piece.push("log", line.cursor, line);
        }
        Ok(piece)
    }

    fn patience(&self, shared: &Shared) -> Duration {
        shared.config.limits.reread_logs
    }
}
