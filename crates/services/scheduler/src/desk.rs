//! Where questions wait for the loop that decides.

use flowforge_ports::explain::{Answer, Asked, ExplainError, Question};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// Questions that wait.
const QUESTIONS: usize = 64;

/// Asks the scheduler of this process. Clones are one.
#[derive(Clone, Debug)]
pub struct Desk(Sender<(u64, Asked)>);

/// The other end of [`Desk`].
#[derive(Debug)]
pub struct Questions(Receiver<(u64, Asked)>);

/// A desk and what is asked there.
#[must_use]
pub fn desk() -> (Desk, Questions) {
    let (desk, questions) = channel(QUESTIONS);
    (Desk(desk), Questions(questions))
}

impl Desk {
    /// Asks the leader of this epoch. Blocks until it answers, at most
    /// [`flowforge_ports::explain::PATIENCE`].
    ///
    /// # Errors
    /// `Away` if this scheduler does not lead in that epoch, or is busy.
    pub fn ask(&self, epoch: u64, question: Question) -> Result<Answer, ExplainError> {
        let (asked, reply) = Asked::new(question);
        self.0.try_send((epoch, asked)).map_err(|error| {
            ExplainError::Away(match error {
                TrySendError::Full(_) => "too many ask".to_owned(),
                TrySendError::Closed(_) => "it is going down".to_owned(),
            })
        })?;
        reply.wait()
    }
}

impl Questions {
    /// The next question with the epoch of its leader; never, if nobody asks any more.
    pub(crate) async fn next(&mut self) -> (u64, Asked) {
        match self.0.recv().await {
            Some(asked) => asked,
            None => std::future::pending().await,
        }
    }

    /// The next question, if one is there.
    pub(crate) fn waiting(&mut self) -> Option<(u64, Asked)> {
        self.0.try_recv().ok()
    }
}
