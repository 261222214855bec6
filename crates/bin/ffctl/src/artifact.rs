//! `artifact get`: downloads what a task gave.

use std::fs::Permissions;
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use flowforge_wire::Task;
use tempfile::Builder;
use ureq::{Body, http::Response};

use crate::args::kept::GetArtifact;
use crate::client::part;
use crate::exit::{Exit, Failure};
use crate::output::Context;
use crate::paint::shown;
use crate::resolve;

/// Bytes copied at a time.
const PIECE: usize = 64 * 1024;

pub(crate) fn get(context: &mut Context, args: &GetArtifact) -> Result<Exit, Failure> {
    let client = context.client()?;
    let workflow = resolve::find(&client, &args.target.workflow)?;
    let task = format!("/api/v1/workflows/{}/tasks/{}", workflow.id, part(&args.task));
    let path = format!("{task}/artifacts/{}", part(&args.name));
    let query: Vec<_> = args.path.iter().map(|path| ("path", &**path)).collect();
    let answer = client.open(&path, &query).map_err(|failure| {
        // A wrong name is the usual mistake: say which ones there are.
        match client.get::<Task>(&task, &[]) {
            Ok(task) if failure.exit() == Exit::NotFound => known(failure, &task, &args.name),
            _ => failure,
        }
    })?;
    let to = match &args.to {
        Some(to) if to.as_os_str() == "-" => {
            let mut body = answer.into_body();
            copy(&mut body.as_reader(), &mut io::stdout().lock())?;
            return Ok(Exit::Ok);
        }
        Some(to) => to.clone(),
        None => PathBuf::from(name(&answer, args)),
    };
    let bytes = save(answer.into_body(), &to, args.force)?;
    let place = to.display().to_string();
    context.err.line(&format!("{} ({bytes} bytes)", shown(&place)))?;
    Ok(Exit::Ok)
}

fn known(failure: Failure, task: &Task, wanted: &str) -> Failure {
    if task.artifacts.iter().any(|artifact| artifact.name == wanted) {
        return failure;
    }
    let names: Vec<_> = task.artifacts.iter().map(|artifact| shown(&artifact.name)).collect();
    let what = format!("the task `{}` gave no artifact `{}`", shown(&task.name), shown(wanted));
    let hint = if names.is_empty() {
        "it gave none".to_owned()
    } else {
        format!("it gave {}", names.join(", "))
    };
    Failure::new(Exit::NotFound, what).hint(hint)
}

/// A name for the file: what the server proposes, without any folder in it.
fn name(answer: &Response<Body>, args: &GetArtifact) -> String {
    let header = answer.headers().get("content-disposition").and_then(|value| value.to_str().ok());
    let proposed = header.and_then(|text| text.split_once("filename=\"")?.1.split_once('"'));
    let fallback = args.name.clone();
    let name = proposed.map_or(fallback, |(name, _)| name.to_owned());
    let name: String = name
        .chars()
        .map(|c| if c == '/' || c == '\\' || c.is_control() { '_' } else { c })
        .collect();
    let name = name.trim_start_matches('.');
    if name.is_empty() { "artifact".to_owned() } else { name.to_owned() }
}

/// Writes a body into a file that is there when all of it is; how many bytes.
fn save(mut body: Body, to: &Path, force: bool) -> Result<u64, Failure> {
    let name = to.display().to_string();
    let broken = |error: io::Error| Failure::usage(format!("{}: {error}", shown(&name)));
    let there = || {
        let what = format!("{}: is there already", shown(&name));
        Failure::new(Exit::Conflict, what).hint("name another file with --to, or use --force")
    };
    if to.symlink_metadata().is_ok() {
        if !force {
            return Err(there());
        }
        if !to.is_file() {
            return Err(Failure::usage(format!("{}: is no regular file", shown(&name))));
        }
    }
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    // As any file that a program makes: what others may do is for the mask to say.
    let mut file = Builder::new()
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder)
        .map_err(broken)?;
    let bytes = copy(&mut body.as_reader(), file.as_file_mut())?;
    if force {
        file.persist(to).map_err(|error| broken(error.error))?;
    } else {
        file.persist_noclobber(to).map_err(|error| match error.error.kind() {
            io::ErrorKind::AlreadyExists => there(),
            _ => broken(error.error),
        })?;
    }
    Ok(bytes)
}

fn copy(from: &mut dyn Read, to: &mut dyn Write) -> Result<u64, Failure> {
    let mut piece = vec![0; PIECE];
    let mut bytes = 0_u64;
    loop {
        let read = from.read(&mut piece).map_err(|error| {
            Failure::new(Exit::Server, format!("the download broke off: {error}"))
        })?;
        let Some(some) = piece.get(..read).filter(|some| !some.is_empty()) else {
            to.flush()?;
            return Ok(bytes);
        };
        to.write_all(some)?;
        bytes = bytes.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
    }
}
