//! The loop of an executor that is a server of its own: signs of life, work in, facts out.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use flowforge_model::attempt::{AttemptKey, Fact, FactKind};
use flowforge_model::id::InstanceId;
use flowforge_model::limits;
use flowforge_model::time::Millis;
use flowforge_ports::claims::Claims;
use flowforge_ports::clock::Clock;
use flowforge_ports::leases::{Attendance, Leases, Role};
use flowforge_ports::queue::{
    ClusterName, Delivery, Dispatches, Hint, Hints, Notice, Subscription as _, Topic,
};
use flowforge_ports::runner::Runner;
use flowforge_ports::store::StoreError;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, timeout_at};

use crate::given_up::GivenUp;
use crate::{Executor, Station};

/// How often it is looked for what is to be stopped although nobody said so.
const STOPS: Duration = Duration::from_secs(5);
/// How long one question for work waits.
const WAIT: Duration = Duration::from_secs(2);
/// Facts made durable together.
const FACTS: usize = 1024;
/// The pause after an error.
const PAUSE: Duration = Duration::from_millis(250);
/// What another executor took and did not acknowledge for this long is taken over.
const ABANDONED: Duration = Duration::from_secs(15);
/// Deliveries taken over in one look.
const RECLAIMED: usize = 16;
/// Deliveries claimed together: what came while the last ones were claimed.
const TOGETHER: usize = 16;

/// An executor with everything around it.
#[derive(Debug)]
pub struct Serve<S, Q, R, C> {
    /// The store that all share.
    pub store: Arc<S>,
    /// Where work comes from.
    pub queue: Q,
    /// Where it is: it does the work of this cluster and of no other.
    pub cluster: ClusterName,
    /// Runs what it takes.
    pub executor: Arc<Executor<R, C>>,
    /// Its name; a new one at every start.
    pub instance: InstanceId,
    /// How many attempts it runs at a time.
    pub slots: u32,
    /// It is buried this long after it was last heard of.
    pub ttl: Millis,
    /// What it runs outlives it, and is then for others to claim.
    pub keeps: bool,
}

/// It was not heard of in time: what it ran is lost, and it has to come back as another instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this executor was not heard of in time: what it ran is reported as lost")]
pub struct Buried;

