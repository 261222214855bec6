//! Answers of a real server that are no answers, in words for people.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use flowforge_ports::queue::{
    Dispatches, Heartbeats, Hints, Notice, QueueError, Role, Subscription, Topic,
};
use redis::Value;
use tokio::sync::watch;
use tokio::time::Instant;

use super::cluster::Cluster;
use super::hints::{news, next, shard};
use super::server::Server;
use super::{DEADLINE, LONG, NO_WAIT, World, all, consumer, eventually, gpu, packed, single};
use crate::{RedisConfig, RedisQueue};

async fn refused(config: RedisConfig, says: &str) {
    let queue = RedisQueue::new(&config).unwrap();
    let sent = queue.send(gpu(), &single(0..1)).await.unwrap_err();
    assert!(matches!(&sent, QueueError::Refused(text) if text.contains(says)), "{sent}");
    let wait = Duration::from_secs(1);
    let came = queue.receive(gpu(), consumer(1), 9, wait).await.unwrap_err();
    assert!(matches!(&came, QueueError::Refused(text) if text.contains(says)), "{came}");
}

#[tokio::test]
#[ignore = "needs redis-server: cargo xtask test --tier redis"]
async fn who_may_not_is_refused() {
    let server = Server::with_password();
    let config = server.config();
    refused(RedisConfig { password: None, ..config.clone() }, "password").await;
    refused(RedisConfig { password: Some("x".to_owned()), ..config.clone() }, "password").await;
    server.told(&[
        "ACL",
        "SETUSER",
        "ann",
        "on",
        ">pw",
        "+@all",
        "-eval",
        "-xreadgroup",
        "~*",
        "&*",
    ]);
    let (username, password) = (Some("ann".to_owned()), Some("pw".to_owned()));
    refused(RedisConfig { username, password, ..config.clone() }, "does not let this user").await;
    server.told(&["ACL", "SETUSER", "bob", "on", ">pw", "+@all", "~ff:*", "&ff:*"]);
    let (username, password) = (Some("bob".to_owned()), Some("pw".to_owned()));
    let bob = RedisQueue::new(&RedisConfig { username, password, ..config }).unwrap();
    bob.send(gpu(), &single(0..1)).await.unwrap();
    assert_eq!(bob.receive(gpu(), consumer(1), 9, LONG).await.unwrap().len(), 1);
    bob.beat(Role::Api, consumer(1), "", LONG).await.unwrap();
    let mut listener = bob.subscribe(&[Topic::Records(shard(7))]);
    listener.next().await;
    bob.publish(news(1));
    listener.next().await;
}

#[tokio::test]
#[ignore = "needs redis-server: cargo xtask test --tier redis"]
async fn a_key_of_another_kind_is_refused() {
    let server = Server::start(&[]);
    server.told(&["SET", "ff:dispatch:gpu", "somebody's"]);
    refused(server.config(), "something else").await;
    let queue = server.client();
    for error in [
        queue.depth(gpu()).await.unwrap_err(),
        queue.reclaim(gpu(), consumer(1), NO_WAIT, 9).await.unwrap_err(),
    ] {
        assert!(!error.retryable(), "{error}");
    }
}

#[tokio::test]
#[ignore = "needs redis-server: cargo xtask test --tier redis"]
async fn a_replica_is_refused_until_it_is_a_master() {
    let server = Server::start(&[]);
    server.told(&["REPLICAOF", "127.0.0.1", &super::server::free_port().to_string()]);
    refused(server.config(), "replica").await;
    server.told(&["REPLICAOF", "NO", "ONE"]);
    let queue = server.client();
    assert_eq!(queue.send(gpu(), &single(0..1)).await, Ok(1));
}

#[tokio::test]
#[ignore = "needs redis-server: cargo xtask test --tier redis"]
async fn a_server_without_memory_is_one_to_try_again() {
    let server = Server::start(&[]);
    let queue = server.client();
    queue.send(gpu(), &single(0..3)).await.unwrap();
    server.told(&["CONFIG", "SET", "maxmemory", "1"]);
    let error = queue.send(gpu(), &single(0..3)).await.unwrap_err();
    assert!(error.retryable() && error.to_string().contains("memory"), "{error}");
    server.told(&["CONFIG", "SET", "maxmemory", "0"]);
    assert_eq!(queue.send(gpu(), &single(3..6)).await, Ok(3));
    let came = queue.receive(gpu(), consumer(1), 9, LONG).await.unwrap();
    assert_eq!(all(&came), single(0..6));
}

