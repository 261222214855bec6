//! What a mapped process runs and what it sees where, as the server tells it to the helper that
//! sets it up. Plain bytes: each text and list after its length.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::command::{CommandLine, Shell};

/// Goes before a layout: another one whenever its bytes change, because the helper may be a program
/// of its own that was built at another time.
const FORM: &[u8] = b"flowforge layout 1";

/// Everything [`crate::exec_task`] needs. All paths are absolute, without links, `.` and `..`, as
/// they are before anything is mapped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Layout {
    /// A directory that becomes the root: empty, or with what an earlier layout put there.
    pub(crate) root: PathBuf,
    /// A directory for what the process writes elsewhere.
    pub(crate) layers: PathBuf,
    /// Files and folders that belong to the process alone: what is there is hidden (a file) or
    /// copied on writing (a folder).
    pub(crate) own: Vec<PathBuf>,
    /// What else it sees.
    pub(crate) mounts: Vec<Mounted>,
    /// What must stay in sight, where everything around it is private: the attempt's directory
    /// first, then programs and the like.
    pub(crate) keep: Vec<PathBuf>,
    /// Where it begins.
    pub(crate) cwd: PathBuf,
    /// What it runs.
    pub(crate) line: CommandLine,
    /// Its whole environment.
    pub(crate) env: Vec<(String, String)>,
}

/// Something seen at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mounted {
    pub(crate) at: PathBuf,
    pub(crate) source: Source,
    pub(crate) read_only: bool,
}

/// What is seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// A file or folder of this machine.
    Host(PathBuf),
    /// Files in memory, by their paths below the mount; of these only `only`, if it is not empty.
    Files { files: Vec<(String, Vec<u8>)>, only: String },
}

impl Layout {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.bytes(FORM);
        out.path(&self.root);
        out.path(&self.layers);
        out.list(&self.own, |out, path| out.path(path));
        out.list(&self.mounts, |out, mounted| {
            out.path(&mounted.at);
            out.flag(mounted.read_only);
            match &mounted.source {
                Source::Host(path) => {
                    out.flag(true);
                    out.path(path);
                }
                Source::Files { files, only } => {
                    out.flag(false);
                    out.list(files, |out, (path, content)| {
                        out.bytes(path.as_bytes());
                        out.bytes(content);
                    });
                    out.bytes(only.as_bytes());
                }
            }
        });
        out.list(&self.keep, |out, path| out.path(path));
        out.path(&self.cwd);
        let line = &self.line;
        for text in [&line.image, &line.path] {
            out.bytes(text.as_bytes());
        }
        for list in [&line.command, &line.args, &line.image_command, &line.default_command] {
            out.list(list, |out, word| out.bytes(word.as_bytes()));
        }
        out.list(&line.script.iter().collect::<Vec<_>>(), |out, path| out.path(path));
        out.path(&line.cwd);
        out.0.push(match line.shell {
            Shell::Plain => 0,
            Shell::BusyBox => 1,
            Shell::BusyBoxOrBash => 2,
        });
        out.list(&self.env, |out, (name, value)| {
            out.bytes(name.as_bytes());
            out.bytes(value.as_bytes());
        });
        out.0
    }

    /// None if these are not the bytes of a layout.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut from = Reader(bytes);
        if from.bytes()? != FORM {
            return None;
        }
        let layout = Self {
            root: from.path()?,
            layers: from.path()?,
            own: from.list(Reader::path)?,
            mounts: from.list(Reader::mounted)?,
            keep: from.list(Reader::path)?,
            cwd: from.path()?,
            line: CommandLine {
                image: from.text()?,
                path: from.text()?,
                command: from.list(Reader::text)?,
                args: from.list(Reader::text)?,
                image_command: from.list(Reader::text)?,
                default_command: from.list(Reader::text)?,
                script: from.list(Reader::path)?.pop(),
                cwd: from.path()?,
                shell: from.shell()?,
            },
            env: from.list(|from| Some((from.text()?, from.text()?)))?,
        };
        from.0.is_empty().then_some(layout)
    }
}

