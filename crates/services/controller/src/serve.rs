//! The loop around a controller: all that waits.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use flowforge_model::attempt::{Fact, FactKind};
use flowforge_model::quota::Entity;
use flowforge_model::time::{Millis, Timestamp};
use flowforge_ports::admission::Admission;
use flowforge_ports::clock::Clock;
use flowforge_ports::explain::{Answer, Asked, ExplainError, Explains, Question};
use flowforge_ports::nudge::Nudge;
use flowforge_ports::runner::FactSink;
use flowforge_ports::store::Store;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::ControllerError;
use crate::controller::{Config, Controller};
use crate::turn::{Message, Turned};

/// Messages taken into one turn. The next turn's batch forms while this one commits.
const BATCH: usize = 1024;
/// Nudges that wait. One that finds no room is dropped: those before it have the intents read.
const NUDGES: usize = 256;
/// Questions that wait.
const QUESTIONS: usize = 64;
/// Questions that are answered between two turns, none after one that takes long.
const QUESTIONS_A_TURN: usize = 8;
/// How long a report that a process began may wait for another reason to commit. It saves a
/// commit for every task that is shorter, and is not seen by a person.
const RIDE: Duration = Duration::from_millis(50);
/// How often intents are read although nobody nudged.
const SWEEP: Duration = Duration::from_secs(30);
/// The first and the longest pause before a controller starts again after an error.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// Where news for a controller is put in. Never blocks.
#[derive(Clone, Debug)]
pub struct Mailbox {
    nudges: mpsc::Sender<Nudge>,
    /// Without a bound of its own: an attempt reports twice, and open attempts are bounded.
    facts: mpsc::UnboundedSender<Fact>,
    shares: Arc<watch::Sender<Arc<[Entity]>>>,
    questions: mpsc::Sender<Asked>,
}

impl Explains for Mailbox {
    fn ask(&self, question: &Question) -> Result<Answer, ExplainError> {
        let (asked, reply) = Asked::new(question.clone());
        self.questions.try_send(asked).map_err(|error| {
            ExplainError::Away(match error {
                TrySendError::Full(_) => "too many ask".to_owned(),
                TrySendError::Closed(_) => "it is going down".to_owned(),
            })
        })?;
        reply.wait()
    }
}

impl Mailbox {
    /// Says who shares from now on, each after its parent.
    pub fn share_among(&self, entities: Vec<Entity>) {
        self.shares.send_replace(entities.into());
    }

    /// Says that an intent was committed. May be forgotten under load; the intent is not.
    pub fn nudge(&self, nudge: Nudge) {
        if let Err(error) = self.nudges.try_send(nudge) {
            tracing::debug!(%error, "nudge dropped");
        }
    }
}

impl FactSink for Mailbox {
    fn deliver(&self, fact: Fact) {
        if self.facts.send(fact).is_err() {
            tracing::debug!("fact after the controller ended");
        }
    }
}

/// The other end of [`Mailbox`].
#[derive(Debug)]
pub struct Inbox {
    nudges: mpsc::Receiver<Nudge>,
    facts: mpsc::UnboundedReceiver<Fact>,
    shares: watch::Receiver<Arc<[Entity]>>,
    questions: mpsc::Receiver<Asked>,
}

/// A mailbox and its inbox.
#[must_use]
pub fn mailbox() -> (Mailbox, Inbox) {
    let (nudge_in, nudges) = mpsc::channel(NUDGES);
    let (fact_in, facts) = mpsc::unbounded_channel();
    let (share_in, shares) = watch::channel(Arc::<[Entity]>::from([]));
    let (questions_in, questions) = mpsc::channel(QUESTIONS);
    let shares_in = Arc::new(share_in);
    let mailbox =
        Mailbox { nudges: nudge_in, facts: fact_in, shares: shares_in, questions: questions_in };
    (mailbox, Inbox { nudges, facts, shares, questions })
}

