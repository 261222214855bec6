//! The loop of a scheduler that is a server of its own. One leads; others stand by and take over when
//! its lease runs out.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use flowforge_model::id::InstanceId;
use flowforge_model::time::Millis;
use flowforge_ports::clock::Clock;
use flowforge_ports::leases::{Attendance, Attended, Leases, Role};
use flowforge_ports::organization::Organizations;
use flowforge_ports::queue::{
    ClusterName, Dispatch, Dispatches, Hint, Hints, Notice, Subscription, Topic,
};
use flowforge_ports::reservations::{Placed, Reservations};
use flowforge_ports::store::StoreError;
use tokio::time::Instant;

use crate::{Decided, Leader, Questions, Rules};

/// How often calls are read although nobody said that there are any.
const SWEEP: Duration = Duration::from_millis(500);
/// How often the leader repairs.
const REPAIR: Duration = Duration::from_secs(1);
/// The longest time between two attendances: how soon the slots of a new executor are known.
const ATTEND: Duration = Duration::from_secs(1);
/// Questions answered between two turns.
const ANSWERED: usize = 8;
/// The pause after an error.
const PAUSE: Duration = Duration::from_millis(250);

/// A scheduler with everything around it.
#[derive(Debug)]
pub struct Serve<S, Q, C> {
    /// The store that all share.
    pub store: Arc<S>,
    /// Where work goes.
    pub queue: Q,
    /// Where projects run that name no cluster.
    pub cluster: ClusterName,
    /// The present.
    pub clock: C,
    /// Its name; a new one at every start.
    pub instance: InstanceId,
    /// Another one leads this long after it was last heard of. For as long nobody has lived in a cluster when what
    /// was admitted for it and not claimed waits again.
    pub ttl: Millis,
    /// What is asked here, answered between turns while it leads.
    pub questions: Questions,
    /// What it goes by.
    pub rules: Rules,
    /// How long the intervals are for which it is written down what was used; none: it is not.
    pub usage_every: Option<Millis>,
    /// Where others may ask, as `http://HOST:PORT`.
    pub url: Option<String>,
}

/// What a scheduler that leads has in memory.
struct Term<S> {
    epoch: u64,
    leader: Leader<S>,
    repair_at: Instant,
}

