//! What entities use.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::http::Uri;
use flowforge_model::id::EntityId;
use flowforge_model::quota::{Dimension, Level};
use flowforge_organization::Organization;
use flowforge_ports::explain as ports;
use flowforge_ports::explain::{Answer, ENTITIES, Question};
use flowforge_wire::{Usage, UsageReport, Used};

use super::show::{place, unit};
use super::{ask, beside_the_point};
use crate::Shared;
use crate::backend::Backend;
use crate::organization::found;
use crate::problem::Failure;
use crate::query::Query;

/// Of an entity, and of those directly below it.
pub(crate) async fn of(
    shared: &Arc<Shared>,
    level: Level,
    which: String,
    uri: &Uri,
) -> Result<Json<UsageReport>, Failure> {
    Query::parse(uri, &[])?;
    let inner = Arc::clone(shared);
    let read = move |backend: &dyn Backend| {
        let all = backend.organization()?;
        let id = found(&all, level, &which)?;
        report(&inner, &all, Some(id))
    };
    Ok(Json(shared.question(read).await?))
}

/// Of the installation, and of all tenants.
pub(super) async fn installation(
    shared: &Arc<Shared>,
    uri: &Uri,
) -> Result<Json<UsageReport>, Failure> {
    Query::parse(uri, &[])?;
    let inner = Arc::clone(shared);
    let read = move |backend: &dyn Backend| report(&inner, &*backend.organization()?, None);
    Ok(Json(shared.question(read).await?))
}

fn report(
    shared: &Shared,
    all: &Organization,
    of: Option<EntityId>,
) -> Result<UsageReport, Failure> {
    let mut below: Vec<EntityId> = all.children(of).map(|node| node.id).collect();
    let omitted = below.len().saturating_sub(ENTITIES - 1);
    below.truncate(ENTITIES - 1);
    let wanted = of.into_iter().chain(below.iter().copied()).collect();
    let Answer::Usage(rows) = ask(shared, &Question::Usage(wanted))? else {
        return Err(beside_the_point());
    };
    let rows: BTreeMap<Option<EntityId>, ports::Usage> =
        rows.into_iter().map(|row| (row.entity, row)).collect();
    // The scheduler hears of a new entity within a second: it uses nothing until then.
    let one = |id: Option<EntityId>| usage(all, id, rows.get(&id));
    Ok(UsageReport {
        usage: one(of),
        below: below.into_iter().map(|id| one(Some(id))).collect(),
        omitted: u64::try_from(omitted).unwrap_or(u64::MAX),
    })
}

fn usage(all: &Organization, id: Option<EntityId>, row: Option<&ports::Usage>) -> Usage {
    let amount = |of: Dimension| {
        let used = row.map_or(0, |row| row.used.get(of));
        let limit = row.and_then(|row| row.limits.get(of as usize).copied().flatten());
        (used > 0 || limit.is_some()).then(|| Used {
            dimension: of.to_string(),
            unit: unit(of).to_owned(),
            used,
            limit,
            utilisation: limit.and_then(|limit| utilisation(used, limit)),
        })
    };
    Usage {
        of: place(all, id),
        waiting: row.map_or(0, |row| row.waiting),
        running: row.map_or(0, |row| row.running),
        dimensions: Dimension::ALL.into_iter().filter_map(amount).collect(),
    }
}

/// To a thousandth.
fn utilisation(used: u64, limit: u64) -> Option<f64> {
    let thousandths = (u128::from(used) * 1000).checked_div(u128::from(limit))?;
    Some(f64::from(u32::try_from(thousandths).unwrap_or(u32::MAX)) / 1000.0)
}
