//! Errors as they leave the server, in the form and with the codes of the REST API.

use axum::Json;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::response::{IntoResponse, Response};
use flowforge_wire::Problem;
use uuid::Uuid;

/// Why a request is not answered as wished.
#[derive(Debug)]
pub(crate) struct Failure {
    status: StatusCode,
    code: &'static str,
    title: &'static str,
    detail: String,
}

impl Failure {
    fn new(
        (status, code, title): (StatusCode, &'static str, &'static str),
        detail: impl Into<String>,
    ) -> Self {
        Self { status, code, title, detail: detail.into() }
    }

    pub(crate) fn unauthorized() -> Self {
        let kind = (StatusCode::UNAUTHORIZED, "unauthorized", "Not authenticated");
        Self::new(kind, "the bearer token is missing or wrong: logs.token_file names it")
    }

    pub(crate) fn not_found() -> Self {
        let kind = (StatusCode::NOT_FOUND, "not_found", "Not found");
        Self::new(kind, "there is no such path")
    }

    pub(crate) fn timeout() -> Self {
        let kind = (StatusCode::REQUEST_TIMEOUT, "request_timeout", "Request timeout");
        Self::new(kind, "the body did not arrive whole and in time")
    }

    pub(crate) fn too_large(most: usize) -> Self {
        let kind = (StatusCode::PAYLOAD_TOO_LARGE, "too_large", "Too large");
        Self::new(kind, format!("a body has at most {most} bytes"))
    }

    pub(crate) fn invalid(detail: impl Into<String>) -> Self {
        let kind = (StatusCode::UNPROCESSABLE_ENTITY, "invalid_request", "Invalid request");
        Self::new(kind, detail)
    }

    pub(crate) fn unavailable(detail: impl Into<String>) -> Self {
        let kind = (StatusCode::SERVICE_UNAVAILABLE, "logs_unavailable", "Logs unavailable");
        Self::new(kind, detail)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let problem = Problem {
            r#type: format!("/problems/{}", self.code),
            title: self.title.to_owned(),
            status: self.status.as_u16(),
            detail: self.detail,
            instance: None,
            code: self.code.to_owned(),
            request_id: Uuid::now_v7().to_string(),
            errors: Vec::new(),
            omitted: 0,
        };
        let mut response = (self.status, Json(problem)).into_response();
        let kind = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(CONTENT_TYPE, kind);
        response
    }
}
