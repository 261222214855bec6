//! How often a cluster is asked, and how much at a time: creates and deletes wait for a turn, deletes first and in
//! order, then one create of each tenant after the other.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use flowforge_model::id::EntityId;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{Instant, sleep_until};

/// Requests that wait for their answers at a time. Each takes a connection of its own, and more of them make no
/// cluster faster.
const AT_ONCE: usize = 32;

/// Lasts until whoever has it has its answer, and drops it.
#[derive(Debug)]
pub(crate) struct Turn {
    _permit: Option<OwnedSemaphorePermit>,
}

/// What waits for a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Frees something: goes first.
    Delete,
    /// Takes something, for this tenant.
    Create(EntityId),
}

/// Hands out turns while [`Pace::run`] runs.
#[derive(Debug)]
pub(crate) struct Pace {
    /// The time of one turn.
    interval: Duration,
    burst: u32,
    lanes: Mutex<Lanes>,
    changed: Notify,
    at_once: Arc<Semaphore>,
}

/// Those that wait, the first first.
type Line = VecDeque<oneshot::Sender<Turn>>;

#[derive(Debug, Default)]
struct Lanes {
    deletes: Line,
    /// By tenant; none is empty.
    creates: BTreeMap<EntityId, Line>,
    /// Whose turn it is; all of `creates`, each once.
    round: VecDeque<EntityId>,
    /// The cluster wants to be left alone until then.
    quiet_until: Option<Instant>,
}

impl Lanes {
    fn wait(&mut self, kind: Kind, give: oneshot::Sender<Turn>) {
        match kind {
            Kind::Delete => self.deletes.push_back(give),
            Kind::Create(tenant) => {
                let line = self.creates.entry(tenant).or_default();
                if line.is_empty() {
                    self.round.push_back(tenant);
                }
                line.push_back(give);
            }
        }
    }

    fn next(&mut self) -> Option<oneshot::Sender<Turn>> {
        if let Some(first) = self.deletes.pop_front() {
            return Some(first);
        }
        let tenant = self.round.pop_front()?;
        let line = self.creates.get_mut(&tenant)?;
        let first = line.pop_front();
        if line.is_empty() {
            self.creates.remove(&tenant);
        } else {
            self.round.push_back(tenant);
        }
        first
    }

    fn is_empty(&self) -> bool {
        self.deletes.is_empty() && self.creates.is_empty()
    }

    /// Gives a turn to whoever is first of those that still wait for one.
    fn give(&mut self, mut turn: Turn) -> bool {
        while let Some(waits) = self.next() {
            match waits.send(turn) {
                Ok(()) => return true,
                Err(back) => turn = back,
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
            at_once: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Lanes> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a turn, to be kept until there is an answer. Whoever stops waiting gives up its place.
    pub(crate) async fn turn(&self, kind: Kind) -> Turn {
        let (give, turn) = oneshot::channel();
        self.lock().wait(kind, give);
        self.changed.notify_one();
        turn.await.unwrap_or_else(|_| {
            tracing::debug!("nobody hands out turns any more");
            Turn { _permit: None }
        })
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
            // Closed by nobody.
            let _permit = Arc::clone(&self.at_once).acquire_owned().await.ok();
            if self.lock().give(Turn { _permit }) {
                next += self.interval;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const A: Kind = Kind::Create(EntityId(Uuid::from_u128(1)));
    const B: Kind = Kind::Create(EntityId(Uuid::from_u128(2)));

    /// Virtual time is not in this build of tokio: turns that can all be given at once are looked at.
    #[tokio::test]
    async fn deletes_go_first_and_tenants_take_turns() {
        let pace = Arc::new(Pace::new(1, 8));
        let told = Arc::new(Mutex::new(Vec::new()));
        let mut all = Vec::new();
        let all_of = [
            ("a1", A),
            ("a2", A),
            ("a3", A),
            ("b1", B),
            ("d1", Kind::Delete),
            ("b2", B),
            ("d2", Kind::Delete),
        ];
        for (name, kind) in all_of {
            let (pace, told) = (Arc::clone(&pace), Arc::clone(&told));
            all.push(tokio::spawn(async move {
                let _turn = pace.turn(kind).await;
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
        assert_eq!(*told.lock().expect("told"), ["d1", "d2", "a1", "b1", "a2", "b2", "a3"]);
    }

    #[tokio::test]
    async fn turns_beyond_the_burst_take_their_time() {
        let pace = Arc::new(Pace::new(100, 5));
        let runs = Arc::clone(&pace);
        let runs = tokio::spawn(async move { runs.run().await });
        let began = Instant::now();
        for _ in 0..15 {
            let _turn = pace.turn(A).await;
        }
        let took = began.elapsed();
        runs.abort();
        // Ten beyond the burst, 10 ms each; slower machines only take longer.
        assert!(took >= Duration::from_millis(95), "{took:?}");
    }

    #[tokio::test]
    async fn so_many_wait_for_answers_and_the_next_until_one_has_it() {
        let pace = Arc::new(Pace::new(1, 1000));
        let runs = Arc::clone(&pace);
        let runs = tokio::spawn(async move { runs.run().await });
        let mut held = Vec::new();
        for _ in 0..AT_ONCE {
            held.push(pace.turn(A).await);
        }
        let mut next = Box::pin(pace.turn(Kind::Delete));
        let early = tokio::time::timeout(Duration::from_millis(20), &mut next).await;
        assert!(early.is_err(), "one more than may");
        held.pop();
        let _turn = next.await;
        runs.abort();
    }
}
