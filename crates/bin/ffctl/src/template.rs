//! `template`: stored workflow templates and config maps.

use flowforge_wire::{Applied, Template};

use crate::args::Form;
use crate::args::kept::{
    Apply, DeleteTemplates, Diff, GetTemplate, KindName, OneTemplate, Stored, Template as Command,
};
use crate::bundle::{Document, name_of};
use crate::client::{PAGE, part};
use crate::exit::{Exit, Failure};
use crate::lint;
use crate::list::plain;
use crate::output::{Context, Sink};
use crate::paint::{Colour, shown, shown_log, span};
use crate::source;

pub(crate) fn run(context: &mut Context, command: &Command) -> Result<Exit, Failure> {
    match command {
        Command::Apply(args) => apply(context, args),
        Command::List(args) => list(context, args),
        Command::Get(args) => get(context, args),
        Command::Versions(args) => versions(context, args),
        Command::Diff(args) => diff(context, args),
        Command::Delete(args) => delete(context, args),
        Command::Lint(args) => lint::files(context, &args.files, &[]),
    }
}

fn path(of: &KindName) -> String {
    format!("/api/v1/templates/{}/{}", of.kind, part(&of.name))
}

fn in_project(project: Option<&String>) -> Vec<(&'static str, &str)> {
    project.map(|project| ("project_id", &**project)).into_iter().collect()
}

/// Each file is stored as a whole or not at all; what is wrong with one stops no other.
fn apply(context: &mut Context, args: &Apply) -> Result<Exit, Failure> {
    let client = context.client()?;
    let query = in_project(args.project.as_ref());
    let mut exit = Exit::Ok;
    let mut all = Vec::new();
    for file in &args.files {
        let name = name_of(file);
        let applied = source::read(file).and_then(|text| {
            let document = Document::one(name, text);
            let applied = client
                .post_yaml::<Applied>("/api/v1/templates", &query, &document.text)
                .map_err(|failure| failure.about(&document))?;
            Ok((document, applied))
        });
        match applied {
            Ok((document, applied)) => {
                for found in &applied.warnings {
                    lint::show_in(&mut context.err, &document, found, lint::Level::Warning)?;
                }
                say(context, &applied)?;
                all.extend(applied.items);
            }
            Err(failure) => {
                context.explain(&failure)?;
                exit = failure.exit();
            }
        }
    }
    if matches!(context.form(), Form::Json | Form::Yaml) {
        context.document(&all)?;
    }
    Ok(exit)
}

fn say(context: &mut Context, applied: &Applied) -> Result<(), Failure> {
    for one in &applied.items {
        let name = shown(&one.name).into_owned();
        match context.form() {
            Form::Name => context.out.line(&name)?,
            Form::Table | Form::Wide => {
                let paint = context.out.paint;
                let what = match (one.unchanged, one.version) {
                    (true, _) => paint.text(Colour::Dim, "unchanged"),
                    (false, 1) => paint.text(Colour::Green, "created"),
                    (false, _) => paint.text(Colour::Green, "changed"),
                };
                let kind = shown(&one.kind);
                context.out.line(&format!("{kind}/{name} version {} {what}", one.version))?;
            }
            Form::Json | Form::Yaml => {}
        }
    }
    Ok(())
}

fn list(context: &mut Context, args: &Stored) -> Result<Exit, Failure> {
    let labels: Vec<String> = args.labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
    let mut query = in_project(args.project.as_ref());
    query.push(("limit", PAGE));
    query.extend(args.kind.map(|kind| ("kind", kind)));
    query.extend(args.name.iter().map(|name| ("name", &**name)));
    query.extend(labels.iter().map(|label| ("label", &**label)));
    let rows = context.client()?.pages("/api/v1/templates", &query, usize::MAX)?;
    table(context, &rows, "nothing is stored")?;
    Ok(Exit::Ok)
}

fn versions(context: &mut Context, args: &OneTemplate) -> Result<Exit, Failure> {
    let mut query = in_project(args.project.as_ref());
    query.push(("limit", PAGE));
    let path = format!("{}/versions", path(&args.template));
    let rows = context.client()?.pages(&path, &query, usize::MAX)?;
    table(context, &rows, "there are no versions")?;
    Ok(Exit::Ok)
}

