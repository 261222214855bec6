//! Work is delivered at least once, in order, to one of many.

use std::collections::BTreeSet;
use std::time::Duration;

use flowforge_model::id::mix;
use flowforge_model::limits::QUEUE_ENTRIES;
use flowforge_ports::queue::{ClusterName, Delivery, Depth, Dispatch, Dispatches, Receipt};
use tokio::time::Instant;

use super::{
    LONG, NO_WAIT, World, all, consumer, dispatch, eventually, gpu, packed, receipts, single,
};

pub(super) async fn what_is_sent_comes_in_order_until_acknowledged(world: &impl World) {
    let (sender, executor) = (world.client(), world.client());
    let sent = packed(0..120);
    assert_eq!(sender.send(gpu(), &sent).await, Ok(120));
    let first = executor.receive(gpu(), consumer(1), 2, NO_WAIT).await.unwrap();
    let lengths: Vec<usize> = first.iter().map(|delivery| delivery.dispatches.len()).collect();
    assert_eq!(lengths, [50, 50], "packed");
    assert!(first.iter().all(|delivery| delivery.taken == 1));
    let second = executor.receive(gpu(), consumer(1), 9, LONG).await.unwrap();
    assert_eq!([all(&first), all(&second)].concat(), sent);
    executor.acknowledge(gpu(), &receipts(&first)).await.unwrap();
    executor.acknowledge(gpu(), &receipts(&second)).await.unwrap();
    assert_eq!(executor.reclaim(gpu(), consumer(2), NO_WAIT, 9).await, Ok(vec![]));
    assert_eq!(executor.receive(gpu(), consumer(1), 9, NO_WAIT).await, Ok(vec![]));
    assert_eq!(sender.depth(gpu()).await, Ok(Depth::default()));
}

pub(super) async fn each_delivery_goes_to_one_consumer(world: &impl World) {
    let queue = world.client();
    let sent = single(0..40);
    queue.send(gpu(), &sent).await.unwrap();
    let mut came = Vec::new();
    for turn in 0..8 {
        let one = queue.receive(gpu(), consumer(turn % 3), 5, LONG).await.unwrap();
        assert!(one.len() <= 5);
        came.extend(all(&one));
    }
    assert_eq!(came, sent);
}

pub(super) async fn who_waits_is_woken(world: &impl World) {
    let (sender, executor) = (world.client(), world.client());
    let wait = executor.receive(gpu(), consumer(1), 9, LONG * 2);
    let send = async {
        // It waits: its question made the group, or in process its call was polled first.
        tokio::task::yield_now().await;
        sender.send(gpu(), &single(0..1)).await.unwrap();
    };
    let begun = Instant::now();
    let (came, ()) = tokio::join!(wait, send);
    assert_eq!(all(&came.unwrap()), single(0..1));
    assert!(begun.elapsed() < LONG);
}

pub(super) async fn who_waits_in_vain_is_told_in_time(world: &impl World) {
    let queue = world.client();
    // Longer than the client's own limit of half a second.
    let wait = Duration::from_millis(800);
    let begun = Instant::now();
    assert_eq!(queue.receive(gpu(), consumer(1), 9, wait).await, Ok(vec![]));
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(790) && took < LONG, "{took:?}");
    // And nobody waits on in the server's eyes: what comes later is for who asks later.
    queue.send(gpu(), &single(0..1)).await.unwrap();
    let came = queue.receive(gpu(), consumer(2), 9, LONG).await.unwrap();
    assert_eq!(all(&came), single(0..1));
}

pub(super) async fn what_nobody_acknowledged_comes_again_and_is_counted(world: &impl World) {
    let sender = world.client();
    sender.send(gpu(), &packed(0..60)).await.unwrap();
    let dies = world.client();
    let lost = dies.receive(gpu(), consumer(1), 9, LONG).await.unwrap();
    assert_eq!(lost.len(), 2);
    dies.acknowledge(gpu(), &[lost[0].receipt.clone()]).await.unwrap();
    drop(dies);
    let lives = world.client();
    for taken in 2..=3 {
        let idle = Duration::from_millis(60);
        let again = eventually("the dead consumer's work", async || {
            let came = lives.reclaim(gpu(), consumer(2), idle, 9).await.unwrap();
            (!came.is_empty()).then_some(came)
        })
        .await;
        assert_eq!(again, [Delivery { taken, ..lost[1].clone() }]);
    }
    lives.acknowledge(gpu(), &receipts(&lost)).await.unwrap();
    assert_eq!(lives.reclaim(gpu(), consumer(3), NO_WAIT, 9).await, Ok(vec![]));
    assert_eq!(lives.depth(gpu()).await, Ok(Depth::default()));
}

