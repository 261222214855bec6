//! Watches all pods of a cluster beside the executors that made them, and writes down the ends of those that nobody
//! has told: their executor is dead, cut off, stands still, or sees nothing.
//!
//! It only reads the cluster, and claims nothing. Whoever has the attempt goes first: the pod itself, then its
//! executor, and this one after a grace (docs/decisions/0023). Any number of collectors may watch the same cluster.

mod counts;
mod lookout;

use std::collections::BTreeSet;
use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use flowforge_model::attempt::{AttemptKey, Report};
use flowforge_model::id::{AttemptId, WorkflowId};
use flowforge_model::time::{Millis, Timestamp};
use flowforge_ports::clock::Clock;
use flowforge_ports::store::StoreError;
use flowforge_ports::witness::{Awaited, Witness};
use futures_util::{StreamExt as _, stream};
use kube::Api;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::access::{Cluster, PATIENCE, told};
use crate::answer::{self, Answer};
use crate::backoff::Backoff;
use crate::book::{Place, PodRef};
use crate::config::is_label;
use crate::labels;
use crate::left::SILENCE;
use crate::observed::Observed;
use crate::verdict::Bounds;
use crate::watch::{News, watch};
pub use counts::Counts;
use lookout::Lookout;

/// How long pods have to have been as they are before their end is written down. An executor that lives has told it
/// after ten seconds; one that takes over from a dead one, after a lease of ten more and its own look.
const GRACE: Millis = Millis::from_secs(45);
/// News of pods that wait to be looked at; more wait at the cluster.
const NEWS: usize = 1024;
/// Attempts asked about at once.
const ASKED: usize = 500;
/// Pods read at a time.
const READS: usize = 16;

/// What a [`Collector`] needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollectorConfig {
    /// As [`crate::ClusterConfig::name`].
    pub name: String,
    /// As [`crate::ClusterConfig::bounds`]: those of executors.
    pub bounds: Bounds,
    /// How long pods have to have been as they are.
    pub grace: Millis,
}

impl CollectorConfig {
    /// With a grace that leaves executors the time they need.
    #[must_use]
    pub fn new(name: String, bounds: Bounds) -> Self {
        Self { name, bounds, grace: GRACE }
    }
}

/// Says that a workflow has news.
pub type Tell = Box<dyn Fn(WorkflowId) + Send + Sync>;

/// Writes down ends of attempts that nobody else has told.
///
/// Guarantees: it asks the cluster for nothing but lists, watches and single pods; it writes an end only of an attempt
/// that is open and claimed, of which it has seen every pod, and which has ended by the rules of executors.
pub struct Collector<W> {
    cluster: Cluster,
    config: CollectorConfig,
    witness: Arc<W>,
    clock: Arc<dyn Clock>,
    tell: Tell,
    counts: Arc<Counts>,
    lookout: Lookout,
    backoff: Backoff,
}

impl<W: Witness> Collector<W> {
    /// A collector that does nothing yet.
    ///
    /// # Errors
    /// `Config`.
    pub fn new(
        cluster: Cluster,
        config: CollectorConfig,
        (witness, clock): (Arc<W>, Arc<dyn Clock>),
        tell: Tell,
    ) -> Result<Self, crate::ClusterError> {
        if !is_label(&config.name) {
            return Err(crate::config::no_label(&config.name));
        }
        let lookout = Lookout::new(config.bounds, config.grace);
        let (counts, backoff) = (Arc::default(), Backoff::default());
        Ok(Self { cluster, config, witness, clock, tell, counts, lookout, backoff })
    }

    /// What it does, as it goes on.
    #[must_use]
    pub fn counts(&self) -> Arc<Counts> {
        Arc::clone(&self.counts)
    }

    /// Watches until `stopped` is ready. What was not written down by then another one sees, too.
    pub async fn run(mut self, stopped: impl Future<Output = ()>) {
        let (tell, mut news) = mpsc::channel(NEWS);
        let selector = labels::selector(&self.config.name);
        let mut watching = JoinSet::new();
        watching.spawn(watch(self.cluster.client.clone(), selector, tell));
        let mut stopped = pin!(stopped);
        loop {
            let wait = self.wait();
            let looks = tokio::select! {
                () = &mut stopped => break,
                Some(one) = news.recv() => {
                    self.learn(one);
                    false
                }
                () = tokio::time::sleep(wait) => true,
            };
            if looks {
                tokio::select! {
                    () = &mut stopped => break,
                    () = self.look() => {}
                }
            }
        }
        watching.shutdown().await;
    }

    /// Until there is somebody to ask about. Without a cluster nobody can be.
    fn wait(&self) -> Duration {
        let next = self.lookout.next().filter(|_| self.counts.watches());
        next.map_or(Duration::from_secs(3600), |at| at.since(self.clock.now()).into())
    }

    fn learn(&mut self, news: News) {
        let now = self.clock.now();
        match news {
            News::Away => self.counts.watch(false),
            News::All(pods) => {
                self.counts.watch(true);
                self.lookout.listed(pods, now);
            }
            News::Seen(pod) => self.lookout.seen(pod, now),
            News::Gone(pod) => self.lookout.gone(pod, now),
        }
    }

