//! A cluster of our own: three masters and a replica of each.

use std::time::{Duration, Instant};

use flowforge_ports::queue::{Depth, Dispatches, Hint, Hints, Notice, Topic};
use redis::{Value, from_redis_value};

use super::hints::next;
use super::hints::shard;
use super::server::{Server, free_port};
use super::{DEADLINE, World, all, consumer, eventually, gpu, packed, tried};
use crate::{RedisConfig, RedisQueue};

const MASTERS: usize = 3;
const SLOTS: usize = 16384;

pub(crate) struct Cluster {
    nodes: Vec<Server>,
    turn: u32,
}

impl Cluster {
    pub(super) fn start() -> Self {
        let nodes: Vec<Server> = (0..2 * MASTERS)
            .map(|_| {
                let bus = free_port().to_string();
                Server::start(&[
                    "--cluster-enabled",
                    "yes",
                    "--cluster-port",
                    &bus,
                    "--cluster-node-timeout",
                    "1000",
                    "--cluster-replica-validity-factor",
                    "0",
                    "--repl-diskless-sync-delay",
                    "0",
                ])
            })
            .collect();
        for (n, master) in nodes[..MASTERS].iter().enumerate() {
            let (from, to) = (n * SLOTS / MASTERS, (n + 1) * SLOTS / MASTERS - 1);
            master.told(&["CLUSTER", "ADDSLOTSRANGE", &from.to_string(), &to.to_string()]);
            master.told(&["CLUSTER", "SET-CONFIG-EPOCH", &(n + 1).to_string()]);
        }
        for node in &nodes[1..] {
            let (port, bus) = (nodes[0].port.to_string(), bus_port(&nodes[0]));
            node.told(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus]);
        }
        let cluster = Self { nodes, turn: 0 };
        cluster.until("every node knows all", |node| {
            said(node, &["CLUSTER", "INFO"]).contains("cluster_known_nodes:6\r")
        });
        for (master, replica) in cluster.nodes.iter().zip(&cluster.nodes[MASTERS..]) {
            let id = said(master, &["CLUSTER", "MYID"]);
            // The replica may not have heard of its master's slots yet.
            let until = Instant::now() + DEADLINE;
            while replica.ask(&["CLUSTER", "REPLICATE", &id]).is_err() {
                assert!(Instant::now() < until, "no replica");
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        cluster.ready();
        cluster
    }

    /// All slots are served and every replica follows.
    fn ready(&self) {
        self.until("every node is ready", |node| {
            let info = said(node, &["CLUSTER", "INFO"]);
            let role = said(node, &["INFO", "replication"]);
            let follows = role.contains("role:slave") && role.contains("master_link_status:up");
            let leads = role.contains("role:master") && role.contains("connected_slaves:1");
            info.contains("cluster_state:ok") && (follows || leads)
        });
    }

    fn until(&self, what: &str, holds: impl Fn(&Server) -> bool) {
        let until = Instant::now() + DEADLINE;
        while !self.nodes.iter().all(&holds) {
            assert!(Instant::now() < until, "never: {what}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The next case begins with keys of its own.
    pub(super) fn rename(&mut self) {
        self.turn += 1;
    }

    pub(super) fn config(&self) -> RedisConfig {
        RedisConfig {
            addresses: self.nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)).collect(),
            cluster: true,
            prefix: format!("ff{}:", self.turn),
            ..RedisConfig::default()
        }
    }

    fn master_of(&self, key: &str) -> &Server {
        let mine = |node: &&Server| {
            said(node, &["INFO", "replication"]).contains("role:master")
                && node.ask(&["EXISTS", key]).is_ok()
        };
        self.nodes.iter().find(mine).expect("a master")
    }
}

fn said(node: &Server, words: &[&str]) -> String {
    from_redis_value(node.ask(words).unwrap_or(Value::Nil)).unwrap_or_default()
}

/// From the node's own words: `id 127.0.0.1:port@bus myself,...`.
fn bus_port(node: &Server) -> String {
    let known = said(node, &["CLUSTER", "NODES"]);
    let me = known.lines().find(|line| line.contains("myself")).unwrap();
    let (_, rest) = me.split_once('@').unwrap();
    rest.chars().take_while(char::is_ascii_digit).collect()
}

impl World for Cluster {
    type Queue = RedisQueue;

    fn client(&self) -> RedisQueue {
        RedisQueue::new(&self.config()).unwrap()
    }

    fn lose_everything(&self) {
        for node in &self.nodes {
            // A replica says no, and a node that is down has nothing.
            node.ask(&["FLUSHALL"]).ok();
        }
    }

    fn kill(&self) {
        self.nodes.iter().for_each(Server::end);
    }

    fn start_again(&self) {
        self.nodes.iter().for_each(|node| assert!(node.run(), "a node ended at once"));
        self.ready();
    }
}

#[tokio::test]
#[ignore = "needs redis-server: cargo xtask test --tier redis"]
async fn a_replica_takes_over_for_a_master_that_is_killed() {
    let cluster = Cluster::start();
    let (sender, executor) = (cluster.client(), cluster.client());
    let mut listener = executor.subscribe(&[Topic::Facts(shard(1))]);
    assert_eq!(next(&mut listener).await, Notice::Reconnected);
    sender.send(gpu(), &packed(0..10)).await.unwrap();
    executor.receive(gpu(), consumer(1), 9, Duration::from_secs(5)).await.unwrap();
    cluster.master_of("ff0:{dispatch:gpu}").end();
    // Sent again from the database, and received by those who were there before, from the replica.
    let sent = packed(50..90);
    eventually("sent to the replica", async || tried(sender.send(gpu(), &sent).await)).await;
    eventually("received from the replica", async || {
        let wait = Duration::from_secs(1);
        let came = tried(executor.receive(gpu(), consumer(1), 9, wait).await)?;
        let receipts = super::receipts(&came);
        tried(executor.acknowledge(gpu(), &receipts).await)?;
        all(&came).contains(&sent[39]).then_some(())
    })
    .await;
    eventually("nothing is left", async || {
        let left = tried(executor.reclaim(gpu(), consumer(1), Duration::ZERO, 9).await)?;
        tried(executor.acknowledge(gpu(), &super::receipts(&left)).await)?;
        let depth = tried(sender.depth(gpu()).await)?;
        (depth == Depth::default()).then_some(())
    })
    .await;
    let hint = Hint::Facts { shard: shard(1) };
    eventually("hints come", async || {
        sender.publish(hint.clone());
        let heard = tokio::time::timeout(Duration::from_millis(100), next(&mut listener)).await;
        (heard.ok()? == Notice::Hint(hint.clone())).then_some(())
    })
    .await;
}
