//! Who is asking: one bearer token for everything under `/api`.

use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::sync::Arc;

use crate::Shared;
use crate::problem::{Code, Failure};

/// Lets a request pass that carries the token, or that wants nothing of `/api`. Routes match the
/// raw path, so what does not begin with `/api` cannot reach one of them by another spelling.
pub(crate) async fn require(
    State(shared): State<Arc<Shared>>,
    request: Request,
    next: Next,
) -> Response {
    if request.uri().path().starts_with("/api") && !carries(request.headers(), &shared.config.token)
    {
        let failure = Failure::new(Code::Unauthorized, "the bearer token is missing or wrong");
        let mut response = failure.into_response();
        let challenge = HeaderValue::from_static("Bearer");
        response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        return response;
    }
    next.run(request).await
}

fn carries(headers: &HeaderMap, token: &str) -> bool {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return false;
    };
    let Some((scheme, given)) = value.to_str().ok().and_then(|v| v.split_once(' ')) else {
        return false;
    };
    // An empty token is a mistake of the configuration and lets nobody in.
    !token.is_empty()
        && scheme.eq_ignore_ascii_case("bearer")
        && same(given.trim().as_bytes(), token.as_bytes())
}

/// Compares in a time that depends on the lengths only.
fn same(left: &[u8], right: &[u8]) -> bool {
    let differing =
        left.iter().zip(right).fold(0, |sum, (a, b)| std::hint::black_box(sum | (a ^ b)));
    left.len() == right.len() && differing == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_passes() {
        let with = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, value.parse().unwrap());
            headers
        };
        assert!(carries(&with("Bearer secret"), "secret"));
        assert!(carries(&with("bearer  secret"), "secret"));
        for bad in ["secret", "Basic secret", "Bearer", "Bearer ", "Bearer secre", "Bearer secrets"]
        {
            assert!(!carries(&with(bad), "secret"), "{bad}");
        }
        assert!(!carries(&with("Bearer "), ""));
        let mut twice = with("Bearer secret");
        twice.append(AUTHORIZATION, "Bearer secret".parse().unwrap());
        assert!(!carries(&twice, "secret"));
    }
}
