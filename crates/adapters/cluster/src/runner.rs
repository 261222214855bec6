//! The runner: one loop that asks the book, and tasks that ask the cluster.

mod desk;
mod make;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, mpsc as threads};
use std::time::Duration;

use flowforge_model::attempt::{Fact, FactKind, FailureClass, Report, Work, WorkOrder};
use flowforge_model::id::AttemptId;
use flowforge_model::status::Reason;
use flowforge_ports::clock::Clock;
use flowforge_ports::runner::{FactSink, Runner};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::access::Cluster;
use crate::book::{Ask, Book, Place};
use crate::config::{ClusterConfig, is_label, no_label};
use crate::objects::Objects;
use crate::project::Projects;
use crate::watch::News;
use crate::{ClusterError, labels};
pub(crate) use desk::Desk;
use desk::Heard;

/// Attempts that may wait for a node. More would wait at the cluster, where no quota decides who is next.
const HOMELESS: usize = 100;
/// News of pods that wait to be looked at; more wait at the cluster.
const NEWS: usize = 1024;

/// Runs attempts as pods of one cluster.
///
/// Guarantees beyond those of [`Runner`]: at most one pod is made and one deletion asked for per attempt, or member
/// of a gang, and runner; all pods of a gang are made or it fails; a pod that is there already with the attempt's name and label is taken over, so attempts of
/// an executor that is gone may be started again. Pods outlive it. Dropping it shuts it down.
pub struct ClusterRunner {
    messages: mpsc::UnboundedSender<Heard>,
    closing: watch::Sender<bool>,
    ended: Mutex<threads::Receiver<()>>,
    /// Goes with whatever runs: all have ended when nobody has one.
    over: Mutex<Option<threads::Sender<()>>>,
    objects: Objects,
    takes_more: watch::Receiver<bool>,
    ports: ClusterPorts,
}

/// What a runner uses.
#[derive(Clone)]
pub struct ClusterPorts {
    /// Where attempts are reported.
    pub facts: Arc<dyn FactSink>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Where projects are looked up.
    pub projects: Arc<dyn Projects>,
}

impl ClusterRunner {
    /// A runner that watches its cluster from now on, on the runtime of `handle`, which must have timers
    /// and I/O and live longer.
    ///
    /// # Errors
    /// `Config`.
    pub fn new(
        cluster: Cluster,
        config: ClusterConfig,
        ports: ClusterPorts,
        handle: &Handle,
    ) -> Result<Self, ClusterError> {
        check(&config)?;
        let desk = Desk::new(cluster, config, ports);
        Ok(Self::at(desk, handle))
    }

    fn at(desk: Desk, handle: &Handle) -> Self {
        let (messages, heard) = mpsc::unbounded_channel();
        let (closing, closed) = watch::channel(false);
        let (over, ended) = threads::channel();
        let desk = Arc::new(desk);
        let ports = desk.ports.clone();
        let objects = Objects::new(Arc::clone(&desk), handle.clone());
        let (room, takes_more) = watch::channel(true);
        let work = Loop {
            book: Book::new(desk.config.bounds),
            desk,
            messages: messages.clone(),
            tasks: JoinSet::new(),
            made: HashMap::new(),
            away: false,
            takes_more: room,
        };
        let running = over.clone();
        handle.spawn(async move {
            work.run(heard, closed).await;
            // Gone when nobody waits for it.
            drop(running);
        });
        let (over, ended) = (Mutex::new(Some(over)), Mutex::new(ended));
        Self { messages, closing, ended, over, objects, takes_more, ports }
    }

    fn say(&self, heard: Heard) {
        if self.messages.send(heard).is_err() {
            tracing::debug!("the runner of pods has ended");
        }
    }
}

fn check(config: &ClusterConfig) -> Result<(), ClusterError> {
    if !is_label(&config.name) {
        return Err(no_label(&config.name));
    }
    let network = |text: &&String| {
        let parts = text.split_once('/');
        parts.is_none_or(|(ip, bits)| {
            ip.parse::<std::net::IpAddr>().is_err() || bits.parse::<u8>().is_err()
        })
    };
    match config.forbidden.iter().find(network) {
        Some(value) => Err(ClusterError::Config {
            what: "the forbidden network",
            value: value.clone(),
            why: "must be an address and bits, as 10.0.0.0/8",
        }),
        None => Ok(()),
    }
}

impl Runner for ClusterRunner {
    fn start(&self, order: Arc<WorkOrder>) {
        let over = self.over.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(over) = over.filter(|_| !*self.closing.borrow()) else {
            let message = "the executor shut down".to_owned();
            let now = self.ports.clock.now();
            let report = Report::failed(now, FailureClass::Lost, Reason::Lost, message);
            let kind = FactKind::Finished(Box::new(report));
            self.ports.facts.deliver(Fact { key: order.key, kind });
            return;
        };
        match order.work {
            Work::Object(_) => self.objects.start(&order, self.closing.subscribe(), over),
            Work::Run(_) | Work::Request(_) => self.say(Heard::Start(order)),
        }
    }

    fn stop(&self, attempt: AttemptId) {
        // Each ignores what it does not know.
        self.objects.stop(attempt);
        self.say(Heard::Stop(attempt));
    }

    fn settled(&self, attempt: AttemptId) {
        self.say(Heard::Settled(attempt));
    }

    fn takes_more(&self) -> bool {
        *self.takes_more.borrow()
    }

