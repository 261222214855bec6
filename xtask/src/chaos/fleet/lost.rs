//! Calls that do what they should and fail then, as those do whose answer comes too late.

use std::collections::BTreeMap;
use std::time::Duration;

use super::load::Load;
use super::members::Fleet;
use super::progress::Progress;
use super::{Faults, look_after};

/// Calls by which a server changes what others see: rows, messages, leases.
const PLACES: &[&str] = &[
    "controller.attend",
    "controller.commit",
    "scheduler.attend",
    "scheduler.reserve",
    "scheduler.grant",
    "scheduler.forget_calls",
    "scheduler.bury",
    "scheduler.send",
    "executor.attend",
    "executor.claim",
    "executor.acknowledge",
    "executor.put_back",
    "executor.report",
];
/// A server says this of each.
const SAID: &str = "failpoint point=\"";
/// Between two looks into the logs, which are long.
const BETWEEN: Duration = Duration::from_secs(2);

/// The answer to each tenth call is lost.
pub(super) fn failpoints() -> String {
    PLACES.iter().map(|place| format!("{place}=lost-answer%10")).collect::<Vec<_>>().join(",")
}

/// Lets users submit until so many answers are lost.
pub(super) fn until(wanted: u32, fleet: &mut Fleet, load: &Load) -> anyhow::Result<Faults> {
    let wanted = usize::try_from(wanted)?;
    let mut progress = Progress::new();
    loop {
        let lost = by_place(fleet).values().sum();
        progress.show(lost, wanted, lost, load.finished());
        if lost >= wanted {
            break;
        }
        look_after(fleet, load, BETWEEN)?;
    }
    progress.end();
    Ok(Faults::new())
}

/// How many were lost where, as the servers say.
pub(super) fn by_place(fleet: &Fleet) -> BTreeMap<String, usize> {
    let mut places = BTreeMap::new();
    for log in fleet.logs() {
        let said = log.split(SAID).skip(1).filter_map(|rest| rest.split('"').next());
        for place in said {
            *places.entry(place.to_owned()).or_default() += 1;
        }
    }
    places
}
