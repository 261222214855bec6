//! A hint comes, or a word that it may not have.

use std::time::Duration;

use flowforge_model::id::WorkflowId;
use flowforge_model::limits::{HINTS_OUTGOING, HINTS_UNREAD};
use flowforge_model::shard::Shard;
use flowforge_ports::queue::{ClusterName, Hint, Hints, Notice, Subscription, Topic};
use tokio::time::{Instant, timeout};
use uuid::Uuid;

pub(super) fn shard(number: u8) -> Shard {
    Shard::new(number).unwrap()
}

use super::{DEADLINE, World, eventually, gpu};
use crate::inbox::Listener;

pub(super) async fn next(listener: &mut Listener) -> Notice {
    timeout(DEADLINE, listener.next()).await.expect("a notice")
}

/// A hint that can be told from others.
pub(super) fn news(seq: u64) -> Hint {
    Hint::Records { shard: shard(7), workflow: WorkflowId(Uuid::from_u128(7)), seq }
}

pub(super) async fn a_subscriber_hears_its_topics_in_order(world: &impl World) {
    let (publisher, other) = (world.client(), world.client());
    let workflow = WorkflowId(Uuid::from_u128(1));
    let attempt = workflow.attempt(flowforge_model::id::NodeIx(1), 1);
    let topics = [
        Topic::Intents(shard(1)),
        Topic::Calls,
        Topic::Records(shard(7)),
        Topic::Stops(gpu().clone()),
        Topic::Facts(shard(2)),
    ];
    let mut listener = other.subscribe(&topics);
    assert_eq!(next(&mut listener).await, Notice::Reconnected);
    let mine = [
        Hint::Intent { shard: shard(1), workflow },
        news(5),
        Hint::Stop { cluster: gpu().clone(), attempt },
        Hint::Facts { shard: shard(2) },
        Hint::Calls,
    ];
    let others = [
        Hint::Intent { shard: shard(11), workflow },
        Hint::Stop { cluster: ClusterName::parse("gpu-2").unwrap(), attempt },
        Hint::Facts { shard: shard(1) },
        Hint::Records { shard: shard(1), workflow, seq: 3 },
        Hint::Output { shard: shard(1), workflow },
    ];
    for hint in others.into_iter().chain(mine.clone()) {
        publisher.publish(hint);
    }
    for hint in mine {
        assert_eq!(next(&mut listener).await, Notice::Hint(hint));
    }
    // Another one begins anew; one that is dropped is no trouble to the others.
    drop(listener);
    let mut listener = publisher.subscribe(&[Topic::Records(shard(7))]);
    assert_eq!(next(&mut listener).await, Notice::Reconnected);
    publisher.publish(news(6));
    assert_eq!(next(&mut listener).await, Notice::Hint(news(6)));
    assert_eq!(publisher.dropped(), 0);
}

pub(super) async fn a_slow_subscriber_is_told(world: &impl World) {
    let (publisher, other) = (world.client(), world.client());
    let mut slow = other.subscribe(&[Topic::Records(shard(7))]);
    let mut quick = other.subscribe(&[Topic::Records(shard(7))]);
    assert_eq!(next(&mut slow).await, Notice::Reconnected);
    assert_eq!(next(&mut quick).await, Notice::Reconnected);
    let last = u64::try_from(HINTS_UNREAD).unwrap() + 200;
    for seq in 1..=last {
        publisher.publish(news(seq));
        if seq % 200 == 0 || seq == last {
            // The quick one keeps up, and shows how far they have come.
            while next(&mut quick).await != Notice::Hint(news(seq)) {}
        }
    }
    publisher.publish(news(last + 1));
    let mut heard = Vec::new();
    while heard.last() != Some(&Notice::Hint(news(last + 1))) {
        heard.push(next(&mut slow).await);
    }
    let lagged = heard.contains(&Notice::Lagged);
    assert!(lagged, "{} hints of {last} and not a word", heard.len());
    assert!(heard.len() <= HINTS_UNREAD + 201, "{}", heard.len());
}

/// What the listener misses is told: no gap in what it hears but with a word.
pub(super) async fn a_break_is_told_and_mended(world: &impl World) {
    let (publisher, other) = (world.client(), world.client());
    let mut listener = other.subscribe(&[Topic::Records(shard(7))]);
    assert_eq!(next(&mut listener).await, Notice::Reconnected);
    publisher.publish(news(1));
    assert_eq!(next(&mut listener).await, Notice::Hint(news(1)));
    world.kill();
    publisher.publish(news(2));
    world.start_again();
    let mut seq = 2;
    let (mut heard, mut told) = (1, false);
    eventually("hints after the break", async || {
        seq += 1;
        publisher.publish(news(seq));
        let notice = timeout(Duration::from_millis(100), listener.next()).await.ok()?;
        match notice {
            Notice::Hint(Hint::Records { seq: now, .. }) => {
                assert!(now <= heard + 1 || told, "{heard}, then {now}, and not a word");
                (heard, told) = (heard.max(now), false);
            }
            Notice::Hint(other) => panic!("{other:?}"),
            Notice::Lagged | Notice::Reconnected => told = true,
        }
        (heard > 20).then_some(())
    })
    .await;
}

pub(super) async fn a_publisher_is_never_held_up(world: &impl World) {
    let publisher = world.client();
    world.kill();
    let many = u64::try_from(HINTS_OUTGOING).unwrap() * 3;
    let begun = Instant::now();
    for seq in 0..many {
        publisher.publish(news(seq));
    }
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(2), "{took:?}");
    world.start_again();
    // What it could not keep is counted; the newest are sent when there is somebody to send to.
    assert!(publisher.dropped() <= many);
    let mut listener = publisher.subscribe(&[Topic::Records(shard(7))]);
    assert_eq!(next(&mut listener).await, Notice::Reconnected);
    publisher.publish(news(many));
    while next(&mut listener).await != Notice::Hint(news(many)) {}
}
