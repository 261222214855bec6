//! Attempts that take more places than an executor has left: it takes none of them before there is room for all
//! their members.

use std::collections::BTreeMap;
use std::time::Duration;

use flowforge_model::attempt::AttemptKey;
use flowforge_ports::queue::Dispatch;
use tokio::time::Instant;

/// So long nothing else is taken while one waits for places. Another executor may have them sooner.
const GATHERS: Duration = Duration::from_secs(5);
/// One that is larger than the whole executor is left to others for so long. Then it is taken, so that it does
/// not wait for ever: the runner says what is wrong, or runs it.
const LEAVES: Duration = Duration::from_secs(30);
/// The pause when all that came is left to others.
const PAUSE: Duration = Duration::from_secs(1);
/// Of one that is sent no more nothing is known any more after this.
const FORGETS: Duration = Duration::from_secs(600);

/// What was left, and how long for.
#[derive(Debug)]
pub(crate) struct Large {
    slots: u32,
    /// How many places the smallest takes that is taken once others have ended.
    wanted: Option<usize>,
    /// Nothing is taken until then, unless there is room for it.
    until: Option<Instant>,
    /// Since when those are left for which there are never places enough.
    left: BTreeMap<AttemptKey, Instant>,
}

impl Large {
    /// Of an executor with so many places.
    pub(crate) fn new(slots: u32) -> Self {
        Self { slots, wanted: None, until: None, left: BTreeMap::new() }
    }

    /// Until when nothing is taken.
    pub(crate) fn holds_back(&mut self, room: usize, now: Instant) -> Option<Instant> {
        let fits = self.wanted.is_some_and(|wanted| wanted <= room);
        let until = self.until.filter(|until| !fits && now < *until);
        if until.is_none() {
            (self.until, self.wanted) = (None, None);
        }
        until
    }

    /// Takes out what there is no room for, and notes what the rest takes of it.
    pub(crate) fn leaves(
        &mut self,
        dispatches: &mut Vec<Dispatch>,
        room: &mut usize,
        now: Instant,
    ) -> Vec<Dispatch> {
        let (taken, left) = std::mem::take(dispatches).into_iter().partition(|dispatch| {
            let takes = self.takes(dispatch, *room, now);
            if takes {
                *room = room.saturating_sub(places(dispatch));
            }
            takes
        });
        *dispatches = taken;
        left
    }

    fn takes(&mut self, dispatch: &Dispatch, room: usize, now: Instant) -> bool {
        if dispatch.pods > self.slots {
            let since = *self.left.entry(dispatch.key).or_insert(now);
            return room > 0 && now.duration_since(since) >= LEAVES;
        }
        let fits = places(dispatch) <= room;
        if !fits && dispatch.pods > 1 {
            let least = self.wanted.unwrap_or(usize::MAX);
            self.wanted = Some(least.min(places(dispatch)));
        }
        fits
    }

    /// All that came has been looked at; perhaps `nothing` of it was taken.
    pub(crate) fn looked(&mut self, nothing: bool, now: Instant) {
        self.until = match self.wanted {
            Some(_) => Some(now + GATHERS),
            None if nothing => Some(now + PAUSE),
            None => None,
        };
        self.left.retain(|_, since| now.duration_since(*since) < FORGETS);
    }
}

fn places(dispatch: &Dispatch) -> usize {
    usize::try_from(dispatch.pods).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use flowforge_model::id::{NodeIx, WorkflowId};
    use flowforge_model::time::Timestamp;
    use uuid::Uuid;

    use super::*;

    /// Of so many pods each, numbered by their place.
    fn sent(pods: &[u32]) -> Vec<Dispatch> {
        let workflow = WorkflowId(Uuid::nil());
        let one = |(node, pods): (u32, &u32)| Dispatch {
            key: AttemptKey { workflow, node: NodeIx(node), number: 1 },
            pods: *pods,
            epoch: 1,
            sent_at: Timestamp(0),
        };
        (0..).zip(pods).map(one).collect()
    }

    fn pods(dispatches: &[Dispatch]) -> Vec<u32> {
        dispatches.iter().map(|dispatch| dispatch.pods).collect()
    }

    #[test]
    fn a_gang_is_taken_whole_or_left() {
        let (mut large, now) = (Large::new(8), Instant::now());
        let (mut came, mut room) = (sent(&[1, 6, 2, 1, 3]), 5);
        let left = large.leaves(&mut came, &mut room, now);
        assert_eq!((pods(&came), pods(&left), room), (vec![1, 2, 1], vec![6, 3], 1));
        large.looked(false, now);
        // Others wait for the smallest of them, and no longer than they must.
        assert_eq!(large.holds_back(2, now), Some(now + GATHERS));
        assert_eq!(large.holds_back(3, now), None);
        assert_eq!(large.holds_back(2, now), None);
    }

    #[test]
    fn others_wait_for_a_gang_for_a_while_only() {
        let (mut large, now) = (Large::new(8), Instant::now());
        assert_eq!(large.leaves(&mut sent(&[6]), &mut 5, now).len(), 1);
        large.looked(true, now);
        assert_eq!(large.holds_back(5, now + GATHERS), None);
        // A single one that finds no room holds nobody back: nothing is taken without room anyway.
        assert_eq!(large.leaves(&mut sent(&[1, 1]), &mut 1, now).len(), 1);
        large.looked(false, now);
        assert_eq!(large.holds_back(1, now), None);
    }

    #[test]
    fn one_that_is_too_large_is_for_others_and_does_not_wait_for_ever() {
        let (mut large, now) = (Large::new(2), Instant::now());
        let again = |large: &mut Large, at| {
            let (mut came, mut room) = (sent(&[3]), 2);
            let left = large.leaves(&mut came, &mut room, at);
            large.looked(came.is_empty(), at);
            (came.len(), left.len(), room, large.holds_back(2, at))
        };
        assert_eq!(again(&mut large, now), (0, 1, 2, Some(now + PAUSE)));
        let late = now + LEAVES;
        assert_eq!(again(&mut large, late), (1, 0, 0, None));
    }
}
