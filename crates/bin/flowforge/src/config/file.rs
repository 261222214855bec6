//! Settings from a file: YAML (and so JSON), one level of sections, one value per key.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use saphyr_parser::{Event, Parser, Span};

use super::settings::all;
use super::{ConfigError, Origin};

/// Bytes of a configuration file; ours are smaller than one page.
const FILE_BYTES: usize = 64 * 1024;

/// `(section.key, value, line)`.
type Entry = (String, String, usize);

/// The files to read, each with whether it must be ours: `config.yaml` is a name that other
/// programs use too, so one without any of our sections is left alone.
pub(super) fn candidates(named: Option<&Path>, folders: &[PathBuf]) -> Vec<(PathBuf, bool)> {
    if let Some(path) = named {
        return vec![(path.to_owned(), true)];
    }
    let in_folder = |folder: &PathBuf| {
        [(folder.join("config.yaml"), false), (folder.join("flowforge.yaml"), true)]
    };
    folders.iter().flat_map(in_folder).filter(|(path, _)| path.is_file()).collect()
}

/// All entries of a file, in order.
pub(super) fn read(path: &Path, strict: bool) -> Result<Vec<Entry>, ConfigError> {
    let fail = |line, what| {
        let path = path.to_owned();
        Err(ConfigError { origin: Origin::File { path, line }, what })
    };
    let text = match std::fs::read(path) {
        Ok(bytes) if bytes.len() > FILE_BYTES => {
            return fail(0, format!("longer than {FILE_BYTES} bytes"));
        }
        Ok(bytes) => match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(_) => return fail(0, "not UTF-8 text".to_owned()),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return fail(0, "no such file".to_owned());
        }
        Err(error) => return fail(0, error.to_string()),
    };
    match entries(&text) {
        Ok(entries) if strict || entries.iter().any(|(key, ..)| ours(key)) => Ok(entries),
        Err((line, what)) if strict => fail(line, what),
        Ok(_) | Err(_) => Ok(Vec::new()),
    }
}

fn ours(key: &str) -> bool {
    let section = |path: &str| path.split('.').next().map(str::to_owned);
    all().any(|setting| section(setting.path) == section(key))
}

/// Reads a mapping of mappings of scalars.
fn entries(text: &str) -> Result<Vec<Entry>, (usize, String)> {
    let mut reader = Reader::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| (error.marker().line(), error.to_string()))?;
        reader.take(&event, span)?;
    }
    Ok(reader.entries)
}

/// Where in the file we are.
#[derive(Default)]
struct Reader {
    /// Open mappings: 0 outside, 1 among the sections, 2 inside one.
    depth: usize,
    section: Option<String>,
    key: Option<String>,
    entries: Vec<Entry>,
}

impl Reader {
    fn take(&mut self, event: &Event<'_>, span: Span) -> Result<(), (usize, String)> {
        let line = span.start.line();
        let refuse = |what: &str| Err((line, what.to_owned()));
        match event {
            Event::MappingStart(..) => match (self.depth, &self.section, &self.key) {
                (0, ..) | (1, Some(_), _) => self.depth += 1,
                _ => return refuse("a value cannot be a mapping"),
            },
            Event::MappingEnd => {
                self.depth -= 1;
                self.section = None;
            }
            Event::Scalar(text, ..) => return self.scalar(text, line),
            Event::SequenceStart(..) => return refuse("a value cannot be a list"),
            Event::Alias(_) => return refuse("aliases are not allowed"),
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd
            | Event::SequenceEnd => {}
        }
        Ok(())
    }

    fn scalar(&mut self, text: &str, line: usize) -> Result<(), (usize, String)> {
        match (self.depth, self.section.take(), self.key.take()) {
            // An empty file, or one of comments only.
            (0, ..) if matches!(text, "" | "~" | "null") => {}
            (0, ..) => return Err((line, "not a mapping of sections".to_owned())),
            (1, None, _) => self.section = Some(text.to_owned()),
            // A section without content.
            (1, Some(_), _) if matches!(text, "" | "~" | "null") => {}
            (1, Some(section), _) => {
                return Err((line, format!("{section} is a section, not a value")));
            }
            (_, section, None) => {
                self.section = section;
                self.key = Some(text.to_owned());
            }
            (_, section, Some(key)) => {
                let path = format!("{}.{key}", section.as_deref().unwrap_or_default());
                if self.entries.iter().any(|(earlier, ..)| *earlier == path) {
                    return Err((line, format!("{path} appears twice")));
                }
                self.entries.push((path, text.to_owned(), line));
                self.section = section;
            }
        }
        Ok(())
    }
}
