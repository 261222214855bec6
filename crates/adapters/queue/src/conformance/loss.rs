//! Losing everything costs latency only: nothing hangs, nothing has to be made again.

use std::collections::BTreeSet;
use std::time::Duration;

use flowforge_ports::queue::{Depth, Dispatch, Dispatches};
use tokio::time::{Instant, timeout};

use super::{
    DEADLINE, LONG, NO_WAIT, World, all, consumer, eventually, gpu, packed, receipts, single, tried,
};

pub(super) async fn losing_everything_in_the_middle_is_a_new_beginning(world: &impl World) {
    let queue = world.client();
    queue.send(gpu(), &packed(0..120)).await.unwrap();
    let came = queue.receive(gpu(), consumer(1), 2, LONG).await.unwrap();
    world.lose_everything();
    // Everything that has a use for what is gone.
    queue.acknowledge(gpu(), &receipts(&came[..1])).await.unwrap();
    queue.put_back(gpu(), &came[0].receipt, &packed(0..9)).await.unwrap();
    queue.bury(gpu(), &came[1].receipt, "gone").await.unwrap();
    assert_eq!(queue.reclaim(gpu(), consumer(1), NO_WAIT, 9).await, Ok(vec![]));
    assert_eq!(queue.depth(gpu()).await, Ok(Depth::default()));
    assert_eq!(queue.dead_letters(gpu(), None, 9).await, Ok(vec![]));
    assert_eq!(queue.receive(gpu(), consumer(1), 9, NO_WAIT).await, Ok(vec![]));
    // One that waits meanwhile gets what is sent afterwards.
    let waits = world.client();
    let wait = waits.receive(gpu(), consumer(2), 9, LONG * 2);
    let send = async {
        tokio::task::yield_now().await;
        world.lose_everything();
        queue.send(gpu(), &single(0..1)).await.unwrap();
    };
    let begun = Instant::now();
    let (came, ()) = tokio::join!(wait, send);
    assert_eq!(all(&came.unwrap()), single(0..1));
    assert!(begun.elapsed() < LONG);
}

pub(super) async fn a_killed_server_is_an_error_to_try_again(world: &impl World) {
    let (sender, executor) = (world.client(), world.client());
    let sent = packed(0..50);
    sender.send(gpu(), &sent).await.unwrap();
    executor.receive(gpu(), consumer(1), 9, LONG).await.unwrap();
    let wait = timeout(DEADLINE, executor.receive(gpu(), consumer(1), 9, Duration::from_secs(1)));
    let kill = async {
        tokio::task::yield_now().await;
        world.kill();
    };
    let (cut, ()) = tokio::join!(wait, kill);
    let cut = tried(cut.expect("it does not hang"));
    assert_eq!(cut.unwrap_or_default(), []);
    // Down: every call ends soon, with an error that may be tried again (in process, with none).
    let begun = Instant::now();
    tried(sender.send(gpu(), &sent).await);
    tried(sender.depth(gpu()).await);
    tried(executor.receive(gpu(), consumer(1), 9, NO_WAIT).await);
    tried(executor.reclaim(gpu(), consumer(1), NO_WAIT, 9).await);
    assert!(begun.elapsed() < DEADLINE, "{:?}", begun.elapsed());
    world.lose_everything();
    world.start_again();
    // Up, with nothing: who sends again is heard by those who were there before.
    eventually("sent again", async || tried(sender.send(gpu(), &sent).await)).await;
    let came = eventually("received again", async || {
        let came = tried(executor.receive(gpu(), consumer(1), 9, Duration::from_secs(1)).await)?;
        (!came.is_empty()).then_some(came)
    })
    .await;
    assert_eq!(all(&came[..1]), sent);
}

/// A scheduler sends what is not done again, as it would from the database, while executors work
/// and everything is lost every now and then.
pub(super) async fn work_goes_on_while_everything_is_lost_again_and_again(world: &impl World) {
    let (sender, executor) = (world.client(), world.client());
    let mut open: BTreeSet<Dispatch> = packed(0..2000).into_iter().collect();
    let mut rounds: u32 = 0;
    while !open.is_empty() {
        rounds += 1;
        assert!(rounds < 500, "it does not come to an end: {} open", open.len());
        let some: Vec<Dispatch> = open.iter().copied().take(400).collect();
        if sender.depth(gpu()).await.unwrap().dispatches < 400 {
            sender.send(gpu(), &some).await.unwrap();
        }
        for turn in 0..3 {
            let came = executor.receive(gpu(), consumer(turn), 3, NO_WAIT).await.unwrap();
            if turn == 1 && rounds.is_multiple_of(3) {
                world.lose_everything();
            }
            for dispatch in all(&came) {
                open.remove(&dispatch);
            }
            executor.acknowledge(gpu(), &receipts(&came)).await.unwrap();
        }
    }
}
