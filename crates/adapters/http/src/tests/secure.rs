//! TLS, with a server whose certificate nobody vouches for.

use std::net::TcpListener;
use std::thread::JoinHandle;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, Stream};

use super::*;
use crate::{Allow, Call, Client, HttpError, Payload};

/// Answers one connection. The key is of this test alone and vouches for nothing.
fn serve() -> (String, JoinHandle<()>) {
    let certificate = CertificateDer::from_pem_slice(include_bytes!("tls/certificate.pem"));
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("tls/key.pem")).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.unwrap()], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://localhost:{}/", listener.local_addr().unwrap().port());
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut tls = ServerConnection::new(Arc::new(config)).unwrap();
        let mut secure = Stream::new(&mut tls, &mut stream);
        let mut request = [0; 4096];
        // A client that does not trust this hangs up.
        if secure.read(&mut request).is_ok() {
            secure.write_all(reply("200 OK", "", "secure").as_bytes()).ok();
        }
    });
    (url, thread)
}

fn get(insecure: bool) -> Result<Vec<u8>, HttpError> {
    let (url, thread) = serve();
    let call =
        Call { method: "GET", url: &url, headers: &[], timeout: None, insecure, redirects: true };
    let client = Client::new(Allow::parse("loopback").unwrap());
    let answer = client.send(&call, Payload::None).and_then(|answer| answer.bytes(100));
    thread.join().unwrap();
    answer
}

#[test]
fn a_certificate_that_nobody_vouches_for_is_refused_unless_that_is_wanted() {
    match get(false) {
        Err(error @ HttpError::Untrusted(_)) => {
            assert!(error.to_string().starts_with("no secure connection to localhost"), "{error}");
            assert!(!error.transient());
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(get(true).unwrap(), b"secure");
}
