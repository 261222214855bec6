//! How often a cluster is asked: creates and deletes wait for a turn, deletes first, each kind in order.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep_until};

/// What waits for a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Frees something: goes first.
    Delete,
    /// Takes something.
    Create,
}

/// Hands out turns while [`Pace::run`] runs.
#[derive(Debug)]
pub(crate) struct Pace {
    /// The time of one turn.
    interval: Duration,
    burst: u32,
    lanes: Mutex<Lanes>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Lanes {
    deletes: VecDeque<oneshot::Sender<()>>,
    creates: VecDeque<oneshot::Sender<()>>,
    /// The cluster wants to be left alone until then.
    quiet_until: Option<Instant>,
}

impl Lanes {
    fn is_empty(&self) -> bool {
        self.deletes.is_empty() && self.creates.is_empty()
    }

    /// Gives one turn to whoever still waits for it.
    fn give(&mut self) -> bool {
        while let Some(waits) = self.deletes.pop_front().or_else(|| self.creates.pop_front()) {
            if waits.send(()).is_ok() {
                return true;
            }
        }
        false
    }
}

impl Pace {
    pub(crate) fn new(per_second: u32, burst: u32) -> Self {
        Self {
            interval: Duration::from_secs(1) / per_second.max(1),
            burst: burst.max(1),
            lanes: Mutex::default(),
            changed: Notify::new(),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Lanes> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a turn. Whoever stops waiting gives up its place.
    pub(crate) async fn turn(&self, kind: Kind) {
        let (give, turn) = oneshot::channel();
        {
            let mut lanes = self.lock();
            match kind {
                Kind::Delete => lanes.deletes.push_back(give),
                Kind::Create => lanes.creates.push_back(give),
            }
        }
        self.changed.notify_one();
        if turn.await.is_err() {
            tracing::debug!("nobody hands out turns any more");
        }
    }

    /// Nobody gets a turn for this long.
    pub(crate) fn hold(&self, pause: Duration) {
        let until = Instant::now() + pause;
        let mut lanes = self.lock();
        lanes.quiet_until = Some(lanes.quiet_until.map_or(until, |before| before.max(until)));
    }

    /// Hands out turns for ever.
    pub(crate) async fn run(&self) {
        // When the next turn would be if there had never been a pause; at most a burst in the past.
        let saved = self.interval * self.burst.saturating_sub(1);
        let back = |now: Instant| now.checked_sub(saved).unwrap_or(now);
        let mut next = back(Instant::now());
        loop {
            if self.lock().is_empty() {
                self.changed.notified().await;
                continue;
            }
            let now = Instant::now();
            next = next.max(back(now));
            let quiet = self.lock().quiet_until;
            let due = quiet.map_or(next, |until| until.max(next));
            if due > now {
                sleep_until(due).await;
            }
            if self.lock().give() {
                next += self.interval;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// Virtual time is not in this build of tokio: turns that can all be given at once are looked at.
    #[tokio::test]
    async fn deletes_go_first_and_each_kind_in_order() {
        let pace = Arc::new(Pace::new(1, 4));
        let told = Arc::new(Mutex::new(Vec::new()));
        let mut all = Vec::new();
        for (name, kind) in
            [("c1", Kind::Create), ("c2", Kind::Create), ("d1", Kind::Delete), ("d2", Kind::Delete)]
        {
            let (pace, told) = (Arc::clone(&pace), Arc::clone(&told));
            all.push(tokio::spawn(async move {
                pace.turn(kind).await;
                told.lock().expect("told").push(name);
            }));
        }
        // On this one thread, all wait before anything is handed out.
        tokio::task::yield_now().await;
        let runs = Arc::clone(&pace);
        let runs = tokio::spawn(async move { runs.run().await });
        for one in all {
            one.await.expect("a turn");
        }
        runs.abort();
        assert_eq!(*told.lock().expect("told"), ["d1", "d2", "c1", "c2"]);
    }

    #[tokio::test]
    async fn turns_beyond_the_burst_take_their_time() {
        let pace = Arc::new(Pace::new(100, 5));
        let runs = Arc::clone(&pace);
        let runs = tokio::spawn(async move { runs.run().await });
        let began = Instant::now();
        for _ in 0..15 {
            pace.turn(Kind::Create).await;
        }
        let took = began.elapsed();
        runs.abort();
        // Ten beyond the burst, 10 ms each; slower machines only take longer.
        assert!(took >= Duration::from_millis(95), "{took:?}");
    }
}
