//! Artifacts behind URLs, and servers of buckets that do not do what they should.

use flowforge_model::artifact::{Given, HttpLocation, S3Location, SecretKey};
use flowforge_ports::artifacts::ArtifactBytes as _;

use super::server::{Server, reply};
use super::*;

fn secret(name: &str, key: &str) -> SecretKey {
    SecretKey { name: name.to_owned(), key: key.to_owned(), optional: false }
}

fn behind(server: &Server, path: &str) -> Location {
    Location::Http(HttpLocation {
        url: format!("http://{}{path}", server.address),
        headers: vec![("X-Key".to_owned(), Given::Secret(secret("keys", "access")))],
    })
}

fn in_bucket(server: &Server) -> Location {
    Location::S3(S3Location {
        endpoint: server.address.to_string(),
        bucket: "stuff".to_owned(),
        key: "a/b c".to_owned(),
        region: None,
        insecure: true,
        access_key: Some(secret("keys", "access")),
        secret_key: Some(secret("keys", "secret")),
    })
}

fn bench(allow: &str) -> Bench {
    let mut bench = Bench::new();
    bench.stores = stores(Repository::Memory, bench.path("scratch"), allow);
    bench
}

fn whole(location: Location) -> Artifact {
    Artifact { location, archive: Archive::TarGz, sub_path: None }
}

#[test]
fn what_is_put_behind_a_url_comes_back() {
    let bench = bench("loopback");
    bench.write(&[("set/x", "1")]);
    let server = Server::new(|came| {
        let there = came.head.starts_with("put ");
        if there { reply("201 Created", b"") } else { reply("404 Not Found", b"") }
    });
    for (archive, begins) in [(Archive::TarGz, &b"\x1f\x8b"[..]), (Archive::Zip, b"PK")] {
        let out = StageOut { location: behind(&server, "/x?a=b"), ..output("set", "", archive) };
        let kept = bench.stores.keep(&bench.path("set"), &out, &|| false).unwrap().unwrap();
        let came = server.requests().pop().unwrap();
        assert!(came.head.starts_with("put /x?a=b http/1.1"), "{}", came.head);
        assert!(came.head.contains("x-key: user\r\n"), "{}", came.head);
        assert!(came.body.starts_with(begins));
        let body = came.body;
        let again = Server::new(move |_| reply("200 OK", &body));
        let from = Artifact { location: behind(&again, "/x"), ..kept };
        assert!(bench.fetch(from, "back").unwrap());
        assert_eq!(tree(&bench.path("back")), "/ /x=1");
        std::fs::remove_dir_all(bench.path("back")).unwrap();
    }
    let plain = StageOut { location: behind(&server, "/x"), ..output("set", "", Archive::None) };
    let error = bench.stores.keep(&bench.path("set"), &plain, &|| false).unwrap_err();
    assert!(error.message.contains("cannot be put behind one URL"), "{error}");
    bench.stores.keep(&bench.path("set/x"), &plain, &|| false).unwrap();
    assert_eq!(server.requests().pop().unwrap().body, b"1");
    // Nothing there is missing; a part is asked for by its own URL.
    let error = bench.fetch(whole(behind(&server, "/gone")), "gone").unwrap_err();
    assert_eq!(error.reason, Reason::ArtifactMissing);
    let part = Artifact { sub_path: Some("p/q".to_owned()), ..whole(behind(&server, "/x/?a=b")) };
    bench.fetch(part, "gone").unwrap_err();
    assert!(server.requests().pop().unwrap().head.starts_with("get /x/p/q?a=b http/1.1"));
    // Whoever asks for bytes gets none from beside it.
    let asked = server.requests().len();
    for beside in ["/../y", "/p/../../y", "/%2e%2e/y", "/p?c=d", "/p#f", "//host/y"] {
        assert!(bench.stores.read(&behind(&server, "/x"), beside).is_err(), "{beside}");
    }
    assert_eq!(server.requests().len(), asked);
}

#[test]
fn an_answer_that_is_none_is_told_and_leaves_nothing() {
    let bench = bench("loopback");
    for (answer, reason, transient, says) in [
        (reply("500 Oops", b""), Reason::HttpFailed, true, "answers 500"),
        (reply("403 No", b""), Reason::HttpFailed, false, "answers 403"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf".to_vec(),
            Reason::ArtifactStore,
            true,
            "broke off",
        ),
    ] {
        let server = Server::new(move |_| answer.clone());
        let error = bench.fetch(whole(behind(&server, "/x")), "in/put").unwrap_err();
        assert_eq!((error.reason, error.transient), (reason, transient), "{error}");
        assert!(error.message.contains(says), "{error}");
        assert_eq!(std::fs::read_dir(bench.path("in")).unwrap().count(), 0);
    }
}