impl<S, Q, R, C> Serve<S, Q, R, C>
where
    S: Claims + Leases,
    Q: Dispatches + Hints,
    R: Runner,
    C: Clock,
{
    /// Runs what is admitted until `shut_down` is ready; takes nothing more then, ends what runs and
    /// reports it. `facts` is where the ledger of the executor reports to.
    ///
    /// # Errors
    /// If it is buried, or has not been able to say that it lives for as long as its time to live:
    /// everything it ran was ended.
    pub async fn run(
        self,
        mut facts: mpsc::UnboundedReceiver<Fact>,
        shut_down: impl Future<Output = ()>,
    ) -> Result<(), Buried> {
        let shut_down = pin!(shut_down);
        let station =
            Station::new(Arc::clone(&self.store), Arc::clone(&self.executor), self.instance);
        let freed = Notify::new();
        let ended = tokio::select! {
            () = shut_down => Ok(()),
            ended = self.live(&station) => ended,
            ended = self.take(&station, &freed) => ended,
            ended = self.report(&station, &mut facts, &freed) => ended,
        };
        // Blocks until nothing runs any more: the ends of what was stopped are in `facts` then.
        let executor = Arc::clone(&self.executor);
        if tokio::task::spawn_blocking(move || executor.shut_down()).await.is_err() {
            tracing::error!("what runs could not be ended");
        }
        if ended.is_ok() {
            self.last_words(&station, &mut facts).await;
        }
        ended
    }

    /// Says that it lives and looks for what is to be stopped.
    async fn live(&self, station: &Station<S, R, C>) -> Result<(), Buried> {
        // Controllers do not know where an attempt runs: all executors look. Those of earlier versions tell
        // their own cluster.
        let told = [self.cluster.clone(), ClusterName::default()];
        let mut hints = self.queue.subscribe(&told.map(Topic::Stops));
        let ttl = Duration::from(self.ttl);
        let every = ttl / 3;
        let mut heard = Instant::now();
        let (mut attend_at, mut look_at) = (Instant::now(), Instant::now());
        loop {
            let now = Instant::now();
            if now >= attend_at {
                // A store that says nothing must not keep it from ending what others take for lost.
                match timeout_at(heard + ttl, self.attend(false)).await {
                    Ok(Ok(())) => heard = now,
                    Ok(Err(StoreError::Fenced)) | Err(_) => return Err(Buried),
                    Ok(Err(error)) => tracing::warn!(%error, "not heard of"),
                }
                attend_at = now + every;
            }
            if heard.elapsed() >= ttl {
                return Err(Buried);
            }
            if now >= look_at {
                match timeout_at(heard + ttl, station.look_for_stops()).await {
                    Ok(Ok(())) => {}
                    Ok(Err(StoreError::Fenced)) | Err(_) => return Err(Buried),
                    Ok(Err(error)) => tracing::warn!(%error, "stops cannot be read"),
                }
                look_at = now + STOPS;
            }
            tokio::select! {
                () = tokio::time::sleep_until(attend_at.min(look_at)) => {}
                notice = hints.next() => match notice {
                    Notice::Hint(_) | Notice::Lagged | Notice::Reconnected => {
                        look_at = Instant::now();
                    }
                },
            }
        }
    }

    async fn attend(&self, leaving: bool) -> Result<(), StoreError> {
        let said = Attendance::new(Role::Executor, self.instance, self.ttl);
        let capacity = self.executor.capacity(self.slots);
        let (cluster, keeps) = (Some(self.cluster.clone()), self.keeps);
        let said = Attendance { capacity, cluster, leaving, keeps, ..said };
        self.store.attend(said).await.map(|_| ())
    }

    /// Takes work while there is room for it.
    async fn take(&self, station: &Station<S, R, C>, freed: &Notify) -> Result<(), Buried> {
        let mut reclaim_at = Instant::now() + ABANDONED;
        let mut given_up = GivenUp::default();
        loop {
            let room = self.room();
            if room == 0 {
                freed.notified().await;
                continue;
            }
            // What there is no room for goes back, which is work for nothing.
            let most = room.div_ceil(limits::DISPATCHES_PER_ENTRY).min(TOGETHER);
            let taken = if Instant::now() >= reclaim_at {
                reclaim_at = Instant::now() + ABANDONED;
                given_up.look(&self.queue, &self.cluster, station).await?;
                self.queue.reclaim(&self.cluster, self.instance, ABANDONED, RECLAIMED).await
            } else {
                self.queue.receive(&self.cluster, self.instance, most, WAIT).await
            };
            match taken {
                Ok(deliveries) if deliveries.is_empty() => {}
                Ok(deliveries) => self.begin(station, deliveries).await?,
                Err(error) => {
                    tracing::warn!(%error, "no work comes");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    fn room(&self) -> usize {
        let slots = usize::try_from(self.slots).unwrap_or(usize::MAX);
        slots.saturating_sub(self.executor.running())
    }

    /// Claims what there is room for and leaves the rest to others. What the claim of has no answer is
    /// asked for until there is one: it may be ours, and then nobody else is sent it.
    async fn begin(
        &self,
        station: &Station<S, R, C>,
        deliveries: Vec<Delivery>,
    ) -> Result<(), Buried> {
        let mut room = self.room();
        let mut keys: Vec<AttemptKey> = Vec::new();
        let (mut done, mut rest) = (Vec::new(), Vec::new());
        for Delivery { receipt, mut dispatches, .. } in deliveries {
            let left = dispatches.split_off(room.min(dispatches.len()));
            room -= dispatches.len();
            keys.extend(dispatches.iter().map(|dispatch| dispatch.key));
            if left.is_empty() { done.push(receipt) } else { rest.push((receipt, left)) }
        }
        claim(station, keys).await?.into_iter().for_each(|end| self.executor.deliver(end));
        let mut answered = self.queue.acknowledge(&self.cluster, &done).await;
        for (receipt, left) in &rest {
            let put_back = self.queue.put_back(&self.cluster, receipt, left).await;
            answered = answered.and(put_back);
        }
        if let Err(error) = answered {
            tracing::debug!(%error, "work comes again");
        }
        Ok(())
    }

    /// Makes facts durable and tells the controllers that there are some.
    async fn report(
        &self,
        station: &Station<S, R, C>,
        facts: &mut mpsc::UnboundedReceiver<Fact>,
        freed: &Notify,
    ) -> Result<(), Buried> {
        let mut batch = Vec::new();
        loop {
            if batch.is_empty() && facts.recv_many(&mut batch, FACTS).await == 0 {
                // The ledger lives as long as this executor: it cannot be gone.
                std::future::pending::<()>().await;
            }
            match station.report(&batch).await {
                Ok(shards) => {
                    for shard in shards.iter() {
                        self.queue.publish(Hint::Facts { shard });
                    }
                    let over = |fact: &Fact| matches!(fact.kind, FactKind::Finished(_));
                    if batch.iter().any(over) {
                        freed.notify_one();
                    }
                    batch.clear();
                }
                Err(StoreError::Fenced) => return Err(Buried),
                Err(error) => {
                    tracing::warn!(%error, "facts are reported again");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// Reports what ended with the executor and everything else that nobody has heard of, and leaves.
    /// A store that is away is asked again until others take this executor for dead.
    async fn last_words(
        &self,
        station: &Station<S, R, C>,
        facts: &mut mpsc::UnboundedReceiver<Fact>,
    ) {
        // Among them what a report was under way with.
        self.executor.resend();
        let mut batch = Vec::new();
        while let Ok(fact) = facts.try_recv() {
            batch.push(fact);
        }
        let told = async {
            loop {
                match self.farewell(station, &batch).await {
                    told @ (Ok(()) | Err(StoreError::Fenced)) => return told,
                    Err(error) => {
                        tracing::warn!(%error, "the last facts are reported again");
                        tokio::time::sleep(PAUSE).await;
                    }
                }
            }
        };
        match tokio::time::timeout(Duration::from(self.ttl), told).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => {
                tracing::warn!("the last facts are not reported: what ran is found to be lost");
            }
        }
    }

    async fn farewell(&self, station: &Station<S, R, C>, facts: &[Fact]) -> Result<(), StoreError> {
        for shard in station.report(facts).await?.iter() {
            self.queue.publish(Hint::Facts { shard });
        }
        self.attend(true).await
    }
}

/// Claims until there is an answer. One that the store cannot make sense of is found and passed over:
/// it must not keep the others waiting (INV-19).
async fn claim<S: Claims, R: Runner, C: Clock>(
    station: &Station<S, R, C>,
    keys: Vec<AttemptKey>,
) -> Result<Vec<Fact>, Buried> {
    let mut ends = Vec::new();
    let mut parts = vec![keys];
    while let Some(part) = parts.pop() {
        match station.take(&part).await {
            Ok(more) => ends.extend(more),
            Err(StoreError::Fenced) => return Err(Buried),
            Err(StoreError::Corrupt(why)) => {
                station.pass_over(&part);
                match part.as_slice() {
                    [one] => tracing::error!(?one, why, "not an attempt; passed over"),
                    many => parts.extend(many.iter().map(|key| vec![*key])),
                }
            }
            Err(error) => {
                tracing::warn!(%error, "what is claimed is asked for again");
                tokio::time::sleep(PAUSE).await;
                parts.push(part);
            }
        }
    }
    Ok(ends)
}

#[cfg(test)]
mod tests;
