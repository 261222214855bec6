//! `simulate`: what would start, if.

use std::collections::BTreeMap;

use flowforge_wire::{
    SimulatedGroup, SimulatedQuota, SimulatedStart, SimulatedTasks, Simulation, SimulationInput,
};
use serde_json::Value;

use crate::args::simulate::Simulate;
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::organization::{entity_of, said};
use crate::output::Context;
use crate::paint::shown;
use crate::source;
use crate::usage::called;
use crate::why;

/// Lines of starts that people are shown.
const LINES: usize = 30;

pub(crate) fn run(context: &mut Context, args: &Simulate) -> Result<Exit, Failure> {
    let client = context.client()?;
    let path = format!("/api/v1/simulate{}", if args.clamp { "?clamp=true" } else { "" });
    let simulation: Simulation = match &args.file {
        Some(_) if said(&args.limits).is_ok() => {
            let what = "limits beside a file";
            return Err(Failure::usage(what).hint("name them in the file, under `quotas`"));
        }
        Some(file) => {
            let text = source::read(file)?;
            let body: Value = serde_json::from_str(&text)
                .map_err(|error| Failure::usage(format!("{}: {error}", file.display())))?;
            client.post(&path, Some(&body), None)?
        }
        None => client.post(&path, Some(&input(&client, args)?), None)?,
    };
    if !context.form().human() {
        context.document(&simulation)?;
        return Ok(Exit::Ok);
    }
    show(context, &simulation)?;
    Ok(Exit::Ok)
}

fn input(client: &Client, args: &Simulate) -> Result<SimulationInput, Failure> {
    let gpu = args.gpu.map(|gpu| gpu.to_string());
    let asked = [("cpu", &args.cpu), ("memory", &args.memory), ("nvidia.com/gpu", &gpu)];
    let requests: BTreeMap<String, String> = asked
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value.clone()?)))
        .collect();
    let tasks = args.count.map(|count| SimulatedTasks {
        project_id: args.project.clone(),
        count: Some(count),
        requests,
        limits: BTreeMap::new(),
        replicas: args.replicas,
        priority: args.priority,
        parallelism: args.parallelism,
    });
    let quota = match &args.quota_of {
        None if said(&args.limits).is_ok() => {
            let what = "limits of whom?";
            return Err(Failure::usage(what).hint("name a tenant or project with --quota-of"));
        }
        None => None,
        Some(entity) => {
            let limits = said(&args.limits)?;
            let (level, id) = entity_of(client, entity)?;
            Some(SimulatedQuota { level: level.to_string(), id, limits })
        }
    };
    Ok(SimulationInput {
        tasks: tasks.into_iter().collect(),
        quotas: quota.into_iter().collect(),
        capacity: args.capacity,
    })
}

fn show(context: &mut Context, simulation: &Simulation) -> Result<(), Failure> {
    let total: u64 = simulation.starts.iter().map(|start| u64::from(start.count)).sum();
    let more = if simulation.complete { "" } else { ", and more after them" };
    context.out.line(&format!("{total} tasks would start now{more}"))?;
    if !simulation.tasks.is_empty() {
        let head = ["GROUP", "PROJECT", "STARTING", "WAITING", "WHY"];
        let rows = simulation.tasks.iter().enumerate().map(|(at, group)| row(at, group));
        context.table(&head, rows.collect())?;
    }
    for (at, group) in simulation.tasks.iter().enumerate() {
        if let Some(waits) = &group.why {
            context.out.line(&format!("\ngroup {at}: {}", shown(&waits.text)))?;
            why::queue(context, &waits.queue)?;
        }
    }
    if simulation.starts.len() > 1 || simulation.tasks.is_empty() {
        context.out.line("\nin this order:")?;
    } else {
        return Ok(());
    }
    for start in simulation.starts.iter().take(LINES) {
        context.out.line(&format!("  {}", one(start)))?;
    }
    let hidden = simulation.starts.len().saturating_sub(LINES);
    if hidden > 0 {
        context.out.line(&format!("  ... and {hidden} lines more: -o json has all"))?;
    }
    Ok(())
}

fn row(at: usize, group: &SimulatedGroup) -> Vec<String> {
    let why = group.why.as_ref().map(|why| shown(&why.code).into_owned());
    vec![
        at.to_string(),
        called(&group.project),
        group.starting.to_string(),
        group.waiting.to_string(),
        why.unwrap_or_default(),
    ]
}

fn one(start: &SimulatedStart) -> String {
    match (start.group, &start.task_id) {
        (Some(group), _) => format!("{} of group {group}", start.count),
        (None, Some(task)) => {
            let workflow = start.workflow_id.as_deref().unwrap_or_default();
            format!("task {} of workflow {}, which waits", shown(task), shown(workflow))
        }
        (None, None) => format!("{} others", start.count),
    }
}
