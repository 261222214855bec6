//! One simulated world: users, one server that dies now and then, its store and its processes.

mod allowed;
pub mod fleet;
#[cfg(test)]
mod interleavings;
mod processes;
mod store;
mod users;
mod world;

use std::fmt;

use crate::plants::Plant;

pub use store::FaultyStore;

/// What a run without a violation did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Things that happened.
    pub steps: u64,
    /// Workflows that came to their end.
    pub workflows: u64,
    /// Attempts that began.
    pub attempts: u64,
    /// Times the controller or the whole server died.
    pub crashes: u64,
    /// Commits whose answer was lost.
    pub silent_commits: u64,
    /// Reports that came twice.
    pub duplicates: u64,
    /// Reports that were lost until they were sent again.
    pub lost_reports: u64,
    /// Cancels, stops, retries and so on that were acknowledged.
    pub wishes: u64,
    /// Times tasks were seen that waited for locks.
    pub lock_waits: u64,
    /// Exit hooks that began.
    pub hooks: u64,
    /// Tasks whose outputs were remembered.
    pub memos: u64,
    /// Reservations that nobody claimed in a cluster that went, and that were taken back; of a fleet in two clusters.
    pub given_back: u64,
}

impl Summary {
    /// Adds another run's.
    pub fn add(&mut self, other: &Self) {
        self.steps += other.steps;
        self.workflows += other.workflows;
        self.attempts += other.attempts;
        self.crashes += other.crashes;
        self.silent_commits += other.silent_commits;
        self.duplicates += other.duplicates;
        self.lost_reports += other.lost_reports;
        self.wishes += other.wishes;
        self.lock_waits += other.lock_waits;
        self.hooks += other.hooks;
        self.memos += other.memos;
        self.given_back += other.given_back;
    }

    /// The hard states a campaign must have reached; the first that it did not.
    #[must_use]
    pub fn never(&self) -> Option<&'static str> {
        let reached = [
            (self.workflows, "a workflow that ends"),
            (self.crashes, "a crash"),
            (self.silent_commits, "a commit whose answer was lost"),
            (self.duplicates, "a report that comes twice"),
            (self.lost_reports, "a report that is lost"),
            (self.wishes, "a wish of a user"),
            (self.lock_waits, "a task that waits for a lock"),
            (self.hooks, "a hook"),
            (self.memos, "a task whose outputs are remembered"),
        ];
        reached.into_iter().find(|(count, _)| *count == 0).map(|(_, what)| what)
    }
}

/// A rule was broken.
#[derive(Clone, Debug)]
pub struct Violation {
    /// The seed that shows it.
    pub seed: u64,
    /// Which rule, and how.
    pub broken: String,
    /// The last things that happened.
    pub trace: Vec<String>,
    /// It is a world with many servers.
    pub fleet: bool,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.trace {
            writeln!(f, "  {line}")?;
        }
        writeln!(f, "{}", self.broken)?;
        let fleet = if self.fleet { " --fleet" } else { "" };
        write!(f, "repeat with: cargo xtask sim --seed {}{fleet}", self.seed)
    }
}

/// Lives through the world of `seed`, with a bug made on purpose if `plant` names one.
///
/// # Errors
/// The first rule that is broken.
pub fn run(seed: u64, plant: Option<Plant>) -> Result<Summary, Box<Violation>> {
    let mut world = world::World::new(seed, plant);
    match world.live() {
        Ok(()) => Ok(world.summary()),
        Err(broken) => {
            Err(Box::new(Violation { seed, broken, trace: world.into_trace(), fleet: false }))
        }
    }
}
