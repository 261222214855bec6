//! Stored templates and config maps: reading, comparing, deleting.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{StatusCode, Uri};
use axum::response::IntoResponse;
use flowforge_ports::store::StoreError;
use flowforge_ports::templates::{
    StoredTemplate, TemplateFilter, TemplateId, TemplateKind, TemplateView,
};
use flowforge_wire::{Page, Template, Time};
use similar::{Algorithm, TextDiff};

use crate::Shared;
use crate::backend::Backend;
use crate::cursor::Scope;
use crate::path::Names;
use crate::problem::{Code, Failure, shown};
use crate::projects::wanted;
use crate::query::{Query, digits};
use crate::workflows::after_page;

/// A comparison is as small as it can be if that is found out within this time.
const DIFF_TIME: Duration = Duration::from_millis(500);

/// List stored templates
///
/// The latest version of each, by kind and name, without documents.
#[utoipa::path(
    get, path = "/api/v1/templates", tag = "templates",
    params(
        ("kind" = Option<String>, Query, description = "Only these kinds: `workflowtemplate`, `clusterworkflowtemplate`, `configmap`"),
        ("project_id" = Option<String>, Query, description = "Only of this project (id or name), and those shared by all"),
        ("name" = Option<String>, Query, description = "Only names that begin so"),
        ("label" = Option<Vec<String>>, Query, description = "Only with this label, `key=value`"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000, description = "Rows, 50 if missing"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the part before"),
    ),
    responses((status = 200, description = "A part of the list", body = Page<Template>))
)]
pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    uri: Uri,
) -> Result<Json<Page<Template>>, Failure> {
    let known = ["kind", "project_id", "name", "label", "limit", "cursor"];
    let query = Query::parse(&uri, &known)?;
    let limit = query.limit(50)?;
    let label = |text: &str| {
        let (key, value) = text.split_once('=')?;
        Some((key.to_owned(), value.to_owned()))
    };
    let mut filter = TemplateFilter {
        kinds: query.words("kind", kind)?,
        project: None,
        name_prefix: query.one("name")?.map(str::to_owned),
        labels: query.words("label", label)?,
        after: None,
    };
    let project = query.one("project_id")?.map(str::to_owned);
    let scope = Scope::new(&["templates", &format!("{filter:?} {project:?}")]);
    if let Some(cursor) = query.one("cursor")? {
        filter.after = key_of(&scope.open_text(cursor)?);
    }
    let inner = Arc::clone(&shared);
    let read = move |backend: &dyn Backend| {
        if let Some(project) = project {
            filter.project = Some(wanted(&inner, backend, Some(&project))?);
        }
        let mut rows = backend.templates(filter, limit + 1)?;
        let last = after_page(&mut rows, limit).map(|row| row.id.clone());
        let items = rows.into_iter().map(show).collect();
        Ok::<_, Failure>((last, items))
    };
    let (last, items) = shared.call(read).await?;
    let next_cursor = last.map(|id| {
        let project = id.project.map(|id| id.to_string()).unwrap_or_default();
        let key = [id.kind.as_str(), &project, &id.name].join("\0");
        scope.seal(key.as_bytes())
    });
    Ok(Json(Page { items, next_cursor }))
}

/// The row that a cursor is behind.
fn key_of(text: &str) -> Option<TemplateId> {
    let mut parts = text.split('\0');
    let kind = TemplateKind::parse(parts.next()?)?;
    let (project, name) = (parts.next()?, parts.next()?.to_owned());
    let project = if project.is_empty() { None } else { Some(project.parse().ok()?) };
    Some(TemplateId { kind, project, name })
}

/// Show a stored template
///
/// With its document.
#[utoipa::path(
    get, path = "/api/v1/templates/{kind}/{name}", tag = "templates",
    params(
        ("kind" = String, Path, description = "`workflowtemplate`, `clusterworkflowtemplate` or `configmap`"),
        ("name" = String, Path, description = "The template's name"),
        ("version" = Option<u32>, Query, description = "Which version; the latest if missing"),
        ("project_id" = Option<String>, Query, description = "The project, by id or name; the default one if missing"),
    ),
    responses((status = 200, description = "The template", body = Template))
)]
pub(crate) async fn get(
    State(shared): State<Arc<Shared>>,
    Names(kind, name): Names,
    uri: Uri,
) -> Result<Json<Template>, Failure> {
    let query = Query::parse(&uri, &["version", "project_id"])?;
    let version = version(&query, "version")?;
    let asked = Asked::new(&shared, &query, (kind, name))?;
    let read = move |backend: &dyn Backend| {
        let found = asked.version(backend, &asked.id(backend)?, version)?;
        Ok::<_, Failure>(show_whole(found))
    };
    Ok(Json(shared.call(read).await?))
}

