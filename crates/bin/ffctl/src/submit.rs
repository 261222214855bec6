//! `submit`: hands a workflow document to the server, and waits for its end if that is wanted.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use flowforge_wire::{ParameterValue, Submit, TemplateRef, Workflow};
use serde_json::Value;
use uuid::Uuid;

use crate::args::{self, Extra, Form, Waiting};
use crate::bundle::Document;
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::follow::Inbox;
use crate::lint;
use crate::output::Context;
use crate::paint::shown;
use crate::report;
use crate::run;
use crate::several;
use crate::watch::{Ended, Following, view_of};

/// A submission whose fate is unknown is repeated with the same key, after these pauses.
const AGAIN: [Duration; 3] =
    [Duration::from_millis(100), Duration::from_millis(400), Duration::from_millis(1600)];

pub(crate) fn run(context: &mut Context, args: &args::Submit) -> Result<Exit, Failure> {
    if let Some(template) = &args.from {
        return from_stored(context, args, template);
    }
    let document = read(context, &args.files)?;
    if let Some(workflows) = document.workflows() {
        return several::run(context, args, &workflows);
    }
    let client = context.client()?;
    let submit = Submit { project_id: args.project.clone(), ..submission(&document, &args.extra) };
    let key = args.idempotency_key.clone();
    let workflow = send(&client, &submit, key).map_err(|failure| failure.about(&document))?;
    warnings(context, &workflow, &document)?;
    accepted(context, &client, &workflow, args.waiting)
}

/// Submits what is stored on the server.
fn from_stored(
    context: &mut Context,
    args: &args::Submit,
    template: &TemplateRef,
) -> Result<Exit, Failure> {
    let client = context.client()?;
    let template = TemplateRef { version: args.from_version, ..template.clone() };
    let submit = Submit {
        project_id: args.project.clone(),
        dag_spec: None,
        template: Some(template),
        entrypoint: args.entrypoint.clone(),
        ..submission(&Document::default(), &args.extra)
    };
    let workflow = send(&client, &submit, args.idempotency_key.clone())?;
    warnings(context, &workflow, &Document::default())?;
    accepted(context, &client, &workflow, args.waiting)
}

/// The files as one text with a workflow in it; says so if that was made.
pub(crate) fn read(context: &mut Context, files: &[PathBuf]) -> Result<Document, Failure> {
    let (document, note) = Document::read(files)?.runnable()?;
    if let Some(note) = note {
        context.err.line(&note)?;
    }
    Ok(document)
}

/// The document with what the command line adds.
pub(crate) fn submission(document: &Document, extra: &Extra) -> Submit {
    Submit {
        project_id: None,
        name: extra.name.clone(),
        description: None,
        dag_spec: Some(Value::String(document.text.clone())),
        template: None,
        entrypoint: None,
        parameters: parameters(&extra.parameters),
        labels: extra.labels.iter().cloned().collect(),
        priority: extra.priority,
    }
}

/// Pairs of the command line; the last one of a name counts.
pub(crate) fn parameters(pairs: &[(String, String)]) -> BTreeMap<String, ParameterValue> {
    let pairs = pairs.iter().cloned();
    pairs.map(|(name, value)| (name, value.into())).collect()
}

/// Submits once, however often that takes.
pub(crate) fn send(
    client: &Client,
    submit: &Submit,
    key: Option<String>,
) -> Result<Workflow, Failure> {
    let key = key.unwrap_or_else(|| Uuid::now_v7().to_string());
    let mut pauses = AGAIN.iter();
    loop {
        match client.post("/api/v1/workflows", Some(submit), Some(&key)) {
            // Where no server is, none will be in a moment.
            Err(failure) if failure.passing() && !failure.refused_connection() => {
                let Some(pause) = pauses.next() else {
                    return Err(failure);
                };
                thread::sleep(*pause);
            }
            other => return other,
        }
    }
}

/// What deserves a look although it was accepted.
pub(crate) fn warnings(
    context: &mut Context,
    workflow: &Workflow,
    document: &Document,
) -> Result<(), Failure> {
    for found in &workflow.warnings {
        lint::show_in(&mut context.err, document, found, lint::Level::Warning)?;
    }
    Ok(())
}

/// Shows a new workflow, after its end if that is wanted.
pub(crate) fn accepted(
    context: &mut Context,
    client: &Client,
    workflow: &Workflow,
    waiting: Waiting,
) -> Result<Exit, Failure> {
    if waiting.wanted() {
        return wait(context, client, workflow, waiting);
    }
    match context.form() {
        Form::Json | Form::Yaml => context.document(workflow)?,
        Form::Name => context.out.line(&shown(&workflow.id))?,
        Form::Table | Form::Wide => {
            let (id, name) = (shown(&workflow.id), shown(&workflow.name));
            context.out.line(&format!("{id}  {name}  submitted"))?;
        }
    }
    Ok(Exit::Ok)
}

/// Waits for the end of a workflow and shows it; its result is the exit code.
pub(crate) fn wait(
    context: &mut Context,
    client: &Client,
    workflow: &Workflow,
    waiting: Waiting,
) -> Result<Exit, Failure> {
    let view = view_of(context, waiting);
    let inbox = Inbox::with_signals()?;
    let mut following = Following::start(client, workflow, inbox, view)?;
    let deadline = waiting.timeout.map(|span| Instant::now() + span);
    match following.until_end(context, deadline)? {
        Ended::Finished => {
            let workflow = following.finish(context)?;
            ended(context, &following.client()?, &workflow, waiting)
        }
        Ended::TimedOut => {
            let client = following.client()?;
            let workflow = client.workflow(&workflow.id)?;
            if workflow.finished_at.is_some() {
                // It ended while the time did: there is nothing left to wait for.
                return ended(context, &client, &workflow, waiting);
            }
            if !context.form().human() {
                let tasks = client.tasks(&workflow.id)?;
                report::print(context, &workflow, &tasks)?;
            }
            let status = shown(&workflow.status).into_owned();
            goes_on(context, &workflow, &format!("still {status}"))?;
            Ok(Exit::Timeout)
        }
        Ended::Stopped(signal) => {
            goes_on(context, workflow, "interrupted")?;
            Ok(Exit::Signal(signal))
        }
    }
}

/// Shows a workflow that has ended; its result is the exit code.
fn ended(
    context: &mut Context,
    client: &Client,
    workflow: &Workflow,
    waiting: Waiting,
) -> Result<Exit, Failure> {
    let tasks = client.tasks(&workflow.id)?;
    if context.form().human() && (waiting.watch || waiting.logs) {
        let view = view_of(context, waiting);
        run::summary(context, client, (workflow, &tasks), view)?;
    } else {
        report::print(context, workflow, &tasks)?;
    }
    Ok(Exit::of_workflow(&workflow.status))
}

/// The workflow outlives our waiting: says how to find it again.
fn goes_on(context: &mut Context, workflow: &Workflow, why: &str) -> Result<(), Failure> {
    let id = shown(&workflow.id).into_owned();
    let text = format!("{why}; the workflow goes on: `ffctl watch {id}`, `ffctl cancel {id}`");
    Ok(context.err.line(&text)?)
}
