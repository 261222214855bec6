//! `get`: one workflow and its tasks.

use crate::args::{self, Form, Waiting};
use crate::exit::{Exit, Failure};
use crate::locks;
use crate::output::Context;
use crate::report;
use crate::resolve;
use crate::submit;

pub(crate) fn run(context: &mut Context, args: &args::Get) -> Result<Exit, Failure> {
    let client = context.client()?;
    let workflow = resolve::find(&client, &args.target.workflow)?;
    if args.wait || args.timeout.is_some() {
        let waiting = Waiting { timeout: args.timeout, ..Waiting::default() };
        return submit::wait(context, &client, &workflow, waiting);
    }
    let tasks = client.tasks(&workflow.id)?;
    // A server that knows of no locks has none to show.
    let locks = match context.form() {
        Form::Table | Form::Wide if !workflow.is_finished() => {
            locks::all(&client, Some(&workflow)).unwrap_or_default()
        }
        _ => Vec::new(),
    };
    report::print_with(context, &workflow, (&tasks, &locks))?;
    Ok(Exit::Ok)
}