pub(super) async fn what_was_taken_a_moment_ago_is_left_alone(world: &impl World) {
    let queue = world.client();
    queue.send(gpu(), &single(0..10)).await.unwrap();
    let taken = queue.receive(gpu(), consumer(1), 4, LONG).await.unwrap();
    let hour = Duration::from_secs(3600);
    assert_eq!(queue.reclaim(gpu(), consumer(2), hour, 99).await, Ok(vec![]));
    // What nobody took is not reclaimed at all, and a limit is one.
    let again = queue.reclaim(gpu(), consumer(2), NO_WAIT, 3).await.unwrap();
    assert_eq!(all(&again), all(&taken[..3]));
    // Reclaiming is taking: it is not idle any more.
    assert_eq!(queue.reclaim(gpu(), consumer(3), hour, 99).await, Ok(vec![]));
}

pub(super) async fn a_receive_that_is_dropped_loses_nothing(world: &impl World) {
    let queue = world.client();
    for n in 0..20 {
        let mut wait = Box::pin(queue.receive(gpu(), consumer(1), 9, LONG));
        let poll = Duration::from_millis(u64::from(n));
        assert!(tokio::time::timeout(poll, &mut wait).await.is_err());
        drop(wait);
        queue.send(gpu(), &single(n..n + 1)).await.unwrap();
        // The server may have given it to the one who left; then it is taken, and reclaimed.
        let came = eventually("what was sent", async || {
            let mut came = queue.receive(gpu(), consumer(2), 9, NO_WAIT).await.unwrap();
            came.extend(queue.reclaim(gpu(), consumer(2), NO_WAIT, 9).await.unwrap());
            (!came.is_empty()).then_some(came)
        })
        .await;
        assert_eq!(all(&came[..1]), single(n..n + 1));
        queue.acknowledge(gpu(), &receipts(&came)).await.unwrap();
    }
    assert_eq!(queue.depth(gpu()).await, Ok(Depth::default()));
}

pub(super) async fn the_rest_goes_back_to_the_end(world: &impl World) {
    let queue = world.client();
    let sent = packed(0..50);
    queue.send(gpu(), &sent).await.unwrap();
    queue.send(gpu(), &single(90..91)).await.unwrap();
    let first = queue.receive(gpu(), consumer(1), 1, LONG).await.unwrap();
    for _ in 0..2 {
        queue.put_back(gpu(), &first[0].receipt, &sent[3..]).await.unwrap();
    }
    let depth = Depth { dispatches: 48, entries: 2, taken: 0 };
    assert_eq!(queue.depth(gpu()).await, Ok(depth), "the second time it is not there any more");
    let rest = queue.receive(gpu(), consumer(2), 9, LONG).await.unwrap();
    assert_eq!(all(&rest), [&single(90..91), &sent[3..]].concat());
    queue.put_back(gpu(), &rest[0].receipt, &[]).await.unwrap();
    queue.put_back(gpu(), &rest[1].receipt, &[]).await.unwrap();
    assert_eq!(queue.depth(gpu()).await, Ok(Depth::default()));
}

pub(super) async fn depth_is_what_is_not_acknowledged(world: &impl World) {
    let queue = world.client();
    assert_eq!(queue.depth(gpu()).await, Ok(Depth::default()));
    queue.send(gpu(), &packed(0..120)).await.unwrap();
    let depth = |dispatches, entries, taken| Ok(Depth { dispatches, entries, taken });
    assert_eq!(queue.depth(gpu()).await, depth(120, 3, 0));
    let came = queue.receive(gpu(), consumer(1), 2, LONG).await.unwrap();
    assert_eq!(queue.depth(gpu()).await, depth(120, 3, 2));
    for _ in 0..2 {
        queue.acknowledge(gpu(), &receipts(&came[..1])).await.unwrap();
        assert_eq!(queue.depth(gpu()).await, depth(70, 2, 1), "acknowledged once or twice");
    }
}

pub(super) async fn a_full_queue_takes_in_no_more_and_forgets_nothing(world: &impl World) {
    let queue = world.client();
    let entries = u32::try_from(QUEUE_ENTRIES).unwrap();
    let sent = single(0..entries + 10);
    let (first, more) = sent.split_at(sent.len() - 15);
    assert_eq!(queue.send(gpu(), first).await, Ok(first.len()));
    assert_eq!(queue.send(gpu(), more).await, Ok(5));
    assert_eq!(queue.send(gpu(), more).await, Ok(0));
    let depth = queue.depth(gpu()).await.unwrap();
    assert_eq!((depth.entries, depth.dispatches), (QUEUE_ENTRIES, QUEUE_ENTRIES));
    let came = queue.receive(gpu(), consumer(1), 10, LONG).await.unwrap();
    assert_eq!(all(&came), sent[..10], "the oldest are there");
    queue.acknowledge(gpu(), &receipts(&came)).await.unwrap();
    assert_eq!(queue.send(gpu(), &more[5..]).await, Ok(10), "room again");
}