#[test]
fn what_a_document_names_must_be_allowed_and_its_secrets_there() {
    let server = Server::new(|_| reply("200 OK", b""));
    for location in [behind(&server, "/x"), in_bucket(&server)] {
        let error = bench("public").fetch(whole(location), "to").unwrap_err();
        assert!(error.message.contains("add it to http.allow"), "{error}");
        assert!(!error.transient);
    }
    let Location::S3(place) = in_bucket(&server) else { panic!() };
    let named = |access, secret_key| S3Location { access_key: access, secret_key, ..place.clone() };
    for (place, reason, says) in [
        (
            named(Some(secret("keys", "other")), place.secret_key.clone()),
            Reason::SecretMissing,
            "the secret keys has no key other",
        ),
        (named(None, place.secret_key.clone()), Reason::ArtifactInvalid, "only one is given"),
    ] {
        let error = bench("loopback").fetch(whole(Location::S3(place)), "to").unwrap_err();
        assert_eq!(error.reason, reason);
        assert!(error.message.contains(says), "{error}");
    }
    assert!(server.requests().is_empty());
}

#[test]
fn a_request_to_a_bucket_is_signed_and_sent_again_when_nobody_answers() {
    let server = Server::new(|_| reply("503 Slow Down", b"<Error><Code>SlowDown</Code></Error>"));
    let error = bench("loopback").fetch(whole(in_bucket(&server)), "to").unwrap_err();
    assert_eq!((error.reason, error.transient), (Reason::ArtifactStore, true));
    assert!(error.message.contains("the bucket stuff at 127.0.0.1:"), "{error}");
    assert!(error.message.contains("answers 503, SlowDown"), "{error}");
    let came = server.requests();
    assert_eq!(came.len(), 3);
    for came in came {
        assert!(came.head.starts_with("get /stuff/a/b%20c http/1.1"), "{}", came.head);
        let scope = "authorization: aws4-hmac-sha256 credential=user/";
        assert!(came.head.contains(scope), "{}", came.head);
    }
    for (body, reason) in [
        (&b"<Error><Code>NoSuchBucket</Code></Error>"[..], Reason::ArtifactStore),
        (b"<Error><Code>NoSuchKey</Code></Error>", Reason::ArtifactMissing),
    ] {
        let server = Server::new(move |came| {
            let list = came.head.contains("list-type=2");
            if list {
                reply("200 OK", b"<ListBucketResult/>")
            } else {
                reply("404 Not Found", body)
            }
        });
        let error = bench("loopback").fetch(whole(in_bucket(&server)), "to").unwrap_err();
        assert_eq!((error.reason, error.transient), (reason, false), "{error}");
    }
}

/// A server of somebody else names keys as it likes.
#[test]
fn a_list_of_a_hostile_server_stays_inside() {
    for (key, says) in [
        ("a/b c/../../../evil", "leads upwards"),
        ("a/b c//etc/evil", "is absolute"),
        ("a/b c/x\0y", "has a zero byte"),
    ] {
        let page = format!("<R><Contents><Key>{key}</Key></Contents></R>");
        let server = Server::new(move |came| {
            if came.head.contains("list-type=2") {
                reply("200 OK", page.as_bytes())
            } else if came.head.starts_with("get /stuff/a/b%20c http") {
                reply("404 Not Found", b"<Error><Code>NoSuchKey</Code></Error>")
            } else {
                reply("200 OK", b"evil")
            }
        });
        let bench = bench("loopback");
        let error = bench.fetch(whole(in_bucket(&server)), "in/put").unwrap_err();
        assert!(error.message.contains(says), "{key}: {error}");
        assert_eq!(std::fs::read_dir(bench.path("in")).unwrap().count(), 0);
    }
    // A list that goes on with the same page for ever ends.
    let page = "<R><NextContinuationToken>x</NextContinuationToken></R>";
    let server = Server::new(move |came| {
        let list = came.head.contains("list-type=2");
        if list { reply("200 OK", page.as_bytes()) } else { reply("404 Not Found", b"") }
    });
    let error = bench("loopback").fetch(whole(in_bucket(&server)), "to").unwrap_err();
    assert_eq!(error.reason, Reason::ArtifactMissing);
}
