//! Who is asking: one bearer token for everything under `/api`, and for `/metrics`.

use axum::extract::{Request, State};
use axum::http::header::{HeaderValue, WWW_AUTHENTICATE};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use flowforge_listen::carries;
use std::sync::Arc;

use crate::Shared;
use crate::problem::{Code, Failure};

/// Lets a request pass that carries the token, or that wants nothing of these. Routes match the
/// raw path, so what does not begin so cannot reach one of them by another spelling.
pub(crate) async fn require(
    State(shared): State<Arc<Shared>>,
    request: Request,
    next: Next,
) -> Response {
    let path = request.uri().path();
    let closed = path.starts_with("/api") || path.starts_with("/metrics");
    if closed && !carries(request.headers(), &shared.config.token) {
        let failure = Failure::new(Code::Unauthorized, "the bearer token is missing or wrong");
        let mut response = failure.into_response();
        let challenge = HeaderValue::from_static("Bearer");
        response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        return response;
    }
    next.run(request).await
}