/// List the versions of a stored template
///
/// Newest first, without documents.
#[utoipa::path(
    get, path = "/api/v1/templates/{kind}/{name}/versions", tag = "templates",
    params(
        ("kind" = String, Path, description = "`workflowtemplate`, `clusterworkflowtemplate` or `configmap`"),
        ("name" = String, Path, description = "The template's name"),
        ("project_id" = Option<String>, Query, description = "The project, by id or name; the default one if missing"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000, description = "Rows, 50 if missing"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the part before"),
    ),
    responses((status = 200, description = "A part of the list", body = Page<Template>))
)]
pub(crate) async fn versions(
    State(shared): State<Arc<Shared>>,
    Names(kind, name): Names,
    uri: Uri,
) -> Result<Json<Page<Template>>, Failure> {
    let query = Query::parse(&uri, &["project_id", "limit", "cursor"])?;
    let limit = query.limit(50)?;
    let scope = Scope::new(&["versions", &kind, &name, query.one("project_id")?.unwrap_or("")]);
    let before = match query.one("cursor")? {
        Some(cursor) => Some(u32::from_be_bytes(scope.open(cursor)?)),
        None => None,
    };
    let asked = Asked::new(&shared, &query, (kind, name))?;
    let read = move |backend: &dyn Backend| {
        let rows = backend.versions(asked.id(backend)?, before, limit + 1);
        let mut rows = rows.map_err(|error| asked.explain(error, None))?;
        let last = after_page(&mut rows, limit).map(|row| row.version);
        Ok::<_, Failure>((last, rows.into_iter().map(show).collect()))
    };
    let (last, items) = shared.call(read).await?;
    let next_cursor = last.map(|version| scope.seal(&version.to_be_bytes()));
    Ok(Json(Page { items, next_cursor }))
}

/// Compare two versions of a stored template
///
/// A unified diff; empty if they are alike.
#[utoipa::path(
    get, path = "/api/v1/templates/{kind}/{name}/diff", tag = "templates",
    params(
        ("kind" = String, Path, description = "`workflowtemplate`, `clusterworkflowtemplate` or `configmap`"),
        ("name" = String, Path, description = "The template's name"),
        ("from" = Option<u32>, Query, description = "The older version; the one before `to` if missing"),
        ("to" = Option<u32>, Query, description = "The newer version; the latest if missing"),
        ("project_id" = Option<String>, Query, description = "The project, by id or name; the default one if missing"),
    ),
    responses((status = 200, description = "What changed", body = String, content_type = "text/plain"))
)]
pub(crate) async fn diff(
    State(shared): State<Arc<Shared>>,
    Names(kind, name): Names,
    uri: Uri,
) -> Result<impl IntoResponse, Failure> {
    let query = Query::parse(&uri, &["from", "to", "project_id"])?;
    let (from, to) = (version(&query, "from")?, version(&query, "to")?);
    let asked = Asked::new(&shared, &query, (kind, name))?;
    let read = move |backend: &dyn Backend| {
        let id = asked.id(backend)?;
        let new = asked.version(backend, &id, to)?;
        let old = match from {
            Some(from) => Some(asked.version(backend, &id, Some(from))?),
            None => {
                let before = backend.versions(id.clone(), Some(new.view.version), 1)?.pop();
                let number = before.map(|view| view.version);
                number.map(|number| asked.version(backend, &id, Some(number))).transpose()?
            }
        };
        Ok::<_, Failure>((old, new))
    };
    let (old, new) = shared.call(read).await?;
    let text = shared.compute(move || compare(old.as_ref(), &new)).await?;
    Ok(([(CONTENT_TYPE, "text/plain; charset=utf-8")], text))
}

