//! What is known between two turns: when to look at which schedule, and whose run is whose.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flowforge_model::id::{ScheduleId, WorkflowId};
use flowforge_model::plan::RetryStrategy;
use flowforge_model::time::{Millis, Timestamp};
use flowforge_ports::schedules::Schedules;
use flowforge_ports::store::{Store, StoreError};
use flowforge_ports::templates::Templates;

use crate::News;
use crate::look::Looked;

/// How the loop behaves.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// Retries of leaves that name none.
    pub default_retry: Option<RetryStrategy>,
}

/// When a schedule is looked at again that could not be dealt with.
const AGAIN: Millis = Millis::from_secs(5);
/// Schedules read at once at the start.
const PAGE: u32 = 100;

/// What a turn did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Turned {
    /// Workflows with a new intent: the controller is to be nudged.
    pub asked: Vec<WorkflowId>,
    /// When the next turn is due without news.
    pub next_at: Option<Timestamp>,
}

/// The firing of all schedules of a store. One per store: a second one would only be refused
/// often.
#[derive(Debug)]
pub struct Cron<S> {
    pub(crate) store: Arc<S>,
    pub(crate) config: Config,
    /// By time.
    heap: BTreeSet<(Timestamp, ScheduleId)>,
    /// The entry of each schedule in `heap`.
    times: BTreeMap<ScheduleId, Timestamp>,
    runs: BTreeMap<WorkflowId, ScheduleId>,
    /// The runs of each schedule in `runs`.
    active: BTreeMap<ScheduleId, BTreeSet<WorkflowId>>,
}

impl<S: Store + Schedules + Templates> Cron<S> {
    /// Reads all schedules; the first turn looks at every one of them, because runs may have
    /// ended and fire times may have passed unseen.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn start(store: Arc<S>, config: Config) -> Result<Self, StoreError> {
        let mut this = Self {
            store,
            config,
            heap: BTreeSet::new(),
            times: BTreeMap::new(),
            runs: BTreeMap::new(),
            active: BTreeMap::new(),
        };
        let mut after = None;
        loop {
            let page = this.store.schedules(None, after, PAGE).await?;
            let Some(last) = page.last() else {
                return Ok(this);
            };
            after = Some(last.id);
            for row in page {
                this.plan(row.id, Some(Timestamp(i64::MIN)));
            }
        }
    }

    /// Looks at every schedule that is due at `now` or in the news. What goes wrong with one is
    /// logged, keeps nobody else waiting, and is tried again.
    pub async fn turn(&mut self, news: Vec<News>, now: Timestamp) -> Turned {
        let mut wanted = BTreeSet::new();
        for one in news {
            match one {
                News::Changed(id) => {
                    wanted.insert(id);
                }
                News::Ended(workflow) => wanted.extend(self.runs.get(&workflow)),
            }
        }
        while let Some((at, id)) = self.heap.first().copied().filter(|(at, _)| *at <= now) {
            self.heap.remove(&(at, id));
            self.times.remove(&id);
            wanted.insert(id);
        }
        let mut turned = Turned::default();
        for id in wanted {
            let looked = self.look(id, now).await;
            self.keep(id, now, looked, &mut turned);
        }
        turned.next_at = self.heap.first().map(|(at, _)| *at);
        turned
    }

    fn keep(
        &mut self,
        id: ScheduleId,
        now: Timestamp,
        looked: Result<Looked, StoreError>,
        turned: &mut Turned,
    ) {
        match looked {
            Ok(looked) => {
                self.plan(id, looked.next_at);
                self.watch(id, looked.active);
                turned.asked.extend(looked.asked);
            }
            Err(StoreError::NotFound) => {
                self.plan(id, None);
                self.watch(id, BTreeSet::new());
            }
            Err(error) => {
                tracing::warn!(schedule = %id, %error, "schedule could not be looked at");
                self.plan(id, Some(now.plus(AGAIN)));
            }
        }
    }

    /// When to look at a schedule again.
    fn plan(&mut self, id: ScheduleId, at: Option<Timestamp>) {
        if let Some(before) = self.times.remove(&id) {
            self.heap.remove(&(before, id));
        }
        if let Some(at) = at {
            self.times.insert(id, at);
            self.heap.insert((at, id));
        }
    }

    /// Whose ends a schedule waits for.
    fn watch(&mut self, id: ScheduleId, active: BTreeSet<WorkflowId>) {
        for run in self.active.remove(&id).unwrap_or_default() {
            self.runs.remove(&run);
        }
        for run in &active {
            self.runs.insert(*run, id);
        }
        if !active.is_empty() {
            self.active.insert(id, active);
        }
    }
}
