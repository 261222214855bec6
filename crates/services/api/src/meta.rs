//! The server about itself: open to everybody, because it tells nobody anything.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::IntoResponse;
use bytes::Bytes;
use flowforge_wire::{Health, Readiness, Version};
use futures_util::FutureExt as _;
use futures_util::future::join3;
use tokio::time::timeout;

use crate::backend::Backend;
use crate::path::Name;
use crate::problem::{Code, Failure};
use crate::{Shared, openapi};

fn health(status: &str) -> Json<Health> {
    Json(Health { status: status.to_owned() })
}

/// Whether the server lives
#[utoipa::path(get, path = "/health", tag = "meta", security(()), responses((status = 200, description = "It does", body = Health)))]
pub(crate) async fn alive() -> Json<Health> {
    health("ok")
}

/// Whether the server lives
///
/// Never touches the database.
#[utoipa::path(get, path = "/livez", tag = "meta", security(()), responses((status = 200, description = "It does", body = Health)))]
pub(crate) async fn livez() -> Json<Health> {
    health("ok")
}

/// What does not answer within this time is not there.
const GLANCE: Duration = Duration::from_secs(3);

/// Whether the server takes requests
///
/// Without its queue or the logs of tasks it takes them too: `status` is `degraded` then.
#[utoipa::path(
    get, path = "/readyz", tag = "meta", security(()),
    responses(
        (status = 200, description = "It does", body = Readiness),
        (status = 503, description = "It is going down, or its database does not answer", body = Readiness),
    )
)]
pub(crate) async fn readyz(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    if shared.closing.leaving() {
        // At once, and whatever hangs: a server that leaves has little time to say so.
        let status = "draining".to_owned();
        return (
            StatusCode::SERVICE_UNAVAILABLE,
            Json(Readiness { status, dependencies: BTreeMap::new() }),
        );
    }
    let database = async { shared.call(Backend::organization_version).await.is_ok() };
    let logs = async {
        let ready = |backend: &dyn Backend| backend.logs_ready().map_err(|e| Failure::of_logs(&e));
        shared.call_logs(ready).await.is_ok()
    };
    let queue = async {
        let queue = shared.config.queue.clone()?;
        Some(shared.call(move |_: &dyn Backend| queue.ready()).await.is_ok())
    };
    let (database, logs, queue) = join3(
        timeout(GLANCE, database).map(|asked| asked.unwrap_or(false)),
        timeout(GLANCE, logs).map(|asked| asked.unwrap_or(false)),
        timeout(GLANCE, queue).map(|asked| asked.unwrap_or(Some(false))),
    )
    .await;
    let (code, status) = match () {
        () if shared.closing.leaving() => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
        () if !database => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
        () if !logs || queue == Some(false) => (StatusCode::OK, "degraded"),
        () => (StatusCode::OK, "ok"),
    };
    let word = |ready| match ready {
        Some(true) => "ok",
        Some(false) => "unavailable",
        None => "unused",
    };
    let dependencies = [("database", Some(database)), ("logs", Some(logs)), ("queue", queue)]
        .map(|(name, ready)| (name.to_owned(), word(ready).to_owned()));
    (code, Json(Readiness { status: status.to_owned(), dependencies: dependencies.into() }))
}

/// The server's version
#[utoipa::path(get, path = "/version", tag = "meta", security(()), responses((status = 200, description = "The version", body = Version)))]
pub(crate) async fn version() -> Json<Version> {
    Json(Version {
        name: "flowforge".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        api_versions: vec!["v1".to_owned()],
    })
}

/// This document
#[utoipa::path(get, path = "/openapi.json", tag = "meta", security(()), responses((status = 200, description = "OpenAPI 3.1", body = serde_json::Value)))]
pub(crate) async fn openapi_json() -> impl IntoResponse {
    static DOCUMENT: OnceLock<Bytes> = OnceLock::new();
    let document = DOCUMENT.get_or_init(|| Bytes::from(openapi::document()));
    ([(CONTENT_TYPE, "application/json")], document.clone())
}

/// Nothing of the page comes from elsewhere, and nothing in it can run.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// This document as a page
#[utoipa::path(get, path = "/docs", tag = "meta", security(()), responses((status = 200, description = "A page", content((String = "text/html")))))]
pub(crate) async fn docs() -> impl IntoResponse {
    let head = [(CONTENT_TYPE, "text/html; charset=utf-8"), (CONTENT_SECURITY_POLICY, POLICY)];
    (head, include_str!("docs/page.html"))
}

/// The script of the page
#[utoipa::path(get, path = "/docs/page.js", tag = "meta", security(()), responses((status = 200, description = "A script", content((String = "text/javascript")))))]
pub(crate) async fn docs_script() -> impl IntoResponse {
    let kind = [(CONTENT_TYPE, "text/javascript; charset=utf-8")];
    (kind, include_str!("docs/page.js"))
}

/// The style of the page
#[utoipa::path(get, path = "/docs/page.css", tag = "meta", security(()), responses((status = 200, description = "A style sheet", content((String = "text/css")))))]
pub(crate) async fn docs_style() -> impl IntoResponse {
    let kind = [(CONTENT_TYPE, "text/css; charset=utf-8")];
    (kind, include_str!("docs/page.css"))
}

/// What a kind of problem means
#[utoipa::path(
    get, path = "/problems/{code}", tag = "meta", security(()),
    params(("code" = String, Path, description = "The `code` of a problem")),
    responses((status = 200, description = "A short text", content((String = "text/plain"))))
)]
pub(crate) async fn problem(Name(wanted): Name) -> Result<impl IntoResponse, Failure> {
    let mut all = Code::ALL.iter();
    let code = all
        .find(|code| code.slug() == wanted)
        .ok_or_else(|| Failure::new(Code::NotFound, "there is no such kind of problem"))?;
    let (title, slug, status, text) = (code.title(), code.slug(), code.status(), code.text());
    let text = format!("{title}\n\ncode: {slug}\nstatus: {status}\n\n{text}\n");
    Ok(([(CONTENT_TYPE, "text/plain; charset=utf-8")], text))
}
