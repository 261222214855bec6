//! Signs of life of this process, for people who look at the fleet. Nothing is decided by them.

use std::time::Duration;

use flowforge_model::id::InstanceId;
use flowforge_ports::clock::{Clock as _, SystemClock};
use flowforge_ports::queue::{Heartbeats, Role};

/// How often a server says that it lives.
const EVERY: Duration = Duration::from_secs(5);
/// It is not shown any more after this long without a word.
const TTL: Duration = Duration::from_secs(15);

/// Says that these live, until `stopped` is ready; then that they do not.
pub(super) async fn beat(
    queue: impl Heartbeats,
    seats: Vec<(Role, InstanceId)>,
    stopped: impl Future<Output = ()>,
) {
    let body = body();
    let mut stopped = std::pin::pin!(stopped);
    let mut ttl = TTL;
    loop {
        for (role, id) in &seats {
            if let Err(error) = queue.beat(*role, *id, &body, ttl).await {
                tracing::debug!(%error, "a sign of life is not heard");
            }
        }
        if ttl < TTL {
            return;
        }
        tokio::select! {
            () = &mut stopped => ttl = Duration::from_millis(1),
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

fn body() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    // As long as a name of a machine may be.
    let host: String = host.trim().chars().take(64).collect();
    serde_json::json!({
        "name": format!("{host}:{}", std::process::id()),
        "version": env!("CARGO_PKG_VERSION"),
        "since_ms": SystemClock.now().0,
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use flowforge_queue::LocalQueue;
    use uuid::Uuid;

    use super::*;

    #[tokio::test]
    async fn a_server_is_seen_while_it_lives_and_says_farewell() {
        let queue = LocalQueue::default();
        let id = InstanceId(Uuid::from_u128(7));
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let beating = tokio::spawn(beat(queue.clone(), vec![(Role::Logs, id)], async {
            drop(stopped.await);
        }));
        let seen = loop {
            match queue.alive(Role::Logs).await.unwrap().pop() {
                Some(beat) => break beat,
                None => tokio::task::yield_now().await,
            }
        };
        assert_eq!(seen.id, id);
        let said: serde_json::Value = serde_json::from_str(&seen.body).unwrap();
        assert_eq!(said["version"], env!("CARGO_PKG_VERSION"));
        assert!(said["name"].as_str().unwrap().ends_with(&format!(":{}", std::process::id())));
        stop.send(()).unwrap();
        beating.await.unwrap();
        while !queue.alive(Role::Logs).await.unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    }
}
