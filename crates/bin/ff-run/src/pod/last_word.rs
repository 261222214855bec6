//! What whoever looks after the pod reads in its status: the termination message.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use flowforge_ports::pod_calls::Told;

use super::server::Trouble;
use super::settings::{TERMINATION_LOG, termination_log};
use super::{REFUSED, UNSTARTED};

/// Characters of an explanation: a termination message has at most 4096 bytes.
const SHOWN: usize = 500;

/// Writes it where the container's runtime looks for it.
#[derive(Debug)]
pub(super) struct LastWord(PathBuf);

impl LastWord {
    pub(super) fn at(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// When the other settings are not to be had.
    pub(super) fn of_environment() -> Self {
        Self(termination_log(std::env::var_os(TERMINATION_LOG)))
    }

    /// Nothing ran: it may not.
    pub(super) fn refused(&self, code: &str, why: &str) -> ExitCode {
        // Who reads the pod's log is a person.
        writeln!(std::io::stderr(), "ff-run: refused: {code}: {why}").ok();
        self.write(&format!("refused: {code}"));
        ExitCode::from(REFUSED)
    }

    /// The task ran.
    pub(super) fn told(&self, told: &Result<Told, Trouble>) {
        match told {
            Ok(_) => self.write("reported"),
            Err(Trouble { code, why, .. }) => {
                let why: String = why.chars().take(SHOWN).collect();
                writeln!(std::io::stderr(), "ff-run: unreported: {code}: {why}").ok();
                self.write(&format!("unreported: {code}: {why}"));
            }
        }
    }

    /// Another container tells the end.
    pub(super) fn left(&self, word: &str, code: ExitCode) -> ExitCode {
        self.write(word);
        code
    }

    /// The containers of the pod cannot tell each other.
    pub(super) fn unreported(&self, code: &str, why: &str) -> ExitCode {
        self.told(&Err(Trouble::away(code, why.to_owned())));
        ExitCode::from(UNSTARTED)
    }

    /// One that cannot be written changes nothing else.
    fn write(&self, text: &str) {
        if let Err(error) = std::fs::write(&self.0, text) {
            let path = self.0.display();
            writeln!(std::io::stderr(), "ff-run: cannot write {path}: {error}").ok();
        }
    }
}
