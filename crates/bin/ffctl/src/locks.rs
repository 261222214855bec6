//! `locks`: who holds which lock, and who waits for it.

use flowforge_wire::{Lock, LockUser, Workflow};

use crate::args::{Form, kept::Locks};
use crate::client::{Client, PAGE};
use crate::exit::{Exit, Failure};
use crate::output::Context;
use crate::paint::{shown, span};
use crate::resolve;

/// Holders that are named where a task waits for them.
const NAMED: usize = 3;

pub(crate) fn run(context: &mut Context, args: &Locks) -> Result<Exit, Failure> {
    let client = context.client()?;
    let locks = match &args.workflow {
        None => all(&client, None)?,
        Some(text) => {
            let workflow = resolve::find(&client, text)?;
            all(&client, Some(&workflow))?
        }
    };
    print(context, &locks)?;
    Ok(Exit::Ok)
}

/// Locks that anybody, or a task of this workflow, holds or waits for.
pub(crate) fn all(client: &Client, workflow: Option<&Workflow>) -> Result<Vec<Lock>, Failure> {
    let mut query = vec![("limit", PAGE)];
    query.extend(workflow.map(|workflow| ("workflow_id", &*workflow.id)));
    client.pages("/api/v1/locks", &query, usize::MAX)
}

fn print(context: &mut Context, locks: &[Lock]) -> Result<(), Failure> {
    if !context.tabled(locks, |lock| &lock.key, "no locks are held or waited for")? {
        return Ok(());
    }
    let now = crate::now();
    let wide = context.form() == Form::Wide;
    let mut head = vec!["LOCK", "HELD", "STATE", "WORKFLOW", "TASK", "SINCE"];
    if wide {
        head.push("WORKFLOW ID");
    }
    let mut rows = Vec::new();
    for lock in locks {
        let holders = lock.holders.iter().map(|user| ("held".to_owned(), user));
        let waiters = lock.waiters.iter().zip(1_u32..);
        let waiters = waiters.map(|(user, place)| (format!("waits, {place}."), user));
        let users: Vec<_> = holders.chain(waiters).collect();
        let hidden = (lock.holding + lock.waiting)
            .saturating_sub(u64::try_from(users.len()).unwrap_or(u64::MAX));
        for (at, (state, user)) in users.into_iter().enumerate() {
            let first = at == 0;
            let mut row = vec![
                if first { shown(&lock.key).into_owned() } else { String::new() },
                if first { format!("{}/{}", lock.holding, lock.limit) } else { String::new() },
                state,
            ];
            row.extend(cells(user, now, wide));
            rows.push(row);
        }
        if hidden > 0 {
            rows.push(vec![String::new(), String::new(), format!("and {hidden} more")]);
        }
    }
    Ok(context.table(&head, rows)?)
}

fn cells(user: &LockUser, now: i64, wide: bool) -> Vec<String> {
    let waited = u64::try_from(now.saturating_sub(user.since.0.0)).unwrap_or(0);
    let task = if user.task.is_empty() { "(workflow)" } else { &user.task };
    let mut cells =
        vec![shown(&user.workflow_name).into_owned(), shown(task).into_owned(), span(waited)];
    if wide {
        cells.push(shown(&user.workflow_id).into_owned());
    }
    cells
}

/// What a task of a workflow waits for, for people; none if it waits for no lock.
pub(crate) fn waits(locks: &[Lock], workflow: &str, node: u32) -> Option<String> {
    let waits = |lock: &&Lock| {
        let mut waiters = lock.waiters.iter();
        waiters.any(|user| user.workflow_id == workflow && user.node == node)
    };
    let parts: Vec<String> = locks.iter().filter(waits).map(|lock| of(lock, workflow)).collect();
    (!parts.is_empty()).then(|| format!("waiting for {}", parts.join(" and ")))
}

/// A lock and who holds it: tasks of the same workflow by their names, others with their workflow.
fn of(lock: &Lock, workflow: &str) -> String {
    let named =
        lock.holders.iter().take(NAMED).map(|user| match (&*user.task, &*user.workflow_id) {
            ("", _) => user.workflow_name.clone(),
            (task, id) if id == workflow => task.to_owned(),
            (task, _) => format!("{}/{task}", user.workflow_name),
        });
    let named: Vec<String> = named.collect();
    let more = lock.holding.saturating_sub(u64::try_from(named.len()).unwrap_or(u64::MAX));
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    if named.is_empty() {
        format!("{} (held by nobody, others come first)", lock.key)
    } else {
        format!("{}, held by {}{more}", lock.key, named.join(", "))
    }
}