fn table(context: &mut Context, rows: &[Template], none: &str) -> Result<(), Failure> {
    if !context.tabled(rows, |row| &row.name, none)? {
        return Ok(());
    }
    let now = crate::now();
    let wide = context.form() == Form::Wide;
    let mut head = vec!["KIND", "NAME", "VERSION", "AGE", "BY"];
    if wide {
        head.extend(["PROJECT", "LABELS"]);
    }
    let cells = |row: &Template| {
        let mut cells = vec![
            shown(&row.kind).into_owned(),
            shown(&row.name).into_owned(),
            row.version.to_string(),
            age(row, now),
            shown(&row.created_by).into_owned(),
        ];
        if wide {
            let project = row.project_id.as_deref().unwrap_or("(all)");
            cells.extend([shown(project).into_owned(), plain(&row.labels)]);
        }
        cells
    };
    Ok(context.table(&head, rows.iter().map(cells).collect())?)
}

fn age(row: &Template, now: i64) -> String {
    span(u64::try_from(now.saturating_sub(row.created_at.0.0)).unwrap_or(0))
}

fn get(context: &mut Context, args: &GetTemplate) -> Result<Exit, Failure> {
    let version = args.version.map(|version| version.to_string());
    let mut query = in_project(args.one.project.as_ref());
    query.extend(version.as_deref().map(|version| ("version", version)));
    let found: Template = context.client()?.get(&path(&args.one.template), &query)?;
    if args.document {
        text(&mut context.out, found.document.as_deref().unwrap_or(""), |_| Colour::Plain)?;
        return Ok(Exit::Ok);
    }
    match context.form() {
        Form::Json | Form::Yaml => context.document(&found)?,
        Form::Name => context.out.line(&shown(&found.name))?,
        Form::Table | Form::Wide => people(context, &found)?,
    }
    Ok(Exit::Ok)
}

fn people(context: &mut Context, found: &Template) -> Result<(), Failure> {
    let mut facts = vec![
        ("Kind", shown(&found.kind).into_owned()),
        ("Name", shown(&found.name).into_owned()),
        ("Version", found.version.to_string()),
        ("Age", age(found, crate::now())),
        ("By", shown(&found.created_by).into_owned()),
    ];
    if !found.labels.is_empty() {
        facts.push(("Labels", plain(&found.labels)));
    }
    for (name, value) in facts {
        context.out.line(&format!("{name:<12}{value}"))?;
    }
    context.out.line("")?;
    text(&mut context.out, found.document.as_deref().unwrap_or(""), |_| Colour::Plain)
}

fn diff(context: &mut Context, args: &Diff) -> Result<Exit, Failure> {
    let [from, to] = [args.from, args.to].map(|one| one.map(|version| version.to_string()));
    let mut query = in_project(args.one.project.as_ref());
    query.extend(from.as_deref().map(|version| ("from", version)));
    query.extend(to.as_deref().map(|version| ("to", version)));
    let changes = context.client()?.text(&format!("{}/diff", path(&args.one.template)), &query)?;
    text(&mut context.out, &changes, colour)?;
    Ok(Exit::Ok)
}

/// The colour of a line of a unified diff.
fn colour(line: &str) -> Colour {
    match line.as_bytes() {
        [b'-', b'-', b'-', b' ', ..] | [b'+', b'+', b'+', b' ', ..] => Colour::Bold,
        [b'-', ..] => Colour::Red,
        [b'+', ..] => Colour::Green,
        [b'@', ..] => Colour::Cyan,
        _ => Colour::Plain,
    }
}

/// Lines of a document: as they are into a file, made safe for a terminal.
fn text(sink: &mut Sink, text: &str, colour: fn(&str) -> Colour) -> Result<(), Failure> {
    if !sink.terminal {
        return Ok(sink.write(text)?);
    }
    for line in text.lines() {
        let painted = sink.paint.text(colour(line), &shown_log(line));
        sink.line(&painted)?;
    }
    Ok(())
}

/// What is wrong with one stops no other.
fn delete(context: &mut Context, args: &DeleteTemplates) -> Result<Exit, Failure> {
    let client = context.client()?;
    let query = in_project(args.project.as_ref());
    let mut exit = Exit::Ok;
    for one in &args.templates {
        match client.delete::<()>(&path(one), &query) {
            Ok(_) => {
                let name = shown(&one.name).into_owned();
                match context.form() {
                    Form::Name => context.out.line(&name)?,
                    Form::Table | Form::Wide => {
                        context.out.line(&format!("{}/{name} deleted", one.kind))?;
                    }
                    Form::Json | Form::Yaml => {}
                }
            }
            Err(failure) => {
                context.explain(&failure)?;
                exit = failure.exit();
            }
        }
    }
    Ok(exit)
}
