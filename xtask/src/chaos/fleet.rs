//! `cargo xtask chaos --fleet`: real roles on a real PostgreSQL and a real Redis, harmed at random while
//! users submit, and everything looked at afterwards.

mod canaries;
mod faults;
mod history;
mod load;
mod lost;
pub(crate) mod matrix;
mod members;
mod progress;
mod report;
mod rest;

use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use self::canaries::Canaries;
use self::faults::Deck;
use self::load::Load;
use self::members::{Fleet, ROLES};
use self::progress::Progress;
use self::report::Report;
use super::Chance;
use crate::roles::GLANCE;
use crate::test::postgres;
use crate::workspace::{build_release, which};

pub(crate) use self::faults::Kind;
pub(crate) use self::matrix::Extent;

/// How long a fleet takes to come to rest once nothing harms it any more.
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) fn missing() -> Option<String> {
    let programs = ["redis-server", "redis-cli"];
    let missing = programs.into_iter().find(|program| which(program).is_none());
    missing.map(|program| format!("{program} is missing")).or_else(postgres::missing)
}

/// What is asked of a campaign.
#[derive(Clone, Debug)]
pub(crate) struct Campaign {
    pub(crate) harm: Harm,
    /// Another seed gives other faults at other moments.
    pub(crate) seed: u64,
    /// Only these kinds; all of them if there are none.
    pub(crate) only: Vec<Kind>,
    /// Seconds after which others take over.
    pub(crate) lease: u64,
    /// The longest pause between two faults, in milliseconds.
    pub(crate) pause: u64,
    /// Where the figures go, besides the screen; `-` is standard output.
    pub(crate) json: Option<PathBuf>,
}

/// What is done to the fleet.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Harm {
    /// Faults by chance.
    Storm(Until),
    /// So many calls do what they should and fail then. Nothing else goes wrong.
    LostAnswers(u32),
}

/// When the faults stop.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Until {
    /// So many servers were killed and every kind had its turn; without kills among the kinds, so many
    /// faults were done.
    Kills(u32),
    Minutes(u32),
}

pub(crate) fn run(campaign: &Campaign) -> anyhow::Result<ExitCode> {
    let (programs, failpoints) = match campaign.harm {
        Harm::LostAnswers(_) => (matrix::build()?, lost::failpoints()),
        Harm::Storm(_) => (build_release()?, String::new()),
    };
    let mut fleet = Fleet::start(programs, campaign.lease, ROLES, failpoints)?;
    let witness = fleet.directory().join("witness");
    let begun = Instant::now();
    let (load, canaries) = (Load::new(&fleet), Canaries::new(&fleet));
    let harmed: anyhow::Result<_> = thread::scope(|scope| {
        let users = load.start(scope, &witness);
        let birds = canaries.start(scope);
        let harmed = match campaign.harm {
            Harm::LostAnswers(wanted) => lost::until(wanted, &mut fleet, &load),
            Harm::Storm(until) => storm(campaign, until, &mut fleet, &load),
        };
        load.stop();
        canaries.stop();
        // They submit, and wait for what they submitted: somebody has to look after the servers.
        let calm = Instant::now();
        while harmed.is_ok() && users.iter().chain(&birds).any(|user| !user.is_finished()) {
            fleet.tend()?;
            if calm.elapsed() > PATIENCE {
                load.give_up();
                canaries.give_up();
            }
            thread::sleep(GLANCE);
        }
        load.give_up();
        canaries.give_up();
        for user in users.into_iter().chain(birds) {
            user.join().map_err(|_| anyhow::anyhow!("a user panicked"))??;
        }
        Ok((harmed?, calm))
    });
    let (faults, calm) = harmed.with_context(|| fleet.last_words())?;
    let client = fleet.client()?;
    rest::wait(&mut fleet, calm)?;
    let rest = calm.elapsed();
    let history = history::check(&fleet, &client, &load, &canaries, &witness)?;
    let (lost_commits, harmed) = (fleet.lost_commits(), fleet.harmed());
    let lost_answers = lost::by_place(&fleet);
    rest::stop_and_check(fleet)?;
    let report = Report {
        campaign: campaign.clone(),
        seconds: begun.elapsed().as_secs_f64(),
        rest,
        recoveries: canaries.recoveries(&faults),
        lost_commits,
        lost_answers,
        harmed,
        history,
        submitted: load.submitted().plus(canaries.submitted()),
    };
    report.show(&faults)?;
    // Of the faults most harm no workflow, and of the answers many are of leases, which none needs.
    let enough = faults.len() / 5 + report.answers() / 100;
    ensure!(
        report.history.workflows >= enough,
        "only {} workflows, {enough} would be enough: the campaign proves too little",
        report.history.workflows,
    );
    println!("{} passed, 0 failed", faults.len() + report.answers());
    Ok(ExitCode::SUCCESS)
}

/// What was done, and when.
type Faults = Vec<(Kind, Instant)>;

/// For so long servers that end are started again, and the first error of a user ends it.
fn look_after(fleet: &mut Fleet, load: &Load, span: Duration) -> anyhow::Result<()> {
    let until = Instant::now() + span;
    while Instant::now() < until {
        fleet.tend()?;
        load.check()?;
        thread::sleep(GLANCE.min(until.saturating_duration_since(Instant::now())));
    }
    Ok(())
}

/// One fault after another, each at a moment of chance.
fn storm(
    campaign: &Campaign,
    until: Until,
    fleet: &mut Fleet,
    load: &Load,
) -> anyhow::Result<Faults> {
    let mut chance = Chance(campaign.seed);
    let mut deck = Deck::new(&campaign.only);
    let mut done = Faults::new();
    let mut progress = Progress::new();
    let begun = Instant::now();
    loop {
        let kills = done.iter().filter(|(kind, _)| deck.counts(*kind)).count();
        let (so_far, wanted) = match until {
            Until::Kills(kills_wanted) => (kills, usize::try_from(kills_wanted)?),
            Until::Minutes(minutes) => {
                (usize::try_from(begun.elapsed().as_secs())?, usize::try_from(minutes * 60)?)
            }
        };
        progress.show(so_far, wanted, done.len(), load.finished());
        let timed = matches!(until, Until::Minutes(_));
        if so_far >= wanted && (timed || deck.is_whole()) {
            break;
        }
        // The moment of the fault is the experiment.
        look_after(fleet, load, Duration::from_millis(chance.below(campaign.pause)))?;
        let kind = deck.draw(&mut chance);
        done.push((kind, Instant::now()));
        fleet.harm(kind, &mut chance)?;
    }
    progress.end();
    fleet.heal()?;
    Ok(done)
}
