//! Signs of life, for as long as they last.

use std::time::Duration;

use flowforge_model::limits::HEARTBEAT_BYTES;
use flowforge_ports::queue::{Beat, Heartbeats, Role};
use tokio::time::Instant;

use super::{LONG, World, consumer, eventually};

fn beat(id: u128, body: &str) -> Beat {
    Beat { id: consumer(id), body: body.to_owned() }
}

pub(super) async fn who_beats_is_alive_until_it_expires(world: &impl World) {
    let (one, other) = (world.client(), world.client());
    one.beat(Role::Executor, consumer(2), "2 free", LONG).await.unwrap();
    one.beat(Role::Executor, consumer(1), "1 free", LONG).await.unwrap();
    let begun = Instant::now();
    let short = Duration::from_millis(150);
    one.beat(Role::Executor, consumer(3), "soon gone", short).await.unwrap();
    one.beat(Role::Executor, consumer(2), "3 free", LONG).await.unwrap();
    eventually("the third expires, the others do not", async || {
        let alive = other.alive(Role::Executor).await.unwrap();
        let (rest, third): (Vec<_>, Vec<_>) =
            alive.into_iter().partition(|beat| beat.id != consumer(3));
        assert_eq!(rest, [beat(1, "1 free"), beat(2, "3 free")]);
        assert!(!third.is_empty() || begun.elapsed() >= short - Duration::from_millis(5));
        third.is_empty().then_some(())
    })
    .await;
    one.beat(Role::Executor, consumer(3), "again", LONG).await.unwrap();
    assert_eq!(other.alive(Role::Executor).await.unwrap().len(), 3);
}

pub(super) async fn roles_and_bodies_are_kept_apart(world: &impl World) {
    let queue = world.client();
    let roles =
        [Role::Api, Role::Controller, Role::Scheduler, Role::Cron, Role::Executor, Role::Logs];
    for role in roles {
        assert_eq!(queue.alive(role).await, Ok(vec![]));
        queue.beat(role, consumer(1), role.as_str(), LONG).await.unwrap();
    }
    for role in roles {
        assert_eq!(queue.alive(role).await, Ok(vec![beat(1, role.as_str())]));
    }
    let most = "é".repeat(HEARTBEAT_BYTES / 2);
    queue.beat(Role::Api, consumer(1), &most, LONG).await.unwrap();
    assert_eq!(queue.alive(Role::Api).await, Ok(vec![beat(1, &most)]));
    let more = format!("{most}x");
    let error = queue.beat(Role::Api, consumer(1), &more, LONG).await.unwrap_err();
    assert!(!error.retryable(), "{error}");
}

pub(super) async fn a_loss_is_mended_by_the_next_beat(world: &impl World) {
    let queue = world.client();
    queue.beat(Role::Api, consumer(1), "here", LONG).await.unwrap();
    world.lose_everything();
    assert_eq!(queue.alive(Role::Api).await, Ok(vec![]));
    queue.beat(Role::Api, consumer(1), "here", LONG).await.unwrap();
    assert_eq!(queue.alive(Role::Api).await, Ok(vec![beat(1, "here")]));
}
