//! `usage`: who uses what, and used what.

mod history;

use flowforge_wire::{Place, Usage, UsageReport, Used};

use crate::args::usage as args;
use crate::exit::{Exit, Failure};
use crate::organization::{entity_of, path};
use crate::output::Context;
use crate::paint::shown;

/// Columns of a bar.
const BAR: u32 = 20;

pub(crate) fn run(context: &mut Context, args: &args::Usage) -> Result<Exit, Failure> {
    let client = context.client()?;
    let from = match &args.entity {
        None => "/api/v1/usage".to_owned(),
        Some(text) => {
            let (level, id) = entity_of(&client, text)?;
            format!("{}/usage", path(level, &id))
        }
    };
    if args.history {
        return history::run(context, &client, &from, args);
    }
    let report: UsageReport = client.get(&from, &[])?;
    if !context.form().human() {
        context.document(&report)?;
        return Ok(Exit::Ok);
    }
    let bars = context.out.terminal;
    let mut head = vec!["NAME", "WAITING", "RUNNING", "OF", "USED", "LIMIT", "PART"];
    head.extend(bars.then_some(""));
    let all = std::iter::once(&report.usage).chain(&report.below);
    context.table(&head, all.flat_map(|one| lines(one, bars)).collect())?;
    if report.omitted > 0 {
        context.warn(&format!("{} more stand below it", report.omitted))?;
    }
    Ok(Exit::Ok)
}

/// A line for each dimension; the first says whose they are.
fn lines(usage: &Usage, bars: bool) -> Vec<Vec<String>> {
    let name = called(&usage.of);
    let first = [name, usage.waiting.to_string(), usage.running.to_string()];
    if usage.dimensions.is_empty() {
        return vec![first.to_vec()];
    }
    let line = |(at, used): (usize, &Used)| {
        let mut line = if at == 0 {
            first.to_vec()
        } else {
            vec![String::new(), String::new(), String::new()]
        };
        line.push(shown(&used.dimension).into_owned());
        line.push(amount(&used.unit, used.used));
        line.push(used.limit.map_or_else(|| "-".to_owned(), |limit| amount(&used.unit, limit)));
        line.push(used.utilisation.map(percent).unwrap_or_default());
        line.extend(bars.then(|| used.utilisation.map(bar).unwrap_or_default()));
        line
    };
    usage.dimensions.iter().enumerate().map(line).collect()
}

/// How people call an entity.
pub(crate) fn called(place: &Place) -> String {
    match &*place.path {
        "" => shown(&place.level).into_owned(),
        path => shown(path).into_owned(),
    }
}

fn percent(part: f64) -> String {
    format!("{:.0} %", part * 100.0)
}

/// Full from 1 on.
fn bar(part: f64) -> String {
    let full = (0..BAR).filter(|at| f64::from(*at) + 0.5 < part * f64::from(BAR)).count();
    let rest = usize::try_from(BAR).unwrap_or(0).saturating_sub(full);
    format!("{}{}", "█".repeat(full), "░".repeat(rest))
}

/// An amount in a unit that people use: `1.5`, `2 GiB`, `3`.
pub(crate) fn amount(unit: &str, number: u64) -> String {
    match unit {
        "millicores" => {
            let part = format!("{}.{:03}", number / 1000, number % 1000);
            part.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        "bytes" => bytes(number),
        _ => number.to_string(),
    }
}

fn bytes(number: u64) -> String {
    for (unit, shift) in [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)] {
        if number >> shift > 0 {
            let tenths = (u128::from(number) * 10) >> shift;
            let part = match tenths % 10 {
                0 => String::new(),
                tenth => format!(".{tenth}"),
            };
            return format!("{}{part} {unit}", tenths / 10);
        }
    }
    format!("{number} B")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_and_bars_are_short() {
        let cores = [0, 5, 1500, 10_000].map(|number| amount("millicores", number));
        assert_eq!(cores, ["0", "0.005", "1.5", "10"]);
        let sizes = [0, 1023, 1 << 20, 3 << 29, u64::MAX].map(|number| amount("bytes", number));
        assert_eq!(sizes, ["0 B", "1023 B", "1 MiB", "1.5 GiB", "16777215.9 TiB"]);
        assert_eq!(bar(0.0), "░".repeat(20));
        assert_eq!(bar(0.5), format!("{}{}", "█".repeat(10), "░".repeat(10)));
        assert_eq!(bar(7.0), "█".repeat(20));
    }
}
