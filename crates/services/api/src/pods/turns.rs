//! Whose turn it is to move an artifact: so many at a time, and few of one attempt, so that none holds all
//! places, nor all places in the queue.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use flowforge_model::attempt::AttemptKey;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::problem::{Code, Failure};

/// Of one attempt, those that wait included. The runner moves one after the other.
const OF_ONE: usize = 4;

/// The turns of a server.
pub(crate) struct Turns {
    room: Arc<Semaphore>,
    taken: Arc<Mutex<HashMap<AttemptKey, usize>>>,
}

/// A turn that lasts until it is dropped.
pub(super) struct Turn {
    taken: Arc<Mutex<HashMap<AttemptKey, usize>>>,
    key: AttemptKey,
    room: Option<OwnedSemaphorePermit>,
}

impl Turns {
    pub(crate) fn new(most: usize) -> Self {
        Self { room: Arc::new(Semaphore::new(most)), taken: Arc::default() }
    }

    /// Waits for a turn.
    pub(super) async fn take(&self, key: AttemptKey) -> Result<Turn, Failure> {
        let mut turn = self.enqueue(key)?;
        let room = Arc::clone(&self.room).acquire_owned().await;
        turn.room =
            Some(room.map_err(|_| Failure::new(Code::Unavailable, "the server is going down"))?);
        Ok(turn)
    }

    fn enqueue(&self, key: AttemptKey) -> Result<Turn, Failure> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(key).or_default();
        if *count >= OF_ONE {
            let detail = format!("{OF_ONE} artifacts of this attempt are under way");
            return Err(Failure::new(Code::TooManyTransfers, detail));
        }
        *count = count.saturating_add(1);
        Ok(Turn { taken: Arc::clone(&self.taken), key, room: None })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        drop(self.room.take());
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.key) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                taken.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use flowforge_model::id::{NodeIx, WorkflowId};
    use uuid::Uuid;

    use super::*;

    #[tokio::test]
    async fn an_attempt_has_four_turns_and_others_have_theirs() {
        let key = |node| AttemptKey {
            workflow: WorkflowId(Uuid::from_u128(1)),
            node: NodeIx(node),
            number: 1,
        };
        let turns = Turns::new(6);
        let mut held = Vec::new();
        for _ in 0..4 {
            held.push(turns.take(key(1)).await.unwrap());
        }
        assert!(turns.take(key(1)).await.is_err());
        held.push(turns.take(key(2)).await.unwrap());
        held.remove(0);
        held.push(turns.take(key(1)).await.unwrap());
        drop(held);
        assert!(turns.taken.lock().unwrap().is_empty());
        assert_eq!(turns.room.available_permits(), 6);
    }
}
