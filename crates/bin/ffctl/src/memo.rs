//! `memo`: what caches remember.

use flowforge_wire::{Cache, Forgotten, Memo};

use crate::args::Form;
use crate::args::kept::{Forget, Memo as Command, Memos};
use crate::client::{PAGE, part};
use crate::exit::{Exit, Failure};
use crate::list::plain;
use crate::output::Context;
use crate::paint::{cut, shown, span};

/// Columns of keys and outputs in the narrow table.
const TEXT_COLUMNS: usize = 48;
const NOTHING: &str = "nothing is remembered";

pub(crate) fn run(context: &mut Context, command: &Command) -> Result<Exit, Failure> {
    match command {
        Command::List(args) => list(context, args),
        Command::Forget(args) => forget(context, args),
    }
}

fn list(context: &mut Context, args: &Memos) -> Result<Exit, Failure> {
    let client = context.client()?;
    let mut query = vec![("limit", PAGE)];
    query.extend(args.project.iter().map(|project| ("project_id", &**project)));
    match &args.cache {
        None => caches(context, &client.pages("/api/v1/memos", &query, usize::MAX)?)?,
        Some(cache) => {
            let path = format!("/api/v1/memos/{}", part(cache));
            memos(context, &client.pages(&path, &query, usize::MAX)?)?;
        }
    }
    Ok(Exit::Ok)
}

fn caches(context: &mut Context, rows: &[Cache]) -> Result<(), Failure> {
    if !context.tabled(rows, |row| &row.name, NOTHING)? {
        return Ok(());
    }
    let cells = |row: &Cache| {
        let age = age(row.last_at.0.0);
        vec![shown(&row.name).into_owned(), row.memos.to_string(), age]
    };
    Ok(context.table(&["CACHE", "MEMOS", "AGE"], rows.iter().map(cells).collect())?)
}

fn memos(context: &mut Context, rows: &[Memo]) -> Result<(), Failure> {
    if !context.tabled(rows, |row| &row.key, NOTHING)? {
        return Ok(());
    }
    let wide = context.form() == Form::Wide;
    let narrow =
        |text: &str| if wide { text.to_owned() } else { cut(text, TEXT_COLUMNS).into_owned() };
    let cells = |row: &Memo| {
        let mut cells = vec![
            narrow(&shown(&row.key)),
            age(row.at.0.0),
            narrow(&plain(&row.outputs)),
            row.artifacts.len().to_string(),
        ];
        if wide {
            cells.push(shown(&row.workflow_id).into_owned());
        }
        cells
    };
    let mut head = vec!["KEY", "AGE", "OUTPUTS", "ARTIFACTS"];
    head.extend(wide.then_some("WORKFLOW"));
    Ok(context.table(&head, rows.iter().map(cells).collect())?)
}

fn age(at: i64) -> String {
    span(u64::try_from(crate::now().saturating_sub(at)).unwrap_or(0))
}

fn forget(context: &mut Context, args: &Forget) -> Result<Exit, Failure> {
    let mut query = Vec::new();
    query.extend(args.key.iter().map(|key| ("key", &**key)));
    query.extend(args.project.iter().map(|project| ("project_id", &**project)));
    let path = format!("/api/v1/memos/{}", part(&args.cache));
    let answer: Option<Forgotten> = context.client()?.delete(&path, &query)?;
    let answer = answer.unwrap_or(Forgotten { forgotten: 0 });
    if answer.forgotten == 0 {
        let what = format!("the cache `{}` remembers nothing of that", shown(&args.cache));
        return Err(Failure::new(Exit::NotFound, what));
    }
    match context.form() {
        Form::Json | Form::Yaml => context.document(&answer)?,
        Form::Name => {}
        Form::Table | Form::Wide => {
            context.out.line(&format!("{} forgotten", answer.forgotten))?;
        }
    }
    Ok(Exit::Ok)
}
