//! Random calls on the fair scheduler beside a model of it that looks at everything every time.
//!
//! The model shares no code with the scheduler: it adds up what is held from the attempts that are
//! held, and computes shares and priorities from their formulas in floating point. Half of the
//! seeds limit pods only; there it knows who must be next. The other half limits everything; there it
//! knows who may be, and whether anybody could.

use std::fmt;

use flowforge_model::quota::Dimension;

use crate::dice::Dice;
use crate::model::Model;
use crate::script::Script;
use crate::subject::{Plant, Subject};

/// What was called, and how often it mattered.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    /// Calls.
    pub(crate) calls: u64,
    /// Attempts that were admitted.
    pub(crate) admitted: u64,
    /// Times that nothing could be.
    pub(crate) nothing: u64,
    /// Attempts that were admitted and rolled back.
    pub(crate) rolled_back: u64,
    /// Times that more was used than a limit allows, after a cut.
    pub(crate) debts: u64,
    /// Edits of the hierarchy.
    pub(crate) edits: u64,
    /// Decisions while somebody claimed, and those of them by which somebody was held back.
    pub(crate) claims: u64,
    pub(crate) held_back: u64,
}

impl Tally {
    /// Adds that of another seed.
    pub(crate) fn add(&mut self, other: &Self) {
        let Self { calls, admitted, nothing, rolled_back, debts, edits, claims, held_back } = other;
        self.calls += calls;
        self.admitted += admitted;
        self.nothing += nothing;
        self.rolled_back += rolled_back;
        self.debts += debts;
        self.edits += edits;
        self.claims += claims;
        self.held_back += held_back;
    }
}

/// Where the scheduler and the model part.
#[derive(Clone, Debug)]
pub(crate) struct Difference {
    /// Where to find it again.
    pub(crate) seed: u64,
    /// After so many calls.
    pub(crate) call: u64,
    /// What is wrong.
    pub(crate) what: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, call, what } = self;
        write!(f, "seed {seed}, call {call}: {what}; again: cargo xtask sim --quota --seed {seed}")
    }
}

/// Makes `calls` random calls, with a bug made on purpose if `plant` names one.
///
/// # Errors
/// The first [`Difference`].
pub(crate) fn run(seed: u64, calls: u64, plant: Option<Plant>) -> Result<Tally, Difference> {
    let mut dice = Dice::new(seed);
    let only_pods = dice.chance(50);
    let mut subject = Subject::new(plant);
    let mut model = Model::new(only_pods);
    let mut script = Script::new(dice, only_pods);
    let mut tally = Tally::default();
    script.begin(&mut subject, &mut model);
    for call in 1..=calls {
        tally.calls = call;
        let verdict = script.step(&mut subject, &mut model, &mut tally);
        let verdict = verdict.and_then(|()| compare(&subject, &model, &mut tally));
        let verdict = verdict.and_then(|()| match call % 61 {
            0 => subject.fair.audit().into_iter().next().map_or(Ok(()), Err),
            _ => Ok(()),
        });
        verdict.map_err(|what| Difference { seed, call, what })?;
    }
    Ok(tally)
}

/// QINV-2: what is used is what is held, on every level. Counts debts.
fn compare(subject: &Subject, model: &Model, tally: &mut Tally) -> Result<(), String> {
    let tree = subject.fair.tree();
    for (at, used) in model.usage() {
        let place = at.map_or(Some(flowforge_quota::Place::ROOT), |id| tree.place(id));
        let ours = place.map(|place| tree.usage(place)).unwrap_or_default();
        if ours.0 != *used {
            return Err(format!("{at:?} uses {:?}, not {used:?}", ours.0));
        }
        let limits = model.limits(*at);
        let pods = Dimension::Pods as usize;
        let over = used.get(pods).zip(limits.get(pods).copied().flatten());
        tally.debts += u64::from(over.is_some_and(|(used, limit)| *used > limit));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheduler_does_as_the_model_does() {
        let mut all = Tally::default();
        for seed in 1..=40 {
            let tally = run(seed, 400, None).unwrap_or_else(|difference| panic!("{difference}"));
            all.add(&tally);
        }
        assert!(all.admitted > 500 && all.nothing > 100 && all.rolled_back > 20 && all.debts > 20);
        assert!(all.claims > 100 && all.held_back > 20, "{all:?}");
    }

    #[test]
    fn every_planted_bug_is_found() {
        for plant in Plant::ALL {
            let found = (1..=40).any(|seed| run(seed, 400, Some(plant)).is_err());
            assert!(found, "{} was not found", plant.name());
        }
    }
}