impl<S, Q, C> Serve<S, Q, C>
where
    S: Reservations + Organizations + Leases,
    Q: Dispatches + Hints,
    C: Clock,
{
    /// Leads, or stands by, until `shut_down` is ready. What fails is tried again, with pauses.
    pub async fn run(mut self, shut_down: impl Future<Output = ()>) {
        let mut shut_down = pin!(shut_down);
        let mut hints = self.queue.subscribe(&[Topic::Calls]);
        let mut term: Option<Term<S>> = None;
        let mut slots = BTreeMap::new();
        let mut attend_at = Instant::now();
        let mut asked = None;
        loop {
            for (epoch, asked) in self.questions.batch(asked.take(), ANSWERED) {
                if let Some(led) = term.as_ref().filter(|led| led.epoch == epoch) {
                    let answer = led.leader.explain(&asked.question, self.clock.now());
                    asked.tell(answer);
                }
            }
            if Instant::now() >= attend_at {
                attend_at = Instant::now() + (Duration::from(self.ttl) / 3).min(ATTEND);
                match self.attend(false).await {
                    Ok(attended) => {
                        slots = attended.slots(&self.cluster);
                        let epoch = attended.leases.first().map(|lease| lease.epoch);
                        self.take_office(&mut term, epoch).await;
                    }
                    Err(error) => tracing::warn!(%error, "the lease is not renewed"),
                }
            }
            let again = match &mut term {
                None => false,
                Some(led) => match self.lead(led, &slots).await {
                    Ok(again) => again,
                    Err(error) => {
                        tracing::warn!(%error, "leads no more; what is in memory is dropped");
                        term = None;
                        false
                    }
                },
            };
            let wait = match (again, &term) {
                (true, _) => Duration::ZERO,
                (false, Some(led)) => {
                    let look = led.leader.next_look().map(|at| at.since(self.clock.now()));
                    look.map_or(SWEEP, |wait| Duration::from(wait).min(SWEEP))
                }
                (false, None) => PAUSE,
            };
            tokio::select! {
                biased;
                () = shut_down.as_mut() => break,
                () = tokio::time::sleep(wait) => {}
                () = wanted(&mut hints), if term.is_some() => {}
                question = self.questions.next() => asked = Some(question),
            }
        }
        if let Err(error) = self.attend(true).await {
            tracing::warn!(%error, "the lease is not given back; it runs out by itself");
        }
    }

    async fn attend(&self, leaving: bool) -> Result<Attended, StoreError> {
        let said = Attendance::new(Role::Scheduler, self.instance, self.ttl);
        self.store.attend(Attendance { leaving, url: self.url.clone(), ..said }).await
    }

    /// Begins to lead, goes on, or stops, as the lease says.
    async fn take_office(&self, term: &mut Option<Term<S>>, epoch: Option<u64>) {
        if term.as_ref().map(|term| term.epoch) == epoch {
            return;
        }
        *term = None;
        let Some(epoch) = epoch else { return };
        let with = (self.cluster.clone(), self.rules);
        match Leader::start(Arc::clone(&self.store), epoch, with).await {
            Ok(leader) => {
                tracing::info!(epoch, "leads");
                let leader = leader.measuring(self.usage_every).patient_for(self.ttl);
                *term = Some(Term { epoch, leader, repair_at: Instant::now() });
            }
            Err(error) => tracing::warn!(%error, "cannot lead"),
        }
    }

    /// One turn, and what follows from it.
    async fn lead(
        &self,
        term: &mut Term<S>,
        slots: &BTreeMap<ClusterName, u64>,
    ) -> Result<bool, StoreError> {
        let decided = term.leader.turn(|| self.clock.now(), slots).await?;
        let mut again = decided.again;
        self.hand_out(term.epoch, decided).await;
        if Instant::now() >= term.repair_at {
            let repaired = term.leader.repair(self.clock.now()).await?;
            again |= repaired.again;
            self.hand_out(term.epoch, repaired).await;
            term.repair_at = Instant::now() + REPAIR;
        }
        Ok(again)
    }

    /// What is lost here is found by [`Leader::repair`] and by the sweeps of controllers.
    async fn hand_out(&self, epoch: u64, decided: Decided) {
        for shard in decided.told.iter() {
            self.queue.publish(Hint::Facts { shard });
        }
        let sent_at = self.clock.now();
        let mut each: BTreeMap<ClusterName, Vec<Dispatch>> = BTreeMap::new();
        for Placed { key, cluster } in decided.dispatches {
            let cluster = cluster.unwrap_or_else(|| self.cluster.clone());
            each.entry(cluster).or_default().push(Dispatch { key, epoch, sent_at });
        }
        for (cluster, dispatches) in each {
            self.send(&cluster, dispatches).await;
        }
    }

    async fn send(&self, cluster: &ClusterName, mut rest: Vec<Dispatch>) {
        while !rest.is_empty() {
            match self.queue.send(cluster, &rest).await {
                Ok(0) => {
                    tracing::warn!(%cluster, left = rest.len(), "the queue is full; sent again later");
                    return;
                }
                Ok(sent) => drop(rest.drain(..sent.min(rest.len()))),
                Err(error) => {
                    tracing::warn!(%cluster, %error, left = rest.len(), "work is sent again later");
                    return;
                }
            }
        }
    }
}

/// Waits for a reason to look. Those that are there already are one reason: a look sees all.
async fn wanted(hints: &mut impl Subscription) {
    let mut heard = hints.next().await;
    loop {
        match heard {
            Notice::Hint(_) | Notice::Lagged | Notice::Reconnected => {}
        }
        heard = tokio::select! {
            biased;
            more = hints.next() => more,
            () = std::future::ready(()) => return,
        };
    }
}
