//! Which program runs, and with which arguments.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use flowforge_model::attempt::{Failure, FailureClass, Process};
use flowforge_model::limits;
use flowforge_model::status::Reason;

use crate::images;

/// What is known of a command before programs are looked for: that happens where the process
/// will see them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CommandLine {
    pub(crate) image: String,
    /// Where programs are looked for: absolute directories between colons.
    pub(crate) path: String,
    pub(crate) command: Vec<String>,
    pub(crate) args: Vec<String>,
    /// What the image puts before every argument.
    pub(crate) image_command: Vec<String>,
    /// What the image runs without a program among the arguments.
    pub(crate) default_command: Vec<String>,
    /// The last argument.
    pub(crate) script: Option<PathBuf>,
    /// From where relative programs are named.
    pub(crate) cwd: PathBuf,
    /// What the shell of this image is called on this machine.
    pub(crate) shell: Shell,
}

/// Which program `sh` is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Shell {
    /// The machine's.
    #[default]
    Plain,
    /// That of `BusyBox` if it is installed, else the machine's.
    BusyBox,
    /// As before, but without it bash in its mode for `sh`: the task uses what a plain shell may
    /// not know.
    BusyBoxOrBash,
}

/// What a shell of `BusyBox` and bash know, and the plain one of Debian does not.
const BEYOND_PLAIN: [&str; 3] = ["RANDOM", "[[ ", "$'"];

/// A program and its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Argv {
    /// Absolute, so that the standard library need not search and can spawn without `fork`.
    pub(crate) program: PathBuf,
    /// The program as it was named, then its arguments.
    pub(crate) words: Vec<String>,
}

impl CommandLine {
    pub(crate) fn new(
        process: &Process,
        images: &[(String, Vec<String>)],
        script: Option<&Path>,
        (path, cwd): (&str, &Path),
    ) -> Self {
        let starts = images::starts(&process.image);
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let (image_command, default_command) = match images::configured(images, &process.image) {
            Some(words) => (words.clone(), Vec::new()),
            None => starts.map_or_else(Default::default, |s| (owned(s.always), owned(s.alone))),
        };
        Self {
            image: process.image.clone(),
            path: path.to_owned(),
            command: process.command.clone(),
            args: process.args.clone(),
            image_command,
            default_command,
            script: script.map(Path::to_owned),
            cwd: cwd.to_owned(),
            shell: shell(process),
        }
    }

    /// Puts the command line together: command, arguments, script.
    ///
    /// Without a command it is what the image puts before its arguments, or the arguments if they
    /// begin with a program, or the image's own program followed by them, as the official images
    /// do.
    pub(crate) fn resolve(&self) -> Result<Argv, Failure> {
        let mut words = self.words()?;
        words.extend(self.script.iter().map(|script| script.to_string_lossy().into_owned()));
        for (place, word) in words.iter().enumerate() {
            check(place, word)?;
        }
        let name = words.first().map_or("", String::as_str);
        match self.program(name) {
            Some(program) => Ok(Argv { program, words }),
            None => Err(not_found(name, &self.path)),
        }
    }

    fn words(&self) -> Result<Vec<String>, Failure> {
        let first = if !self.command.is_empty() {
            &self.command
        } else if !self.image_command.is_empty() {
            &self.image_command
        } else if self.args.first().is_some_and(|word| self.runs(word)) {
            &self.command
        } else if self.default_command.is_empty() && self.args.is_empty() {
            return Err(no_command(&self.image));
        } else {
            &self.default_command
        };
        Ok(first.iter().chain(&self.args).cloned().collect())
    }

    fn runs(&self, word: &str) -> bool {
        !word.starts_with('-') && self.program(word).is_some()
    }

    fn program(&self, name: &str) -> Option<PathBuf> {
        self.image_shell(name).or_else(|| self.find(name)).or_else(|| self.stand_in(name))
    }

    /// The program for a shell that is not the machine's.
    fn image_shell(&self, name: &str) -> Option<PathBuf> {
        if !matches!(name, "sh" | "ash" | "/bin/sh" | "/bin/ash") {
            return None;
        }
        match self.shell {
            Shell::Plain => None,
            Shell::BusyBox => self.find("busybox"),
            Shell::BusyBoxOrBash => self.find("busybox").or_else(|| self.find("bash")),
        }
    }

    /// A program that the image has under this name, and the machine under another.
    fn stand_in(&self, name: &str) -> Option<PathBuf> {
        let known = !self.image_command.is_empty() || !self.default_command.is_empty();
        if !known {
            return None;
        }
        let base = Path::new(name).file_name()?.to_str()?;
        match base {
            "python" => self.find("python3"),
            "ash" => self.find("sh"),
            _ if name.starts_with('/') && !Path::new(name).exists() => self.find(base),
            _ => None,
        }
    }

    /// The absolute path of an executable file. Relative directories in the path are passed over:
    /// what runs must not depend on where a task happens to stand.
    fn find(&self, name: &str) -> Option<PathBuf> {
        if name.is_empty() || name.contains('\0') {
            return None;
        }
        if name.contains('/') {
            return Some(self.cwd.join(name)).filter(|program| executable(program));
        }
        directories(&self.path).map(|dir| dir.join(name)).find(|program| executable(program))
    }
}

/// The absolute directories of a search path.
pub(crate) fn directories(path: &str) -> impl Iterator<Item = &Path> {
    path.split(':').filter(|dir| dir.starts_with('/')).map(Path::new)
}

fn shell(process: &Process) -> Shell {
    if !images::has_busybox(&process.image) {
        return Shell::Plain;
    }
    let mut texts = process.command.iter().chain(&process.args).chain(&process.script);
    if texts.any(|text| BEYOND_PLAIN.iter().any(|sign| text.contains(sign))) {
        Shell::BusyBoxOrBash
    } else {
        Shell::BusyBox
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
        "no command is set, and what the image {image:?} starts is not known here: set `command`, \
         or name the image in the setting `executor.images`"
    );
    failure(Reason::CommandNotFound, message)
}

fn failure(reason: Reason, message: String) -> Failure {
    Failure { class: FailureClass::Error, reason, message }
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

fn executable(program: &Path) -> bool {
    program.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}
