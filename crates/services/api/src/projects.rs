//! Projects.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::IntoResponse;
use flowforge_wire::{NewProject, Page, Project};

use crate::Shared;
use crate::backend::Backend;
use crate::body::optional_json;
use crate::envelope::Fields;
use crate::path::Name;
use crate::problem::{Code, Failure, shown};
use crate::query::Query;
use crate::show::{self, Projects};

/// List projects
#[utoipa::path(
    get, path = "/api/v1/projects", tag = "projects",
    responses((status = 200, description = "All projects, by name", body = Page<Project>))
)]
pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    uri: Uri,
) -> Result<Json<Page<Project>>, Failure> {
    Query::parse(&uri, &[])?;
    let all = shared.call(Backend::projects).await?;
    Ok(Json(Page { items: all.into_iter().map(show::project).collect(), next_cursor: None }))
}

/// Create a project
#[utoipa::path(
    post, path = "/api/v1/projects", tag = "projects",
    request_body = NewProject,
    responses((status = 201, description = "Created", body = Project, headers(("Location" = String))))
)]
pub(crate) async fn create(
    State(shared): State<Arc<Shared>>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<impl IntoResponse, Failure> {
    Query::parse(&uri, &[])?;
    let text = optional_json(&shared, &headers, body).await?;
    let mut fields = Fields::read(&text)?;
    if !fields.has("name") {
        fields.missing("/name", "`name` is missing");
    }
    let name = fields.string("name");
    fields.finish()?;
    let Some(name) = name.filter(|name| is_name(name)) else {
        let detail = "a name is 1 to 63 of a-z, 0-9 and -, not at the ends";
        return Err(Failure::at(Code::InvalidRequest, "/name", detail));
    };
    let at = shared.now();
    let made = shared.call(move |backend| backend.create_project(name, at)).await?;
    let location = format!("/api/v1/projects/{}", made.id);
    let body = Json(show::project(made));
    Ok((StatusCode::CREATED, [(LOCATION, location)], body))
}

/// Show a project
#[utoipa::path(
    get, path = "/api/v1/projects/{id}", tag = "projects",
    params(("id" = String, Path, description = "The project's id or name")),
    responses((status = 200, description = "The project", body = Project))
)]
pub(crate) async fn get(
    State(shared): State<Arc<Shared>>,
    Name(wanted): Name,
    uri: Uri,
) -> Result<Json<Project>, Failure> {
    Query::parse(&uri, &[])?;
    let all = shared.call(Backend::projects).await?;
    let mut both = all.into_iter().filter(|p| p.id == wanted || p.name == wanted);
    let found = both.next().map(show::project).map(Json);
    found.ok_or_else(|| Failure::new(Code::NotFound, "there is no such project"))
}

/// The name of the project that a query names by id or name; the default one if it names none.
pub(crate) fn wanted(
    shared: &Shared,
    projects: &Projects,
    wanted: Option<&str>,
) -> Result<String, Failure> {
    let wanted = wanted.unwrap_or(&shared.config.default_project);
    projects.name(wanted).map(str::to_owned).ok_or_else(|| {
        let detail = format!("there is no project `{}`", shown(wanted));
        Failure::at(Code::BadParameter, "?project_id", detail)
    })
}

/// As a Kubernetes namespace: `[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?`.
fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    (1..=63).contains(&text.len())
        && text.bytes().all(|byte| plain(byte) || byte == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}
