//! All routes, and what happens around each: the request's id, the token, the common headers,
//! errors as problem documents, the access log.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::Request;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use futures_util::FutureExt as _;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::follow::add_retry_after;
use crate::organization::routes::{departments, groups, projects, quotas, tenants};
use crate::problem::{Code, Failure};
use crate::{
    Shared, actions, apply, auth, dead_letters, download, events, explain, locks, logs, memos,
    meta, openapi, pods, schedules, servers, submit, tasks, templates, workflows,
};

fn all() -> (Router<Arc<Shared>>, OpenApi) {
    OpenApiRouter::with_openapi(openapi::base())
        .routes(routes!(submit::create, workflows::list))
        .routes(routes!(submit::lint))
        .routes(routes!(workflows::get, actions::delete))
        .routes(routes!(workflows::document))
        .routes(routes!(workflows::outputs))
        .routes(routes!(actions::cancel))
        .routes(routes!(actions::pause))
        .routes(routes!(actions::resume))
        .routes(routes!(actions::stop))
        .routes(routes!(actions::terminate))
        .routes(routes!(actions::retry))
        .routes(routes!(actions::resubmit))
        .routes(routes!(tasks::list))
        .routes(routes!(tasks::get))
        .routes(routes!(download::download))
        .routes(routes!(events::list))
        .routes(routes!(logs::list))
        .routes(routes!(schedules::apply, schedules::list))
        .routes(routes!(schedules::get, schedules::delete))
        .routes(routes!(schedules::document))
        .routes(routes!(schedules::suspend))
        .routes(routes!(schedules::resume))
        .routes(routes!(templates::list, apply::apply))
        .routes(routes!(templates::get, templates::delete))
        .routes(routes!(templates::versions))
        .routes(routes!(templates::diff))
        .routes(routes!(locks::list))
        .routes(routes!(memos::caches))
        .routes(routes!(memos::list, memos::forget))
        .routes(routes!(dead_letters::list))
        .routes(routes!(dead_letters::get))
        .routes(routes!(dead_letters::redrive))
        .routes(routes!(servers::list))
        .routes(routes!(explain::task))
        .routes(routes!(explain::named))
        .routes(routes!(explain::workflow))
        .routes(routes!(explain::installation))
        .routes(routes!(explain::installation_history))
        .routes(routes!(explain::simulate::simulate))
        .merge(organization())
        .routes(routes!(explain::metrics::metrics))
        .routes(routes!(meta::alive))
        .routes(routes!(meta::livez))
        .routes(routes!(meta::readyz))
        .routes(routes!(meta::version))
        .routes(routes!(meta::openapi_json))
        .routes(routes!(meta::docs))
        .routes(routes!(meta::docs_script))
        .routes(routes!(meta::docs_style))
        .routes(routes!(meta::problem))
        .split_for_parts()
}

fn organization() -> OpenApiRouter<Arc<Shared>> {
    OpenApiRouter::new()
        .routes(routes!(tenants::usage))
        .routes(routes!(tenants::usage_history))
        .routes(routes!(departments::usage))
        .routes(routes!(departments::usage_history))
        .routes(routes!(groups::usage))
        .routes(routes!(groups::usage_history))
        .routes(routes!(projects::usage))
        .routes(routes!(projects::usage_history))
        .routes(routes!(tenants::create, tenants::list))
        .routes(routes!(tenants::get, tenants::update, tenants::delete))
        .routes(routes!(tenants::quota, tenants::set_quota))
        .routes(routes!(departments::create, departments::list))
        .routes(routes!(departments::get, departments::update, departments::delete))
        .routes(routes!(departments::quota, departments::set_quota))
        .routes(routes!(groups::create, groups::list))
        .routes(routes!(groups::get, groups::update, groups::delete))
        .routes(routes!(groups::quota, groups::set_quota))
        .routes(routes!(projects::create, projects::list))
        .routes(routes!(projects::get, projects::update, projects::delete))
        .routes(routes!(projects::quota, projects::set_quota))
        .routes(routes!(quotas::create, quotas::list))
        .routes(routes!(quotas::get, quotas::update, quotas::delete))
}

