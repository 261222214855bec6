//! Pauses between one try and the next.

use std::time::{Duration, Instant, SystemTime};

use flowforge_model::id::mix;

/// The first pause, doubled each time up to
const FIRST: Duration = Duration::from_millis(100);
/// this.
const LONGEST: Duration = Duration::from_secs(5);
/// What a server says that will hardly change is taken for true after this long: its keys may be a
/// minute old.
pub(super) const FATAL: Duration = Duration::from_secs(75);

/// Pauses that grow, with jitter, until the time is over.
#[derive(Debug)]
pub(super) struct Backoff {
    begun: Instant,
    wait: Duration,
    pause: Duration,
}

impl Backoff {
    /// Gives up after `wait`.
    pub(super) fn new(wait: Duration) -> Self {
        Self { begun: Instant::now(), wait, pause: FIRST }
    }

    /// The next pause; none if the time is over, at the latest after `at_most` in all.
    pub(super) fn next(&mut self, at_most: Duration) -> Option<Duration> {
        let left = self.wait.min(at_most).checked_sub(self.begun.elapsed())?;
        let pause = jittered(self.pause);
        self.pause = (self.pause * 2).min(LONGEST);
        Some(pause.min(left)).filter(|pause| !pause.is_zero())
    }
}

/// Between half and all of it: pods that began together do not all ask together.
pub(super) fn jittered(pause: Duration) -> Duration {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let seed = u64::from(now.subsec_nanos()) ^ (u64::from(std::process::id()) << 32);
    // Its lowest ten bits, as parts of 2048.
    let part = u32::try_from(mix(seed) & 0x3ff).unwrap_or(0);
    pause * (1024 + part) / 2048
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_bound_and_end() {
        let mut backoff = Backoff::new(Duration::from_secs(3600));
        let pauses: Vec<_> = (0..10).filter_map(|_| backoff.next(Duration::MAX)).collect();
        assert!(pauses.iter().all(|pause| *pause >= FIRST / 2 && *pause <= LONGEST), "{pauses:?}");
        assert!(pauses[9] >= LONGEST / 2, "{pauses:?}");
        assert_eq!(backoff.next(Duration::ZERO), None);
        assert_eq!(Backoff::new(Duration::ZERO).next(FATAL), None);
    }
}
