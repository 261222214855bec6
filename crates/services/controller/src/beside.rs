//! The loop of a controller that works beside others: leases, turns, waits.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use flowforge_model::time::Millis;
use flowforge_ports::admission::Admission;
use flowforge_ports::clock::Clock;
use flowforge_ports::leases::{Attendance, Attended, Leases, Role};
use flowforge_ports::store::{Store, StoreError};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::ControllerError;
use crate::controller::{Config, Controller};
use crate::serve::{Outlet, Present};
use crate::turn::Message;

/// How often intents and news are read although nobody said that there are any.
const SWEEP: Duration = Duration::from_secs(1);
/// The first and the longest pause after an error.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// A controller beside others, with everything around it.
#[derive(Debug)]
pub struct Beside<S, C, O, F> {
    /// The store that they share.
    pub store: Arc<S>,
    /// How the controller behaves.
    pub config: Config,
    /// The present.
    pub clock: C,
    /// Where the outcome goes.
    pub outlet: O,
    /// Makes what tells the scheduler; every controller begins with a new one.
    pub admission: F,
    /// Others take over this long after it was last heard of.
    pub ttl: Millis,
    /// Notified when there are intents or news.
    pub wake: Arc<Notify>,
}

/// What it holds, and when it has to say again that it lives.
struct Tenure {
    next: Instant,
    /// Slots that it has stopped to work on, to be given back.
    done_with: Vec<u8>,
    pause: Duration,
}

impl<S, C, O, F, A> Beside<S, C, O, F>
where
    S: Store + Leases,
    C: Clock,
    O: Outlet,
    F: Fn() -> A,
    A: Admission,
{
    /// Carries the workflows of its shards on until `shut_down` is ready, then gives them back. What
    /// fails is tried again, with pauses.
    pub async fn run(self, shut_down: impl Future<Output = ()>) {
        let mut shut_down = pin!(shut_down);
        let mut present = Present::of(&self.clock);
        let mut controller = self.controller();
        let mut tenure = Tenure { next: Instant::now(), done_with: Vec::new(), pause: PAUSE.0 };
        let mut ready = false;
        loop {
            let mut inbox = vec![Message::Sweep];
            inbox.extend(self.attend(&mut tenure).await);
            let mut least = Duration::ZERO;
            let wait = match controller.turn(inbox, present.now()).await {
                Ok(turned) => {
                    tenure.pause = PAUSE.0;
                    let (again, due) = (turned.again, turned.next_timer);
                    self.outlet.hand_out(turned);
                    if !std::mem::replace(&mut ready, true) {
                        self.outlet.ready();
                    }
                    let due = due.map(|at| Duration::from(at.since(present.now())));
                    if again { Duration::ZERO } else { due.unwrap_or(SWEEP).min(SWEEP) }
                }
                Err(error) => {
                    controller = self.begin_anew(&error, &mut tenure);
                    least = tenure.pause;
                    least
                }
            };
            let wait = match tenure.done_with.is_empty() {
                true => wait.min(tenure.next.saturating_duration_since(Instant::now())),
                false => Duration::ZERO,
            };
            tokio::select! {
                biased;
                () = shut_down.as_mut() => break,
                () = self.wake.notified(), if tenure.pause == PAUSE.0 => {}
                () = tokio::time::sleep(wait.max(least)) => {}
            }
        }
        self.leave().await;
    }

    fn controller(&self) -> Controller<S, A> {
        self.controller_that(false)
    }

    /// A conflict belongs to one workflow: committed apart from the others it is found, and set aside.
    fn controller_that(&self, goes_one_by_one: bool) -> Controller<S, A> {
        let config = Config { one_by_one: goes_one_by_one, ..self.config.clone() };
        Controller::beside(Arc::clone(&self.store), (self.admission)(), config)
    }

    /// What is in memory may be ahead of the store, or another's: it is dropped. The pause is never so
    /// long that leases run out in it.
    fn begin_anew(&self, error: &ControllerError, tenure: &mut Tenure) -> Controller<S, A> {
        tracing::warn!(%error, "what is in memory is dropped and read again");
        let longest = PAUSE.1.min(Duration::from(self.ttl) / 3);
        tenure.pause = (tenure.pause * 2).min(longest);
        tenure.next = Instant::now();
        self.controller_that(error.conflict())
    }

    /// Says that it lives, if it is time; which leases it holds then. Those that are more than its
    /// share are left out: once this turn has let go of them, they are given back.
    async fn attend(&self, tenure: &mut Tenure) -> Option<Message> {
        if tenure.done_with.is_empty() && Instant::now() < tenure.next {
            return None;
        }
        let give_back = std::mem::take(&mut tenure.done_with);
        tenure.next = Instant::now() + Duration::from(self.ttl) / 3;
        match self.say(give_back, false).await {
            Ok(Attended { mut leases, excess, .. }) => {
                let excess = usize::try_from(excess).unwrap_or(usize::MAX);
                let keep = leases.len().saturating_sub(excess);
                let rest = leases.split_off(keep);
                tenure.done_with = rest.iter().map(|lease| lease.slot).collect();
                Some(Message::Leases(leases))
            }
            Err(error) => {
                tracing::warn!(%error, "leases are not renewed");
                tenure.next = Instant::now() + PAUSE.0 * 4;
                None
            }
        }
    }

    async fn say(&self, give_back: Vec<u8>, leaving: bool) -> Result<Attended, StoreError> {
        let said = Attendance::new(Role::Controller, self.config.instance, self.ttl);
        self.store.attend(Attendance { give_back, leaving, ..said }).await
    }

    async fn leave(&self) {
        if let Err(error) = self.say(Vec::new(), true).await {
            tracing::warn!(%error, "leases are not given back; they run out by themselves");
        }
    }
}
