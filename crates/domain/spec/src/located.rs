//! A document as a tree of scalars, lists and maps that know where they stand.
//!
//! Scalars keep the text they were written with: what `no`, `010` or `1:30` mean is decided by
//! the field they stand in. The tree is built iteratively within budgets of bytes, depth and
//! nodes, so no input is expensive to refuse.

use flowforge_model::limits::{
    BODY_BYTES, DOCUMENT_DEPTH, DOCUMENT_KEYS, DOCUMENT_VALUES, DOCUMENT_VALUES_ASIDE,
    REPORTED_ERRORS,
};

use crate::problem::Problem;
use crate::{json, yaml};

/// Keys at the top of a document that the bulk of it may stand under.
const BULK: [&str; 3] = ["templates", "spec", "workflow"];

/// Line and column (in characters), both from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) line: u32,
    pub(crate) column: u32,
}

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) place: Place,
    pub(crate) value: Value,
}

#[derive(Debug)]
pub(crate) enum Value {
    /// Written without quotes: a number, a bool, null, or a string in YAML.
    Plain(Box<str>),
    /// Written with quotes or as a block: certainly a string.
    Quoted(Box<str>),
    List(Box<[Node]>),
    Map(Box<[Entry]>),
}

#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) place: Place,
    pub(crate) key: Box<str>,
    pub(crate) node: Node,
}

/// A tree and what is wrong with its shape.
#[derive(Debug)]
pub(crate) struct Located {
    pub(crate) root: Node,
    pub(crate) faults: Vec<Problem>,
}

/// Reads a document: JSON if it begins like a JSON object or list, YAML otherwise.
///
/// # Errors
/// The problem that keeps the text from being a tree.
pub(crate) fn read(source: &str) -> Result<Located, Problem> {
    let start = Place { line: 1, column: 1 };
    if source.len() > BODY_BYTES {
        let message =
            format!("the document has {} bytes; at most {BODY_BYTES} are read", source.len());
        let hint = "tasks that differ only in values are one task with withItems or withParam";
        return Err(fault("too_large", start, message, hint));
    }
    let source = source.strip_prefix('\u{feff}').unwrap_or(source);
    if let Some(at) = source.find('\0') {
        let before = source.get(..at).unwrap_or("");
        let line = before.matches('\n').count();
        let column = before.rsplit('\n').next().unwrap_or("").chars().count();
        let hint = "remove the character";
        let message = "the document holds a NUL character".to_owned();
        return Err(fault("nul", place(line, column), message, hint));
    }
    let mut content = source.trim_start().chars();
    let first = content.next();
    let second = content.as_str().trim_start().chars().next();
    match (first, second) {
        (None, _) => {
            let hint = "a document begins with `version: \"1.0\"`";
            Err(fault("empty_document", start, "the document is empty".to_owned(), hint))
        }
        // `{name: x}` is YAML's flow form, `{"name": "x"}` and anything broken like it is JSON.
        (Some('{'), Some('"' | '}') | None) | (Some('['), _) => json::read(source),
        _ => yaml::read(source),
    }
}

/// A place from a line and column counted from 0.
pub(crate) fn place(line: usize, column: usize) -> Place {
    let count = |n: usize| u32::try_from(n.saturating_add(1)).unwrap_or(u32::MAX);
    Place { line: count(line), column: count(column) }
}

/// A problem at the root's pointer.
pub(crate) fn fault(code: &'static str, at: Place, message: String, hint: &str) -> Problem {
    Problem {
        code,
        pointer: String::new(),
        line: at.line,
        column: at.column,
        message,
        hint: (!hint.is_empty()).then(|| hint.to_owned()),
    }
}

/// Builds a tree from the events of a reader.
#[derive(Debug, Default)]
pub(crate) struct Builder {
    open: Vec<Open>,
    nodes: usize,
    /// Those of `nodes` that are not under a key of [`BULK`].
    aside: usize,
    root: Option<Node>,
    faults: Vec<Problem>,
}

#[derive(Debug)]
enum Open {
    List(Place, Vec<Node>),
    /// With the key whose value comes next.
    Map(Place, Vec<Entry>, Option<(Place, Box<str>)>),
}

impl Builder {
    /// A scalar; in a map every other one is a key.
    pub(crate) fn scalar(&mut self, at: Place, text: &str, quoted: bool) -> Result<(), Problem> {
        if text.contains('\0') {
            let hint = "remove the character";
            return Err(self.fault("nul", at, "the string holds a NUL character", hint));
        }
        if let Some(Open::Map(_, entries, key @ None)) = self.open.last_mut() {
            if text == "<<" && !quoted {
                let hint = "write the fields out";
                return Err(self.fault("merge_key", at, "merge keys (<<) are not read", hint));
            }
            if entries.len() >= DOCUMENT_KEYS {
                let message = format!("the map has more than {DOCUMENT_KEYS} keys");
                return Err(self.fault("too_large", at, message, ""));
            }
            *key = Some((at, text.into()));
            return Ok(());
        }
        let value = if quoted { Value::Quoted(text.into()) } else { Value::Plain(text.into()) };
        self.add(Node { place: at, value })
    }

