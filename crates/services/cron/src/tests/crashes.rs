//! The process dies at random between any two steps; the database decides.

use std::collections::BTreeMap;
use std::path::Path;

use flowforge_model::id::mix;
use flowforge_model::shard::ShardSet;
use flowforge_model::time::Timestamp;
use flowforge_ports::schedules::Schedules;
use flowforge_ports::store::Store;
use flowforge_store::SqliteStore;

use super::fixture::{DOCUMENT, START, World};
use crate::{Config, Cron};

fn open(path: &Path) -> SqliteStore {
    SqliteStore::open(path).unwrap()
}

/// A process that dies after its commit and before it could do anything with it, one that dies
/// before, and one that goes on: every fire time has its one workflow.
#[tokio::test]
async fn every_fire_time_starts_one_workflow_whenever_the_server_dies() {
    for seed in 0..8_u64 {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("flowforge.db");
        let document = DOCUMENT.replace("\"* * * * *\"", "\"@every 2s\"\n  catchUp: all");
        let mut world = World::new(open(&path), &document).await;
        let (mut now, mut random) = (START, seed);
        let mut told = BTreeMap::new();
        for _ in 0..60 {
            random = mix(random);
            now = Timestamp(now.0 + i64::try_from(random % 4000).unwrap());
            match mix(random) % 4 {
                // Dies before it looked.
                0 => world.restart(open(&path)).await,
                // Dies after the commit: nobody was nudged, nothing is remembered.
                1 => {
                    drop(world.turn(now).await);
                    world.restart(open(&path)).await;
                }
                _ => {
                    for id in world.turn(now).await.asked {
                        *told.entry(id).or_insert(0) += 1;
                    }
                }
            }
        }
        world.turn(now).await;
        let runs = world.store.schedule_runs(world.id, 1000).await.unwrap();
        let times: Vec<i64> = runs.iter().rev().map(|run| run.at.0).collect();
        let expected: Vec<i64> = (START.0..=now.0).step_by(2000).skip(1).collect();
        assert_eq!(times, expected, "seed {seed}");
        assert!(told.values().all(|times| *times == 1), "seed {seed}");
        let intents = world.store.intents(ShardSet::ALL, 0, 1000).await.unwrap();
        assert_eq!(intents.len(), expected.len(), "seed {seed}");
    }
}

/// Two servers that both believe to be the one.
#[tokio::test]
async fn two_loops_over_one_store_start_a_fire_time_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("flowforge.db");
    let mut world = World::new(open(&path), DOCUMENT).await;
    let other = std::sync::Arc::new(open(&path));
    let mut other = Cron::start(other, Config::default()).await.unwrap();
    for minute in 1..5 {
        let now = Timestamp(START.0 + minute * 60_000);
        let (first, second) = (world.turn(now).await, other.turn(Vec::new(), now).await);
        assert_eq!(first.asked.len() + second.asked.len(), 1);
    }
    assert_eq!(world.store.schedule_runs(world.id, 1000).await.unwrap().len(), 4);
}