#[tokio::test]
#[ignore = "needs redis-server: cargo xtask test --tier redis"]
async fn a_server_that_is_stopped_holds_nobody_up() {
    let server = Server::start(&[]);
    let response_timeout = Duration::from_millis(300);
    let queue = RedisQueue::new(&RedisConfig { response_timeout, ..server.config() }).unwrap();
    let mut listener = queue.subscribe(&[Topic::Records(shard(7))]);
    listener.next().await;
    queue.send(gpu(), &single(0..1)).await.unwrap();
    server.signal("-STOP");
    let begun = Instant::now();
    for _ in 0..3 {
        let error = queue.send(gpu(), &single(1..2)).await.unwrap_err();
        assert!(error.retryable(), "{error}");
        let wait = Duration::from_millis(100);
        let error = queue.receive(gpu(), consumer(1), 9, wait).await.unwrap_err();
        assert!(error.retryable(), "{error}");
    }
    for position in 0..10_000 {
        queue.publish(news(position));
    }
    assert!(begun.elapsed() < DEADLINE / 4, "{:?}", begun.elapsed());
    let dropped = queue.dropped();
    assert!(dropped > 0);
    server.signal("-CONT");
    // Hints were dropped, and the listener, whose connection may have held, is told.
    eventually("a word", async || {
        matches!(listener.next().await, Notice::Lagged | Notice::Reconnected).then_some(())
    })
    .await;
    eventually("it works again", async || super::tried(queue.send(gpu(), &single(9..10)).await))
        .await;
}

#[tokio::test]
#[ignore = "needs redis-server: cargo xtask test --tier redis"]
async fn entries_of_others_are_put_aside_and_do_not_come_again() {
    let server = Server::start(&[]);
    let queue = server.client();
    server.told(&["XADD", "ff:dispatch:gpu", "*", "d", "forged"]);
    server.told(&["XADD", "ff:dispatch:gpu", "*", "a", "b", "c", &"x".repeat(9000)]);
    queue.send(gpu(), &packed(0..3)).await.unwrap();
    let came = queue.receive(gpu(), consumer(1), 9, LONG).await.unwrap();
    assert_eq!(all(&came), packed(0..3));
    queue.acknowledge(gpu(), &super::receipts(&came)).await.unwrap();
    let letters = queue.dead_letters(gpu(), None, 9).await.unwrap();
    assert_eq!(letters.len(), 2);
    assert!(letters.iter().all(|letter| letter.dispatches.is_empty()));
    assert_eq!(letters[0].reason, "this version cannot read it");
    let ids: Vec<_> = letters.into_iter().map(|letter| letter.id).collect();
    assert_eq!(queue.redrive(gpu(), &ids).await, Ok(vec![]));
    assert_eq!(queue.depth(gpu()).await, Ok(Default::default()));
    // Nor do hints of others trouble anybody.
    let mut listener = queue.subscribe(&[Topic::Records(shard(7))]);
    listener.next().await;
    server.told(&["PUBLISH", "ff:hint:records:7", "2 records 7 x 1"]);
    server.told(&["PUBLISH", "ff:hint:records:7", "1 records x"]);
    queue.publish(news(1));
    assert_eq!(listener.next().await, Notice::Hint(news(1)));
}

#[tokio::test]
#[ignore = "needs redis-server: cargo xtask test --tier redis"]
async fn consumers_that_are_gone_are_forgotten_unless_they_hold_something() {
    let server = Server::start(&[]);
    let queue = server.client();
    queue.send(gpu(), &single(0..4)).await.unwrap();
    for n in 1..=4 {
        let came = queue.receive(gpu(), consumer(n), 1, LONG).await.unwrap();
        if n > 1 {
            queue.acknowledge(gpu(), &super::receipts(&came)).await.unwrap();
        }
    }
    let script = crate::redis::RECLAIM;
    let hour = "3600000";
    eventually("only who holds and who asks are left", async || {
        let me = consumer(4).to_string();
        server.told(&["EVAL", script, "1", "ff:dispatch:gpu", "executors", &me, hour, "9", "1"]);
        let left = server.told(&["XINFO", "CONSUMERS", "ff:dispatch:gpu", "executors"]);
        let Value::Array(left) = left else { panic!("{left:?}") };
        assert!(left.len() >= 2, "{left:?}");
        (left.len() == 2).then_some(())
    })
    .await;
    let came = queue.reclaim(gpu(), consumer(4), NO_WAIT, 9).await.unwrap();
    assert_eq!(all(&came), single(0..1));
}

