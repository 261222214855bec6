//! Redirects, and what follows them.

use super::*;
use crate::redirect::next;
use crate::{Allow, Call, Client, Header, HttpError, Payload};

#[test]
fn a_location_is_read_as_browsers_do() {
    let from = "http://h:1/a/b?q".parse().unwrap();
    for (status, method, location, url, then) in [
        (302, "GET", "http://x/y", "http://x/y", "GET"),
        (301, "POST", "/y", "http://h:1/y", "GET"),
        (303, "PUT", "c", "http://h:1/a/c", "GET"),
        (303, "HEAD", "//x/y", "http://x/y", "HEAD"),
        (307, "POST", "?r", "http://h:1/a/b?r", "POST"),
        (308, "PUT", "/y#part", "http://h:1/y", "PUT"),
    ] {
        let next = next(&from, method, status, location).unwrap();
        assert_eq!((next.url.to_string().as_str(), next.method.as_str()), (url, then));
        assert_eq!(next.body, status >= 307 || method == "GET", "{status} {method}");
        assert_eq!(next.same_origin, url.starts_with("http://h:1/"), "{url}");
    }
    assert!(next(&from, "GET", 302, "http://a b/").is_none());
}

fn call<'a>(method: &'a str, url: &'a str, headers: &'a [Header]) -> Call<'a> {
    Call { method, url, headers, timeout: None, insecure: false, redirects: true }
}

fn loopback() -> Client {
    Client::new(Allow::parse("loopback").unwrap())
}

#[test]
fn a_secret_does_not_follow_to_another_host() {
    let other = Server::new(|_| reply("200 OK", "", "there"));
    let to = other.url("/there");
    let first = Server::new(move |came| {
        if came.head.starts_with("POST /here ") {
            reply("307 Temporary Redirect", "Location: /again\r\n", "")
        } else {
            reply("307 Temporary Redirect", &format!("Location: {to}\r\n"), "")
        }
    });
    let header =
        |name: &str, secret| Header { name: name.to_owned(), value: b"v".to_vec(), secret };
    let headers = [header("x-key", true), header("Authorization", false), header("x-id", false)];
    let url = first.url("/here");
    let answer = loopback().send(&call("POST", &url, &headers), Payload::Bytes(b"body")).unwrap();
    assert_eq!(answer.bytes(100).unwrap(), b"there");
    let sent: Vec<_> = first.requests().into_iter().chain(other.requests()).collect();
    assert_eq!(sent.len(), 3);
    for (place, came) in sent.iter().enumerate() {
        assert_eq!(came.body, "body");
        for (name, follows) in [("x-key", false), ("authorization", false), ("x-id", true)] {
            assert_eq!(came.header(name).is_some(), follows || place < 2, "{name} at {place}");
        }
    }
}

#[test]
fn a_redirect_is_looked_at_as_the_first_request_was() {
    let server = Server::new(|came| {
        let to = came.head.split(' ').nth(1).unwrap();
        let to = match to {
            "/metadata" => "http://169.254.169.254/latest",
            "/private" => "http://10.0.0.1/",
            "/zero" => "http://0:9/",
            "/hex" => "http://0xa9.0xfe.0xa9.0xfe/",
            "/file" => "file:///etc/passwd",
            "/user" => "http://user:pass@127.0.0.1/",
            _ => "/round",
        };
        reply("302 Found", &format!("Location: {to}\r\n"), "")
    });
    for (path, why) in [
        ("/metadata", "169.254.169.254 (169.254.169.254) may not be asked"),
        ("/private", "10.0.0.1 (10.0.0.1) may not be asked"),
        ("/zero", "0 (0.0.0.0) may not be asked"),
        ("/hex", "0xa9.0xfe.0xa9.0xfe (169.254.169.254) may not be asked"),
        ("/file", "redirected to \"file:///etc/passwd\", which is no URL"),
        ("/user", "the URL holds a user name"),
        ("/round", "more than 10 redirects"),
    ] {
        let error =
            loopback().send(&call("GET", &server.url(path), &[]), Payload::None).unwrap_err();
        assert!(error.to_string().starts_with(why), "{path}: {error}");
        assert!(!error.transient());
    }
}

#[test]
fn what_cannot_be_sent_is_told_before_it_is() {
    let header = |name: &str, value: &str| {
        [Header { name: name.to_owned(), value: value.into(), secret: true }]
    };
    let good = "http://127.0.0.1:9/";
    for (method, url, headers, why) in [
        ("GET", "127.0.0.1", vec![], "a URL begins with"),
        ("GET", "gopher://127.0.0.1/", vec![], "a URL begins with"),
        ("GET", "http://127.0.0.1/a b", vec![], "percent-encoded"),
        ("GET", "http://u:p@127.0.0.1/", vec![], "put them into a header"),
        ("G T", good, vec![], "is no method"),
        ("GET", good, header("a b", "").to_vec(), "has no valid name"),
        ("GET", good, header("a", "x\r\nEvil: 1").to_vec(), "has a value with control characters"),
        ("GET", good, header("Content-Length", "1").to_vec(), "is set by the sender itself"),
        ("GET", good, header("transfer-encoding", "chunked").to_vec(), "is set by the sender"),
    ] {
        let error = loopback().send(&call(method, url, &headers), Payload::None).unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
        assert!(!error.to_string().contains("Evil"), "{error}");
        assert!(matches!(error, HttpError::Invalid(_)));
    }
}
