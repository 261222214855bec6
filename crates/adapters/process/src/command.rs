//! Which program runs, and with which arguments.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use flowforge_model::attempt::{Failure, FailureClass, Process};
use flowforge_model::limits;
use flowforge_model::status::Reason;

/// What images start when nobody says what: the `CMD` of the official ones. Here an image is only
/// a name, so this is all that is known about it.
const ENTRYPOINTS: [(&str, &str); 7] = [
    ("alpine", "sh"),
    ("bash", "sh"),
    ("busybox", "sh"),
    ("debian", "sh"),
    ("node", "node"),
    ("python", "python3"),
    ("ubuntu", "sh"),
];

/// A program and its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Argv {
    /// Absolute, so that the standard library need not search and can spawn without `fork`.
    pub(crate) program: PathBuf,
    /// The program as it was named, then its arguments.
    pub(crate) words: Vec<String>,
}

/// Puts the command line together: command, arguments, script. Programs are looked for in `path`,
/// relative ones in `cwd`.
///
/// Without a command it is the arguments if they begin with a program, else the image's own
/// program followed by the arguments, as the official images do.
pub(crate) fn resolve(
    process: &Process,
    script: Option<&Path>,
    path: &str,
    cwd: &Path,
) -> Result<Argv, Failure> {
    let image = image_name(&process.image);
    let mut words: Vec<String> = process.command.iter().chain(&process.args).cloned().collect();
    let runs = |word: &String| !word.starts_with('-') && find(word, path, cwd).is_some();
    if process.command.is_empty() && !words.first().is_some_and(runs) {
        let known = ENTRYPOINTS.iter().find(|(name, _)| *name == image);
        match known {
            Some((_, program)) => words.insert(0, (*program).to_owned()),
            None if words.is_empty() => return Err(no_command(&process.image)),
            None => {}
        }
    }
    words.extend(script.map(|script| script.to_string_lossy().into_owned()));
    for (place, word) in words.iter().enumerate() {
        check(place, word)?;
    }
    let name = words.first().map_or("", String::as_str);
    let found = find(name, path, cwd).or_else(|| {
        // The image has both names, a machine often only the second one.
        let both = image == "python" && name == "python";
        both.then(|| find("python3", path, cwd)).flatten()
    });
    match found {
        Some(program) => Ok(Argv { program, words }),
        None => Err(not_found(name, path)),
    }
}

/// The failure of an attempt whose program is not there.
pub(crate) fn not_found(name: &str, path: &str) -> Failure {
    let message = if name.contains('/') {
        format!("the program {name} does not exist or cannot be executed")
    } else {
        format!("the program {name:?} is not in PATH ({path})")
    };
    failure(Reason::CommandNotFound, message)
}

fn no_command(image: &str) -> Failure {
    let message = format!(
        "no command is set, and what the image {image:?} starts is not known here: set `command`"
    );
    failure(Reason::CommandNotFound, message)
}

fn failure(reason: Reason, message: String) -> Failure {
    Failure { class: FailureClass::Error, reason, message }
}

/// `registry/library/python:3.11@sha256:...` is `python`.
fn image_name(image: &str) -> &str {
    let name = image.rsplit('/').next().unwrap_or(image);
    name.split([':', '@']).next().unwrap_or(name)
}

fn check(place: usize, word: &str) -> Result<(), Failure> {
    if word.contains('\0') {
        let message = format!("argument {place} holds a NUL byte");
        return Err(failure(Reason::SpawnFailed, message));
    }
    if word.len() > limits::ARGUMENT_BYTES {
        let message = format!(
            "argument {place} has {} bytes, Linux takes {}: pass it in a file",
            word.len(),
            limits::ARGUMENT_BYTES
        );
        return Err(failure(Reason::ArgumentTooLong, message));
    }
    Ok(())
}

/// The absolute path of an executable file. Relative directories in `path` are passed over: what
/// runs must not depend on where a task happens to stand.
fn find(name: &str, path: &str, cwd: &Path) -> Option<PathBuf> {
    if name.is_empty() || name.contains('\0') {
        return None;
    }
    if name.contains('/') {
        return Some(cwd.join(name)).filter(|program| executable(program));
    }
    path.split(':')
        .filter(|dir| dir.starts_with('/'))
        .map(|dir| Path::new(dir).join(name))
        .find(|program| executable(program))
}

fn executable(program: &Path) -> bool {
    program.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}
