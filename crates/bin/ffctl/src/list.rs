//! `list`: workflows, newest first.

use std::collections::BTreeMap;

use flowforge_wire::Workflow;

use crate::args::{self, Form};
use crate::client::PAGE;
use crate::exit::{Exit, Failure};
use crate::output::Context;
use crate::paint::{cut, shown, span};
use crate::tree::note;

/// Columns of names and messages in the narrow table.
const NAME_COLUMNS: usize = 40;

pub(crate) fn run(context: &mut Context, args: &args::List) -> Result<Exit, Failure> {
    let client = context.client()?;
    let most =
        if args.all { usize::MAX } else { usize::try_from(args.limit).unwrap_or(usize::MAX) };
    let limit =
        if args.all || args.limit > 1000 { PAGE.to_owned() } else { args.limit.to_string() };
    let status = args.status.join(",");
    let labels: Vec<String> = args.labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
    let mut query = vec![("limit", &*limit)];
    if !status.is_empty() {
        query.push(("status", &status));
    }
    query.extend(labels.iter().map(|label| ("label", &**label)));
    query.extend(args.name.iter().map(|name| ("name", &**name)));
    query.extend(args.project.iter().map(|project| ("project_id", &**project)));
    let rows: Vec<Workflow> = client.pages("/api/v1/workflows", &query, most)?;
    print(context, &rows)?;
    Ok(Exit::Ok)
}

/// Prints workflows in the form that is wanted.
pub(crate) fn print(context: &mut Context, rows: &[Workflow]) -> Result<(), Failure> {
    if !context.tabled(rows, |row| &row.id, "no workflows")? {
        return Ok(());
    }
    let now = crate::now();
    let wide = context.form() == Form::Wide;
    // Lists come without counts: no column of nothing.
    let counted = rows.iter().any(|row| !row.task_counts.is_empty());
    let mut head = vec!["ID", "NAME", "STATUS"];
    head.extend(counted.then_some("TASKS"));
    head.extend(["AGE", "DURATION"]);
    if wide {
        head.extend(["PROJECT", "PRIORITY", "LABELS"]);
    }
    head.push("MESSAGE");
    let cells = |row: &Workflow| {
        let mut cells = vec![
            shown(&row.id).into_owned(),
            narrow(&row.name, wide),
            shown(&row.status).into_owned(),
        ];
        cells.extend(counted.then(|| tasks(row)));
        cells.extend([age(row, now), lasted(row, now)]);
        if wide {
            cells.extend([
                shown(&row.project_id).into_owned(),
                row.priority.to_string(),
                plain(&row.labels),
            ]);
        }
        let why = note(row.reason.as_deref(), row.message.as_deref()).unwrap_or_default();
        cells.push(narrow(&why, wide));
        cells
    };
    let table = rows.iter().map(cells).collect();
    Ok(context.table(&head, table)?)
}

fn narrow(text: &str, wide: bool) -> String {
    let text = shown(text);
    if wide { text.into_owned() } else { cut(&text, NAME_COLUMNS).into_owned() }
}

/// `over/all`
fn tasks(row: &Workflow) -> String {
    let all: u64 = row.task_counts.values().sum();
    let over = row.task_counts.iter().filter(|(status, _)| crate::tree::is_final(status));
    format!("{}/{all}", over.map(|(_, count)| count).sum::<u64>())
}

/// Time since the submission.
pub(crate) fn age(row: &Workflow, now: i64) -> String {
    span(u64::try_from(now.saturating_sub(row.created_at.0.0)).unwrap_or(0))
}

/// Time from the beginning to the end, or until now.
pub(crate) fn lasted(row: &Workflow, now: i64) -> String {
    let Some(start) = row.started_at else {
        return "-".to_owned();
    };
    let end = row.finished_at.map_or(now, |at| at.0.0);
    span(u64::try_from(end.saturating_sub(start.0.0)).unwrap_or(0))
}

/// `a=1,b=2`
pub(crate) fn plain(map: &BTreeMap<String, String>) -> String {
    let pairs: Vec<_> = map.iter().map(|(k, v)| format!("{}={}", shown(k), shown(v))).collect();
    pairs.join(",")
}
