//! A real server of buckets: versitygw, built from `test/s3` and started here.
//!
//! `cargo xtask test --tier s3` builds it and says in `FLOWFORGE_TEST_S3` where it is.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use flowforge_model::artifact::{S3Location, SecretKey};

use super::conformance::conforms;
use super::*;
use crate::objects::{Bucket, Keys, Objects, S3};

struct Gateway {
    server: Child,
    endpoint: String,
    _folder: TempDir,
}

impl Gateway {
    fn start() -> Self {
        let program = std::env::var_os("FLOWFORGE_TEST_S3").expect("cargo xtask test --tier s3");
        let folder = tempfile::tempdir().unwrap();
        for name in ["data", "sidecar"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let endpoint = free.to_string();
        let mut server = Command::new(program)
            .args(["--port", &endpoint, "posix", "--sidecar"])
            .arg(folder.path().join("sidecar"))
            .arg(folder.path().join("data"))
            .env("ROOT_ACCESS_KEY", "user")
            .env("ROOT_SECRET_KEY", "pass")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // It says where it listens once it does; the rest is read so that it never waits.
        let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
        let listens = lines.by_ref().any(|line| line.unwrap().contains("listening on"));
        assert!(listens, "the server ended at once");
        std::thread::spawn(move || lines.for_each(drop));
        Self { server, endpoint, _folder: folder }
    }

    fn bucket(&self, bucket: &str, secret: &str) -> Bucket {
        Bucket {
            endpoint: self.endpoint.clone(),
            bucket: bucket.to_owned(),
            region: None,
            insecure: true,
            keys: Some(Keys { access: "user".to_owned(), secret: secret.to_owned() }),
        }
    }

    fn objects(&self, bucket: &str) -> S3 {
        S3::new(self.bucket(bucket, "pass"), Client::new(Allow::everything()))
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.server.kill().unwrap();
        self.server.wait().unwrap();
    }
}

#[test]
#[ignore = "needs a server of buckets: cargo xtask test --tier s3"]
fn a_bucket_conforms() {
    let gateway = Gateway::start();
    let objects = gateway.objects("artifacts");
    objects.make().unwrap();
    let mut bench = Bench::new();
    let repository = Repository::Bucket(gateway.bucket("artifacts", "pass"));
    bench.stores = stores(repository, bench.path("scratch"), "");
    conforms(&bench);
    let mut half = objects.create("half/large").unwrap();
    half.write_all(&vec![0; 9 * 1024 * 1024]).unwrap();
    assert_eq!(objects.unfinished().unwrap(), 1);
    drop(half);
    assert_eq!(objects.unfinished().unwrap(), 0, "its parts are gone");
    // More than one page of a list.
    for number in 0..1005 {
        objects.create(&format!("many/{number:04}")).unwrap().finish().unwrap();
    }
    let mut keys = Vec::new();
    objects
        .list("many", &mut |key| {
            keys.push(key.to_owned());
            Ok(())
        })
        .unwrap();
    assert_eq!(keys.len(), 1005);
    assert_eq!((keys[0].as_str(), keys[1004].as_str()), ("0000", "1004"));
}

#[test]
#[ignore = "needs a server of buckets: cargo xtask test --tier s3"]
fn a_document_brings_its_own_bucket_and_keys() {
    let gateway = Gateway::start();
    gateway.objects("theirs").make().unwrap();
    let mut bench = Bench::new();
    bench.stores = stores(Repository::Memory, bench.path("scratch"), "loopback");
    bench.write(&[("set/x", "1")]);
    let secret = |key: &str| {
        Some(SecretKey { name: "keys".to_owned(), key: key.to_owned(), optional: false })
    };
    let place = S3Location {
        endpoint: gateway.endpoint.clone(),
        bucket: "theirs".to_owned(),
        key: "a b/ü+&=?".to_owned(),
        region: Some("us-east-1".to_owned()),
        insecure: true,
        access_key: secret("access"),
        secret_key: secret("secret"),
    };
    let location = Location::S3(place.clone());
    let out = StageOut { location, ..output("set", "", Archive::TarGz) };
    let kept = bench.stores.keep(&bench.path("set"), &out, &|| false).unwrap().unwrap();
    assert!(bench.fetch(kept, "back").unwrap());
    assert_eq!(tree(&bench.path("back")), "/ /x=1");
    let fetch = |place| {
        let artifact =
            Artifact { location: Location::S3(place), archive: Archive::TarGz, sub_path: None };
        bench.fetch(artifact, "none").unwrap_err()
    };
    let error = fetch(S3Location { bucket: "nobodys".to_owned(), ..place.clone() });
    assert_eq!(error.reason, Reason::ArtifactStore);
    assert!(error.message.contains("NoSuchBucket"), "{error}");
    let error = fetch(S3Location { secret_key: secret("access"), ..place.clone() });
    assert!(error.message.contains("SignatureDoesNotMatch"), "{error}");
    let error = fetch(S3Location { access_key: None, secret_key: None, ..place });
    assert!(error.message.contains("answers 403"), "{error}");
    assert!(!error.message.contains("pass"), "{error}");
}