#[derive(Default)]
struct Writer(Vec<u8>);

impl Writer {
    fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        self.0.extend_from_slice(bytes);
    }

    fn path(&mut self, path: &Path) {
        self.bytes(path.as_os_str().as_bytes());
    }

    fn flag(&mut self, flag: bool) {
        self.0.push(u8::from(flag));
    }

    fn list<T>(&mut self, list: &[T], mut each: impl FnMut(&mut Self, &T)) {
        self.0.extend_from_slice(&(list.len() as u64).to_le_bytes());
        for item in list {
            each(self, item);
        }
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<usize> {
        let bytes = self.take(size_of::<u64>())?.try_into().ok()?;
        usize::try_from(u64::from_le_bytes(bytes)).ok()
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let count = self.number()?;
        self.take(count)
    }

    fn path(&mut self) -> Option<PathBuf> {
        Some(PathBuf::from(OsStr::from_bytes(self.bytes()?)))
    }

    fn text(&mut self) -> Option<String> {
        String::from_utf8(self.bytes()?.to_vec()).ok()
    }

    fn flag(&mut self) -> Option<bool> {
        Some(self.take(1)? != [0])
    }

    fn shell(&mut self) -> Option<Shell> {
        match self.take(1)? {
            [0] => Some(Shell::Plain),
            [1] => Some(Shell::BusyBox),
            [2] => Some(Shell::BusyBoxOrBash),
            _ => None,
        }
    }

    fn list<T>(&mut self, mut each: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = self.number()?;
        let mut list = Vec::new();
        for _ in 0..count {
            list.push(each(self)?);
        }
        Some(list)
    }

    fn mounted(&mut self) -> Option<Mounted> {
        let at = self.path()?;
        let read_only = self.flag()?;
        let source = if self.flag()? {
            Source::Host(self.path()?)
        } else {
            let files = self.list(|from| Some((from.text()?, from.bytes()?.to_vec())))?;
            Source::Files { files, only: self.text()? }
        };
        Some(Mounted { at, source, read_only })
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    #[test]
    fn a_layout_arrives_as_it_was_sent() {
        let texts = |n: usize| (0..n).map(|i| "x\0y\n".repeat(i)).collect::<Vec<_>>();
        let odd = PathBuf::from(OsString::from_vec(b"/not \xff text".to_vec()));
        let layout = Layout {
            root: odd.clone(),
            layers: PathBuf::from("/l"),
            own: vec![odd.clone(), PathBuf::from("/")],
            mounts: vec![
                Mounted { at: odd.clone(), source: Source::Host(odd.clone()), read_only: true },
                Mounted {
                    at: PathBuf::from("/m"),
                    source: Source::Files {
                        files: vec![("a/b".to_owned(), vec![0, 255]), (String::new(), vec![])],
                        only: "a".to_owned(),
                    },
                    read_only: false,
                },
            ],
            keep: vec![odd.clone()],
            cwd: odd.clone(),
            line: CommandLine {
                image: "i".to_owned(),
                path: "/bin".to_owned(),
                command: texts(0),
                args: texts(1),
                image_command: texts(2),
                default_command: texts(3),
                script: Some(odd.clone()),
                cwd: odd,
                shell: Shell::BusyBoxOrBash,
            },
            env: vec![("A".to_owned(), "b=c".to_owned())],
        };
        let bytes = layout.encode();
        assert_eq!(Layout::decode(&bytes), Some(layout));
        for cut in 0..bytes.len() {
            assert_eq!(Layout::decode(&bytes[..cut]), None, "{cut}");
        }
        assert_eq!(Layout::decode(&[bytes, vec![0]].concat()), None);
        assert_eq!(Layout::decode(&[255; 64]), None);
    }
}
