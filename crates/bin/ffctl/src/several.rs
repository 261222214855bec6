//! `submit` of several workflows: all of them are checked before the first is handed in.

use flowforge_wire::{LintReport, Submit, Workflow};

use crate::args::{self, Form, Waiting};
use crate::bundle;
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::lint;
use crate::output::Context;
use crate::submit;

pub(crate) fn run(
    context: &mut Context,
    args: &args::Submit,
    workflows: &[bundle::Workflow<'_>],
) -> Result<Exit, Failure> {
    if args.extra.name.is_some() {
        let what = format!("--name is that of one workflow, and there are {}", workflows.len());
        return Err(Failure::usage(what).hint("name them in their documents"));
    }
    let client = context.client()?;
    if !check(context, &client, args, workflows)? {
        context.err.line("nothing was submitted")?;
        return Ok(Exit::Usage);
    }
    let mut submitted: Vec<Workflow> = Vec::new();
    for (number, workflow) in (1_usize..).zip(workflows) {
        let key = args.idempotency_key.as_ref().map(|key| format!("{key}-{number}"));
        let document = workflow.document();
        match submit::send(&client, &submission(args, &document), key) {
            Ok(workflow) => {
                submit::warnings(context, &workflow, &document)?;
                submitted.push(workflow);
            }
            Err(failure) => {
                show(context, &client, Waiting::default(), &submitted)?;
                let (done, all) = (submitted.len(), workflows.len());
                context.err.line(&format!("{done} of {all} workflows were submitted"))?;
                return Err(failure.about(&document));
            }
        }
    }
    show(context, &client, args.waiting, &submitted)
}

fn submission(args: &args::Submit, document: &bundle::Document) -> Submit {
    Submit { project_id: args.project.clone(), ..submit::submission(document, &args.extra) }
}

/// Whether the server would take all of them; says what is wrong otherwise.
fn check(
    context: &mut Context,
    client: &Client,
    args: &args::Submit,
    workflows: &[bundle::Workflow<'_>],
) -> Result<bool, Failure> {
    let mut good = true;
    for workflow in workflows {
        let document = workflow.document();
        let submission = submission(args, &document);
        let report: LintReport = client.post("/api/v1/lint", Some(&submission), None)?;
        for found in &report.errors {
            lint::show_in(&mut context.err, &document, found, lint::Level::Error)?;
        }
        lint::more(&mut context.err, report.omitted)?;
        good &= report.ok;
    }
    Ok(good)
}

/// Shows them, each after its end if that is wanted. The first that did not succeed is the result.
fn show(
    context: &mut Context,
    client: &Client,
    waiting: Waiting,
    workflows: &[Workflow],
) -> Result<Exit, Failure> {
    let mut result = Exit::Ok;
    for (at, workflow) in workflows.iter().enumerate() {
        if at > 0 && context.form() == Form::Yaml {
            context.out.line("---")?;
        }
        let exit = submit::accepted(context, client, workflow, waiting)?;
        if result == Exit::Ok {
            result = exit;
        }
        if matches!(exit, Exit::Timeout | Exit::Signal(_)) {
            break;
        }
    }
    Ok(result)
}
