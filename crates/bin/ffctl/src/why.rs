//! `why`: what blocks a workflow or a task, who holds it, what would help.

use flowforge_wire::{Holder, Priority, QueueWhy, Rival, Side, TaskWhy, WhyGroup, WorkflowWhy};
use uuid::Uuid;

use crate::args::Why;
use crate::client::{Client, part};
use crate::exit::{Exit, Failure};
use crate::output::Context;
use crate::paint::{Colour, shown, span};
use crate::resolve;
use crate::usage::{amount, called};

/// Width of what lines are about.
const LABEL: usize = 12;

pub(crate) fn run(context: &mut Context, args: &Why) -> Result<Exit, Failure> {
    let client = context.client()?;
    if let Some(task) = &args.task {
        let workflow = resolve::find(&client, &args.target)?;
        let path = format!("/api/v1/workflows/{}/tasks/{}/why", workflow.id, part(task));
        return one(context, &client.get(&path, &[])?);
    }
    match resolve::find(&client, &args.target) {
        Ok(workflow) => {
            let path = format!("/api/v1/workflows/{}/why", workflow.id);
            whole(context, &client.get(&path, &[])?)
        }
        Err(failure)
            if failure.exit() == Exit::NotFound && Uuid::parse_str(&args.target).is_ok() =>
        {
            one(context, &by_id(&client, &args.target)?)
        }
        Err(failure) => Err(failure),
    }
}

fn by_id(client: &Client, id: &str) -> Result<TaskWhy, Failure> {
    let found = client.get(&format!("/api/v1/tasks/{}/why", id.to_ascii_lowercase()), &[]);
    found.map_err(|failure| {
        if failure.exit() == Exit::NotFound {
            let what = format!("there is no workflow and no task `{}`", shown(id));
            Failure::new(Exit::NotFound, what).hint("`ffctl list` shows what there is")
        } else {
            failure
        }
    })
}

fn one(context: &mut Context, why: &TaskWhy) -> Result<Exit, Failure> {
    if !context.form().human() {
        context.document(why)?;
        return Ok(Exit::Ok);
    }
    let task = if why.task.is_empty() { "the workflow itself" } else { &why.task };
    let head = format!("{} of {}: ", shown(task), shown(&why.workflow_name));
    let code = context.out.paint.text(Colour::Yellow, &shown(&why.code));
    context.out.line(&format!("{head}{code}"))?;
    detail(context, why)?;
    Ok(Exit::Ok)
}

fn whole(context: &mut Context, why: &WorkflowWhy) -> Result<Exit, Failure> {
    if !context.form().human() {
        context.document(why)?;
        return Ok(Exit::Ok);
    }
    let status = context.out.paint.status(&shown(&why.status));
    context.out.line(&format!("{}: {status}", shown(&why.workflow_name)))?;
    if why.groups.is_empty() {
        context.out.line("  Nothing of it waits.")?;
    }
    for group in &why.groups {
        let code = context.out.paint.text(Colour::Yellow, &shown(&group.code));
        context.out.line(&format!("\n{code}: {}", members(group)))?;
        if let Some(first) = &group.first {
            detail(context, first)?;
        }
    }
    if why.omitted > 0 {
        context.out.line(&format!("\n{} more tasks are in the queue", why.omitted))?;
    }
    Ok(Exit::Ok)
}

fn members(group: &WhyGroup) -> String {
    let names: Vec<_> = group.tasks.iter().map(|name| shown(name)).collect();
    let named = u64::try_from(names.len()).unwrap_or(u64::MAX);
    let more = group.count.saturating_sub(named);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let plural = if group.count == 1 { "" } else { "s" };
    format!("{} task{plural} ({}{more})", group.count, names.join(", "))
}

/// What is known, a line each.
fn detail(context: &mut Context, why: &TaskWhy) -> Result<(), Failure> {
    context.out.line(&format!("  {}", shown(&why.text)))?;
    let now = crate::now();
    let ago = |at: i64| span(u64::try_from(now.saturating_sub(at)).unwrap_or(0));
    let mut lines: Vec<(&str, String)> = Vec::new();
    lines.extend(why.since.map(|since| ("waits since", ago(since.0.0))));
    if let Some(until) = why.until {
        let left = span(u64::try_from(until.0.0.saturating_sub(now)).unwrap_or(0));
        lines.push(("goes on in", left));
    }
    if why.waits_for.len() > 1 {
        lines.push(("waits for", why.waits_for.join(", ")));
    }
    if let Some(queue) = &why.queue {
        lines.extend(queued(queue));
    }
    labelled(context, lines)
}

/// What the scheduler says, a line each.
pub(crate) fn queue(context: &mut Context, why: &QueueWhy) -> Result<(), Failure> {
    labelled(context, queued(why))
}

fn labelled(context: &mut Context, lines: Vec<(&str, String)>) -> Result<(), Failure> {
    for (label, text) in lines {
        let label = context.out.paint.text(Colour::Dim, &format!("{label:LABEL$}"));
        context.out.line(&format!("  {label}{}", shown(&text)))?;
    }
    Ok(())
}

fn queued(why: &QueueWhy) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    let need =
        why.need.iter().map(|one| format!("{} {}", one.dimension, amount(&one.unit, one.amount)));
    lines.push(("needs", need.collect::<Vec<_>>().join(", ")));
    if let Some(short) = &why.short {
        let of = |number| amount(&short.unit, number);
        let place = format!("{} {}", short.at.level, short.at.path);
        let (used, limit) = (of(short.used), of(short.limit));
        lines.push((
            "blocked at",
            format!("{}: {} {used}/{limit}", place.trim_end(), short.dimension),
        ));
        let held: Vec<String> = why.holders.iter().map(|one| holder(one, &short.unit)).collect();
        if !held.is_empty() {
            lines.push(("held by", held.join(", ")));
        }
    }
    lines.extend(why.rival.as_ref().map(|rival| ("goes first", first(rival))));
    let ranks = why.ranks.iter().filter(|rank| rank.of > 1).map(|rank| {
        format!("{} of {} in {}", rank.ahead.saturating_add(1), rank.of, called(&rank.below))
    });
    let ranks: Vec<String> = ranks.collect();
    if !ranks.is_empty() {
        lines.push(("place", ranks.join(", ")));
    }
    lines.push(("priority", points(&why.priority)));
    for (at, cure) in why.cures.iter().enumerate() {
        lines.push((if at == 0 { "would help" } else { "or" }, cure.text.clone()));
    }
    lines
}

fn holder(holder: &Holder, unit: &str) -> String {
    let who = match (&holder.entity, &holder.workflow_id) {
        (Some(place), _) => called(place),
        (None, Some(id)) => format!("workflow {id}"),
        (None, None) => "somebody".to_owned(),
    };
    format!("{who} ({})", amount(unit, holder.used))
}

fn first(rival: &Rival) -> String {
    let Some(theirs) = &rival.theirs.entity else {
        return format!(
            "a task of workflow {}: priority {:.1} against {:.1}",
            rival.workflow_id, rival.theirs.priority.total, rival.ours.priority.total
        );
    };
    let ours = |side: &Side| side.entity.as_ref().map_or_else(|| "its own".to_owned(), called);
    format!(
        "{}: a share of {:.2} against {:.2} of {}",
        called(theirs),
        rival.theirs.share,
        rival.ours.share,
        ours(&rival.ours),
    )
}

fn points(priority: &Priority) -> String {
    let Priority { total, base, weight, waiting, penalty } = priority;
    format!(
        "{total:.1} ({base:.0} base + {weight:.1} weight + {waiting:.1} waiting - {penalty:.1} use)"
    )
}
