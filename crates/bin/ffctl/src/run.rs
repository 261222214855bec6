//! `run`: one workflow from beginning to end, on a server of its own.

use std::time::{Duration, Instant};

use flowforge_wire::{Task, Workflow};

use crate::actions;
use crate::args::{self, Waiting};
use crate::bundle::Document;
use crate::client::Client;
use crate::endpoint::Place;
use crate::exit::{Exit, Failure};
use crate::follow::Inbox;
use crate::logs;
use crate::output::Context;
use crate::paint::{Colour, shown, span, symbol};
use crate::report;
use crate::server::{Home, Server};
use crate::submit;
use crate::tree::note;
use crate::watch::{Ended, Following, View, view_of};

/// Tasks end within this after a cancel: a polite signal, a grace, a hard one.
const CANCEL: Duration = Duration::from_secs(15);
/// Tasks that failed whose last lines are shown, and how many lines.
const FAILED_TASKS: usize = 3;
const FAILED_LINES: usize = 10;

pub(crate) fn run(context: &mut Context, args: &args::Run) -> Result<Exit, Failure> {
    if context.global.server.is_some() {
        let what = "`run` starts a server of its own";
        return Err(Failure::usage(what).hint("use `submit --watch` with --server"));
    }
    let document = submit::read(context, &args.files)?;
    let inbox = Inbox::with_signals()?;
    let home = Home::new(context.global.data_dir.as_deref(), args.keep)?;
    let server = Server::start(home.path())?;
    let client = Client::new(Place::directory(home.path()))?;
    let result = follow(context, args, &client, (&document, inbox));
    // The server waits for open connections before it ends.
    drop(client);
    drop(server);
    if let Home::Kept(path) = &home {
        let name = path.display().to_string();
        context.err.line(&format!("data directory: {}", shown(&name)))?;
    }
    result
}

fn follow(
    context: &mut Context,
    args: &args::Run,
    client: &Client,
    (document, inbox): (&Document, Inbox),
) -> Result<Exit, Failure> {
    let submission = submit::submission(document, &args.extra);
    let workflow =
        submit::send(client, &submission, None).map_err(|failure| failure.about(document))?;
    submit::warnings(context, &workflow, document)?;
    let waiting = Waiting { wait: true, watch: true, logs: args.logs, timeout: args.timeout };
    let view = view_of(context, waiting);
    let mut following = Following::start(client, &workflow, inbox, view)?;
    let deadline = args.timeout.map(|span| Instant::now() + span);
    let early = match following.until_end(context, deadline)? {
        Ended::Finished => None,
        Ended::TimedOut => Some((Exit::Timeout, "time is up")),
        Ended::Stopped(signal) => Some((Exit::Signal(signal), "interrupted")),
    };
    if let Some((_, why)) = early {
        following.say(context, &format!("{why}: cancelling"))?;
        actions::post(client, &workflow.id, "cancel", None::<&()>)?;
        following.until_end(context, Some(Instant::now() + CANCEL))?;
    }
    let workflow = following.finish(context)?;
    let tasks = client.tasks(&workflow.id)?;
    if context.form().human() {
        summary(context, client, (&workflow, &tasks), view)?;
    } else {
        report::print(context, &workflow, &tasks)?;
    }
    Ok(early.map_or_else(|| Exit::of_workflow(&workflow.status), |(exit, _)| exit))
}

/// The end for people who saw it coming: why what failed did, what came out, how it went.
pub(crate) fn summary(
    context: &mut Context,
    client: &Client,
    (workflow, tasks): (&Workflow, &[Task]),
    (view, with_logs): (View, bool),
) -> Result<(), Failure> {
    let failed = tasks.iter().filter(|task| task.status == "FAILED");
    for task in failed.take(FAILED_TASKS) {
        explain(context, client, workflow, (task, with_logs))?;
    }
    if let [task] = tasks
        && !with_logs
        && task.status == "SUCCEEDED"
    {
        // What a single task has to say is what was asked for.
        for line in logs::tail(client, &workflow.id, &task.id, usize::from(u16::MAX))? {
            logs::print_line(&mut context.out, &line, logs::Style::default())?;
        }
    }
    report::outputs(context, workflow)?;
    if view == View::Tree {
        return Ok(());
    }
    let paint = context.out.paint;
    let took = match (workflow.started_at, workflow.finished_at) {
        (Some(start), Some(end)) => {
            let ms = u64::try_from(end.0.0.saturating_sub(start.0.0)).unwrap_or(0);
            format!("  {}", span(ms))
        }
        _ => String::new(),
    };
    let line = format!(
        "{} {}  {}{took}",
        symbol(&workflow.status),
        shown(&workflow.name),
        paint.status(&workflow.status)
    );
    Ok(context.out.line(&line)?)
}

/// Why a task failed, and the last it said.
fn explain(
    context: &mut Context,
    client: &Client,
    workflow: &Workflow,
    (task, with_logs): (&Task, bool),
) -> Result<(), Failure> {
    let paint = context.out.paint;
    let why = note(task.reason.as_deref(), task.message.as_deref()).unwrap_or_default();
    let name = if task.name.is_empty() { &workflow.name } else { &task.name };
    context.out.line("")?;
    let head = format!("{} {} failed", symbol("FAILED"), shown(name));
    let head = paint.text(Colour::Red, &head);
    context.out.line(&format!("{head}: {}", shown(&why)))?;
    if with_logs {
        return Ok(());
    }
    for line in logs::tail(client, &workflow.id, &task.id, FAILED_LINES)? {
        context.out.write("    ")?;
        logs::print_line(&mut context.out, &line, logs::Style::bare())?;
    }
    Ok(())
}
