//! Attempts whose deliveries became dead letters: ended, so that they are tried again.

use flowforge_model::attempt::AttemptKey;
use flowforge_model::limits;
use flowforge_model::time::Millis;
use flowforge_ports::claims::Claims;
use flowforge_ports::clock::Clock;
use flowforge_ports::queue::{ClusterName, DeadLetterId, Dispatches};
use flowforge_ports::runner::Runner;
use flowforge_ports::store::StoreError;

use crate::Station;
use crate::serve::Buried;

/// Older letters are left alone: other executors have looked at them, and what is open still is sent
/// again and again.
const RECENT: Millis = Millis::from_secs(600);

/// How far the dead letters were looked at.
#[derive(Debug, Default)]
pub(crate) struct GivenUp {
    after: Option<DeadLetterId>,
}

impl GivenUp {
    /// Ends the attempts of new letters that nobody has claimed. What cannot be read or claimed now is
    /// looked at the next time.
    pub(crate) async fn look<S: Claims, R: Runner, C: Clock>(
        &mut self,
        queue: &impl Dispatches,
        cluster: &ClusterName,
        station: &Station<S, R, C>,
    ) -> Result<(), Buried> {
        let page = usize::try_from(limits::PAGE_ROWS).unwrap_or(usize::MAX);
        loop {
            let letters = match queue.dead_letters(cluster, self.after.as_ref(), page).await {
                Ok(letters) => letters,
                Err(error) => {
                    tracing::debug!(%error, "dead letters cannot be read");
                    return Ok(());
                }
            };
            let more = letters.len() == page;
            for letter in letters {
                if station.now().since(letter.buried_at) < RECENT {
                    let keys: Vec<_> = letter.dispatches.iter().map(|d| d.key).collect();
                    tracing::warn!(id = letter.id.0, reason = letter.reason, "a dead letter");
                    match give_up(station, &keys).await {
                        Ok(()) => {}
                        Err(StoreError::Fenced) => return Err(Buried),
                        Err(error) => {
                            tracing::warn!(%error, "a dead letter is looked at again later");
                            return Ok(());
                        }
                    }
                }
                self.after = Some(letter.id);
            }
            if !more {
                return Ok(());
            }
        }
    }
}

/// One that cannot be read must not keep the others.
async fn give_up<S: Claims, R: Runner, C: Clock>(
    station: &Station<S, R, C>,
    keys: &[AttemptKey],
) -> Result<(), StoreError> {
    match station.give_up(keys).await {
        Err(StoreError::Corrupt(_)) => {}
        done => return done,
    }
    for key in keys {
        match station.give_up(&[*key]).await {
            Err(StoreError::Corrupt(what)) => tracing::error!(?key, what, "cannot be ended"),
            done => done?,
        }
    }
    Ok(())
}
