//! What would be, as JSON.

use flowforge_model::attempt::AttemptKey;
use flowforge_model::id::WorkflowId;
use flowforge_organization::Organization;
use flowforge_ports::explain as ports;
use flowforge_wire::{QueueWhy, SimulatedGroup, SimulatedStart, SimulatedWhy, Simulation};

use crate::explain::show::{place, queue};
use crate::explain::words::sentence;

pub(super) fn simulation(
    all: &Organization,
    asked: &ports::Simulation,
    said: &ports::Simulated,
) -> Simulation {
    let mut starting = vec![0; asked.groups.len()];
    let mut starts: Vec<SimulatedStart> = Vec::new();
    for key in &said.starts {
        let group = ports::Simulation::group(key.workflow);
        if let Some(count) = group.and_then(|group| starting.get_mut(group)) {
            *count += 1;
        }
        let start = start(key, group);
        match starts.last_mut().filter(|last| group.is_some() && last.group == start.group) {
            Some(last) => last.count += 1,
            None => starts.push(start),
        }
    }
    let waits = said.waits.iter().map(Option::as_ref).chain(std::iter::repeat(None));
    let groups = asked.groups.iter().zip(starting).zip(waits);
    let group =
        |((group, starting), waits): ((&ports::Group, u32), Option<&ports::Why>)| SimulatedGroup {
            project: place(all, Some(group.project)),
            starting,
            waiting: group.count.saturating_sub(starting),
            why: waits.map(|waits| why(all, waits)),
        };
    Simulation { starts, complete: said.complete, tasks: groups.map(group).collect() }
}

fn start(key: &AttemptKey, group: Option<usize>) -> SimulatedStart {
    let waits = group.is_none();
    SimulatedStart {
        group: group.and_then(|group| u32::try_from(group).ok()),
        workflow_id: waits.then(|| key.workflow.to_string()),
        task_id: waits.then(|| key.workflow.task(key.node).to_string()),
        count: 1,
    }
}

fn why(all: &Organization, why: &ports::Why) -> SimulatedWhy {
    let mut queue = queue(all, why);
    rename(&mut queue, why);
    SimulatedWhy { code: why.code.clone(), text: sentence(&why.code, &queue), queue }
}

/// Workflows that are only thought of have ids that nobody has seen.
fn rename(queue: &mut QueueWhy, why: &ports::Why) {
    let thought =
        |of: WorkflowId| ports::Simulation::group(of).map(|group| format!("simulated-{group}"));
    let rival = why.rival.as_ref().and_then(|rival| thought(rival.key.workflow));
    if let Some((shown, name)) = queue.rival.as_mut().zip(rival) {
        shown.workflow_id.clone_from(&name);
        shown.task_id = name;
    }
    for (shown, holding) in queue.holders.iter_mut().zip(&why.holders) {
        if let ports::Member::Workflow(of) = holding.who
            && let Some(name) = thought(of)
        {
            shown.workflow_id = Some(name);
        }
    }
}
