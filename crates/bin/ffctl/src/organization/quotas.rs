//! `quota`: limits, by name or of one entity.

use flowforge_model::quota::Level;
use flowforge_wire::{Entity, Quota, QuotaInput};
use serde_json::Value;

use super::{clamps, path};
use crate::args::Form;
use crate::args::organization::{Limits, Quotas};
use crate::client::{Client, PAGE, part};
use crate::exit::{Exit, Failure};
use crate::output::Context;
use crate::paint::shown;

pub(crate) fn run(context: &mut Context, command: &Quotas) -> Result<Exit, Failure> {
    let client = context.client()?;
    match command {
        Quotas::List { tenant } => {
            let mut query = vec![("limit", PAGE)];
            query.extend(tenant.iter().map(|tenant| ("tenant_id", &**tenant)));
            list(context, &client.pages("/api/v1/quotas", &query, usize::MAX)?)
        }
        Quotas::Get { quota } => show(context, &client.get(&one(quota), &[])?),
        Quotas::Of { entity } => {
            let (level, id) = entity_of(&client, entity)?;
            show(context, &client.get(&format!("{}/quota", path(level, &id)), &[])?)
        }
        Quotas::Set { entity, limits, clamp } => {
            let input = said(limits)?;
            let (level, id) = entity_of(&client, entity)?;
            let path = format!("{}/quota", path(level, &id));
            show(context, &client.put_json(&path, &clamps(*clamp), &input)?)
        }
        Quotas::Create { name, tenant, limits } => {
            let mut input = input(limits);
            input.name = Some(name.clone());
            input.tenant_id.clone_from(tenant);
            show(context, &client.post("/api/v1/quotas", Some(&input), None)?)
        }
        Quotas::Update { quota, name, limits, clamp } => {
            let input = QuotaInput { name: name.clone(), ..input(limits) };
            let input = something(input)?;
            show(context, &client.patch(&one(quota), &clamps(*clamp), &input)?)
        }
        Quotas::Delete { quotas } => {
            for quota in quotas {
                let _nothing: Option<Quota> = client.delete(&one(quota), &[])?;
                if context.form().human() {
                    context.out.line(&format!("quota {} deleted", shown(quota)))?;
                }
            }
            Ok(Exit::Ok)
        }
    }
}

fn one(quota: &str) -> String {
    format!("/api/v1/quotas/{}", part(quota))
}

/// Level and id of what a path or an id names. A name alone is that of a tenant, first.
pub(crate) fn entity_of(client: &Client, text: &str) -> Result<(Level, String), Failure> {
    let mut failed = None;
    for level in Level::ALL {
        match client.get::<Entity>(&path(level, text), &[]) {
            Ok(found) => return Ok((level, found.id)),
            Err(failure) if failure.exit() == Exit::NotFound => {}
            // A tenant's name may be the name of several projects, too.
            Err(failure) => {
                failed.get_or_insert(failure);
            }
        }
    }
    let what = format!("there is no tenant, department, group or project `{}`", shown(text));
    Err(failed.unwrap_or_else(|| Failure::new(Exit::NotFound, what)))
}

/// Limits that were named, at least one of them.
pub(crate) fn said(limits: &Limits) -> Result<QuotaInput, Failure> {
    something(input(limits))
}

fn something(input: QuotaInput) -> Result<QuotaInput, Failure> {
    if input == QuotaInput::default() {
        let what = "nothing is to change";
        return Err(Failure::usage(what).hint("name limits, as --cpu-limit 4 --memory-limit 8Gi"));
    }
    Ok(input)
}

fn input(limits: &Limits) -> QuotaInput {
    let quantity = |text: &Option<String>| {
        text.as_ref().map(|text| match &**text {
            "none" => Value::Null,
            text => Value::from(text),
        })
    };
    let count = |text: &Option<String>| {
        text.as_ref().map(|text| text.parse::<u64>().map_or(Value::Null, Value::from))
    };
    QuotaInput {
        name: None,
        tenant_id: None,
        cpu_limit: quantity(&limits.cpu_limit),
        cpu_request: quantity(&limits.cpu_request),
        memory_limit: quantity(&limits.memory_limit),
        memory_request: quantity(&limits.memory_request),
        gpu_limit: count(&limits.gpu_limit),
        max_concurrent_pods: count(&limits.max_concurrent_pods),
        max_concurrent_workflows: count(&limits.max_concurrent_workflows),
        storage_limit: quantity(&limits.storage_limit),
        priority_weight: limits.priority_weight,
    }
}

