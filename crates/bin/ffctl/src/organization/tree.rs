//! `org`: all of it, or one tenant, as a tree with limits.

use std::collections::BTreeMap;

use flowforge_model::quota::Level;
use flowforge_wire::{Entity, Quota};

use super::quotas::{HEAD, cells};
use crate::args::Form;
use crate::client::PAGE;
use crate::exit::{Exit, Failure};
use crate::output::Context;
use crate::paint::shown;

pub(crate) fn run(context: &mut Context, tenant: Option<&str>) -> Result<Exit, Failure> {
    let client = context.client()?;
    let mut query = vec![("limit", PAGE)];
    query.extend(tenant.map(|tenant| ("tenant_id", tenant)));
    let mut rows: Vec<Entity> = Vec::new();
    for level in Level::ALL {
        rows.extend(client.pages::<Entity>(&format!("/api/v1/{level}s"), &query, usize::MAX)?);
    }
    // By parts of the path: `a-b` stands behind all of `a`.
    rows.sort_by(|a, b| a.path.split('/').cmp(b.path.split('/')));
    if !context.tabled(&rows, |row| &row.id, "there is nothing")? {
        return Ok(Exit::Ok);
    }
    let quotas: Vec<Quota> = client.pages("/api/v1/quotas", &query, usize::MAX)?;
    let quotas: BTreeMap<&str, &Quota> =
        quotas.iter().filter_map(|quota| Some((quota.id.as_deref()?, quota))).collect();
    let wide = context.form() == Form::Wide;
    let mut head = vec!["NAME", "LEVEL", "STATUS"];
    head.extend(HEAD);
    head.extend(wide.then_some("ID"));
    let names = names(&rows);
    let row = |(name, row): (String, &Entity)| {
        let texts = [&name, &*row.level, &row.status];
        let mut line = texts.map(|text| shown(text).into_owned()).to_vec();
        let quota = row.quota_id.as_deref().and_then(|id| quotas.get(id));
        match quota {
            Some(quota) => line.extend(cells(quota)),
            None => line.extend(HEAD.map(|_| "-".to_owned())),
        }
        line.extend(wide.then(|| shown(&row.id).into_owned()));
        line
    };
    context.table(&head, names.into_iter().zip(&rows).map(row).collect())?;
    Ok(Exit::Ok)
}

/// The name of each, with the lines that lead to it.
fn names(rows: &[Entity]) -> Vec<String> {
    let depth = |row: &Entity| row.path.matches('/').count();
    let mut names = Vec::new();
    // From the end: whether something follows at a depth before something above it does.
    let mut follows: Vec<bool> = Vec::new();
    for row in rows.iter().rev() {
        let depth = depth(row);
        follows.resize(depth + 1, false);
        let mut name = String::new();
        for at in 1..=depth {
            let goes_on = follows.get(at).copied().unwrap_or(false);
            name.push_str(match (at == depth, goes_on) {
                (true, true) => "├─ ",
                (true, false) => "└─ ",
                (false, true) => "│  ",
                (false, false) => "   ",
            });
        }
        if let Some(slot) = follows.get_mut(depth) {
            *slot = true;
        }
        name.push_str(&row.name);
        names.push(name);
    }
    names.reverse();
    names
}
