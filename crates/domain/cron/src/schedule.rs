//! What a document says about when its workflow runs, checked.

use std::collections::BTreeMap;

use flowforge_model::limits::CRON_EXPRESSIONS;
use flowforge_model::time::{Millis, Timestamp};
use serde::{Deserialize, Serialize};

use crate::condition::{StopCondition, When};
use crate::cron::{Cron, Zone};
use crate::error::{CronError, Fault, Place};

/// What to do when a run is due while an earlier one is not over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Concurrency {
    /// Start it beside the others.
    #[default]
    Allow,
    /// Leave it out. With a starting deadline the last one left out starts when the earlier one
    /// is over, if that is in time.
    Forbid,
    /// Stop the others and start it.
    Replace,
}

/// What to do about runs that came due while nobody looked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CatchUp {
    /// They are lost.
    #[default]
    None,
    /// The last one is started: what Argo does within `startingDeadlineSeconds`.
    Last,
    /// All are started, the newest `limits::CRON_CATCH_UP` at most.
    All,
}

/// A schedule as it was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Definition {
    /// `cronworkflow.name`.
    pub name: String,
    /// `cronworkflow.namespace`.
    pub namespace: String,
    /// `cronworkflow.labels`.
    pub labels: BTreeMap<String, String>,
    /// `cronworkflow.annotations`.
    pub annotations: BTreeMap<String, String>,
    /// Cron expressions; a run is due when any of them says so.
    pub schedules: Vec<String>,
    /// IANA name; UTC if there is none.
    pub timezone: Option<String>,
    /// What to do about earlier runs.
    pub concurrency: Concurrency,
    /// How late a run may start. Never applies to runs that are less than ten seconds late.
    pub starting_deadline: Option<Millis>,
    /// What to do about missed runs. `None`: [`CatchUp::Last`] if there is a starting deadline
    /// above zero, else [`CatchUp::None`].
    pub catch_up: Option<CatchUp>,
    /// Runs that succeeded and are kept; 3 if there is none.
    pub successful_history: Option<u32>,
    /// Runs that did not succeed and are kept; 1 if there is none.
    pub failed_history: Option<u32>,
    /// Nothing is started.
    pub suspend: bool,
    /// A run is started only if this is true: tags are substituted, then govaluate decides.
    pub when: Option<String>,
    /// The schedule stops for good once this expression is true.
    pub stop: Option<String>,
}

/// A schedule that is valid.
#[derive(Clone, Debug)]
pub struct Schedule {
    crons: Vec<Cron>,
    zone: Zone,
    /// What to do about earlier runs.
    pub concurrency: Concurrency,
    /// How late a run may start.
    pub starting_deadline: Option<Millis>,
    /// What to do about missed runs.
    pub catch_up: CatchUp,
    /// Runs that succeeded and are kept.
    pub successful_history: u32,
    /// Runs that did not succeed and are kept.
    pub failed_history: u32,
    /// Nothing is started.
    pub suspend: bool,
    pub(crate) when: Option<When>,
    pub(crate) stop: Option<StopCondition>,
    pub(crate) definition: Definition,
}

impl Schedule {
    /// Checks a definition.
    ///
    /// # Errors
    /// Everything that is wrong with it, in the order it was written.
    pub fn compile(definition: Definition) -> Result<Self, Vec<Fault>> {
        let mut faults = Vec::new();
        let mut keep = |place, error| faults.push(Fault { place, error });
        let zone = match definition.timezone.as_deref().filter(|name| !name.is_empty()) {
            None => None,
            Some(name) => match Zone::parse(name) {
                Ok(zone) => Some(zone),
                Err(error) => {
                    keep(Place::Timezone, error);
                    // The expressions are still worth a look.
                    Some(Zone::utc())
                }
            },
        };
        if definition.schedules.is_empty() {
            keep(Place::Schedules, CronError::NoExpression);
        }
        if definition.schedules.len() > CRON_EXPRESSIONS {
            keep(Place::Schedules, CronError::TooManyExpressions);
        }
        let mut crons = Vec::new();
        for (at, source) in definition.schedules.iter().take(CRON_EXPRESSIONS).enumerate() {
            match Cron::parse(source, zone.as_ref()) {
                Ok(cron) => crons.push(cron),
                Err(error) => keep(Place::Expression(at), error),
            }
        }
        let when = definition.when.as_deref().filter(|when| !when.is_empty()).map(When::parse);
        let when = when.transpose().unwrap_or_else(|error| {
            keep(Place::When, error);
            None
        });
        let stop = definition.stop.as_deref().map(StopCondition::parse);
        let stop = stop.transpose().unwrap_or_else(|error| {
            keep(Place::Stop, error);
            None
        });
        if !faults.is_empty() {
            return Err(faults);
        }
        let deadline = definition.starting_deadline.filter(|deadline| deadline.0 > 0);
        let usual = if deadline.is_some() { CatchUp::Last } else { CatchUp::None };
        Ok(Self {
            crons,
            zone: zone.unwrap_or_else(Zone::utc),
            concurrency: definition.concurrency,
            starting_deadline: deadline,
            catch_up: definition.catch_up.unwrap_or(usual),
            successful_history: definition.successful_history.unwrap_or(3),
            failed_history: definition.failed_history.unwrap_or(1),
            suspend: definition.suspend,
            when,
            stop,
            definition,
        })
    }

    /// The same schedule in the namespace that conditions are to see.
    #[must_use]
    pub fn in_namespace(mut self, namespace: &str) -> Self {
        namespace.clone_into(&mut self.definition.namespace);
        self
    }

    /// As it was written.
    #[must_use]
    pub fn definition(&self) -> &Definition {
        &self.definition
    }

    /// The time zone of the expressions that do not name one.
    #[must_use]
    pub fn zone(&self) -> &Zone {
        &self.zone
    }

    /// The first fire time after `after`; `@every` counts from `anchor`.
    #[must_use]
    pub fn next_after(&self, anchor: Timestamp, after: Timestamp) -> Option<Timestamp> {
        self.crons.iter().filter_map(|cron| cron.next_after(anchor, after)).min()
    }

    /// The last fire time in (`after`, `until`], found in O(log) searches.
    #[must_use]
    pub fn last_within(
        &self,
        anchor: Timestamp,
        after: Timestamp,
        until: Timestamp,
    ) -> Option<Timestamp> {
        let fires =
            |after: i64| self.next_after(anchor, Timestamp(after)).filter(|next| *next <= until);
        let mut found = fires(after.0)?;
        // Invariant: something fires in (found - 1, until], nothing in (high, until].
        let mut high = until.0;
        while found.0 < high {
            let middle = found.0.midpoint(high);
            match fires(middle) {
                Some(later) => found = later,
                None => high = middle,
            }
        }
        Some(found)
    }
}

#[cfg(test)]
mod tests;
