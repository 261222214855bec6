//! What entities used in the past.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::http::Uri;
use flowforge_model::id::EntityId;
use flowforge_model::quota::{Dimension, Level};
use flowforge_model::time::{Millis, Timestamp};
use flowforge_model::usage::{Measured, Seen};
use flowforge_ports::usage::USAGE_ROWS;
use flowforge_wire::{Spread, UsageHistory, UsagePoint, UsedOver};

use super::show::{place, unit};
use crate::Shared;
use crate::backend::Backend;
use crate::organization::found;
use crate::problem::{Code, Failure};
use crate::query::{Query, bad};

/// Points of a chart: more than a screen has columns.
const POINTS: i64 = 1000;
/// Points of a chart whose step nobody named.
const FEW: i64 = 300;
/// Intervals that are read for a chart: 30 days of minutes.
const INTERVALS: usize = 50_000;
/// How far back a chart goes that does not say.
const DAY: i64 = 24 * 60 * 60 * 1000;
/// Steps that people like, in seconds; beyond them whole days.
const STEPS: [i64; 9] = [60, 300, 600, 1800, 3600, 7200, 21_600, 43_200, 86_400];

/// What the routes take.
const PARAMETERS: [&str; 3] = ["from", "to", "step"];

/// Of an entity with all below it.
pub(crate) async fn of(
    shared: &Arc<Shared>,
    level: Level,
    which: String,
    uri: &Uri,
) -> Result<Json<UsageHistory>, Failure> {
    let window = Window::read(uri, shared.now())?;
    let read = move |backend: &dyn Backend| {
        let id = found(&*backend.organization()?, level, &which)?;
        history(backend, Some(id), window)
    };
    Ok(Json(shared.call(read).await?))
}

/// Of the installation.
pub(super) async fn installation(
    shared: &Arc<Shared>,
    uri: &Uri,
) -> Result<Json<UsageHistory>, Failure> {
    let window = Window::read(uri, shared.now())?;
    let read = move |backend: &dyn Backend| history(backend, None, window);
    Ok(Json(shared.call(read).await?))
}

/// What is asked for; times in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Window {
    /// A multiple of the step.
    from: i64,
    to: i64,
    step: i64,
}

impl Window {
    fn read(uri: &Uri, now: Timestamp) -> Result<Self, Failure> {
        let query = Query::parse(uri, &PARAMETERS)?;
        let to = query.time("to")?.unwrap_or(now).0;
        let from = query.time("from")?.map_or(to.saturating_sub(DAY), |from| from.0);
        if from >= to {
            return Err(bad("from", "`from` is not before `to`"));
        }
        let span = to.saturating_sub(from);
        let step = match query.read("step", |text| Millis::parse(text).ok())? {
            None => fitting(span),
            Some(Millis(step)) if step >= 60_000 && step % 1000 == 0 => {
                i64::try_from(step).unwrap_or(i64::MAX)
            }
            Some(_) => return Err(bad("step", "a step is whole seconds, at least `1m`")),
        };
        let from = from.saturating_sub(from.rem_euclid(step));
        if to.saturating_sub(from) / step >= POINTS {
            let least = fitting(span) / 60_000;
            let detail =
                format!("that would be more than {POINTS} points; a step of `{least}m` would do");
            return Err(Failure::at(Code::TooManyPoints, "?step", detail));
        }
        Ok(Self { from, to, step })
    }

    /// When the step began in which this is.
    fn step_of(self, at: Timestamp) -> i64 {
        at.0.saturating_sub(at.0.rem_euclid(self.step))
    }
}

/// The shortest step that people like which makes few points of a span.
fn fitting(span: i64) -> i64 {
    let least = span / FEW;
    let liked = STEPS.into_iter().map(|step| step.saturating_mul(1000));
    liked.clone().find(|step| *step >= least).unwrap_or_else(|| {
        let days = least / DAY;
        days.saturating_add(1).saturating_mul(DAY)
    })
}

fn history(
    backend: &dyn Backend,
    entity: Option<EntityId>,
    window: Window,
) -> Result<UsageHistory, Failure> {
    let mut steps: BTreeMap<i64, Step> = BTreeMap::new();
    let mut looks: BTreeMap<Timestamp, u32> = BTreeMap::new();
    each(backend, entity, window, |row| {
        looks.insert(row.at, row.looks);
        steps.entry(window.step_of(row.at)).or_default().add(row);
    })?;
    if entity.is_some() {
        // Where the installation was looked at and the entity is not named it used nothing.
        each(backend, None, window, |row| {
            looks.insert(row.at, row.looks);
        })?;
    }
    for (at, looks) in looks {
        steps.entry(window.step_of(at)).or_default().looks += u64::from(looks);
    }
    let all = backend.organization()?;
    let shown: Vec<Dimension> = Dimension::ALL
        .into_iter()
        .filter(|of| steps.values().any(|step| step.concerns(*of)))
        .collect();
    Ok(UsageHistory {
        of: place(&all, entity),
        from: Timestamp(window.from).into(),
        to: Timestamp(window.to).into(),
        step_seconds: u64::try_from(window.step / 1000).unwrap_or(0),
        points: steps.iter().map(|(at, step)| step.point(*at, &shown)).collect(),
    })
}

