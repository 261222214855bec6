//! Gangs in pods: who may begin when, and how all of it ended. The same in all stores.

use flowforge_model::attempt::Report;
use flowforge_model::id::PodUid;
use flowforge_ports::pods::{Asking, Refusal};

/// What is known of a gang when one of its pods asks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gathering {
    /// How many members it has.
    pub(crate) size: u32,
    /// How many of them are ready.
    pub(crate) ready: u32,
    /// The pod that is the member that asks, and whether it is ready.
    pub(crate) own: Option<(PodUid, bool)>,
    /// Somebody wants it stopped.
    pub(crate) stop: bool,
}

/// What comes of the question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Passage {
    /// Whether it is ready is to be written down, and which pod it is.
    pub(crate) news: Option<bool>,
    /// It was the last that was missing: the attempt has begun.
    pub(crate) begins: bool,
    /// It may go on.
    pub(crate) runs: bool,
}

impl Gathering {
    /// A member asks.
    pub(crate) fn ask(&self, asking: &Asking) -> Result<Passage, Refusal> {
        let Self { size, ready, own, stop } = *self;
        let begun = ready == size;
        let was_ready = match own {
            Some((other, _)) if other != asking.pod => return Err(Refusal::Another),
            Some((_, was_ready)) => was_ready,
            None => false,
        };
        if stop && !begun {
            return Err(Refusal::Stopped);
        }
        let is_ready = was_ready || !asking.early;
        let becomes = is_ready && !was_ready;
        let all = ready.saturating_add(u32::from(becomes)) == size;
        Ok(Passage {
            news: (becomes || own.is_none()).then_some(is_ready),
            begins: all && !begun,
            runs: all || asking.early,
        })
    }
}

/// What a member told of its end.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) member: u32,
    /// How many had told before.
    pub(crate) turn: u32,
    pub(crate) report: Report,
}

/// The end of a gang all of whose members have told theirs.
pub(crate) fn sum_up(mut told: Vec<Told>) -> Option<Report> {
    told.sort_by_key(|one| one.member);
    let failed = told.iter().filter(|one| one.report.failure.is_some());
    let first = failed.min_by_key(|one| one.turn).map(|one| one.member);
    Report::of_gang(told.into_iter().map(|one| one.report).collect(), first)
}

/// What is kept of a member's report until all have told.
pub(crate) fn kept(member: u32, report: Report) -> Report {
    if member == 0 { report } else { report.of_another_member() }
}
