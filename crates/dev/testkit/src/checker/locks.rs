//! What must hold of locks.

use std::collections::BTreeMap;

use flowforge_model::event::{NodeKind, TaskRow};
use flowforge_model::id::NodeIx;
use flowforge_model::plan::Plan;
use flowforge_ports::store::{LockRow, StoredRun};

use super::Broken;

/// The rows show that the task waits for locks, and that nobody has to remember it. A scheduler of
/// its own gives them first and tells the controller then.
pub(super) fn waits(run: &StoredRun, row: &TaskRow, told_later: bool) -> bool {
    run.locks.iter().any(|lock| lock.node == row.node && (told_later || !lock.held))
}

/// Whoever has ended has no locks.
pub(super) fn are_of_those_who_go_on(run: &StoredRun) -> Result<(), Broken> {
    for lock in &run.locks {
        let Some(row) = run.tasks.get(lock.node.index()) else {
            return Err(format!("INV-8 {} is of no task", lock.key));
        };
        // The root holds the locks of its workflow until the exit handler has ended.
        let over = row.state.status.terminal() && row.node != NodeIx::ROOT;
        if over || run.state.status.terminal() {
            return Err(format!("INV-16 {} has ended and has {}", row.shape.name, lock.key));
        }
    }
    Ok(())
}

/// What runs below a task with locks runs while the task holds them.
pub(super) fn are_held(plan: &Plan, run: &StoredRun, row: &TaskRow) -> Result<(), Broken> {
    let template = plan.templates.iter().find(|template| *template.name == *row.shape.template);
    let own = template.is_some_and(|template| !template.locks.is_empty());
    let parent = row.shape.parent.and_then(|parent| run.tasks.get(parent.index()));
    let is_try = parent.is_some_and(|parent| parent.shape.kind == NodeKind::Retry)
        && !super::hooks::is_hook(row);
    let shared = row.node == NodeIx::ROOT && !plan.locks.is_empty();
    // Below a task that has ended only its hooks run.
    let over = row.state.status.terminal();
    if !(own || shared) || is_try || over || row.shape.kind == NodeKind::Loop {
        return Ok(());
    }
    let mut locks = run.locks.iter().filter(|lock| lock.node == row.node).peekable();
    if locks.peek().is_none() || locks.any(|lock| !lock.held) {
        return Err(format!("INV-7 {} runs without its locks", row.shape.name));
    }
    Ok(())
}

/// The locks that too many hold.
#[derive(Debug, Default)]
pub struct Holders {
    held: BTreeMap<String, (u32, u32)>,
}

impl Holders {
    /// Counts the locks of one workflow.
    pub fn add(&mut self, rows: &[LockRow]) {
        for row in rows.iter().filter(|row| row.held) {
            let (count, limit) = self.held.entry(row.key.clone()).or_insert((0, row.limit));
            *count += 1;
            *limit = (*limit).max(row.limit);
        }
    }

    /// Checks all that was counted.
    ///
    /// # Errors
    /// The first lock that too many hold.
    pub fn check(&self) -> Result<(), Broken> {
        let over = self.held.iter().find(|(_, (count, limit))| count > limit);
        match over {
            Some((key, (count, limit))) => {
                Err(format!("INV-8 {count} tasks hold {key}, {limit} may"))
            }
            None => Ok(()),
        }
    }
}
