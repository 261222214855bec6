//! Questions to the scheduler that decides: why does this wait, who uses what. Answers are of the
//! moment: nothing is decided by them.

mod metrics;
mod simulation;
mod why;

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use flowforge_model::attempt::AttemptKey;
use flowforge_model::id::{EntityId, WorkflowId};
use flowforge_model::quota::{Amounts, Dimension};
use serde::{Deserialize, Serialize};

pub use metrics::{Family, FamilyKind, Sample};
pub use simulation::{CHANGED, GROUPS, Group, SIMULATED, Simulated, Simulation};
pub use why::{
    Cure, Holding, Member, Points, Raise, Rank, Rationed, Rival, Short, Side, Tripped, Why,
};

/// Entities that are asked about at a time.
pub const ENTITIES: usize = 1000;
/// Attempts that are answered for at a time: each costs whoever decides some 0.1 ms.
pub const ATTEMPTS: usize = 100;
/// An answer takes well below a millisecond, but may stand behind a commit.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// Something that only the scheduler that decides knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Question {
    /// Why an attempt waits.
    Why(AttemptKey),
    /// Why each attempt of a workflow waits, at most [`ATTEMPTS`].
    WhyWorkflow(WorkflowId),
    /// What these entities use, at most [`ENTITIES`], and the installation.
    Usage(Vec<EntityId>),
    /// What would start at once, if.
    Simulate(Box<Simulation>),
    /// How it goes, in numbers.
    Metrics,
}

impl Question {
    /// It may take as long as some turns of whoever decides: one at a time is answered.
    #[must_use]
    pub fn takes_long(&self) -> bool {
        match self {
            Self::Simulate(_) | Self::Metrics => true,
            Self::Why(_) | Self::WhyWorkflow(_) | Self::Usage(_) => false,
        }
    }
}

/// Why it is not answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExplainError {
    /// Nobody decides now, or whoever does is not to be reached; repeating may help.
    #[error("the scheduler does not answer: {0}")]
    Away(String),
}

/// Somebody who decides, or knows whom to ask. Calls may wait for some seconds. Implementations: the
/// controller that decides itself, the scheduler that leads, and the way to it.
pub trait Explains: Send + Sync + 'static {
    /// Answers a question.
    ///
    /// # Errors
    /// `Away`; never an answer of somebody who decides no more.
    fn ask(&self, question: &Question) -> Result<Answer, ExplainError>;
}

/// A question under way to the loop that decides. Dropped, it was not answered.
#[derive(Clone, Debug)]
pub struct Asked {
    /// What is asked.
    pub question: Question,
    asked_at: Instant,
    answer: SyncSender<Answer>,
}

impl Asked {
    /// A question, and where its answer comes.
    #[must_use]
    pub fn new(question: Question) -> (Self, Reply) {
        let (answer, reply) = sync_channel(1);
        (Self { question, asked_at: Instant::now(), answer }, Reply(reply))
    }

    /// Somebody may still wait for the answer. Otherwise it is not worth working out.
    #[must_use]
    pub fn is_waited_for(&self) -> bool {
        self.asked_at.elapsed() < PATIENCE
    }

    /// Answers it. Never blocks.
    pub fn tell(self, answer: Answer) {
        // Whoever asked may have lost patience.
        drop(self.answer.try_send(answer));
    }
}

/// Where an answer comes.
#[derive(Debug)]
pub struct Reply(Receiver<Answer>);

impl Reply {
    /// Waits for the answer, at most [`PATIENCE`]: blocks.
    ///
    /// # Errors
    /// `Away` if it does not come.
    pub fn wait(self) -> Result<Answer, ExplainError> {
        self.0.recv_timeout(PATIENCE).map_err(|error| {
            ExplainError::Away(match error {
                RecvTimeoutError::Timeout => "it is busy".to_owned(),
                RecvTimeoutError::Disconnected => "it decides no more".to_owned(),
            })
        })
    }
}

/// What an entity uses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Whose; none for the whole installation.
    pub entity: Option<EntityId>,
    /// Of each dimension.
    pub used: Amounts,
    /// At its own level; none is no limit there.
    pub limits: [Option<u64>; Dimension::COUNT],
    /// Attempts that wait.
    pub waiting: u64,
    /// Attempts that were admitted.
    pub running: u64,
}

/// What a scheduler says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// To [`Question::Why`]; none if it neither waits nor runs, as far as the scheduler has heard.
    Why(Option<Box<Why>>),
    /// To [`Question::WhyWorkflow`], in the order of their tasks.
    WhyWorkflow(Vec<Why>),
    /// To [`Question::Usage`]: the installation first; whom it does not know is left out.
    Usage(Vec<Usage>),
    /// To [`Question::Simulate`]; or why such changes cannot be.
    Simulate(Result<Box<Simulated>, String>),
    /// To [`Question::Metrics`].
    Metrics(Vec<Family>),
}