    /// Asks about those whose time has come.
    async fn look(&mut self) {
        let now = self.clock.now();
        let keys = self.lookout.due(now, ASKED);
        match self.ask(&keys, now).await {
            Ok(()) => self.backoff = Backoff::default(),
            Err(error) => {
                tracing::warn!(%error, "the ends of pods are asked about again");
                tokio::time::sleep(self.backoff.next()).await;
            }
        }
        let overdue = self.lookout.next().map(|at| self.clock.now().since(at));
        self.counts.is_late(overdue.unwrap_or_default());
    }

    async fn ask(&mut self, keys: &[AttemptKey], now: Timestamp) -> Result<(), StoreError> {
        let awaited = self.witness.awaited(keys).await?;
        let open: BTreeSet<AttemptId> = awaited.iter().map(|one| one.order.attempt).collect();
        for key in keys.iter().filter(|key| !open.contains(&key.id())) {
            self.lookout.over(key.id());
        }
        let unread = self.read(&awaited, now).await;
        let read = awaited.iter().filter(|one| !unread.contains(&one.order.attempt));
        let ends: Vec<_> = read.filter_map(|one| self.lookout.judge(one, now)).collect();
        if ends.is_empty() {
            return Ok(());
        }
        let said: Vec<_> = ends.iter().map(|(end, _)| end.clone()).collect();
        let kept = self.witness.testify(&said).await?;
        for (end, since) in ends {
            if kept.contains(&end.key) {
                self.lookout.over(end.key.id());
                self.kept(end.key, &end.report, now.since(since));
            } else {
                // Somebody was first, or a pod has begun of which this one does not know yet.
                self.lookout.later(end.key.id(), Some(now.plus(self.config.grace)));
            }
        }
        Ok(())
    }

    /// Reads pods once more before anything is said of them: what was heard may be old. Those that cannot be read
    /// are asked about later.
    async fn read(&mut self, awaited: &[Awaited], now: Timestamp) -> BTreeSet<AttemptId> {
        let seen = awaited.iter().flat_map(|one| self.lookout.pods(one.order.attempt));
        let seen =
            seen.map(|(place, pod)| (place, pod.namespace.clone(), pod.name.clone(), Some(pod)));
        let unseen = awaited.iter().flat_map(|one| {
            let namespace = one.order.project.namespace();
            let unseen = self.lookout.unseen(&one.order).into_iter();
            unseen.map(move |(place, name)| (place, namespace.clone(), name, None))
        });
        let wanted: Vec<(Place, String, String, Option<PodRef>)> = seen.chain(unseen).collect();
        let cluster = self.cluster.clone();
        let reads = wanted.into_iter().map(move |(place, namespace, name, known)| {
            let cluster = cluster.clone();
            async move {
                let found = pod(&cluster, &namespace, &name).await;
                (place, name, known, found)
            }
        });
        let read: Vec<_> = stream::iter(reads).buffer_unordered(READS).collect().await;
        let mut unread = BTreeSet::new();
        for (place, name, known, found) in read {
            let another = |found: &Observed| {
                known.as_ref().is_some_and(|known| found.metadata.uid.as_ref() != Some(&known.uid))
            };
            match found.map(|found| found.filter(|found| !another(found))) {
                Ok(Some(pod)) => self.lookout.read(place, pod, now),
                Ok(None) => {
                    if let Some(known) = &known {
                        self.lookout.vanished(place, known, now);
                    }
                }
                Err(why) => {
                    tracing::warn!(why, name, "a pod cannot be read");
                    unread.insert(place.attempt);
                }
            }
        }
        for id in &unread {
            self.lookout.later(*id, Some(now.plus(self.config.grace)));
        }
        unread
    }

    fn kept(&self, key: AttemptKey, report: &Report, after: Millis) {
        let failure = report.failure.as_ref();
        let reason = failure.map_or("succeeded", |failure| failure.reason.as_str());
        tracing::warn!(
            attempt = ?key, reason, after_ms = after.0,
            "nobody told how an attempt had ended: written down by what its pod says"
        );
        self.counts.kept(report);
        (self.tell)(key.workflow);
    }
}

impl<W> fmt::Debug for Collector<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collector").field("config", &self.config).finish_non_exhaustive()
    }
}

/// What has this name, if something has.
async fn pod(cluster: &Cluster, namespace: &str, name: &str) -> Result<Option<Observed>, String> {
    let api: Api<Observed> = Api::namespaced(cluster.client.clone(), namespace);
    match timeout(PATIENCE, api.get(name)).await {
        Ok(Ok(found)) => Ok(Some(found)),
        Ok(Err(error)) => match answer::read(&error) {
            Answer::Missing | Answer::NoNamespace => Ok(None),
            Answer::Exists | Answer::Another | Answer::Again(_) | Answer::Never(_) => {
                Err(told(&error))
            }
        },
        Err(_) => Err(SILENCE.to_owned()),
    }
}
