//! The loop around [`Cron`]: all that waits.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use flowforge_model::id::{ScheduleId, WorkflowId};
use flowforge_model::time::Timestamp;
use flowforge_ports::clock::Clock;
use flowforge_ports::nudge::Nudge;
use flowforge_ports::schedules::Schedules;
use flowforge_ports::store::{Store, StoreError};
use flowforge_ports::templates::Templates;
use tokio::sync::mpsc;

use crate::News;
use crate::cron::{Config, Cron};

/// The clock is asked at least this often while something is planned: it may jump, and a machine
/// may sleep. Half of what is still punctual.
const CLOCK: Duration = Duration::from_secs(5);
/// News taken into one turn.
const BATCH: usize = 1024;
/// The pause before the schedules are read again when the store does not answer.
const PAUSE: Duration = Duration::from_secs(1);

/// Where news for the loop is put in. Never blocks; after the loop ended it does nothing.
#[derive(Clone, Debug)]
pub struct Mailbox {
    /// Without a bound: one small entry for each workflow that ends.
    news: mpsc::UnboundedSender<News>,
}

impl Mailbox {
    /// A user wrote or deleted a schedule.
    pub fn changed(&self, id: ScheduleId) {
        self.put(News::Changed(id));
    }

    /// A workflow has ended or is deleted.
    pub fn ended(&self, id: WorkflowId) {
        self.put(News::Ended(id));
    }

    fn put(&self, news: News) {
        if self.news.send(news).is_err() {
            tracing::debug!(?news, "news after the schedules' loop ended");
        }
    }
}

/// The other end of [`Mailbox`].
#[derive(Debug)]
pub struct Inbox {
    news: mpsc::UnboundedReceiver<News>,
}

/// A mailbox and its inbox.
#[must_use]
pub fn mailbox() -> (Mailbox, Inbox) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (Mailbox { news: sender }, Inbox { news: receiver })
}

/// The loop with everything around it.
pub struct Serve<S, C> {
    /// Where all state is.
    pub store: Arc<S>,
    /// How the loop behaves.
    pub config: Config,
    /// The present.
    pub clock: C,
    /// Called after each new intent; must not block.
    pub nudge: Arc<dyn Fn(Nudge) + Send + Sync>,
}

impl<S: fmt::Debug, C: fmt::Debug> fmt::Debug for Serve<S, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serve")
            .field("store", &self.store)
            .field("clock", &self.clock)
            .finish_non_exhaustive()
    }
}

impl<S: Store + Schedules + Templates, C: Clock> Serve<S, C> {
    /// Fires schedules until `shut_down` is ready. The store's calls block: give it a thread.
    pub async fn run(self, mut inbox: Inbox, shut_down: impl Future<Output = ()>) {
        let mut shut_down = pin!(shut_down);
        let mut cron = loop {
            match self.start().await {
                Ok(cron) => break cron,
                Err(error) => tracing::warn!(%error, "schedules cannot be read"),
            }
            tokio::select! {
                biased;
                () = shut_down.as_mut() => return,
                () = tokio::time::sleep(PAUSE) => {}
            }
        };
        let mut news = Vec::new();
        loop {
            let turned = cron.turn(std::mem::take(&mut news), self.clock.now()).await;
            for workflow in turned.asked {
                (self.nudge)(Nudge { workflow, plan: None });
            }
            let wait = self.wait(turned.next_at);
            tokio::select! {
                biased;
                () = shut_down.as_mut() => return,
                received = inbox.news.recv_many(&mut news, BATCH) => {
                    if received == 0 {
                        return;
                    }
                }
                () = wait => {}
            }
        }
    }

    async fn start(&self) -> Result<Cron<S>, StoreError> {
        Cron::start(Arc::clone(&self.store), self.config.clone()).await
    }

    /// Until the next look, or the next glance at the clock. For ever if nothing is planned.
    async fn wait(&self, next_at: Option<Timestamp>) {
        match next_at {
            Some(at) => {
                let due = Duration::from(at.since(self.clock.now()));
                tokio::time::sleep(due.min(CLOCK)).await;
            }
            None => std::future::pending().await,
        }
    }
}
