//! What users ask of workflows: `cancel`, `pause`, `resume`, `stop`, `terminate`, `retry`,
//! `resubmit`.

use std::thread;
use std::time::{Duration, Instant};

use flowforge_wire::{Resubmit, Resume, Workflow};
use serde::Serialize;
use uuid::Uuid;

use crate::args::{self, Form, Targets};
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::output::Context;
use crate::paint::shown;
use crate::resolve;
use crate::submit;

/// A retry that was accepted begins within this.
const BEGIN: Duration = Duration::from_secs(30);
/// How often we look whether it has.
const LOOK: Duration = Duration::from_millis(20);

/// Asks the same of several workflows; what is wrong with one stops no other.
pub(crate) fn ask(context: &mut Context, action: &str, args: &Targets) -> Result<Exit, Failure> {
    let client = context.client()?;
    let mut asked = Vec::new();
    let mut exit = Exit::Ok;
    for text in &args.workflows {
        let answer = resolve::find(&client, text)
            .and_then(|workflow| post(&client, &workflow.id, action, None::<&()>));
        match answer {
            Ok(workflow) => {
                say(context, action, &workflow)?;
                asked.push(workflow);
            }
            Err(failure) => {
                context.explain(&failure)?;
                exit = failure.exit();
            }
        }
    }
    if matches!(context.form(), Form::Json | Form::Yaml) {
        context.document(&asked)?;
    }
    Ok(exit)
}

pub(crate) fn resume(context: &mut Context, args: &args::Resume) -> Result<Exit, Failure> {
    let client = context.client()?;
    let workflow = resolve::find(&client, &args.target.workflow)?;
    let body = Resume { task: args.task.clone(), outputs: submit::parameters(&args.outputs) };
    let workflow = post(&client, &workflow.id, "resume", Some(&body))?;
    say(context, "resume", &workflow)?;
    if matches!(context.form(), Form::Json | Form::Yaml) {
        context.document(&workflow)?;
    }
    Ok(Exit::Ok)
}

pub(crate) fn retry(context: &mut Context, args: &args::Retry) -> Result<Exit, Failure> {
    let client = context.client()?;
    let before = resolve::find(&client, &args.target.workflow)?;
    let workflow = post(&client, &before.id, "retry", None::<&()>)?;
    if args.waiting.wanted() {
        let workflow = begun(&client, &before)?;
        return submit::wait(context, &client, &workflow, args.waiting);
    }
    say(context, "retry", &workflow)?;
    if matches!(context.form(), Form::Json | Form::Yaml) {
        context.document(&workflow)?;
    }
    Ok(Exit::Ok)
}

pub(crate) fn resubmit(context: &mut Context, args: &args::Resubmit) -> Result<Exit, Failure> {
    let client = context.client()?;
    let workflow = resolve::find(&client, &args.target.workflow)?;
    let body = Resubmit {
        name: args.extra.name.clone(),
        parameters: submit::parameters(&args.extra.parameters),
        labels: args.extra.labels.iter().cloned().collect(),
        priority: args.extra.priority,
    };
    let path = format!("/api/v1/workflows/{}/resubmit", workflow.id);
    let key = Uuid::now_v7().to_string();
    let workflow: Workflow = client.post(&path, Some(&body), Some(&key))?;
    submit::accepted(context, &client, &workflow, args.waiting)
}

/// Asks something of one workflow.
pub(crate) fn post(
    client: &Client,
    id: &str,
    action: &str,
    body: Option<&impl Serialize>,
) -> Result<Workflow, Failure> {
    client.post(&format!("/api/v1/workflows/{id}/{action}"), body, None)
}

/// The workflow once its next generation has begun: until then it still looks finished.
fn begun(client: &Client, before: &Workflow) -> Result<Workflow, Failure> {
    let since = Instant::now();
    loop {
        let workflow = client.workflow(&before.id)?;
        if workflow.generation > before.generation {
            return Ok(workflow);
        }
        if since.elapsed() > BEGIN {
            let what = "the server accepted the retry but has not begun it";
            return Err(Failure::new(Exit::Server, what));
        }
        thread::sleep(LOOK);
    }
}

fn say(context: &mut Context, action: &str, workflow: &Workflow) -> Result<(), Failure> {
    let (id, name) = (shown(&workflow.id), shown(&workflow.name));
    match context.form() {
        Form::Name => context.out.line(&id)?,
        Form::Table | Form::Wide => {
            context.out.line(&format!("{id}  {name}  {action} requested"))?;
        }
        Form::Json | Form::Yaml => {}
    }
    Ok(())
}