/// Columns of limits in tables.
pub(super) const HEAD: [&str; 9] =
    ["CPU", "CPU REQ", "MEMORY", "MEM REQ", "GPU", "PODS", "WORKFLOWS", "STORAGE", "WEIGHT"];

/// Limits as tables show them.
pub(super) fn cells(quota: &Quota) -> Vec<String> {
    let number = |limit: Option<u64>| limit.map_or("-".to_owned(), |limit| limit.to_string());
    vec![
        cores(quota.cpu_limit),
        cores(quota.cpu_request),
        size(quota.memory_limit, 0),
        size(quota.memory_request, 0),
        number(quota.gpu_limit),
        number(quota.max_concurrent_pods),
        number(quota.max_concurrent_workflows),
        size(quota.storage_limit, 1),
        quota.priority_weight.to_string(),
    ]
}

/// Thousandths as cores.
fn cores(milli: Option<u64>) -> String {
    match milli {
        None => "-".to_owned(),
        Some(milli) if milli % 1000 == 0 => (milli / 1000).to_string(),
        Some(milli) => format!("{milli}m"),
    }
}

/// In the largest unit that it is whole in, from `Mi` (0) up.
fn size(limit: Option<u64>, unit: usize) -> String {
    let Some(mut amount) = limit else {
        return "-".to_owned();
    };
    let mut name = "";
    for next in ["Mi", "Gi", "Ti", "Pi"].into_iter().skip(unit) {
        if !name.is_empty() {
            if amount == 0 || amount % 1024 != 0 {
                break;
            }
            amount /= 1024;
        }
        name = next;
    }
    format!("{amount}{name}")
}

fn list(context: &mut Context, rows: &[Quota]) -> Result<Exit, Failure> {
    if !context.tabled(rows, |row| row.id.as_deref().unwrap_or(""), "there are no quotas")? {
        return Ok(Exit::Ok);
    }
    let wide = context.form() == Form::Wide;
    let mut head = vec!["NAME"];
    head.extend(HEAD);
    head.extend(wide.then_some("ID"));
    let row = |quota: &Quota| {
        let mut row = vec![shown(&quota.name).into_owned()];
        row.extend(cells(quota));
        row.extend(wide.then(|| shown(quota.id.as_deref().unwrap_or("-")).into_owned()));
        row
    };
    context.table(&head, rows.iter().map(row).collect())?;
    Ok(Exit::Ok)
}

fn show(context: &mut Context, quota: &Quota) -> Result<Exit, Failure> {
    match context.form() {
        Form::Json | Form::Yaml => context.document(quota)?,
        Form::Name => context.out.line(&shown(quota.id.as_deref().unwrap_or("-")))?,
        Form::Table | Form::Wide => {
            context.table(&HEAD, vec![cells(quota)])?;
            for one in &quota.clamped {
                let (path, field) = (shown(&one.path), shown(&one.field));
                let line = format!("lowered {field} of {path} from {} to {}", one.from, one.to);
                context.out.line(&line)?;
            }
        }
    }
    Ok(Exit::Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_shown_in_the_largest_whole_unit() {
        let sizes = [None, Some(0), Some(512), Some(1024), Some(1536), Some(2 << 20)];
        assert_eq!(sizes.map(|mib| size(mib, 0)), ["-", "0Mi", "512Mi", "1Gi", "1536Mi", "2Ti"]);
        assert_eq!([Some(100), Some(2048)].map(|gib| size(gib, 1)), ["100Gi", "2Ti"]);
        assert_eq!([None, Some(0), Some(1500), Some(4000)].map(cores), ["-", "0", "1500m", "4"]);
    }
}