impl Inbox {
    /// Adds what is there to `batch`, up to its bound.
    fn drain(&mut self, batch: &mut Vec<Message>) {
        if self.shares.has_changed().unwrap_or(false) {
            batch.push(Message::Shares(Arc::clone(&self.shares.borrow_and_update())));
        }
        // The others stay for the next turn.
        for _ in 0..QUESTIONS_A_TURN {
            let Ok(asked) = self.questions.try_recv() else { break };
            if !asked.is_waited_for() {
                continue;
            }
            let long = asked.question.takes_long();
            batch.push(Message::Asked(asked));
            if long {
                break;
            }
        }
        while batch.len() < BATCH {
            if let Ok(fact) = self.facts.try_recv() {
                batch.push(Message::Fact(fact));
            } else if let Ok(nudge) = self.nudges.try_recv() {
                batch.push(Message::Nudge(nudge));
            } else {
                break;
            }
        }
    }
}

/// Where the outcome of turns goes. Calls must not block.
pub trait Outlet: Send + Sync {
    /// The store is read and carried on with.
    fn ready(&self);
    /// Does what is to be done outside, in the order of [`Turned`].
    fn hand_out(&self, turned: Turned);
    /// Sends the ends of attempts again that were not acknowledged.
    fn resend(&self);
}

/// A controller with everything around it.
#[derive(Debug)]
pub struct Serve<S, C, O, F> {
    /// Where all state is.
    pub store: Arc<S>,
    /// How the controller behaves.
    pub config: Config,
    /// The present.
    pub clock: C,
    /// Where the outcome goes.
    pub outlet: O,
    /// Makes an empty scheduler: every controller begins with a new one.
    pub admission: F,
}

/// Why a wait ended.
#[derive(PartialEq, Eq)]
enum Wake {
    Turn,
    ShutDown,
}

