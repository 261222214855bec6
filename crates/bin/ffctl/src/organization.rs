//! `tenant`, `department`, `group`, `project`: the same at every level.

mod quotas;
mod tree;

use flowforge_model::quota::Level;
use flowforge_wire::{Entity, EntityPatch, NewEntity};

use crate::args::Form;
use crate::args::organization::{Entities, Entries};
use crate::client::{Client, PAGE, part};
use crate::exit::{Exit, Failure};
use crate::output::Context;
use crate::paint::{shown, span};

pub(crate) use quotas::{entity_of, run as quota, said};
pub(crate) use tree::run as tree;

pub(crate) fn run(
    context: &mut Context,
    level: Level,
    command: &Entities,
) -> Result<Exit, Failure> {
    let client = context.client()?;
    match command {
        Entities::List(args) => list(context, &client, level, args),
        Entities::Get { which } => {
            let one: Entity = client.get(&path(level, which), &[])?;
            show(context, &one)
        }
        Entities::Create { name, parent, quota, cluster } => {
            let new = NewEntity {
                name: name.clone(),
                parent_id: parent.clone(),
                quota_id: quota.clone(),
                cluster: cluster.clone(),
            };
            let made: Entity = client.post(&format!("/api/v1/{level}s"), Some(&new), None)?;
            done(context, &made, "created")
        }
        Entities::Update { which, name, quota, cluster, clamp } => {
            let or_none =
                |text: &Option<String>| text.clone().map(|text| (text != "none").then_some(text));
            let patch = EntityPatch {
                name: name.clone(),
                parent_id: None,
                quota_id: or_none(quota),
                cluster: or_none(cluster),
            };
            if patch == EntityPatch::default() {
                let what = "nothing is to change";
                return Err(Failure::usage(what).hint("name what: --name, --quota, --cluster"));
            }
            let changed: Entity = client.patch(&path(level, which), &clamps(*clamp), &patch)?;
            done(context, &changed, "changed")
        }
        Entities::Move { which, to, clamp } => {
            let patch = EntityPatch { parent_id: Some(to.clone()), ..EntityPatch::default() };
            let moved: Entity = client.patch(&path(level, which), &clamps(*clamp), &patch)?;
            done(context, &moved, "moved")
        }
        Entities::Delete { which, drain, cascade } => {
            let mut query = Vec::new();
            query.extend(drain.then_some(("drain", "true")));
            query.extend(cascade.then_some(("cascade", "true")));
            for one in which {
                let left: Option<Entity> = client.delete(&path(level, one), &query)?;
                let became = if left.is_some() { "drains" } else { "deleted" };
                if context.form().human() {
                    context.out.line(&format!("{level} {} {became}", shown(one)))?;
                }
            }
            Ok(Exit::Ok)
        }
    }
}

/// Where one of a level is.
pub(crate) fn path(level: Level, which: &str) -> String {
    format!("/api/v1/{level}s/{}", part(which))
}

fn clamps(clamp: bool) -> Vec<(&'static str, &'static str)> {
    clamp.then_some(("clamp", "true")).into_iter().collect()
}

fn list(
    context: &mut Context,
    client: &Client,
    level: Level,
    args: &Entries,
) -> Result<Exit, Failure> {
    let mut query = vec![("limit", PAGE)];
    query.extend(args.parent.iter().map(|parent| ("parent_id", &**parent)));
    query.extend(args.tenant.iter().map(|tenant| ("tenant_id", &**tenant)));
    query.extend(args.name.iter().map(|name| ("name", &**name)));
    let rows: Vec<Entity> = client.pages(&format!("/api/v1/{level}s"), &query, usize::MAX)?;
    if !context.tabled(&rows, |row| &row.id, &format!("there are no {level}s"))? {
        return Ok(Exit::Ok);
    }
    let wide = context.form() == Form::Wide;
    let mut head = vec!["PATH", "STATUS", "AGE"];
    if wide {
        head.extend(["CLUSTER", "ID", "QUOTA ID", "VERSION"]);
    }
    let cells = |row: &Entity| {
        let age = span(u64::try_from(crate::now().saturating_sub(row.created_at.0.0)).unwrap_or(0));
        let mut cells = vec![shown(&row.path).into_owned(), shown(&row.status).into_owned(), age];
        if wide {
            let quota = row.quota_id.as_deref().unwrap_or("-");
            let cluster = row.cluster.as_deref().unwrap_or("-");
            let texts = [cluster, &row.id, quota, &row.version.to_string()];
            cells.extend(texts.map(|text| shown(text).into_owned()));
        }
        cells
    };
    context.table(&head, rows.iter().map(cells).collect())?;
    Ok(Exit::Ok)
}

fn show(context: &mut Context, one: &Entity) -> Result<Exit, Failure> {
    match context.form() {
        Form::Json | Form::Yaml => context.document(one)?,
        Form::Name => context.out.line(&shown(&one.id))?,
        Form::Table | Form::Wide => {
            let created = one.created_at.0.rfc3339();
            let cluster = one.cluster.as_ref().map(|name| ("cluster", &**name));
            let lines = [
                ("path", &*one.path),
                ("level", &*one.level),
                ("id", &*one.id),
                ("status", &*one.status),
                ("quota", one.quota_id.as_deref().unwrap_or("none of its own")),
                ("created", &*created),
            ];
            for (name, value) in lines.into_iter().chain(cluster) {
                context.out.line(&format!("{name:<9}{}", shown(value)))?;
            }
        }
    }
    Ok(Exit::Ok)
}

/// What became of one.
fn done(context: &mut Context, one: &Entity, became: &str) -> Result<Exit, Failure> {
    if !context.form().human() {
        return show(context, one);
    }
    context.out.line(&format!("{} {} {became}", shown(&one.level), shown(&one.path)))?;
    Ok(Exit::Ok)
}
