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

    /// Questions that are there, behind this one: at most so many, and nothing after one that takes
    /// long.
    pub(crate) fn batch(&mut self, first: Option<(u64, Asked)>, most: usize) -> Vec<(u64, Asked)> {
        let mut batch: Vec<(u64, Asked)> = Vec::new();
        let mut next = first.or_else(|| self.waiting());
        while let Some(one) = next {
            let long = one.1.question.takes_long();
            batch.push(one);
            let full = long || batch.len() >= most;
            next = if full { None } else { self.waiting() };
        }
        batch
    }

    fn waiting(&mut self) -> Option<(u64, Asked)> {
        loop {
            let one = self.0.try_recv().ok()?;
            if one.1.is_waited_for() {
                return Some(one);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flowforge_ports::explain::Simulation;

    #[test]
    fn nothing_is_answered_in_a_turn_after_what_takes_long() {
        let (desk, mut questions) = desk();
        let usage = || Question::Usage(Vec::new());
        let simulate = || Question::Simulate(Box::<Simulation>::default());
        let mut replies = Vec::new();
        for question in [usage(), simulate(), usage(), usage(), usage(), Question::Metrics] {
            let (asked, reply) = Asked::new(question);
            desk.0.try_send((7, asked)).unwrap();
            replies.push(reply);
        }
        let mut batch = |first| -> Vec<Question> {
            let batch = questions.batch(first, 2);
            batch.into_iter().map(|(_, asked)| asked.question).collect()
        };
        let (first, _reply) = Asked::new(simulate());
        assert_eq!(batch(Some((7, first))), [simulate()]);
        assert_eq!(batch(None), [usage(), simulate()]);
        assert_eq!(batch(None), [usage(), usage()]);
        assert_eq!(batch(None), [usage(), Question::Metrics]);
        assert_eq!(batch(None), []);
    }
}
