//! Checks over all templates together, once each of them is fine.

use flowforge_model::plan::{DependencyKind, Needs, Plan, Task, TemplateIx};

use crate::located::quote;
use crate::outline::Doc;

/// Reports a template that calls itself whatever happens: no `when`, no loop and no dependency on
/// an outcome anywhere on the way. Any other recursion may end, and is bounded when it runs.
pub(crate) fn check(doc: &Doc<'_>, plan: &Plan) {
    let calls: Vec<Vec<u32>> =
        plan.templates.iter().map(|template| callees(template.body.tasks(), certain)).collect();
    let Some(cycle) = find_cycle(&calls) else {
        return;
    };
    let names: Vec<&str> = cycle
        .iter()
        .chain(cycle.first())
        .filter_map(|ix| doc.outline(TemplateIx(*ix)))
        .map(|outline| &*outline.full)
        .collect();
    let Some(outline) = cycle.first().and_then(|ix| doc.outline(TemplateIx(*ix))) else {
        return;
    };
    let message = format!("the templates call each other without an end: {}", names.join(" -> "));
    let hint = "give one of these tasks a when";
    doc.report.error("recursion", outline.node, message, hint);
}

/// Reports `workflow.status` and `workflow.failures` in templates the exit handler never calls.
pub(crate) fn check_exit_uses<'a>(doc: &Doc<'a>, plan: &Plan) {
    let uses = doc.exit_uses.borrow();
    if uses.is_empty() {
        return;
    }
    let mut reached = vec![false; plan.templates.len()];
    let of_workflow = plan.on_exit.iter().chain(plan.hooks.iter().map(|hook| &hook.call));
    let of_tasks = plan.templates.iter().flat_map(|template| template.body.tasks());
    let of_tasks = of_tasks.flat_map(|task| &task.hooks).map(|hook| &hook.call);
    let mut open: Vec<u32> = of_workflow.chain(of_tasks).map(|call| call.template.0).collect();
    while let Some(ix) = open.pop() {
        let Some(seen) = reached.get_mut(ix as usize).filter(|seen| !**seen) else {
            continue;
        };
        *seen = true;
        let tasks = plan.template(TemplateIx(ix)).map_or(&[][..], |t| t.body.tasks());
        open.extend(callees(tasks, |_| true));
    }
    for exit_use in uses.iter() {
        if !reached.get(exit_use.template.0 as usize).copied().unwrap_or(false) {
            let message = format!("{} only has a value in the exit handler", quote(&exit_use.tag));
            let hint = "use it in the template of onExit or in templates that one calls";
            doc.report.error("unknown_reference", exit_use.node, message, hint);
        }
    }
}

/// The templates some tasks and their exit hooks call, each once.
pub(crate) fn callees(tasks: &[Task], counts: fn(&Task) -> bool) -> Vec<u32> {
    let tasks = tasks.iter().filter(|task| counts(task));
    let called = |task: &Task| {
        // Any other hook has a condition.
        let hooks = task.hooks.iter().filter(|hook| hook.expression.is_none());
        let hooks: Vec<u32> = hooks.map(|hook| hook.call.template.0).collect();
        hooks.into_iter().chain([task.template.0])
    };
    let mut out: Vec<u32> = tasks.flat_map(called).collect();
    out.sort_unstable();
    out.dedup();
    out
}

/// Runs unless something failed before.
pub(crate) fn certain(task: &Task) -> bool {
    let success = match &task.needs {
        Needs::All(all) => all.iter().all(|d| d.kind == DependencyKind::Success),
        Needs::Depends { .. } => false,
    };
    task.when.is_none() && task.repeat.is_none() && success
}

/// A cycle in a graph, by depth-first search without recursion.
fn find_cycle(calls: &[Vec<u32>]) -> Option<Vec<u32>> {
    #[derive(Clone, Copy, PartialEq)]
    enum Mark {
        New,
        Open,
        Done,
    }
    let mut marks = vec![Mark::New; calls.len()];
    for start in (0_u32..).zip(calls).map(|(ix, _)| ix) {
        let mut path: Vec<(u32, usize)> = vec![(start, 0)];
        if marks.get(start as usize) != Some(&Mark::New) {
            continue;
        }
        while let Some((ix, next)) = path.last_mut() {
            let at = *ix as usize;
            if let Some(mark) = marks.get_mut(at) {
                *mark = Mark::Open;
            }
            let callee = calls.get(at).and_then(|row| row.get(*next)).copied();
            *next = next.saturating_add(1);
            match callee {
                None => {
                    if let Some(mark) = marks.get_mut(at) {
                        *mark = Mark::Done;
                    }
                    path.pop();
                }
                Some(callee) => match marks.get(callee as usize) {
                    Some(Mark::New) => path.push((callee, 0)),
                    Some(Mark::Open) => {
                        let cycle = path.iter().map(|(ix, _)| *ix);
                        return Some(cycle.skip_while(|ix| *ix != callee).collect());
                    }
                    Some(Mark::Done) | None => {}
                },
            }
        }
    }
    None
}
