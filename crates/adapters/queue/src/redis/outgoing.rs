//! Hints on their way out: a bounded buffer, and the task that empties it.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flowforge_model::limits::HINTS_OUTGOING;
use flowforge_ports::queue::Hint;
use redis::aio::MultiplexedConnection;
use redis::{Pipeline, pipe};
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

use super::fault::Fault;
use super::keys::Keys;
use super::link::Link;
use crate::text;

/// Hints sent at once.
const BATCH: usize = 512;
/// First and longest pause after a failure.
pub(super) const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// The buffer and its task, which ends with it.
pub(super) struct Outgoing {
    buffer: Arc<Buffer>,
    task: AbortHandle,
}

#[derive(Default)]
struct Buffer {
    state: Mutex<State>,
    more: Notify,
}

#[derive(Default)]
struct State {
    hints: VecDeque<Hint>,
    dropped: u64,
    /// What of `dropped` subscribers were told of.
    told: u64,
}

impl Outgoing {
    /// Begins to send. Call it inside of a runtime.
    pub(super) fn new(link: Arc<Link>, keys: Keys) -> Self {
        let buffer = Arc::new(Buffer::default());
        let task = tokio::spawn(send_all(Arc::clone(&buffer), link, keys)).abort_handle();
        Self { buffer, task }
    }

    pub(super) fn push(&self, hint: Hint) {
        let mut state = self.buffer.state();
        if state.hints.len() >= HINTS_OUTGOING {
            state.hints.pop_front();
            state.dropped += 1;
        }
        state.hints.push_back(hint);
        drop(state);
        self.buffer.more.notify_one();
    }

    pub(super) fn dropped(&self) -> u64 {
        self.buffer.state().dropped
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Buffer {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for hints; equal ones go once. Also how many were dropped, if nobody was told yet.
    async fn batch(&self) -> (Vec<Hint>, Option<u64>) {
        loop {
            {
                let mut state = self.state();
                let some = state.hints.len().min(BATCH);
                let mut seen = BTreeSet::new();
                let hints: Vec<Hint> =
                    state.hints.drain(..some).filter(|hint| seen.insert(hint.clone())).collect();
                let lost = (state.dropped > state.told).then_some(state.dropped);
                if lost.is_some() || !hints.is_empty() {
                    return (hints, lost);
                }
            }
            self.more.notified().await;
        }
    }
}

async fn send_all(buffer: Arc<Buffer>, link: Arc<Link>, keys: Keys) {
    let mut wire = None;
    loop {
        let (hints, lost) = buffer.batch().await;
        let mut publish = pipe();
        if lost.is_some() {
            publish.cmd("PUBLISH").arg(keys.lost()).arg("").ignore();
        }
        for hint in &hints {
            let channel = keys.channel(&hint.topic());
            publish.cmd("PUBLISH").arg(channel).arg(text::encode(hint)).ignore();
        }
        // The batch is kept until it is out: a short break loses nothing, and of a long one the
        // buffer drops the oldest. Some may go twice.
        let mut pause = PAUSES.0;
        while let Err(fault) = send(&mut wire, &link, &publish).await {
            if pause == PAUSES.0 {
                tracing::debug!(error = %fault.error, "hints wait");
            }
            wire = None;
            sleep(pause).await;
            pause = (pause * 2).min(PAUSES.1);
        }
        if let Some(dropped) = lost {
            buffer.state().told = dropped;
        }
    }
}

async fn send(
    wire: &mut Option<MultiplexedConnection>,
    link: &Link,
    publish: &Pipeline,
) -> Result<(), Fault> {
    let wire = match wire {
        Some(wire) => wire,
        None => wire.insert(link.single().await?),
    };
    match timeout(link.patience(), publish.query_async(wire)).await {
        Ok(answer) => answer.map_err(Fault::from),
        Err(_) => Err(Fault::late()),
    }
}
