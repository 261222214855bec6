//! What was used in the past.

use flowforge_wire::{Spread, UsageHistory, UsagePoint};

use super::{amount, called};
use crate::args::Form;
use crate::args::usage as args;
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::output::Context;
use crate::paint::shown;

/// Columns of a line of bars.
const COLUMNS: usize = 60;
/// From little to much.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// `usage` is where the present is asked for.
pub(super) fn run(
    context: &mut Context,
    client: &Client,
    usage: &str,
    args: &args::Usage,
) -> Result<Exit, Failure> {
    let since = args.since.time().to_string();
    let mut query = vec![("from", &*since)];
    query.extend(args.step.as_deref().map(|step| ("step", step)));
    let history: UsageHistory = client.get(&format!("{usage}/history"), &query)?;
    if !context.form().human() {
        context.document(&history)?;
        return Ok(Exit::Ok);
    }
    if history.points.is_empty() {
        context.err.line("nothing was measured then")?;
        return Ok(Exit::Ok);
    }
    if context.form() == Form::Wide {
        let rows = history.points.iter().flat_map(each).collect();
        context.table(&["TIME", "OF", "MEAN", "MOST", "LIMIT"], rows)?;
        return Ok(Exit::Ok);
    }
    let bars = context.out.terminal;
    let mut head = vec!["NAME", "OF", "MEAN", "MOST", "LIMIT"];
    head.extend(bars.then_some(""));
    let all = series(&history);
    let rows = all.iter().enumerate().map(|(at, one)| {
        let name = if at == 0 { called(&history.of) } else { String::new() };
        let mut cells = vec![name];
        cells.extend(one.whole());
        cells.extend(bars.then(|| one.drawn(&history)));
        cells
    });
    context.table(&head, rows.collect())?;
    Ok(Exit::Ok)
}

/// A point, a line for each amount.
fn each(point: &UsagePoint) -> Vec<Vec<String>> {
    let lines = amounts(point).into_iter().enumerate().map(|(at, one)| {
        let time = if at == 0 { point.at.0.rfc3339() } else { String::new() };
        let Amount { name, unit, spread, limit } = one;
        vec![time, name, mean(&unit, spread.mean), amount(&unit, spread.max), most(&unit, limit)]
    });
    lines.collect()
}

/// One amount at one point.
struct Amount {
    name: String,
    unit: String,
    spread: Spread,
    limit: Option<u64>,
}

fn amounts(point: &UsagePoint) -> Vec<Amount> {
    let tasks = |name: &str, spread| Amount {
        name: name.to_owned(),
        unit: "count".to_owned(),
        spread,
        limit: None,
    };
    let used = point.dimensions.iter().map(|one| Amount {
        name: shown(&one.dimension).into_owned(),
        unit: one.unit.clone(),
        spread: one.used,
        limit: one.limit,
    });
    [tasks("waiting", point.waiting), tasks("running", point.running)]
        .into_iter()
        .chain(used)
        .collect()
}

/// One amount over the whole time.
struct Series {
    name: String,
    unit: String,
    /// By time in milliseconds.
    means: Vec<(i64, f64)>,
    most: u64,
    limit: Option<u64>,
}

fn series(history: &UsageHistory) -> Vec<Series> {
    let mut all: Vec<Series> = Vec::new();
    for point in &history.points {
        for Amount { name, unit, spread, limit } in amounts(point) {
            let at = all.iter().position(|one| one.name == name).unwrap_or_else(|| {
                all.push(Series { name, unit, means: Vec::new(), most: 0, limit });
                all.len() - 1
            });
            if let Some(one) = all.get_mut(at) {
                one.means.push((point.at.0.0, spread.mean));
                one.most = one.most.max(spread.max);
                one.limit = limit.or(one.limit);
            }
        }
    }
    all
}

impl Series {
    fn whole(&self) -> [String; 4] {
        let count = u32::try_from(self.means.len()).unwrap_or(u32::MAX);
        let sum: f64 = self.means.iter().map(|(_, mean)| mean).sum();
        [
            self.name.clone(),
            mean(&self.unit, sum / f64::from(count.max(1))),
            amount(&self.unit, self.most),
            most(&self.unit, self.limit),
        ]
    }

    /// The largest mean of each column; nothing where nobody measured.
    fn drawn(&self, history: &UsageHistory) -> String {
        let (from, to) = (history.from.0.0, history.to.0.0);
        let step = i64::try_from(history.step_seconds).unwrap_or(i64::MAX).saturating_mul(1000);
        let steps = to.saturating_sub(from).saturating_add(step - 1) / step.max(1);
        let columns = usize::try_from(steps).unwrap_or(COLUMNS).clamp(1, COLUMNS);
        let mut heights: Vec<Option<f64>> = vec![None; columns];
        for (at, mean) in &self.means {
            let passed = i128::from(at.saturating_sub(from)) * i128::try_from(columns).unwrap_or(1);
            let column = passed / i128::from(to.saturating_sub(from).max(1));
            let column = usize::try_from(column).ok().and_then(|column| heights.get_mut(column));
            if let Some(height) = column {
                *height = Some(height.unwrap_or(0.0).max(*mean));
            }
        }
        let top = heights.iter().flatten().fold(0.0, |top: f64, height| top.max(*height));
        let drawn = |height: &Option<f64>| height.map_or(' ', |height| bar(height, top));
        heights.iter().map(drawn).collect()
    }
}

fn bar(height: f64, top: f64) -> char {
    let part = if top > 0.0 { height / top } else { 0.0 };
    let below = (1..8_u8).filter(|eighth| part * 8.0 > f64::from(*eighth)).count();
    BARS.get(below).copied().unwrap_or(' ')
}

/// A limit.
fn most(unit: &str, limit: Option<u64>) -> String {
    limit.map_or_else(|| "-".to_owned(), |limit| amount(unit, limit))
}

/// A mean in a unit that people use: `0.25`, `1.5 GiB`.
fn mean(unit: &str, mean: f64) -> String {
    const SIZES: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let short = |number: f64| {
        let text = format!("{number:.2}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    match unit {
        "millicores" => short(mean / 1000.0),
        "bytes" => {
            let mut size = mean;
            let mut units = SIZES.iter();
            let mut unit = units.next();
            while size >= 1024.0 && units.len() > 0 {
                size /= 1024.0;
                unit = units.next();
            }
            format!("{} {}", short(size), unit.unwrap_or(&"B"))
        }
        _ => short(mean),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_are_short_and_bars_go_from_little_to_much() {
        let cores = [0.0, 250.0, 1500.0].map(|number| mean("millicores", number));
        assert_eq!(cores, ["0", "0.25", "1.5"]);
        let sizes = [0.0, 1536.0, 1_073_741_824.0, 1e18].map(|number| mean("bytes", number));
        assert_eq!(sizes, ["0 B", "1.5 KiB", "1 GiB", "909494.7 TiB"]);
        let bars: String = (0..=8).map(|eighth| bar(f64::from(eighth), 8.0)).collect();
        assert_eq!(bars, "▁▁▂▃▄▅▆▇█");
        assert_eq!(bar(0.0, 0.0), '▁');
    }
}
