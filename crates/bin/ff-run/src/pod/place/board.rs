//! What the containers of a pod tell each other: files in the volume that all of them see.
//!
//! Each file is written whole and once. Who runs holds a lock on a file of its name, which the system
//! lets go when it dies: so the others know of an end that nobody could write down. Tasks can write here,
//! too; what they spoil is their own attempt.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use flowforge_model::attempt::Report;
use flowforge_model::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Where they are.
const FOLDER: &str = ".containers";
/// Says that it is the one.
const HERE: &str = "here";
/// When the first process of the attempt began.
const STARTED: &str = "started";
/// The end of the first that failed.
const FAILED: &str = "failed";
/// Who tells the end of the attempt.
const TOLD: &str = "told";

/// The files.
#[derive(Debug)]
pub(super) struct Board {
    folder: PathBuf,
}

/// Where a container is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It has not begun.
    Absent,
    Running,
    /// Its process has ended; its lines are under way.
    Ended,
    /// All of it has ended.
    Over,
    /// It died, and nobody knows how its process ended.
    Vanished,
}

/// How a process ended.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct End {
    pub(super) name: String,
    pub(super) report: Report,
    /// Because of another one.
    pub(super) stopped: bool,
}

impl Board {
    /// In a directory that the containers share, which may be of different users.
    pub(super) fn open(directory: &Path, name: &str) -> io::Result<Self> {
        if name.contains(['/', '.']) {
            return Err(io::Error::new(ErrorKind::InvalidInput, "no name of a container"));
        }
        let folder = directory.join(FOLDER);
        if !folder.is_dir() {
            // Nobody sees it before everybody may write.
            let new = directory.join(format!("{FOLDER}.{name}"));
            fs::create_dir(&new)?;
            fs::set_permissions(&new, fs::Permissions::from_mode(0o1777))?;
            // One that is empty would be replaced by the next that comes at the same moment.
            File::create_new(new.join(HERE))?;
            if let Err(error) = fs::rename(&new, &folder) {
                fs::remove_dir_all(&new)?;
                if !folder.is_dir() {
                    return Err(error);
                }
            }
        }
        Ok(Self { folder })
    }

    /// A container begins. What is returned has to be held until it ends; nothing if it began before.
    pub(super) fn begin(&self, name: &str) -> io::Result<Option<File>> {
        let new = self.of(name, "new");
        let file = readable(&new)?;
        file.lock()?;
        if !self.link(&new, &self.of(name, "begun"))? {
            return Ok(None);
        }
        fs::create_dir(self.scratch(name))?;
        Ok(Some(file))
    }

    /// When the attempt began: now, unless it has.
    pub(super) fn start(&self, name: &str, now: Timestamp) -> io::Result<Timestamp> {
        self.publish(name, now.0.to_string().as_bytes(), &self.folder.join(STARTED))?;
        Ok(self.started()?.unwrap_or(now))
    }

    pub(super) fn started(&self) -> io::Result<Option<Timestamp>> {
        let text = found(fs::read_to_string(self.folder.join(STARTED)))?;
        Ok(text.and_then(|text| text.parse().ok()).map(Timestamp))
    }

    /// A process has ended. Who sees that it has, sees that one has failed, too.
    pub(super) fn end(&self, end: &End) -> io::Result<()> {
        let text = serde_json::to_vec(end)?;
        if end.report.failure.is_some() && !end.stopped {
            self.publish(&end.name, &text, &self.folder.join(FAILED))?;
        }
        self.publish(&end.name, &text, &self.of(&end.name, "ended")).map(drop)
    }

    pub(super) fn ended(&self, name: &str) -> io::Result<Option<End>> {
        read(&self.of(name, "ended"))
    }

    /// How the first ended that failed.
    pub(super) fn failed(&self) -> io::Result<Option<End>> {
        read(&self.folder.join(FAILED))
    }

    pub(super) fn has_failed(&self) -> bool {
        self.folder.join(FAILED).exists()
    }

    /// A container has nothing more to say.
    pub(super) fn over(&self, name: &str) -> io::Result<()> {
        self.publish(name, b"", &self.of(name, "over")).map(drop)
    }

    /// Whether this one tells the end of the attempt. True once.
    pub(super) fn may_tell(&self, name: &str) -> io::Result<bool> {
        self.publish(name, name.as_bytes(), &self.folder.join(TOLD))
    }