    fn shut_down(&self) {
        self.closing.send_replace(true);
        self.over.lock().unwrap_or_else(PoisonError::into_inner).take();
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        // An error, because the other end is dropped when all is over: that is what is waited for.
        if ended.recv().is_ok() {
            tracing::debug!("the runner of pods has ended");
        }
    }
}

impl Drop for ClusterRunner {
    fn drop(&mut self) {
        // Without waiting: this may be a thread of the runtime itself.
        self.closing.send_replace(true);
    }
}

impl fmt::Debug for ClusterRunner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterRunner").finish_non_exhaustive()
    }
}

impl fmt::Debug for ClusterPorts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterPorts").finish_non_exhaustive()
    }
}

/// What the loop has.
struct Loop {
    desk: Arc<Desk>,
    book: Book,
    messages: mpsc::UnboundedSender<Heard>,
    /// All that asks the cluster: ends with the loop.
    tasks: JoinSet<()>,
    /// Tells tasks that make pods to give up.
    made: HashMap<Place, watch::Sender<bool>>,
    /// The cluster does not answer.
    away: bool,
    /// More attempts would not only wait.
    takes_more: watch::Sender<bool>,
}

impl Loop {
    async fn run(
        mut self,
        mut heard: mpsc::UnboundedReceiver<Heard>,
        mut closed: watch::Receiver<bool>,
    ) {
        let (tell, mut news) = mpsc::channel(NEWS);
        let selector = labels::selector(&self.desk.config.name);
        self.tasks.spawn(crate::watch::watch(self.desk.cluster.client.clone(), selector, tell));
        let desk = Arc::clone(&self.desk);
        self.tasks.spawn(async move { desk.pace.run().await });
        loop {
            let wait = self.wait();
            let asks = tokio::select! {
                _ = closed.wait_for(|closed| *closed) => break,
                Some(one) = heard.recv() => self.hear(one),
                Some(one) = news.recv() => self.learn(one),
                () = tokio::time::sleep(wait) => self.book.tick(self.desk.now()),
                Some(ended) = self.tasks.join_next() => {
                    if let Err(error) = ended {
                        tracing::error!(%error, "a task of the runner of pods broke");
                    }
                    Vec::new()
                }
            };
            for ask in asks {
                self.act(ask);
            }
            self.judge();
        }
        let left = self.book.running().count();
        tracing::info!(left, "the cluster is watched no more; pods go on");
        self.tasks.shutdown().await;
    }

    /// Says whether more attempts would only wait.
    fn judge(&self) {
        let (away, homeless) = (self.away, self.book.homeless());
        let takes_more = !away && homeless <= HOMELESS;
        self.takes_more.send_if_modified(|said| {
            let changed = *said != takes_more;
            if changed {
                tracing::warn!(
                    takes_more,
                    away,
                    homeless,
                    "whether the cluster takes more changed"
                );
            }
            *said = takes_more;
            changed
        });
    }

    /// Until somebody has to be looked at again.
    fn wait(&self) -> Duration {
        let next = self.book.next();
        next.map_or(Duration::from_secs(3600), |at| at.since(self.desk.now()).into())
    }

    fn hear(&mut self, heard: Heard) -> Vec<Ask> {
        let now = self.desk.now();
        match heard {
            Heard::Start(order) => self.book.start(&order, now),
            Heard::Stop(id) => self.book.stop(id),
            Heard::Settled(id) => self.book.settled(id),
            Heard::Made(place, made) => {
                self.made.remove(&place);
                match made {
                    Ok(pod) => self.book.found(place, *pod, now),
                    Err(failure) => self.book.not_made(place, failure, now),
                }
            }
            Heard::Read(place, pod) => self.book.seen(place, *pod, now),
            Heard::Missing(place, name) => self.book.vanished(place, Some(&name.uid), None, now),
        }
    }

    fn learn(&mut self, news: News) -> Vec<Ask> {
        let now = self.desk.now();
        match news {
            News::Away => {
                self.away = true;
                Vec::new()
            }
            News::All(pods) => {
                self.away = false;
                self.book.listed(pods, now)
            }
            News::Seen(pod) => match labels::place(&pod) {
                Some(place) => self.book.seen(place, pod, now),
                None => Vec::new(),
            },
            News::Gone(pod) => match labels::place(&pod) {
                Some(place) => self.book.gone(place, &pod, now),
                None => Vec::new(),
            },
        }
    }

    fn act(&mut self, ask: Ask) {
        let (desk, messages) = (Arc::clone(&self.desk), self.messages.clone());
        match ask {
            Ask::Tell(fact) => self.desk.ports.facts.deliver(fact),
            Ask::GiveUp(place) => {
                if let Some(making) = self.made.get(&place) {
                    making.send_replace(true);
                }
            }
            Ask::Make(order, place) => {
                let (give_up, given_up) = watch::channel(false);
                self.made.insert(place, give_up);
                self.tasks.spawn(async move {
                    let made = desk.make((&order, place.member), given_up).await;
                    desk::tell(&messages, Heard::Made(place, made.map(Box::new)));
                });
            }
            Ask::Delete(place, name) => {
                // Who took it over may not have asked for it yet, and must not make it again.
                if let Some(making) = self.made.get(&place) {
                    making.send_replace(true);
                }
                self.tasks.spawn(async move {
                    if desk.delete(&name).await {
                        desk::tell(&messages, Heard::Missing(place, name));
                    }
                });
            }
            Ask::Read(place, name) => {
                self.tasks.spawn(async move {
                    desk::tell(&messages, desk.read(place, name).await);
                });
            }
        }
    }
}

#[cfg(test)]
mod tests;
