//! `servers` and `dead-letter`: who lives, and work that none of them could do.

use flowforge_wire::{DeadAttempt, DeadLetter, Redriven, Server};

use crate::args::fleet::DeadLetters;
use crate::client::{PAGE, part};
use crate::exit::{Exit, Failure};
use crate::output::Context;
use crate::paint::{shown, span};

pub(crate) fn servers(context: &mut Context) -> Result<Exit, Failure> {
    let rows: Vec<Server> =
        context.client()?.pages("/api/v1/servers", &[("limit", PAGE)], usize::MAX)?;
    if context.tabled(
        &rows,
        |row| &row.id,
        "no server says that it lives: there is one, or no queue",
    )? {
        let cells = |row: &Server| {
            let up = row.since.map_or_else(String::new, |since| age(since.0.0));
            let texts = [&row.role, &row.name, &row.version, &up, &row.id];
            texts.map(|text| shown(text).into_owned()).to_vec()
        };
        let head = ["ROLE", "NAME", "VERSION", "UP", "ID"];
        context.table(&head, rows.iter().map(cells).collect())?;
    }
    Ok(Exit::Ok)
}

pub(crate) fn dead_letters(context: &mut Context, command: &DeadLetters) -> Result<Exit, Failure> {
    match command {
        DeadLetters::List => list(context),
        DeadLetters::Get { id } => get(context, id),
        DeadLetters::Redrive { ids } => redrive(context, ids),
    }
}

fn list(context: &mut Context) -> Result<Exit, Failure> {
    let rows: Vec<DeadLetter> =
        context.client()?.pages("/api/v1/dead-letters", &[("limit", PAGE)], usize::MAX)?;
    if context.tabled(&rows, |row| &row.id, "there are no dead letters")? {
        let cells = |row: &DeadLetter| {
            let (id, reason) = (shown(&row.id), shown(&row.reason));
            let attempts = row.attempts.len().to_string();
            vec![id.into_owned(), age(row.buried_at.0.0), attempts, reason.into_owned()]
        };
        let head = ["DEAD LETTER", "AGE", "ATTEMPTS", "REASON"];
        context.table(&head, rows.iter().map(cells).collect())?;
    }
    Ok(Exit::Ok)
}

fn get(context: &mut Context, id: &str) -> Result<Exit, Failure> {
    let path = format!("/api/v1/dead-letters/{}", part(id));
    let letter: DeadLetter = context.client()?.get(&path, &[])?;
    if !context.form().human() {
        context.document(&letter)?;
        return Ok(Exit::Ok);
    }
    let reason = shown(&letter.reason).into_owned();
    context.out.line(&format!("buried {} ago: {reason}", age(letter.buried_at.0.0)))?;
    let cells = |row: &DeadAttempt| {
        let workflow = shown(&row.workflow_id).into_owned();
        vec![workflow, row.node.to_string(), row.attempt.to_string(), age(row.sent_at.0.0)]
    };
    let head = ["WORKFLOW", "NODE", "ATTEMPT", "SENT"];
    context.table(&head, letter.attempts.iter().map(cells).collect())?;
    Ok(Exit::Ok)
}

fn redrive(context: &mut Context, ids: &[String]) -> Result<Exit, Failure> {
    let client = context.client()?;
    let mut all = Redriven { attempts: Vec::new() };
    for id in ids {
        let path = format!("/api/v1/dead-letters/{}/redrive", part(id));
        let mut done: Redriven = client.post(&path, None::<&()>, None)?;
        all.attempts.append(&mut done.attempts);
    }
    if !context.form().human() {
        context.document(&all)?;
        return Ok(Exit::Ok);
    }
    let rows = all.attempts.iter().map(|row| {
        let texts =
            [shown(&row.workflow_id), shown(&row.outcome)].map(std::borrow::Cow::into_owned);
        let [workflow, outcome] = texts;
        vec![workflow, row.node.to_string(), row.attempt.to_string(), outcome]
    });
    let rows = rows.collect();
    context.table(&["WORKFLOW", "NODE", "ATTEMPT", "OUTCOME"], rows)?;
    Ok(Exit::Ok)
}

fn age(at: i64) -> String {
    span(u64::try_from(crate::now().saturating_sub(at)).unwrap_or(0))
}