pub(super) async fn clusters_do_not_see_each_other(world: &impl World) {
    let queue = world.client();
    let other = ClusterName::parse("gpu-2").unwrap();
    queue.send(gpu(), &single(0..1)).await.unwrap();
    assert_eq!(queue.receive(&other, consumer(1), 9, NO_WAIT).await, Ok(vec![]));
    let came = queue.receive(gpu(), consumer(1), 9, LONG).await.unwrap();
    queue.acknowledge(&other, &receipts(&came)).await.unwrap();
    assert_eq!(queue.reclaim(&other, consumer(1), NO_WAIT, 9).await, Ok(vec![]));
    assert_eq!(queue.depth(gpu()).await.unwrap().taken, 1);
}

pub(super) async fn receipts_of_nothing_are_passed_over(world: &impl World) {
    let queue = world.client();
    queue.send(gpu(), &single(0..1)).await.unwrap();
    for text in ["", "x", "*/1", "99-0/50", "99-0/51", "-1", "17"] {
        let receipt = Receipt(text.to_owned());
        queue.acknowledge(gpu(), std::slice::from_ref(&receipt)).await.unwrap();
        queue.put_back(gpu(), &receipt, &single(5..6)).await.unwrap();
        queue.bury(gpu(), &receipt, "nothing").await.unwrap();
    }
    assert_eq!(queue.depth(gpu()).await, Ok(Depth { dispatches: 1, entries: 1, taken: 0 }));
    assert_eq!(queue.dead_letters(gpu(), None, 9).await, Ok(vec![]));
    for nothing in [0, 1] {
        let came = queue.receive(gpu(), consumer(1), nothing, NO_WAIT).await.unwrap();
        assert_eq!(came.len(), nothing);
    }
}

/// Consumers take, die, put back and acknowledge as a seed says; at the end everything that was
/// sent has been acknowledged by somebody who had it.
pub(super) async fn whatever_consumers_do_nothing_is_lost(world: &impl World) {
    for seed in 0..6 {
        let queue = world.client();
        let mut state: u64 = seed;
        let mut pick = |of: u32| {
            state = mix(state.wrapping_add(0x9e37_79b9_7f4a_7c15));
            u32::try_from(state % u64::from(of)).unwrap()
        };
        let (mut sent, mut done) = (BTreeSet::new(), BTreeSet::new());
        let mut held: Vec<Delivery> = Vec::new();
        for step in 0..120 {
            let who = consumer(u128::from(pick(3)));
            match pick(6) {
                0 => {
                    let more: Vec<Dispatch> = (0..pick(120))
                        .map(|n| dispatch(step * 1000 + n, i64::from(step)))
                        .collect();
                    assert_eq!(queue.send(gpu(), &more).await, Ok(more.len()));
                    sent.extend(more);
                }
                1 => held.extend(queue.receive(gpu(), who, 3, NO_WAIT).await.unwrap()),
                2 => held.extend(queue.reclaim(gpu(), who, NO_WAIT, 1).await.unwrap()),
                3 => held.clear(),
                4 if !held.is_empty() => {
                    let one = held.swap_remove(pick(u32::try_from(held.len()).unwrap()) as usize);
                    queue.acknowledge(gpu(), &[one.receipt]).await.unwrap();
                    done.extend(one.dispatches);
                }
                _ if !held.is_empty() => {
                    let one = held.swap_remove(0);
                    let keep = one.dispatches.len() / 2;
                    let (mine, rest) = one.dispatches.split_at(keep);
                    queue.put_back(gpu(), &one.receipt, rest).await.unwrap();
                    // Whoever took it since has it too; that is what at least once means.
                    done.extend(mine.iter().copied());
                }
                _ => {}
            }
        }
        drain(&queue, &mut done).await;
        assert!(done == sent, "seed {seed}: {} of {}", done.len(), sent.len());
    }
}

async fn drain(queue: &impl Dispatches, done: &mut BTreeSet<Dispatch>) {
    loop {
        let mut came = queue.receive(gpu(), consumer(9), 99, NO_WAIT).await.unwrap();
        came.extend(queue.reclaim(gpu(), consumer(9), NO_WAIT, 99).await.unwrap());
        for letter in queue.dead_letters(gpu(), None, 99).await.unwrap() {
            queue.redrive(gpu(), std::slice::from_ref(&letter.id)).await.unwrap();
            done.extend(letter.dispatches);
        }
        if came.is_empty() {
            break;
        }
        queue.acknowledge(gpu(), &receipts(&came)).await.unwrap();
        done.extend(all(&came));
    }
    assert_eq!(queue.depth(gpu()).await, Ok(Depth::default()));
}
