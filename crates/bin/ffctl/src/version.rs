//! `version`: of this program, and of the server if one answers.

use flowforge_wire::Version;
use serde::Serialize;

use crate::exit::{Exit, Failure};
use crate::output::Context;
use crate::paint::shown;

#[derive(Debug, Serialize)]
struct Versions {
    client: &'static str,
    server: Option<Version>,
}

pub(crate) fn run(context: &mut Context) -> Result<Exit, Failure> {
    let asked = context.client().and_then(|client| client.get::<Version>("/version", &[]));
    let versions = Versions { client: env!("CARGO_PKG_VERSION"), server: asked.ok() };
    if !context.form().human() {
        context.document(&versions)?;
        return Ok(Exit::Ok);
    }
    context.out.line(&format!("ffctl      {}", versions.client))?;
    let server = match &versions.server {
        Some(server) => shown(&server.version).into_owned(),
        None => "no server answers".to_owned(),
    };
    context.out.line(&format!("flowforge  {server}"))?;
    Ok(Exit::Ok)
}
