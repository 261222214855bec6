//! Schedules: writing, reading, holding and deleting them. When one is due is decided elsewhere.

mod show;

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CONTENT_TYPE, LOCATION};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use flowforge_cron::{Schedule as Compiled, ScheduleState};
use flowforge_model::id::{EntityId, ScheduleId};
use flowforge_model::time::Timestamp;
use flowforge_ports::schedules::{PutSchedule, ScheduleRow};
use flowforge_ports::store::StoreError;
use flowforge_spec::{Bundle, CronDocument, Options};
use flowforge_wire::{Page, Schedule};
use uuid::Uuid;

use crate::Shared;
use crate::backend::Backend;
use crate::body;
use crate::bundle;
use crate::cursor::Scope;
use crate::path::Name;
use crate::problem::{Code, Failure};
use crate::projects::wanted;
use crate::query::Query;
use crate::submission::Origin;
use crate::workflows::after_page;

/// A user and the loop may write at the same moment; whoever comes second reads again.
const TRIES: u32 = 5;

/// Create or replace a schedule
///
/// The body is a schedule document (JSON or YAML): Argo's `CronWorkflow`, or our own form. One of
/// the same name in the project is replaced and keeps its counts; its runs go on. Nothing is
/// stored unless everything is right, the workflow in it included.
#[utoipa::path(
    post, path = "/api/v1/schedules", tag = "schedules",
    params(("project_id" = Option<String>, Query, description = "The project, by id or name; the default one if missing")),
    request_body(content((Object = "application/json"), (String = "application/yaml"))),
    responses(
        (status = 201, description = "Created", body = Schedule, headers(("Location" = String))),
        (status = 200, description = "Replaced", body = Schedule),
    )
)]
pub(crate) async fn apply(
    State(shared): State<Arc<Shared>>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    let query = Query::parse(&uri, &["project_id"])?;
    let project = query.one("project_id")?.map(str::to_owned);
    let (_, text) = body::text(&shared, &headers, body).await?;
    let inner = Arc::clone(&shared);
    let work = move |backend: &dyn Backend| {
        let project = wanted(&inner, backend, project.as_deref())?;
        // What it refers to is looked up again when it is due: this only sees whether it is fine.
        let bundle = bundle::complete(backend, project, text.clone(), None)?;
        let document = read(&bundle, inner.config.default_retry.clone())?;
        Ok((project, bundle, document, text))
    };
    let (project, bundle, document, text) = shared.compute_with(work).await?;
    let inner = Arc::clone(&shared);
    let work = move |backend: &dyn Backend| {
        let now = inner.now();
        let (row, created) = again(|| {
            let old = match backend.schedule_named(project, document.name.clone()) {
                Ok(row) => Some(row),
                Err(StoreError::NotFound) => None,
                Err(error) => return Err(error.into()),
            };
            let created = old.is_none();
            let put = match old {
                Some(old) => replacement(old, &document, text.clone(), now)?,
                None => creation(project, &document, text.clone(), now)?,
            };
            Ok((backend.put_schedule(put)?, created))
        })?;
        (inner.config.schedule_changed)(row.id);
        let mut shown = show::whole(backend, row, now)?;
        let found = document.compiled.warnings.into_iter();
        shown.warnings = found.map(|one| Origin::default().finding(&bundle, one)).collect();
        Ok::<_, Failure>((shown, created))
    };
    let (shown, created) = shared.call(work).await?;
    if !created {
        return Ok(Json(shown).into_response());
    }
    let location = format!("/api/v1/schedules/{}", shown.id);
    Ok((StatusCode::CREATED, [(LOCATION, location)], Json(shown)).into_response())
}

/// Reads a document with the workflow in it.
fn read(
    bundle: &Bundle,
    default_retry: Option<flowforge_model::plan::RetryStrategy>,
) -> Result<CronDocument, Failure> {
    let options = Options { default_retry, ..Options::default() };
    flowforge_spec::cron(bundle.text(), &options).map_err(|problems| {
        let omitted = u64::try_from(problems.omitted).unwrap_or(u64::MAX);
        let origin = Origin::default();
        let found = problems.list.into_iter().map(|one| origin.finding(bundle, one)).collect();
        Failure::with(Code::InvalidWorkflow, found, omitted)
    })
}

/// Repeats what somebody else came before.
fn again<T>(mut work: impl FnMut() -> Result<T, Failure>) -> Result<T, Failure> {
    let mut tries = TRIES;
    loop {
        match work() {
            Err(failure) if failure.code == Code::Conflict && tries > 0 => tries -= 1,
            other => return other,
        }
    }
}