#[tokio::test]
#[ignore = "needs redis-server: cargo xtask test --tier redis"]
async fn more_receivers_than_the_pool_has_room_for_take_turns() {
    let server = Server::start(&[]);
    let queue = RedisQueue::new(&RedisConfig { pool_size: 2, ..server.config() }).unwrap();
    let wait = Duration::from_millis(200);
    let waits = (0..6).map(|n| queue.receive(gpu(), consumer(n), 9, wait));
    for came in futures_util::future::join_all(waits).await {
        assert!(came.is_ok_and(|came| came.is_empty()));
    }
    let clients = server.told(&["CLIENT", "LIST"]);
    let clients: String = redis::from_redis_value(clients).unwrap();
    assert!(clients.lines().count() <= 4, "two that waited, one shared, and us: {clients}");
}

#[tokio::test]
#[ignore = "needs redis-server: cargo xtask test --tier redis"]
async fn one_server_and_a_cluster_are_not_taken_for_each_other() {
    let server = Server::start(&[]);
    refused(RedisConfig { cluster: true, ..server.config() }, "no cluster").await;
    drop(server);
    let cluster = Cluster::start();
    let config = cluster.config();
    let all_refuse = config.addresses.iter().map(|address| RedisConfig {
        addresses: vec![address.clone()],
        cluster: false,
        ..config.clone()
    });
    let mut refusals = 0;
    for config in all_refuse {
        let queue = RedisQueue::new(&config).unwrap();
        if let Err(error) = queue.send(gpu(), &single(0..1)).await {
            assert!(error.to_string().contains("cluster"), "{error}");
            refusals += 1;
        }
    }
    assert_eq!(refusals, 6, "also by the one that has the stream: the keys share no slot");
}

/// A way to a server that can be closed without the server or anybody else noticing.
struct Gate {
    address: String,
    open: watch::Sender<bool>,
    through: Arc<AtomicUsize>,
}

impl Gate {
    async fn to(port: u16) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (open, watched) = watch::channel(true);
        let through = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&through);
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let (mut open, through) = (watched.clone(), Arc::clone(&counter));
                tokio::spawn(async move {
                    if !*open.borrow() {
                        return;
                    }
                    let mut far =
                        tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                    through.fetch_add(1, Ordering::SeqCst);
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                        _ = open.wait_for(|open| !open) => {}
                    }
                    through.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self { address, open, through }
    }

    /// Nothing goes through when this returns.
    async fn close(&self) {
        self.open.send_replace(false);
        eventually("the gate is closed", async || {
            (self.through.load(Ordering::SeqCst) == 0).then_some(())
        })
        .await;
    }

    fn open(&self) {
        self.open.send_replace(true);
    }
}

#[tokio::test]
#[ignore = "needs redis-server: cargo xtask test --tier redis"]
async fn subscribers_are_told_what_a_publisher_alone_lost() {
    let server = Server::start(&[]);
    let gate = Gate::to(server.port).await;
    let addresses = vec![gate.address.clone()];
    let publisher = RedisQueue::new(&RedisConfig { addresses, ..server.config() }).unwrap();
    let mut listener = server.client().subscribe(&[Topic::Records(shard(7))]);
    assert_eq!(next(&mut listener).await, Notice::Reconnected);
    publisher.publish(news(1));
    assert_eq!(next(&mut listener).await, Notice::Hint(news(1)));
    // A short break loses nothing.
    gate.close().await;
    publisher.publish(news(2));
    publisher.publish(news(3));
    gate.open();
    while next(&mut listener).await != Notice::Hint(news(3)) {}
    assert_eq!(publisher.dropped(), 0);
    // A long one loses the oldest, and says so before the others.
    gate.close().await;
    for position in 4..10_000 {
        publisher.publish(news(position));
        tokio::task::yield_now().await;
    }
    assert!(publisher.dropped() > 0);
    gate.open();
    // Only those in hand when it closed come before the word.
    let mut before = 0;
    loop {
        match next(&mut listener).await {
            Notice::Lagged => break,
            Notice::Hint(_) => before += 1,
            Notice::Reconnected => panic!("the listener's own connection held"),
        }
    }
    assert!(before <= 512, "{before}");
    while next(&mut listener).await != Notice::Hint(news(9999)) {}
}
