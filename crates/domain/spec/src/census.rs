//! What a text uses, and what becomes of each: for people who bring manifests.

use std::collections::BTreeMap;

use flowforge_model::limits::REPORTED_ERRORS;

use crate::Options;
use crate::grammar::{Holds, Kind, Support};
use crate::inspect;
use crate::library::{DocumentKind, Sheet};
use crate::located::{self, Node, Place, Value, push_token};
use crate::problem::{Problem, Problems};

/// What becomes of a construct.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Done as the document means it.
    Supported,
    /// Done by other means.
    Emulated,
    /// Accepted; changes nothing.
    NoEffect,
    /// Refused.
    Unsupported,
}

/// A field that a text uses, once for all of its uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Construct {
    /// Line of the first use in the text, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// JSON pointer to it in its document.
    pub pointer: String,
    /// What it is: the map and the field, `template.synchronization`.
    pub construct: String,
    /// What becomes of it.
    pub level: Level,
    /// How or why; empty for what is supported.
    pub note: String,
    /// How often it is used.
    pub count: u32,
}

/// What a text uses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// In the order of their first uses.
    pub constructs: Vec<Construct>,
    /// What is wrong with the text beside fields that are not supported; documents that it refers
    /// to and that are not in it are not among them.
    pub problems: Problems,
}

impl Level {
    /// In words.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Supported => "supported",
            Self::Emulated => "emulated",
            Self::NoEffect => "no effect",
            Self::Unsupported => "unsupported",
        }
    }

    fn of(support: Support) -> (Self, &'static str) {
        match support {
            Support::Full => (Self::Supported, ""),
            Support::Emulated(how) => (Self::Emulated, how),
            Support::NoEffect(why) => (Self::NoEffect, why),
            Support::Unsupported(why) => (Self::Unsupported, why),
        }
    }
}

/// Counts what the documents of a text use.
///
/// # Errors
/// The text is not YAML or JSON, or too large.
pub fn census(source: &str) -> Result<Census, Problems> {
    let located = located::read(source)?;
    let mut counter = Counter::default();
    for document in &located.documents {
        let sheet = Sheet::of(&document.root);
        let mut path = document.prefix.clone();
        if sheet.kind == DocumentKind::Other {
            let kind = document.root.field("kind").unwrap_or(&document.root);
            let name = format!("kind {}", kind.text().unwrap_or(""));
            push_token(&mut path, "kind");
            let note = "this kind of document is not read";
            counter.count(kind.place, &path, (&name, Level::Unsupported, note));
        } else {
            counter.map(&document.root, sheet.kind.grammar(), &mut path);
        }
    }
    let problems = counter.values(inspect::lint(source, &Options::default()).problems);
    let mut constructs: Vec<Construct> = counter.found.into_values().collect();
    constructs.sort_by_key(|one| (one.line, one.column));
    Ok(Census { constructs, problems })
}

/// What was found, by construct, level and note.
#[derive(Default)]
struct Counter {
    found: BTreeMap<(String, Level, String), Construct>,
    /// Refused fields, by place.
    refused: BTreeMap<(u32, u32), ()>,
}

impl Counter {
    fn count(&mut self, at: Place, pointer: &str, what: (&str, Level, &str)) {
        let (name, level, note) = what;
        if level == Level::Unsupported && self.refused.len() < REPORTED_ERRORS {
            self.refused.insert((at.line, at.column), ());
        }
        let key = (name.to_owned(), level, note.to_owned());
        let entry = self.found.entry(key).or_insert_with(|| Construct {
            line: at.line,
            column: at.column,
            pointer: pointer.to_owned(),
            construct: name.to_owned(),
            level,
            note: note.to_owned(),
            count: 0,
        });
        entry.count = entry.count.saturating_add(1);
    }

    /// Counts the fields of a map and what stands below them.
    fn map(&mut self, node: &Node, kind: &Kind, path: &mut String) {
        let short = kind.short_name();
        for entry in node.entries().unwrap_or(&[]) {
            let length = path.len();
            push_token(path, &entry.key);
            let name = format!("{short}.{}", entry.key);
            match kind.field(&entry.key) {
                // Nothing is asked for.
                Some(_) if entry.node.is_null() && &*entry.key != "suspend" => {}
                Some(field) => {
                    let (level, note) = Level::of(field.support);
                    self.count(entry.place, path, (&name, level, note));
                    if matches!(level, Level::Supported | Level::Emulated) {
                        self.below(&entry.node, field.holds, path);
                    }
                }
                None => {
                    let note = "there is no such field";
                    self.count(entry.place, path, (&name, Level::Unsupported, note));
                }
            }
            path.truncate(length);
        }
    }

    fn below(&mut self, node: &Node, holds: Holds, path: &mut String) {
        let length = path.len();
        let mut step = |token: &str, child: &Node, holds: Holds| {
            push_token(path, token);
            self.below(child, holds, path);
            path.truncate(length);
        };
        match (holds, &node.value) {
            (Holds::Value | Holds::AnyString, _) | (_, Value::Plain(_) | Value::Quoted(_)) => {}
            (Holds::Map(kind), Value::Map(_)) => self.map(node, kind, path),
            // Lists of maps may be written as maps by name in the native form, and in groups.
            (Holds::List(kind) | Holds::Named(kind), Value::Map(entries)) => {
                for entry in entries {
                    step(&entry.key, &entry.node, Holds::Map(kind));
                }
            }
            (Holds::List(kind) | Holds::Named(kind), Value::List(items)) => {
                for (at, item) in items.iter().enumerate() {
                    step(&at.to_string(), item, Holds::Map(kind));
                }
            }
            (Holds::Groups(kind), Value::List(items)) => {
                for (at, item) in items.iter().enumerate() {
                    let holds = match &item.value {
                        Value::List(_) => Holds::List(kind),
                        Value::Map(_) | Value::Plain(_) | Value::Quoted(_) => Holds::Map(kind),
                    };
                    step(&at.to_string(), item, holds);
                }
            }
            (Holds::Map(_), Value::List(_)) | (Holds::Groups(_), Value::Map(_)) => {}
        }
    }

    /// Counts problems about values that are not supported, and gives the others.
    fn values(&mut self, problems: Problems) -> Problems {
        let mut others = Vec::new();
        for problem in problems.list {
            match problem.code {
                "missing_template" | "missing_config_map" => {}
                "unsupported" | "unknown_field" => {
                    if !self.refused.contains_key(&(problem.line, problem.column)) {
                        self.value(&problem);
                    }
                }
                _ => others.push(problem),
            }
        }
        Problems { list: others, omitted: problems.omitted }
    }

    fn value(&mut self, problem: &Problem) {
        let at = Place { line: problem.line, column: problem.column };
        let name = problem.pointer.rsplit('/').find(|token| token.parse::<u32>().is_err());
        let name = name.unwrap_or("").to_owned();
        self.count(at, &problem.pointer, (&name, Level::Unsupported, &problem.message));
    }
}