fn creation(
    project: EntityId,
    document: &CronDocument,
    text: String,
    now: Timestamp,
) -> Result<PutSchedule, Failure> {
    let state = ScheduleState::new(now);
    let suspended = document.schedule.suspend;
    Ok(PutSchedule {
        id: ScheduleId(Uuid::now_v7()),
        project,
        name: document.name.clone(),
        document: text,
        suspended,
        next_at: next_at(&document.schedule, &state, suspended),
        state: show::to_json(&state)?,
        at: now,
        replaces: None,
    })
}

fn replacement(
    row: ScheduleRow,
    document: &CronDocument,
    text: String,
    now: Timestamp,
) -> Result<PutSchedule, Failure> {
    let old = flowforge_spec::schedule(&row.document).ok();
    let state = show::state(&row)?.replaced(old.as_ref(), &document.schedule, now);
    // Whoever suspended it by hand meant it until the document says something new.
    let said = old.is_none_or(|old| old.suspend != document.schedule.suspend);
    let suspended = if said { document.schedule.suspend } else { row.suspended };
    written(row, text, state, (&document.schedule, suspended), now)
}

/// A row with a document, a state, and whether it is suspended.
fn written(
    row: ScheduleRow,
    document: String,
    mut state: ScheduleState,
    (schedule, suspended): (&Compiled, bool),
    now: Timestamp,
) -> Result<PutSchedule, Failure> {
    if row.suspended && !suspended {
        state = state.resumed(now);
    }
    Ok(PutSchedule {
        id: row.id,
        project: row.project,
        name: row.name,
        document,
        suspended,
        next_at: next_at(schedule, &state, suspended),
        state: show::to_json(&state)?,
        at: now,
        replaces: Some(row.version),
    })
}

fn next_at(schedule: &Compiled, state: &ScheduleState, suspended: bool) -> Option<Timestamp> {
    let goes_on = !suspended && state.phase == flowforge_cron::Phase::Active;
    goes_on.then(|| schedule.next_after(state.anchor, state.considered_to)).flatten()
}

/// List schedules
///
/// Oldest first.
#[utoipa::path(
    get, path = "/api/v1/schedules", tag = "schedules",
    params(
        ("project_id" = Option<String>, Query, description = "Only this project; its id or name"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000, description = "Rows, 50 if missing"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the part before"),
    ),
    responses((status = 200, description = "A part of the list", body = Page<Schedule>))
)]
pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    uri: Uri,
) -> Result<Json<Page<Schedule>>, Failure> {
    let query = Query::parse(&uri, &["project_id", "limit", "cursor"])?;
    let limit = query.limit(50)?;
    let project = query.one("project_id")?.map(str::to_owned);
    let scope = Scope::new(&["schedules", &format!("{project:?}")]);
    let after = match query.one("cursor")? {
        Some(cursor) => Some(ScheduleId(Uuid::from_bytes(scope.open(cursor)?))),
        None => None,
    };
    let inner = Arc::clone(&shared);
    let read = move |backend: &dyn Backend| {
        let project = match project {
            Some(project) => Some(wanted(&inner, backend, Some(&project))?),
            None => None,
        };
        let mut rows = backend.schedules(project, after, limit + 1)?;
        let last = after_page(&mut rows, limit).map(|row| row.id);
        let items = rows.into_iter().map(show::listed);
        Ok::<_, Failure>((last, items.collect::<Result<_, _>>()?))
    };
    let (last, items) = shared.call(read).await?;
    Ok(Json(Page { items, next_cursor: last.map(|id| scope.seal(id.0.as_bytes())) }))
}

/// Which schedule a request is about.
struct Asked {
    shared: Arc<Shared>,
    project: Option<String>,
    /// Its id or its name.
    which: String,
}

impl Asked {
    fn read(shared: &Arc<Shared>, uri: &Uri, which: String) -> Result<Self, Failure> {
        let query = Query::parse(uri, &["project_id"])?;
        let project = query.one("project_id")?.map(str::to_owned);
        Ok(Self { shared: Arc::clone(shared), project, which })
    }

    fn row(&self, backend: &dyn Backend) -> Result<ScheduleRow, Failure> {
        let found = match self.which.parse::<ScheduleId>() {
            Ok(id) => backend.schedule(id),
            Err(_) => {
                let project = wanted(&self.shared, backend, self.project.as_deref())?;
                backend.schedule_named(project, self.which.clone())
            }
        };
        found.map_err(|error| match error {
            StoreError::NotFound => Failure::new(Code::NotFound, "there is no such schedule"),
            other => other.into(),
        })
    }
}