/// Before the first version there was nothing.
fn compare(old: Option<&StoredTemplate>, new: &StoredTemplate) -> String {
    let id = &new.view.id;
    let named = |version| format!("{}/{} version {version}", id.kind.manifest(), id.name);
    let (version, text) = old.map_or((0, ""), |old| (old.view.version, &old.document));
    TextDiff::configure()
        .algorithm(Algorithm::Myers)
        .timeout(DIFF_TIME)
        .diff_lines(text, &new.document)
        .unified_diff()
        .header(&named(version), &named(new.view.version))
        .to_string()
}

/// Delete a stored template
///
/// All its versions. Workflows that were submitted with it keep their copy.
#[utoipa::path(
    delete, path = "/api/v1/templates/{kind}/{name}", tag = "templates",
    params(
        ("kind" = String, Path, description = "`workflowtemplate`, `clusterworkflowtemplate` or `configmap`"),
        ("name" = String, Path, description = "The template's name"),
        ("project_id" = Option<String>, Query, description = "The project, by id or name; the default one if missing"),
    ),
    responses((status = 204, description = "Deleted"))
)]
pub(crate) async fn delete(
    State(shared): State<Arc<Shared>>,
    Names(kind, name): Names,
    uri: Uri,
) -> Result<StatusCode, Failure> {
    let query = Query::parse(&uri, &["project_id"])?;
    let asked = Asked::new(&shared, &query, (kind, name))?;
    let at = shared.now();
    let work = move |backend: &dyn Backend| {
        let id = asked.id(backend)?;
        backend.delete_template(id, at).map_err(|error| asked.explain(error, None))
    };
    shared.call(work).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The document that a path and its query name.
struct Asked {
    shared: Arc<Shared>,
    kind: TemplateKind,
    name: String,
    project: Option<String>,
}

impl Asked {
    fn new(
        shared: &Arc<Shared>,
        query: &Query,
        (word, name): (String, String),
    ) -> Result<Self, Failure> {
        let Some(kind) = kind(&word) else {
            let known = TemplateKind::ALL.map(|kind| kind.manifest().to_ascii_lowercase());
            let known = known.join(", ");
            let detail =
                format!("there is no kind `{}` of templates; known: {known}", shown(&word));
            return Err(Failure::new(Code::NotFound, detail));
        };
        let project = query.one("project_id")?.map(str::to_owned);
        Ok(Self { shared: Arc::clone(shared), kind, name, project })
    }

    fn id(&self, backend: &dyn Backend) -> Result<TemplateId, Failure> {
        let project = wanted(&self.shared, backend, self.project.as_deref())?;
        Ok(TemplateId::new(self.kind, project, &self.name))
    }

    fn version(
        &self,
        backend: &dyn Backend,
        id: &TemplateId,
        version: Option<u32>,
    ) -> Result<StoredTemplate, Failure> {
        backend.template(id.clone(), version).map_err(|error| self.explain(error, version))
    }

    fn explain(&self, error: StoreError, version: Option<u32>) -> Failure {
        if !matches!(error, StoreError::NotFound) {
            return error.into();
        }
        let which = version.map(|version| format!(" in version {version}")).unwrap_or_default();
        let (kind, name) = (self.kind.manifest(), shown(&self.name));
        Failure::new(Code::NotFound, format!("there is no {kind} `{name}`{which}"))
    }
}

/// A kind as paths and queries name it: its word in documents, in lower case.
fn kind(word: &str) -> Option<TemplateKind> {
    TemplateKind::ALL.into_iter().find(|kind| kind.manifest().to_ascii_lowercase() == word)
}

fn version(query: &Query, name: &'static str) -> Result<Option<u32>, Failure> {
    query.read(name, |text| u32::try_from(digits(text)?).ok())
}

/// A version without its document.
fn show(view: TemplateView) -> Template {
    let TemplateId { kind, project, name } = view.id;
    Template {
        kind: kind.manifest().to_owned(),
        name,
        project_id: project.map(|id| id.to_string()),
        version: view.version,
        labels: view.labels.into_iter().collect(),
        created_at: Time(view.created_at),
        created_by: view.created_by,
        document: None,
    }
}

fn show_whole(found: StoredTemplate) -> Template {
    Template { document: Some(found.document), ..show(found.view) }
}
