//! `rediss://`, with a certificate of our own: `openssl` makes it.

use std::fs;
use std::process::{Command, Stdio};

use flowforge_ports::queue::{Dispatches, Hints, Notice, Topic};

use super::hints::{news, next, shard};
use super::server::{Server, free_port};
use super::{LONG, all, consumer, gpu, packed};
use crate::{RedisConfig, RedisQueue};

#[tokio::test]
#[ignore = "needs redis-server: cargo xtask test --tier redis"]
async fn a_server_is_trusted_by_its_certificate_only() {
    let folder = tempfile::tempdir().unwrap();
    let (key, certificate) = (folder.path().join("key"), folder.path().join("certificate"));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
        .args(["-nodes", "-days", "2", "-subj", "/CN=redis", "-keyout"])
        .arg(&key)
        .args(["-addext", "subjectAltName=IP:127.0.0.1"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE", "-out"])
        .arg(&certificate)
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(made.success());
    let (port, file) = (free_port().to_string(), certificate.to_str().unwrap());
    let _server = Server::start(&[
        "--tls-port",
        &port,
        "--tls-auth-clients",
        "no",
        "--tls-cert-file",
        file,
        "--tls-key-file",
        key.to_str().unwrap(),
    ]);
    let addresses = vec![format!("rediss://127.0.0.1:{port}")];
    let trust = Some(fs::read(&certificate).unwrap());
    let config = RedisConfig { addresses, trust, ..RedisConfig::default() };
    let queue = RedisQueue::new(&config).unwrap();
    queue.send(gpu(), &packed(0..3)).await.unwrap();
    let came = queue.receive(gpu(), consumer(1), 9, LONG).await.unwrap();
    assert_eq!(all(&came), packed(0..3));
    let mut listener = queue.subscribe(&[Topic::Records(shard(7))]);
    assert_eq!(next(&mut listener).await, Notice::Reconnected);
    queue.publish(news(1));
    assert_eq!(next(&mut listener).await, Notice::Hint(news(1)));
    // The machine's own do not know it.
    let stranger = RedisQueue::new(&RedisConfig { trust: None, ..config }).unwrap();
    let error = stranger.send(gpu(), &packed(0..3)).await.unwrap_err();
    assert!(!error.retryable() && error.to_string().contains("do not trust"), "{error}");
}