/// Reads the intervals of an entity, a part at a time.
fn each(
    backend: &dyn Backend,
    entity: Option<EntityId>,
    window: Window,
    mut take: impl FnMut(&Measured),
) -> Result<(), Failure> {
    let limit = u32::try_from(USAGE_ROWS).unwrap_or(u32::MAX);
    let (mut from, mut read) = (Timestamp(window.from), 0);
    loop {
        let rows = backend.usage(entity, from, Timestamp(window.to), limit)?;
        read += rows.len();
        if read > INTERVALS {
            let detail = format!(
                "more than {INTERVALS} intervals were measured then; ask for a shorter time"
            );
            return Err(Failure::at(Code::TooManyPoints, "?from", detail));
        }
        rows.iter().for_each(&mut take);
        match rows.last() {
            Some(last) if rows.len() >= USAGE_ROWS => from = Timestamp(last.at.0.saturating_add(1)),
            _ => return Ok(()),
        }
    }
}

/// Sums over the intervals of a step.
#[derive(Clone, Copy, Debug, Default)]
struct Step {
    looks: u64,
    waiting: Sum,
    running: Sum,
    used: [Sum; Dimension::COUNT],
    limits: [Option<u64>; Dimension::COUNT],
}

#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    sum: u128,
    most: u64,
}

impl Sum {
    fn add(&mut self, seen: Seen) {
        self.sum = self.sum.saturating_add(u128::from(seen.sum));
        self.most = self.most.max(seen.most);
    }

    /// The mean to a thousandth.
    fn spread(self, looks: u64) -> Spread {
        let thousandths = self.sum.saturating_mul(1000).checked_div(u128::from(looks));
        Spread { mean: real(thousandths.unwrap_or(0)) / 1000.0, max: self.most }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a mean is for a chart")]
fn real(number: u128) -> f64 {
    number as f64
}

impl Step {
    fn add(&mut self, row: &Measured) {
        self.waiting.add(row.waiting);
        self.running.add(row.running);
        for (sum, seen) in self.used.iter_mut().zip(row.used) {
            sum.add(seen);
        }
        self.limits = row.limits;
    }

    fn concerns(&self, of: Dimension) -> bool {
        let used = self.used.get(of as usize).is_some_and(|sum| sum.most > 0);
        used || self.limit(of).is_some()
    }

    fn limit(&self, of: Dimension) -> Option<u64> {
        self.limits.get(of as usize).copied().flatten()
    }

    fn point(&self, at: i64, shown: &[Dimension]) -> UsagePoint {
        let used = |of: &Dimension| UsedOver {
            dimension: of.to_string(),
            unit: unit(*of).to_owned(),
            used: self.used.get(*of as usize).copied().unwrap_or_default().spread(self.looks),
            limit: self.limit(*of),
        };
        UsagePoint {
            at: Timestamp(at).into(),
            waiting: self.waiting.spread(self.looks),
            running: self.running.spread(self.looks),
            dimensions: shown.iter().map(used).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<Window, Failure> {
        let uri: Uri = format!("/x?{query}").parse().unwrap();
        Window::read(&uri, Timestamp(10 * DAY + 61_000))
    }

    #[test]
    fn a_chart_is_of_the_last_day_in_few_steps_if_nothing_is_said() {
        let day = Window { from: 9 * DAY, to: 10 * DAY + 61_000, step: 300_000 };
        assert_eq!(read("").unwrap(), day);
        let week = read("from=1970-01-04T00:00:00Z").unwrap();
        assert_eq!(week, Window { from: 3 * DAY, step: 3_600_000, ..day });
        assert_eq!(read("step=1h&from=1970-01-10T00:30:00Z").unwrap().from, 9 * DAY);
        for span in [1, DAY, 30 * DAY, 9000 * DAY] {
            assert!(span / fitting(span) <= FEW, "{span}");
        }
        assert_eq!(fitting(600 * DAY), 3 * DAY);
    }

    #[test]
    fn more_points_than_a_chart_has_and_steps_of_nothing_are_refused() {
        let refused = |query: &str| read(query).unwrap_err();
        for query in ["step=1m", "from=0001-01-01T00:00:00Z&step=24h"] {
            let failure = refused(query);
            assert_eq!(failure.code, Code::TooManyPoints, "{query}");
        }
        let failure = refused("step=1m");
        let said = failure.document("/x", "r").detail;
        assert!(said.ends_with("a step of `5m` would do"), "{said}");
        for query in [
            "step=30s",
            "step=0s",
            "step=90500ms",
            "step=x",
            "from=1970-01-12T00:00:00Z",
            "from=yesterday",
            "to=1970-01-01T00:00:00Z&from=1970-01-01T00:00:00Z",
        ] {
            assert_eq!(refused(query).code, Code::BadParameter, "{query}");
        }
        assert!(read("step=2m").is_ok());
        assert!(read("from=0001-01-01T00:00:00Z&to=9998-12-31T00:00:00Z").is_ok());
    }
}
