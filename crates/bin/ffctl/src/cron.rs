//! `cron`: schedules.

use flowforge_model::time::Timestamp;
use flowforge_wire::{Schedule, Time};
use serde::Serialize;

use crate::args::Form;
use crate::args::cron::{Apply, Cron, List, Next, One, Several};
use crate::bundle::{Document, name_of};
use crate::client::{PAGE, part};
use crate::exit::{Exit, Failure};
use crate::lint;
use crate::list::plain;
use crate::output::Context;
use crate::paint::{Colour, shown, span};
use crate::source;

pub(crate) fn run(context: &mut Context, command: &Cron) -> Result<Exit, Failure> {
    match command {
        Cron::Apply(args) => apply(context, args),
        Cron::List(args) => list(context, args),
        Cron::Get(args) => get(context, args),
        Cron::Delete(args) => each(context, args, &delete),
        Cron::Suspend(args) => {
            each(context, args, &|context, name, query| hold(context, name, query, "suspend"))
        }
        Cron::Resume(args) => {
            each(context, args, &|context, name, query| hold(context, name, query, "resume"))
        }
        Cron::Next(args) => next(context, args),
    }
}

type Query<'a> = Vec<(&'static str, &'a str)>;

fn in_project(project: Option<&String>) -> Query<'_> {
    project.map(|project| ("project_id", &**project)).into_iter().collect()
}

fn path(name: &str) -> String {
    format!("/api/v1/schedules/{}", part(name))
}

