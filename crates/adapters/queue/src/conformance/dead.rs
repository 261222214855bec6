//! What nobody can work on is kept for people, within bounds.

use std::time::Duration;

use flowforge_model::limits::{DEAD_LETTERS, DISPATCH_TAKES, MESSAGE_BYTES};
use flowforge_ports::clock::{Clock, SystemClock};
use flowforge_ports::queue::{DeadLetterId, Depth, Dispatches};
use futures_util::future::join_all;

use super::{LONG, NO_WAIT, World, all, consumer, gpu, packed, receipts, single};

pub(super) async fn what_is_taken_too_often_is_buried_and_redriven_once(world: &impl World) {
    let queue = world.client();
    let begun = SystemClock.now();
    queue.send(gpu(), &packed(0..3)).await.unwrap();
    queue.receive(gpu(), consumer(1), 9, LONG).await.unwrap();
    for taken in 2..=DISPATCH_TAKES {
        let came = queue.reclaim(gpu(), consumer(1), NO_WAIT, 9).await.unwrap();
        assert_eq!((came.len(), came[0].taken), (1, taken));
    }
    assert_eq!(queue.reclaim(gpu(), consumer(1), NO_WAIT, 9).await, Ok(vec![]));
    assert_eq!(queue.depth(gpu()).await, Ok(Depth::default()));
    let letters = queue.dead_letters(gpu(), None, 9).await.unwrap();
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].dispatches, packed(0..3));
    assert_eq!(letters[0].reason, "taken 5 times and never acknowledged");
    let late = letters[0].buried_at.since(begun).0;
    assert!(late < 60_000 && letters[0].buried_at.0 > begun.0 - 60_000, "{:?}", letters[0]);
    let ids = [letters[0].id.clone()];
    let (one, other) = tokio::join!(queue.redrive(gpu(), &ids), async {
        world.client().redrive(gpu(), &ids).await
    });
    let keys = [one.unwrap(), other.unwrap()].concat();
    assert_eq!(keys, packed(0..3).iter().map(|dispatch| dispatch.key).collect::<Vec<_>>());
    assert_eq!(queue.dead_letters(gpu(), None, 9).await, Ok(vec![]));
}

pub(super) async fn dead_letters_are_read_in_pages(world: &impl World) {
    let queue = world.client();
    queue.send(gpu(), &single(0..7)).await.unwrap();
    let came = queue.receive(gpu(), consumer(1), 9, LONG).await.unwrap();
    for (n, delivery) in came.iter().enumerate() {
        queue.bury(gpu(), &delivery.receipt, &format!("because {n}")).await.unwrap();
        queue.bury(gpu(), &delivery.receipt, "twice is once").await.unwrap();
    }
    assert_eq!(queue.depth(gpu()).await, Ok(Depth::default()));
    let (mut after, mut read): (Option<DeadLetterId>, _) = (None, Vec::new());
    loop {
        let page = queue.dead_letters(gpu(), after.as_ref(), 3).await.unwrap();
        assert!(page.len() <= 3);
        let Some(last) = page.last() else { break };
        after = Some(last.id.clone());
        read.extend(page);
    }
    assert_eq!(all_of(&read), all(&came));
    assert_eq!(read[4].reason, "because 4");
    queue.send(gpu(), &single(8..9)).await.unwrap();
    let last = queue.receive(gpu(), consumer(1), 9, LONG).await.unwrap();
    let long = "é".repeat(MESSAGE_BYTES);
    queue.bury(gpu(), &last[0].receipt, &long).await.unwrap();
    let letters = queue.dead_letters(gpu(), after.as_ref(), 3).await.unwrap();
    assert_eq!(letters[0].reason.len(), MESSAGE_BYTES);
}

fn all_of(letters: &[flowforge_ports::queue::DeadLetter]) -> Vec<flowforge_ports::queue::Dispatch> {
    letters.iter().flat_map(|letter| letter.dispatches.clone()).collect()
}

pub(super) async fn dead_letters_are_bounded(world: &impl World) {
    let queue = world.client();
    let buried = u32::try_from(DEAD_LETTERS).unwrap() + 512;
    queue.send(gpu(), &single(0..buried)).await.unwrap();
    loop {
        let came = queue.receive(gpu(), consumer(1), 256, NO_WAIT).await.unwrap();
        if came.is_empty() {
            break;
        }
        let bury = async |receipt| queue.bury(gpu(), &receipt, "no").await.unwrap();
        join_all(receipts(&came).into_iter().map(bury)).await;
    }
    let (mut after, mut kept): (Option<DeadLetterId>, u64) = (None, 0);
    let mut last = None;
    loop {
        let page = queue.dead_letters(gpu(), after.as_ref(), 1000).await.unwrap();
        let Some(end) = page.last() else { break };
        after = Some(end.id.clone());
        last = Some(end.dispatches[0].key.node.0);
        kept += u64::try_from(page.len()).unwrap();
    }
    assert!((DEAD_LETTERS..=DEAD_LETTERS + 100).contains(&kept), "{kept}");
    assert_eq!(last, Some(buried - 1), "the newest are kept");
}

pub(super) async fn ids_of_nothing_are_refused(world: &impl World) {
    let queue = world.client();
    for text in ["", "x", "-", "+", "1 2", "(5"] {
        let id = DeadLetterId(text.to_owned());
        let listed = queue.dead_letters(gpu(), Some(&id), 9).await.unwrap_err();
        let redriven = queue.redrive(gpu(), &[id]).await.unwrap_err();
        assert!(!listed.retryable() && !redriven.retryable(), "{text}: {listed}");
    }
    assert_eq!(queue.redrive(gpu(), &[]).await, Ok(vec![]));
    let hour = Duration::from_secs(3600);
    assert_eq!(queue.reclaim(gpu(), consumer(1), hour, 0).await, Ok(vec![]));
}
