//! `get`: one workflow and its tasks.

use crate::args::{self, Waiting};
use crate::exit::{Exit, Failure};
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
    report::print(context, &workflow, &tasks)?;
    Ok(Exit::Ok)
}