/// The description of all routes.
pub(crate) fn described() -> OpenApi {
    let (_, mut openapi) = all();
    openapi::complete(&mut openapi);
    openapi
}

/// The whole service.
pub(crate) fn build(shared: Arc<Shared>) -> Router {
    let (router, _) = all();
    refusing(router.merge(pods::routes()))
        .layer(from_fn_with_state(Arc::clone(&shared), auth::require))
        .layer(from_fn(finish))
        .with_state(shared)
}

/// What pods may ask, and nothing else.
pub(crate) fn build_for_pods(shared: Arc<Shared>) -> Router {
    refusing(pods::routes()).layer(from_fn(finish)).with_state(shared)
}

/// Numbers and health, which name nobody and change nothing; and nothing else.
pub(crate) fn build_for_probes(shared: Arc<Shared>) -> Router {
    let (router, _) = OpenApiRouter::<Arc<Shared>>::new()
        .routes(routes!(explain::metrics::metrics))
        .routes(routes!(meta::alive))
        .routes(routes!(meta::livez))
        .routes(routes!(meta::readyz))
        .split_for_parts();
    refusing(router).layer(from_fn(finish)).with_state(shared)
}

/// Says of everything else that it is not there.
fn refusing(router: Router<Arc<Shared>>) -> Router<Arc<Shared>> {
    router
        .fallback(async || Failure::new(Code::NotFound, "there is no such path"))
        .method_not_allowed_fallback(async || {
            Failure::new(Code::MethodNotAllowed, Code::MethodNotAllowed.text())
        })
}

/// Runs around everything, so that whatever happens inside leaves as an answer of ours.
async fn finish(request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let id = request_id(request.headers());
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let answer = AssertUnwindSafe(next.run(request)).catch_unwind().await;
    let mut response = answer.unwrap_or_else(|_| {
        tracing::error!(request_id = %id, %method, path, "a handler panicked");
        Failure::new(Code::Internal, Code::Internal.text()).into_response()
    });
    if let Some(failure) = failure_of(&mut response) {
        add_retry_after(&mut response, failure.code);
        *response.status_mut() = failure.code.status();
        let (mut parts, _) = response.into_parts();
        parts.headers.remove(axum::http::header::CONTENT_LENGTH);
        let document = failure.document(&path, &id);
        let (body_parts, body) = Json(document).into_response().into_parts();
        parts.headers.extend(body_parts.headers);
        let kind = HeaderValue::from_static("application/problem+json");
        parts.headers.insert(CONTENT_TYPE, kind);
        response = Response::from_parts(parts, body);
    }
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Ok(value) = HeaderValue::try_from(&*id) {
        headers.insert("x-request-id", value);
    }
    let micros = begun.elapsed().as_micros();
    let status = response.status().as_u16();
    tracing::debug!(request_id = %id, %method, path, status, micros, "request");
    response
}

/// The failure inside of an answer; also for errors that axum made itself.
fn failure_of(response: &mut Response) -> Option<Failure> {
    if let Some(failure) = response.extensions_mut().remove::<Failure>() {
        return Some(failure);
    }
    let status = response.status();
    let json = response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    if json || !(status.is_client_error() || status.is_server_error()) {
        return None;
    }
    let code = match status {
        StatusCode::NOT_FOUND => Code::NotFound,
        StatusCode::METHOD_NOT_ALLOWED => Code::MethodNotAllowed,
        status if status.is_client_error() => Code::BadRequest,
        _ => Code::Internal,
    };
    Some(Failure::new(code, code.text()))
}

/// The client's id if it is fit for logs and headers, else a new one.
fn request_id(headers: &HeaderMap) -> String {
    let given = headers.get("x-request-id").and_then(|id| id.to_str().ok());
    let fine = |id: &&str| {
        (1..=64).contains(&id.len())
            && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
    };
    given.filter(fine).map_or_else(|| Uuid::now_v7().to_string(), str::to_owned)
}