impl<S, C, O, F, A> Serve<S, C, O, F>
where
    S: Store,
    C: Clock,
    O: Outlet,
    F: Fn() -> A,
    A: Admission,
{
    /// Carries workflows on until `shut_down` is ready; then admits nothing more, commits what
    /// has arrived and returns. A store that fails is asked again, with pauses.
    ///
    /// # Errors
    /// If another controller took over, or if the store cannot be read at the very start.
    pub async fn run(
        mut self,
        mut inbox: Inbox,
        shut_down: impl Future<Output = ()>,
    ) -> Result<(), ControllerError> {
        let mut shut_down = pin!(shut_down);
        let mut pause = PAUSE.0;
        loop {
            let mut turns = 0_u64;
            let term = self.term(&mut inbox, shut_down.as_mut(), &mut turns);
            let Err(error) = Box::pin(term).await else {
                return Ok(());
            };
            if error.fatal() || (turns == 0 && pause == PAUSE.0) {
                return Err(error);
            }
            tracing::warn!(%error, "what is in memory is dropped and read again");
            // A conflict that a fresh start does not cure belongs to one workflow.
            self.config.one_by_one = error.conflict() && turns <= 2;
            pause = if turns > 2 { PAUSE.0 * 2 } else { (pause * 2).min(PAUSE.1) };
            tokio::select! {
                biased;
                () = shut_down.as_mut() => return Ok(()),
                () = tokio::time::sleep(pause) => self.outlet.resend(),
            }
        }
    }

    /// The life of one controller.
    async fn term(
        &self,
        inbox: &mut Inbox,
        mut shut_down: Pin<&mut impl Future<Output = ()>>,
        turns: &mut u64,
    ) -> Result<(), ControllerError> {
        let store = Arc::clone(&self.store);
        let admission = (self.admission)();
        let mut controller = Controller::start(store, admission, self.config.clone()).await?;
        let mut present = Present::of(&self.clock);
        // Before anything is admitted: without quotas too much would fit.
        let mut batch = vec![Message::Shares(Arc::clone(&inbox.shares.borrow_and_update()))];
        loop {
            let now = present.now();
            let turned = controller.turn(std::mem::take(&mut batch), now).await?;
            *turns += 1;
            let (again, timer) = (turned.again, turned.next_timer);
            self.outlet.hand_out(turned);
            if *turns == 1 {
                self.outlet.ready();
            }
            if is_over(shut_down.as_mut()).await {
                break;
            }
            if again {
                inbox.drain(&mut batch);
                continue;
            }
            let due = timer.map(|at| Duration::from(at.since(present.now())));
            if self.wait(inbox, &mut batch, due, shut_down.as_mut()).await == Wake::ShutDown {
                break;
            }
        }
        controller.drain();
        inbox.drain(&mut batch);
        match controller.turn(batch, present.now()).await {
            Ok(turned) => self.outlet.hand_out(turned),
            Err(error) if error.fatal() => return Err(error),
            // The next server finds the rows as they are.
            Err(error) => tracing::warn!(%error, "the last commit failed"),
        }
        Ok(())
    }

    /// Waits until there is a reason for a turn, with the messages for it in `batch`.
    async fn wait(
        &self,
        inbox: &mut Inbox,
        batch: &mut Vec<Message>,
        due: Option<Duration>,
        mut shut_down: Pin<&mut impl Future<Output = ()>>,
    ) -> Wake {
        let began = Instant::now();
        let mut deadline = began + due.unwrap_or(SWEEP).min(SWEEP);
        loop {
            inbox.drain(batch);
            if batch.iter().any(|message| !rides(message)) {
                return Wake::Turn;
            }
            if !batch.is_empty() {
                deadline = deadline.min(Instant::now() + RIDE);
            }
            tokio::select! {
                biased;
                () = shut_down.as_mut() => return Wake::ShutDown,
                Some(fact) = inbox.facts.recv() => batch.push(Message::Fact(fact)),
                Some(nudge) = inbox.nudges.recv() => batch.push(Message::Nudge(nudge)),
                Some(asked) = inbox.questions.recv() => batch.push(Message::Asked(asked)),
                Ok(()) = inbox.shares.changed() => inbox.shares.mark_changed(),
                () = tokio::time::sleep_until(deadline) => {
                    if began.elapsed() >= SWEEP {
                        batch.push(Message::Sweep);
                    }
                    return Wake::Turn;
                }
            }
        }
    }
}

/// A clock that never goes back: when the one it follows is set back, it goes on by the time that
/// passes, so that timers are due when they were meant to be (INV-21).
pub(crate) struct Present<'c, C> {
    clock: &'c C,
    /// A moment at which both clocks agreed.
    agreed: (Timestamp, Instant),
}

impl<'c, C: Clock> Present<'c, C> {
    pub(crate) fn of(clock: &'c C) -> Self {
        Self { clock, agreed: (clock.now(), Instant::now()) }
    }

    pub(crate) fn now(&mut self) -> Timestamp {
        let (at, when) = self.agreed;
        let passed = u64::try_from(when.elapsed().as_millis()).unwrap_or(u64::MAX);
        let steady = at.plus(Millis(passed));
        let told = self.clock.now();
        if told < steady {
            return steady;
        }
        self.agreed = (told, Instant::now());
        told
    }
}

/// Whether the end was asked for. News may come faster than turns are taken: without this, nobody
/// would ever look.
async fn is_over(mut shut_down: Pin<&mut impl Future<Output = ()>>) -> bool {
    // Whoever never waits has no budget left for asking.
    tokio::task::yield_now().await;
    tokio::select! {
        biased;
        () = shut_down.as_mut() => true,
        () = std::future::ready(()) => false,
    }
}

/// The message can wait for company.
fn rides(message: &Message) -> bool {
    matches!(message, Message::Fact(Fact { kind: FactKind::Started(_), .. }))
}