/// What is wrong with one file stops no other.
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
                .post_yaml::<Schedule>("/api/v1/schedules", &query, &document.text)
                .map_err(|failure| failure.about(&document))?;
            Ok((document, applied))
        });
        match applied {
            Ok((document, schedule)) => {
                for found in &schedule.warnings {
                    lint::show_in(&mut context.err, &document, found, lint::Level::Warning)?;
                }
                say(context, &schedule)?;
                all.push(schedule);
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

/// One line about a schedule that was written.
fn say(context: &mut Context, schedule: &Schedule) -> Result<(), Failure> {
    match context.form() {
        Form::Name => context.out.line(&shown(&schedule.name))?,
        Form::Table | Form::Wide => {
            let status = context.out.paint.status(&schedule.status);
            let next = match schedule.next_at {
                Some(at) => format!("next run {}", when(at, crate::now())),
                None => "nothing is due".to_owned(),
            };
            context.out.line(&format!("{} {status}, {next}", shown(&schedule.name)))?;
        }
        Form::Json | Form::Yaml => {}
    }
    Ok(())
}

/// An instant and how far away it is.
fn when(at: Time, now: i64) -> String {
    let ahead = at.0.0.saturating_sub(now);
    let distance = span(ahead.unsigned_abs());
    let at = seconds(at.0);
    if ahead >= 0 { format!("{at} (in {distance})") } else { format!("{at} ({distance} ago)") }
}

/// RFC 3339 to the second: fire times have no parts of one.
fn seconds(at: Timestamp) -> String {
    let text = at.rfc3339();
    text.split_once('.').map_or_else(|| text.clone(), |(whole, _)| format!("{whole}Z"))
}

fn list(context: &mut Context, args: &List) -> Result<Exit, Failure> {
    let mut query = in_project(args.project.as_ref());
    query.push(("limit", PAGE));
    let rows: Vec<Schedule> = context.client()?.pages("/api/v1/schedules", &query, usize::MAX)?;
    if context.tabled(&rows, |row| &row.name, "no schedules")? {
        table(context, &rows)?;
    }
    Ok(Exit::Ok)
}

fn table(context: &mut Context, rows: &[Schedule]) -> Result<(), Failure> {
    let now = crate::now();
    let wide = context.form() == Form::Wide;
    let mut head = vec!["NAME", "STATUS", "SCHEDULES", "TIMEZONE", "LAST", "NEXT", "ACTIVE"];
    if wide {
        head.extend(["SUCCEEDED", "FAILED", "CONCURRENCY", "LABELS", "PROJECT"]);
    }
    let cells = |row: &Schedule| {
        let last = row.last_scheduled_at.map(|at| {
            format!("{} ago", span(u64::try_from(now.saturating_sub(at.0.0)).unwrap_or(0)))
        });
        let next = row.next_at.map(|at| {
            format!("in {}", span(u64::try_from(at.0.0.saturating_sub(now)).unwrap_or(0)))
        });
        let mut cells = vec![
            shown(&row.name).into_owned(),
            shown(&row.status).into_owned(),
            shown(&row.cron.join(", ")).into_owned(),
            shown(&row.timezone).into_owned(),
            last.unwrap_or_else(|| "-".to_owned()),
            next.unwrap_or_else(|| "-".to_owned()),
            row.active.to_string(),
        ];
        if wide {
            cells.extend([
                row.succeeded.to_string(),
                row.failed.to_string(),
                shown(&row.concurrency).into_owned(),
                plain(&row.labels),
                shown(&row.project_id).into_owned(),
            ]);
        }
        cells
    };
    Ok(context.table(&head, rows.iter().map(cells).collect())?)
}

fn get(context: &mut Context, args: &One) -> Result<Exit, Failure> {
    let client = context.client()?;
    let query = in_project(args.project.as_ref());
    let path = path(&args.schedule);
    if args.document {
        let text = client.text(&format!("{path}/document"), &query)?;
        for line in text.lines() {
            context.out.line(&crate::paint::shown_log(line))?;
        }
        return Ok(Exit::Ok);
    }
    let schedule: Schedule = client.get(&path, &query)?;
    match context.form() {
        Form::Json | Form::Yaml => context.document(&schedule)?,
        Form::Name => context.out.line(&shown(&schedule.name))?,
        Form::Table | Form::Wide => people(context, &schedule)?,
    }
    Ok(Exit::Ok)
}

fn people(context: &mut Context, schedule: &Schedule) -> Result<(), Failure> {
    let now = crate::now();
    let mut facts = vec![
        ("Name", shown(&schedule.name).into_owned()),
        ("Status", context.out.paint.status(&shown(&schedule.status))),
        ("Schedules", shown(&schedule.cron.join(", ")).into_owned()),
        ("Time zone", shown(&schedule.timezone).into_owned()),
        ("Concurrency", shown(&schedule.concurrency).into_owned()),
        ("Catch up", shown(&schedule.catch_up).into_owned()),
        (
            "Runs",
            format!(
                "{} succeeded, {} failed, {} active",
                schedule.succeeded, schedule.failed, schedule.active
            ),
        ),
    ];
    if !schedule.labels.is_empty() {
        facts.push(("Labels", plain(&schedule.labels)));
    }
    facts.extend(schedule.last_scheduled_at.map(|at| ("Last run", when(at, now))));
    facts.extend(schedule.next_at.map(|at| ("Next run", when(at, now))));
    if let Some(problem) = &schedule.problem {
        facts.push(("Problem", context.out.paint.text(Colour::Yellow, &shown(problem))));
    }
    for (name, value) in facts {
        context.out.line(&format!("{name:<13}{value}"))?;
    }
    if !schedule.upcoming.is_empty() {
        context.out.line("\nUPCOMING")?;
        for at in &schedule.upcoming {
            context.out.line(&when(*at, now))?;
        }
    }
    if !schedule.runs.is_empty() {
        context.out.line("")?;
        let rows = schedule.runs.iter().map(|run| {
            let ended = run.finished_at.map_or_else(|| "-".to_owned(), |at| seconds(at.0));
            vec![
                shown(&run.workflow_id).into_owned(),
                seconds(run.scheduled_at.0),
                shown(&run.status).into_owned(),
                ended,
            ]
        });
        context.table(&["RUN", "SCHEDULED", "STATUS", "ENDED"], rows.collect())?;
    }
    Ok(())
}

/// What is done to one schedule, by its name.
type Work<'w> = &'w dyn Fn(&mut Context, &str, &Query<'_>) -> Result<Option<Schedule>, Failure>;

/// Does the same to several; what is wrong with one stops no other.
fn each(context: &mut Context, args: &Several, work: Work<'_>) -> Result<Exit, Failure> {
    let query = in_project(args.project.as_ref());
    let mut exit = Exit::Ok;
    let mut all = Vec::new();
    for name in &args.schedules {
        match work(context, name, &query) {
            Ok(schedule) => all.extend(schedule),
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

fn hold(
    context: &mut Context,
    name: &str,
    query: &Query<'_>,
    action: &str,
) -> Result<Option<Schedule>, Failure> {
    let schedule = context.client()?.put(&format!("{}/{action}", path(name)), query)?;
    say(context, &schedule)?;
    Ok(Some(schedule))
}

fn delete(
    context: &mut Context,
    name: &str,
    query: &Query<'_>,
) -> Result<Option<Schedule>, Failure> {
    let _nothing: Option<Schedule> = context.client()?.delete(&path(name), query)?;
    match context.form() {
        Form::Name => context.out.line(&shown(name))?,
        Form::Table | Form::Wide => context.out.line(&format!("{} deleted", shown(name)))?,
        Form::Json | Form::Yaml => {}
    }
    Ok(None)
}

/// A time at which a schedule is due.
#[derive(Debug, Serialize)]
struct Due {
    at: Time,
    /// As clocks show it in the schedule's time zone.
    local: String,
}

fn next(context: &mut Context, args: &Next) -> Result<Exit, Failure> {
    let document = Document::one(name_of(&args.file), source::read(&args.file)?);
    let schedule = match flowforge_spec::schedule(&document.text) {
        Ok(schedule) => schedule,
        Err(problems) => return lint::refuse(context, &document, problems),
    };
    let from = args.after.map_or_else(|| Timestamp(crate::now()), |at| at.0);
    let zone = schedule.zone();
    let mut due = Vec::new();
    let mut after = from;
    for _ in 0..args.count {
        let Some(at) = schedule.next_after(from, after) else {
            break;
        };
        due.push(Due { at: Time(at), local: zone.show(at) });
        after = at;
    }
    if matches!(context.form(), Form::Json | Form::Yaml) {
        context.document(&due)?;
        return Ok(Exit::Ok);
    }
    if due.is_empty() {
        context.err.line("it is never due within five years")?;
    }
    for one in &due {
        let line = if zone.name() == "UTC" {
            seconds(one.at.0)
        } else {
            format!("{}  {} {}", seconds(one.at.0), one.local, zone.name())
        };
        context.out.line(&line)?;
    }
    Ok(Exit::Ok)
}