/// Show a schedule
///
/// With the times of its next runs, and its last runs as far as they are kept.
#[utoipa::path(
    get, path = "/api/v1/schedules/{name}", tag = "schedules",
    params(
        ("name" = String, Path, description = "The schedule's name or id"),
        ("project_id" = Option<String>, Query, description = "The project of a name, by id or name; the default one if missing"),
    ),
    responses((status = 200, description = "The schedule", body = Schedule))
)]
pub(crate) async fn get(
    State(shared): State<Arc<Shared>>,
    Name(which): Name,
    uri: Uri,
) -> Result<Json<Schedule>, Failure> {
    let asked = Asked::read(&shared, &uri, which)?;
    let read = move |backend: &dyn Backend| {
        let row = asked.row(backend)?;
        show::whole(backend, row, asked.shared.now())
    };
    Ok(Json(shared.call(read).await?))
}

/// Show a schedule's document
///
/// As it was sent.
#[utoipa::path(
    get, path = "/api/v1/schedules/{name}/document", tag = "schedules",
    params(
        ("name" = String, Path, description = "The schedule's name or id"),
        ("project_id" = Option<String>, Query, description = "The project of a name, by id or name; the default one if missing"),
    ),
    responses((status = 200, description = "The document", content((String = "application/yaml"), (String = "application/json"))))
)]
pub(crate) async fn document(
    State(shared): State<Arc<Shared>>,
    Name(which): Name,
    uri: Uri,
) -> Result<Response, Failure> {
    let asked = Asked::read(&shared, &uri, which)?;
    let read = move |backend: &dyn Backend| asked.row(backend);
    let text = shared.call(read).await?.document;
    let kind =
        if text.trim_start().starts_with('{') { "application/json" } else { "application/yaml" };
    Ok(([(CONTENT_TYPE, kind)], text).into_response())
}

/// Delete a schedule
///
/// Its runs stay and go on.
#[utoipa::path(
    delete, path = "/api/v1/schedules/{name}", tag = "schedules",
    params(
        ("name" = String, Path, description = "The schedule's name or id"),
        ("project_id" = Option<String>, Query, description = "The project of a name, by id or name; the default one if missing"),
    ),
    responses((status = 204, description = "Deleted"))
)]
pub(crate) async fn delete(
    State(shared): State<Arc<Shared>>,
    Name(which): Name,
    uri: Uri,
) -> Result<StatusCode, Failure> {
    let asked = Asked::read(&shared, &uri, which)?;
    let work = move |backend: &dyn Backend| {
        let row = asked.row(backend)?;
        backend.delete_schedule(row.id)?;
        (asked.shared.config.schedule_changed)(row.id);
        Ok::<_, Failure>(())
    };
    shared.call(work).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Suspend a schedule
///
/// Nothing is started until it is resumed; runs go on. What is due meanwhile is not made up for.
#[utoipa::path(
    put, path = "/api/v1/schedules/{name}/suspend", tag = "schedules",
    params(
        ("name" = String, Path, description = "The schedule's name or id"),
        ("project_id" = Option<String>, Query, description = "The project of a name, by id or name; the default one if missing"),
    ),
    responses((status = 200, description = "The schedule", body = Schedule))
)]
pub(crate) async fn suspend(
    State(shared): State<Arc<Shared>>,
    Name(which): Name,
    uri: Uri,
) -> Result<Json<Schedule>, Failure> {
    hold(&shared, &uri, which, true).await
}

/// Resume a schedule
///
/// It goes on with the next time that it is due.
#[utoipa::path(
    put, path = "/api/v1/schedules/{name}/resume", tag = "schedules",
    params(
        ("name" = String, Path, description = "The schedule's name or id"),
        ("project_id" = Option<String>, Query, description = "The project of a name, by id or name; the default one if missing"),
    ),
    responses((status = 200, description = "The schedule", body = Schedule))
)]
pub(crate) async fn resume(
    State(shared): State<Arc<Shared>>,
    Name(which): Name,
    uri: Uri,
) -> Result<Json<Schedule>, Failure> {
    hold(&shared, &uri, which, false).await
}

async fn hold(
    shared: &Arc<Shared>,
    uri: &Uri,
    which: String,
    suspended: bool,
) -> Result<Json<Schedule>, Failure> {
    let asked = Asked::read(shared, uri, which)?;
    let work = move |backend: &dyn Backend| {
        let now = asked.shared.now();
        let row = again(|| {
            let row = asked.row(backend)?;
            if row.suspended == suspended {
                return Ok(row);
            }
            let schedule = show::compiled(&row)?;
            let (text, state) = (row.document.clone(), show::state(&row)?);
            let put = written(row, text, state, (&schedule, suspended), now)?;
            Ok(backend.put_schedule(put)?)
        })?;
        (asked.shared.config.schedule_changed)(row.id);
        show::whole(backend, row, now)
    };
    Ok(Json(shared.call(work).await?))
}
