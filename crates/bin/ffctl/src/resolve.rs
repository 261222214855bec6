//! From what a person writes to one workflow.

use flowforge_wire::{Page, Workflow};
use uuid::Uuid;

use crate::client::{Client, PAGE};
use crate::exit::{Exit, Failure};
use crate::paint::shown;

/// A beginning of an id is looked for among this many of the newest workflows.
const SEARCHED: usize = 10_000;
/// How many candidates an ambiguous beginning names.
const NAMED: usize = 5;

/// The workflow that `text` means: an id, `@latest`, `@failed`, the beginning of one id, or a
/// name, which means the newest of that name.
pub(crate) fn find(client: &Client, text: &str) -> Result<Workflow, Failure> {
    if text.len() == 36 && Uuid::parse_str(text).is_ok() {
        return client.workflow(&text.to_ascii_lowercase());
    }
    match text {
        "@latest" => newest(client, &[], "there are no workflows"),
        "@failed" => newest(client, &[("status", "FAILED")], "no workflow has failed"),
        _ if text.starts_with('@') => Err(Failure::usage(format!(
            "`{}` is not known; there are @latest and @failed",
            shown(text)
        ))),
        "" => Err(Failure::usage("a workflow has an id or a name")),
        _ => by_prefix_or_name(client, text),
    }
}

fn newest(client: &Client, query: &[(&str, &str)], none: &str) -> Result<Workflow, Failure> {
    let query = [&[("limit", "1")], query].concat();
    let page: Page<Workflow> = client.get("/api/v1/workflows", &query)?;
    let first = page.items.into_iter().next();
    let first = first.ok_or_else(|| Failure::new(Exit::NotFound, none))?;
    client.workflow(&first.id)
}

fn by_prefix_or_name(client: &Client, text: &str) -> Result<Workflow, Failure> {
    let prefix = text.to_ascii_lowercase();
    let like_id = prefix.len() < 36 && prefix.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    if like_id {
        let rows: Vec<Workflow> =
            client.pages("/api/v1/workflows", &[("limit", PAGE)], SEARCHED)?;
        let found: Vec<&Workflow> = rows.iter().filter(|row| row.id.starts_with(&prefix)).collect();
        match &*found {
            [one] => return client.workflow(&one.id),
            [] => {}
            several => return Err(ambiguous(text, several)),
        }
    }
    // The filter wants a beginning: the newest of exactly this name may come later in the list.
    let query = [("limit", PAGE), ("name", text)];
    let rows: Vec<Workflow> = client.pages("/api/v1/workflows", &query, SEARCHED)?;
    let Some(row) = rows.iter().find(|row| row.name == text) else {
        let what = format!("there is no workflow `{}`", shown(text));
        return Err(Failure::new(Exit::NotFound, what).hint("`ffctl list` shows what there is"));
    };
    client.workflow(&row.id)
}

fn ambiguous(text: &str, several: &[&Workflow]) -> Failure {
    let named: Vec<String> = several
        .iter()
        .take(NAMED)
        .map(|row| format!("{} ({})", shown(&row.id), shown(&row.name)))
        .collect();
    let rest = several.len().saturating_sub(NAMED);
    let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    Failure::usage(format!(
        "`{}` is the beginning of several ids: {}{more}",
        shown(text),
        named.join(", ")
    ))
}