    pub(crate) fn open_list(&mut self, at: Place) -> Result<(), Problem> {
        if self.at_top() {
            let message = "expected the workflow (a map), found a list";
            return Err(self.fault("wrong_type", at, message, ""));
        }
        self.nest(at, Open::List(at, Vec::new()))
    }

    pub(crate) fn open_map(&mut self, at: Place) -> Result<(), Problem> {
        self.nest(at, Open::Map(at, Vec::new(), None))
    }

    /// Ends the innermost list or map.
    pub(crate) fn close(&mut self) -> Result<(), Problem> {
        let node = match self.open.pop() {
            None => return Ok(()),
            Some(Open::List(place, items)) => Node { place, value: Value::List(items.into()) },
            Some(Open::Map(place, entries, _)) => {
                self.find_duplicates(&entries);
                Node { place, value: Value::Map(entries.into()) }
            }
        };
        self.add(node)
    }

    /// Whether a map waits for its next key.
    pub(crate) fn wants_key(&self) -> bool {
        matches!(self.open.last(), Some(Open::Map(_, _, None)))
    }

    /// Whether the innermost container is a list.
    pub(crate) fn in_list(&self) -> bool {
        matches!(self.open.last(), Some(Open::List(..)))
    }

    /// Whether nothing is open.
    pub(crate) fn at_top(&self) -> bool {
        self.open.is_empty()
    }

    /// The tree, if there is one.
    pub(crate) fn finish(self) -> Option<Located> {
        let faults = self.faults;
        self.root.map(|root| Located { root, faults })
    }

    /// A problem at the place that is being read.
    pub(crate) fn fault(
        &self,
        code: &'static str,
        at: Place,
        message: impl Into<String>,
        hint: &str,
    ) -> Problem {
        let mut problem = fault(code, at, message.into(), hint);
        problem.pointer = self.pointer();
        problem
    }

    fn nest(&mut self, at: Place, open: Open) -> Result<(), Problem> {
        if self.wants_key() {
            let hint = "write the key as a plain string";
            return Err(self.fault("bad_key", at, "a key must be a string", hint));
        }
        if self.open.len() >= DOCUMENT_DEPTH {
            let message = format!("nested deeper than {DOCUMENT_DEPTH} levels");
            return Err(self.fault("too_deep", at, message, ""));
        }
        self.open.push(open);
        Ok(())
    }

    fn add(&mut self, node: Node) -> Result<(), Problem> {
        self.nodes = self.nodes.saturating_add(1);
        if self.nodes > DOCUMENT_VALUES {
            let message = format!("the document has more than {DOCUMENT_VALUES} values");
            return Err(self.fault("too_large", node.place, message, ""));
        }
        if !self.in_bulk() {
            self.aside = self.aside.saturating_add(1);
            if self.aside > DOCUMENT_VALUES_ASIDE {
                let message = format!("more than {DOCUMENT_VALUES_ASIDE} values outside templates");
                return Err(self.fault("too_large", node.place, message, ""));
            }
        }
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Open::List(_, items)) => items.push(node),
            Some(Open::Map(_, entries, key)) => {
                if let Some((place, key)) = key.take() {
                    entries.push(Entry { place, key, node });
                }
            }
        }
        Ok(())
    }

    /// Whether what is being read stands under a key of [`BULK`].
    fn in_bulk(&self) -> bool {
        match self.open.first() {
            Some(Open::Map(_, _, Some((_, key)))) => BULK.contains(&&**key),
            Some(Open::Map(_, _, None) | Open::List(..)) | None => false,
        }
    }

    /// Collects keys that occur twice; the later one is the problem.
    fn find_duplicates(&mut self, entries: &[Entry]) {
        if entries.len() < 2 {
            return;
        }
        let mut sorted: Vec<&Entry> = entries.iter().collect();
        // Stable: equal keys stay in the order of the document.
        sorted.sort_by(|a, b| a.key.cmp(&b.key));
        for pair in sorted.windows(2) {
            let [first, second] = pair else { continue };
            if first.key == second.key && self.faults.len() < REPORTED_ERRORS {
                let message = format!(
                    "the key {} is given twice, first in line {}",
                    quote(&second.key),
                    first.place.line
                );
                let mut problem =
                    self.fault("duplicate_key", second.place, message, "keep one of them");
                push_token(&mut problem.pointer, &second.key);
                self.faults.push(problem);
            }
        }
    }

    fn pointer(&self) -> String {
        let mut out = String::new();
        for open in &self.open {
            match open {
                Open::List(_, items) => push_token(&mut out, &items.len().to_string()),
                Open::Map(_, _, Some((_, key))) => push_token(&mut out, key),
                Open::Map(_, _, None) => {}
            }
        }
        out
    }
}

/// Appends `/token`, escaped as RFC 6901 wants it.
pub(crate) fn push_token(pointer: &mut String, token: &str) {
    pointer.push('/');
    for c in token.chars() {
        match c {
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            c => pointer.push(c),
        }
    }
}

/// A text of the document for a message: in quotes, escaped, at most 64 characters.
pub(crate) fn quote(text: &str) -> String {
    let mut out = String::from("'");
    for c in text.chars().take(64) {
        if c.is_control() {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    if text.chars().nth(64).is_some() {
        out.push('…');
    }
    out.push('\'');
    out
}
