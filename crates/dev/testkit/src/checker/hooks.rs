//! What must hold of hooks.

use flowforge_model::event::{NodeKind, TaskRow};
use flowforge_model::plan::Task;
use flowforge_model::status::TaskStatus;
use flowforge_ports::store::StoredRun;

use super::Broken;

/// Set in the slots of hooks; the place among the hooks of the task stands in the lowest bits.
const HOOK: u32 = 1 << 31;

pub(super) fn is_hook(row: &TaskRow) -> bool {
    row.shape.slot & HOOK != 0
}

/// Whether this is the hook that waits for the end of its node.
fn is_exit(row: &TaskRow) -> bool {
    row.shape.name.rsplit('.').next().is_some_and(|last| last.starts_with("onExit"))
}

/// An exit hook begins when its node has ended; others begin when they like.
pub(super) fn in_their_turn(hooked: &TaskRow, row: &TaskRow) -> Result<(), Broken> {
    if is_exit(row) && !hooked.state.status.terminal() {
        return Err(format!("INV-7 {} starts before its task has ended", row.shape.name));
    }
    Ok(())
}

/// What waits for a task waits for its hooks.
pub(super) fn have_ended(
    run: &StoredRun,
    task: &Task,
    before: &TaskRow,
    after: &TaskRow,
) -> Result<(), Broken> {
    let children = |of: &TaskRow| {
        let of = of.node;
        run.tasks.iter().filter(move |row| row.shape.parent == Some(of))
    };
    let wants_exit = task.hooks.iter().any(|hook| *hook.name == *"exit");
    let nodes: Vec<&TaskRow> = if before.shape.kind == NodeKind::Loop {
        children(before).filter(|row| !is_hook(row)).collect()
    } else {
        vec![before]
    };
    for node in nodes {
        let name = &node.shape.name;
        if children(node).any(|row| is_hook(row) && !row.state.status.terminal()) {
            return Err(format!(
                "INV-7 {} starts although a hook of {name} has not ended",
                after.shape.name
            ));
        }
        let ran = matches!(node.state.status, TaskStatus::Succeeded | TaskStatus::Failed);
        let exits = children(node).any(|row| is_hook(row) && is_exit(row));
        // A task that ended while its workflow was stopped had no hooks.
        if wants_exit && ran && !exits && run.state.generation == 1 {
            return Err(format!(
                "INV-7 {} starts before the exit hook of {name} has run",
                after.shape.name
            ));
        }
    }
    Ok(())
}
