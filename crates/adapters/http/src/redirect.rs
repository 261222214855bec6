//! Where an answer sends a request on to.

use ureq::http::Uri;
use ureq::http::uri::Authority;

/// The request after a redirect.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Next {
    pub(crate) url: Uri,
    pub(crate) method: String,
    /// The body is sent again.
    pub(crate) body: bool,
    /// It is the same scheme, host and port: what is secret may follow.
    pub(crate) same_origin: bool,
}

/// Whether an answer sends on.
pub(crate) fn sends_on(status: u16) -> bool {
    matches!(status, 301 | 302 | 303 | 307 | 308)
}

/// The next request after an answer that sends on to `location`; none if that is no URL.
pub(crate) fn next(from: &Uri, method: &str, status: u16, location: &str) -> Option<Next> {
    let url = join(from, location)?;
    // What browsers do.
    let (method, body) = match (status, method) {
        (303, "HEAD") => ("HEAD", false),
        (301 | 302, "POST") | (303, _) => ("GET", false),
        (_, method) => (method, true),
    };
    let same_origin = origin(from)? == origin(&url)?;
    Some(Next { url, method: method.to_owned(), body, same_origin })
}

/// Scheme, host and port.
fn origin(url: &Uri) -> Option<(String, String, u16)> {
    let scheme = url.scheme_str()?;
    let port = url.port_u16().unwrap_or(if scheme == "https" { 443 } else { 80 });
    Some((scheme.to_owned(), url.host()?.to_ascii_lowercase(), port))
}

fn join(from: &Uri, location: &str) -> Option<Uri> {
    let scheme = from.scheme_str()?;
    let authority = from.authority().map(Authority::as_str)?;
    let location = location.split_once('#').map_or(location, |(url, _)| url);
    let text = if location.contains("://") {
        location.to_owned()
    } else if location.starts_with("//") {
        format!("{scheme}:{location}")
    } else if location.starts_with('/') {
        format!("{scheme}://{authority}{location}")
    } else if location.starts_with('?') {
        format!("{scheme}://{authority}{}{location}", from.path())
    } else {
        let folder = from.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{scheme}://{authority}{folder}/{location}")
    };
    text.parse().ok()
}