    pub(super) fn state(&self, name: &str) -> io::Result<State> {
        let Some(begun) = found(File::open(self.of(name, "begun")))? else {
            return Ok(State::Absent);
        };
        // Shared, so that those who look do not hinder each other. Looked at first: what the dead have
        // written is there.
        let alive = match begun.try_lock_shared() {
            Ok(()) => false,
            Err(TryLockError::WouldBlock) => true,
            Err(TryLockError::Error(error)) => return Err(error),
        };
        let is = |what: &str| self.of(name, what).exists();
        Ok(match (alive, is("ended"), is("over")) {
            (_, _, true) | (false, true, _) => State::Over,
            (true, true, _) => State::Ended,
            (true, false, _) => State::Running,
            (false, false, _) => State::Vanished,
        })
    }

    /// A directory of one container that has begun.
    pub(super) fn scratch(&self, name: &str) -> PathBuf {
        self.of(name, "files")
    }

    fn of(&self, name: &str, what: &str) -> PathBuf {
        self.folder.join(format!("{name}.{what}"))
    }

    /// Writes a file that is not there yet. False if it is.
    fn publish(&self, name: &str, text: &[u8], path: &Path) -> io::Result<bool> {
        let new = self.of(name, "new");
        readable(&new)?.write_all(text)?;
        self.link(&new, path)
    }

    fn link(&self, new: &Path, path: &Path) -> io::Result<bool> {
        let linked = fs::hard_link(new, path);
        fs::remove_file(new)?;
        match linked {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// A new file that the containers of other users can read, too, whatever is made otherwise.
fn readable(path: &Path) -> io::Result<File> {
    let file = File::create_new(path)?;
    file.set_permissions(fs::Permissions::from_mode(0o644))?;
    Ok(file)
}

fn read(path: &Path) -> io::Result<Option<End>> {
    let text = found(fs::read(path))?;
    Ok(text.map(|text| serde_json::from_slice(&text)).transpose()?)
}

fn found<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use flowforge_model::attempt::FailureClass;
    use flowforge_model::status::Reason;

    use super::*;

    fn end(name: &str, failed: bool, stopped: bool) -> End {
        let mut report =
            Report::failed(Timestamp(1), FailureClass::User, Reason::ExitCode, name.to_owned());
        if !failed {
            report.failure = None;
        }
        End { name: name.to_owned(), report, stopped }
    }

    #[test]
    fn a_container_is_known_by_what_it_holds_and_has_written() {
        let dir = tempfile::tempdir().unwrap();
        let board = Board::open(dir.path(), "a").unwrap();
        assert_eq!(board.state("a").unwrap(), State::Absent);
        let held = board.begin("a").unwrap().unwrap();
        assert_eq!(board.state("a").unwrap(), State::Running);
        assert!(board.begin("a").unwrap().is_none(), "it began before");
        board.end(&end("a", false, false)).unwrap();
        assert_eq!(board.state("a").unwrap(), State::Ended);
        drop(held);
        assert_eq!(board.state("a").unwrap(), State::Over, "what it had to say it has said");
        drop(board.begin("b").unwrap().unwrap());
        assert_eq!(board.state("b").unwrap(), State::Vanished);
        let held = board.begin("c").unwrap().unwrap();
        board.over("c").unwrap();
        assert_eq!(board.state("c").unwrap(), State::Over);
        drop(held);
        assert!(Board::open(dir.path(), "../x").is_err());
    }

    #[test]
    fn what_is_first_stays() {
        let dir = tempfile::tempdir().unwrap();
        let board = Board::open(dir.path(), "a").unwrap();
        assert_eq!(board.start("a", Timestamp(5)).unwrap(), Timestamp(5));
        assert_eq!(board.start("b", Timestamp(9)).unwrap(), Timestamp(5));
        board.end(&end("stopped", true, true)).unwrap();
        board.end(&end("fine", false, false)).unwrap();
        assert!(!board.has_failed());
        board.end(&end("first", true, false)).unwrap();
        board.end(&end("second", true, false)).unwrap();
        assert_eq!(board.failed().unwrap().unwrap().name, "first");
        assert_eq!(board.ended("second").unwrap().unwrap().name, "second");
        assert!(board.may_tell("a").unwrap());
        assert!(!board.may_tell("b").unwrap());
    }
}
