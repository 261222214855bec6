//! What is done to a fleet.

use std::time::{Duration, Instant};

use anyhow::Context;
use clap::ValueEnum;

use super::members::Fleet;
use crate::chaos::Chance;
use crate::test::postgres::Restart;

/// One kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Kind {
    /// A server of any role is killed
    Kill,
    /// Up to three servers stand still for longer than a lease, then go on
    Stop,
    /// Redis loses everything
    Flush,
    /// Redis is killed and started again, empty
    RedisKill,
    /// PostgreSQL is restarted
    PostgresFast,
    /// PostgreSQL ends as if it had crashed, and recovers
    PostgresImmediate,
    /// A server's connections are cut
    Cut,
    /// A server's network is away, and comes back with everything that was on its way
    Hold,
    /// A server's network swallows everything
    Swallow,
    /// A server's network is slow
    Slow,
    /// The answers to a server's next commits are lost, the commits are not
    LoseCommits,
}

/// Of so many faults, how many are of each kind.
const DECK: &[(Kind, usize)] = &[
    (Kind::Kill, 12),
    (Kind::Stop, 5),
    (Kind::Flush, 2),
    (Kind::RedisKill, 1),
    (Kind::PostgresFast, 1),
    (Kind::PostgresImmediate, 1),
    (Kind::Cut, 2),
    (Kind::Hold, 1),
    (Kind::Swallow, 1),
    (Kind::Slow, 1),
    (Kind::LoseCommits, 3),
];

impl Kind {
    pub(super) fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

/// Faults in an order of chance, in which every kind has its turn.
pub(super) struct Deck {
    all: Vec<Kind>,
    left: Vec<Kind>,
}

impl Deck {
    pub(super) fn new(only: &[Kind]) -> Self {
        let chosen = |kind: &Kind| only.is_empty() || only.contains(kind);
        let cards = DECK.iter().filter(|(kind, _)| chosen(kind));
        let all = cards.flat_map(|(kind, count)| std::iter::repeat_n(*kind, *count)).collect();
        Self { all, left: Vec::new() }
    }

    pub(super) fn draw(&mut self, chance: &mut Chance) -> Kind {
        if self.left.is_empty() {
            self.left.clone_from(&self.all);
        }
        let place = usize::try_from(chance.below(self.left.len() as u64)).unwrap_or(0);
        self.left.swap_remove(place)
    }

    /// Whether every kind has had its turns.
    pub(super) fn is_whole(&self) -> bool {
        self.left.is_empty()
    }

    /// Whether faults of this kind count towards the end.
    pub(super) fn counts(&self, kind: Kind) -> bool {
        kind == Kind::Kill || !self.all.contains(&Kind::Kill)
    }
}

impl Fleet {
    /// Does it. What lasts goes on after this returns, until [`Fleet::tend`] ends it.
    pub(super) fn harm(&mut self, kind: Kind, chance: &mut Chance) -> anyhow::Result<()> {
        let lease = self.lease().as_millis();
        let lease = u64::try_from(lease).context("a lease")?;
        let upto = |chance: &mut Chance, most: u64| {
            Instant::now() + Duration::from_millis(chance.below(most))
        };
        match kind {
            Kind::Kill => self.pick(kind, chance)?.kill()?,
            Kind::Stop => {
                for _ in 0..=chance.below(3) {
                    // Longer than the lease: it wakes up believing what is not true any more.
                    let until = upto(chance, lease) + self.lease();
                    self.pick(kind, chance)?.stand_still(until)?;
                }
            }
            Kind::Flush => self.flush()?,
            Kind::RedisKill => self.restart_redis()?,
            Kind::PostgresFast => self.database_mut().restart(Restart::Fast)?,
            Kind::PostgresImmediate => self.database_mut().restart(Restart::Immediate)?,
            Kind::Cut => {
                let both = chance.below(2) == 0;
                let member = self.pick(kind, chance)?;
                member.database.cut();
                if both {
                    member.queue.cut();
                }
            }
            Kind::Hold | Kind::Swallow | Kind::Slow => {
                let until = upto(chance, 3 * lease);
                let by = Duration::from_millis(1 + chance.below(50));
                let which = chance.below(3);
                let member = self.pick(kind, chance)?;
                member.healed_at = Some(until);
                let lines = [&member.database, &member.queue];
                let lines = lines.into_iter().enumerate();
                for (_, line) in
                    lines.filter(|(place, _)| which == 2 || u64::try_from(*place) == Ok(which))
                {
                    match kind {
                        Kind::Hold => line.hold(),
                        Kind::Swallow => line.swallow(),
                        _ => line.delay(by),
                    }
                }
            }
            Kind::LoseCommits => {
                let count = 1 + chance.below(5);
                self.pick(kind, chance)?.database.lose_commits(count);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_turn() {
        let mut deck = Deck::new(&[]);
        let mut chance = Chance(1);
        let all: usize = DECK.iter().map(|(_, count)| count).sum();
        let mut drawn: Vec<Kind> = (0..all).map(|_| deck.draw(&mut chance)).collect();
        drawn.sort_unstable();
        let expected: Vec<Kind> =
            DECK.iter().flat_map(|(kind, count)| std::iter::repeat_n(*kind, *count)).collect();
        assert_eq!(drawn, expected);
        assert!(deck.counts(Kind::Kill) && !deck.counts(Kind::Stop));
        assert!(Deck::new(&[Kind::Stop]).counts(Kind::Stop));
    }
}
