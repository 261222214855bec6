//! A document as a tree of scalars, lists and maps that know where they stand.
//!
//! Scalars keep the text they were written with: what `no`, `010` or `1:30` mean is decided by
//! the field they stand in. The tree is built iteratively within budgets of bytes, depth and
//! nodes, so no input is expensive to refuse.

use flowforge_model::limits::{
    BODY_BYTES, DOCUMENT_DEPTH, DOCUMENT_KEYS, DOCUMENT_VALUES, DOCUMENT_VALUES_ASIDE, DOCUMENTS,
    REPORTED_ERRORS,
};

use crate::problem::Problem;
use crate::yaml_indent::{self, Shifts};
use crate::{json, typing, yaml};

/// Keys at the top of a document that the bulk of it may stand under.
const BULK: [&str; 4] = ["templates", "spec", "workflow", "items"];

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

/// The trees of a text and what is wrong with their shape.
#[derive(Debug)]
pub(crate) struct Located {
    /// In the order of the text; at least one.
    pub(crate) documents: Vec<Document>,
    pub(crate) faults: Vec<Problem>,
}

/// One of the documents of a text.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) root: Node,
    /// Before all its pointers: where it stands, if that is inside of a `List`.
    pub(crate) prefix: String,
}

/// Reads a text of documents that lines `---` part. A document that begins like a JSON object is
/// read as JSON, anything else as YAML. Places count lines of the whole text.
///
/// # Errors
/// The problem that keeps the text from being trees.
pub(crate) fn read(source: &str) -> Result<Located, Problem> {
    let mut located = read_as_written(source, Root::Map)?;
    typing::normalise(&mut located.documents);
    Ok(located)
}

/// What a document may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Root {
    #[default]
    Map,
    MapOrList,
}

/// The same with every scalar as it was written, whatever field it stands in.
pub(crate) fn read_as_written(source: &str, root: Root) -> Result<Located, Problem> {
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
    if source.trim_start().is_empty() {
        return Err(empty());
    }
    read_trees(source, root)
}

/// Reads a text, put right if it is indented as only Argo's parser allows.
fn read_trees(source: &str, root: Root) -> Result<Located, Problem> {
    match read_documents(source, &Shifts::default(), root) {
        Err(problem) if problem.message.contains(yaml_indent::TOO_LITTLE) => {
            match yaml_indent::repair(source) {
                Some((text, shifts)) => read_documents(&text, &shifts, root),
                None => Err(problem),
            }
        }
        read => read,
    }
}

/// Reads a text in which blanks were put at the beginning of lines.
fn read_documents(source: &str, shifts: &Shifts, root: Root) -> Result<Located, Problem> {
    let mut builder = Builder { may_be: root, ..Builder::default() };
    let parts = parts(source);
    if parts.iter().any(|(_, part)| is_json(part)) {
        for (line, part) in parts {
            if is_json(part) {
                json::read(part, line, &mut builder)?;
            } else {
                yaml::read(part, line, shifts, &mut builder)?;
            }
        }
    } else {
        yaml::read(source, 0, shifts, &mut builder)?;
    }
    builder.finish().ok_or_else(empty)
}

fn empty() -> Problem {
    let hint = "a document begins with `version: \"1.0\"`";
    let start = Place { line: 1, column: 1 };
    fault("empty_document", start, "the document is empty".to_owned(), hint)
}

/// `{name: x}` is YAML's flow form, `{"name": "x"}` and anything broken like it is JSON.
fn is_json(part: &str) -> bool {
    let mut content = part.trim_start().chars();
    let first = content.next();
    let second = content.as_str().trim_start().chars().next();
    matches!((first, second), (Some('{'), Some('"' | '}') | None) | (Some('['), _))
}

/// The documents of a text with the line (from 0) each begins in. `---` at the beginning of a line
/// parts documents wherever it stands, as YAML has it.
pub(crate) fn parts(source: &str) -> Vec<(usize, &str)> {
    if !(source.starts_with("---") || source.contains("\n---")) {
        return vec![(0, source)];
    }
    let mut out = Vec::new();
    let (mut begin, mut begin_line, mut at) = (0_usize, 0_usize, 0_usize);
    for (line, text) in source.split_inclusive('\n').enumerate() {
        let marker = text.strip_prefix("---").is_some_and(|rest| {
            let blank = |c: char| c.is_ascii_whitespace();
            rest.is_empty() || rest.starts_with(blank)
        });
        // YAML wants its directives before the first marker in one piece with it.
        let before = source.get(begin..at).unwrap_or("");
        if marker && !before.starts_with('%') {
            out.push((begin_line, before));
            begin = at.saturating_add("---".len());
            begin_line = line;
        }
        at = at.saturating_add(text.len());
    }
    out.push((begin_line, source.get(begin..).unwrap_or("")));
    out
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
    may_be: Root,
    open: Vec<Open>,
    nodes: usize,
    /// Those of `nodes` that are not under a key of [`BULK`].
    aside: usize,
    root: Option<Node>,
    documents: Vec<Document>,
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
        if self.at_top() && self.may_be == Root::Map {
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

    /// Ends a document; one without anything in it is none. A `List` is the documents in it.
    pub(crate) fn end_document(&mut self) -> Result<(), Problem> {
        let Some(root) = self.root.take().filter(|root| !root.is_null()) else {
            return Ok(());
        };
        let place = root.place;
        match list_items(root) {
            Ok(items) => {
                for (at, root) in items.into_vec().into_iter().enumerate() {
                    self.documents.push(Document { root, prefix: format!("/items/{at}") });
                }
            }
            Err(root) => self.documents.push(Document { root, prefix: String::new() }),
        }
        if self.documents.len() > DOCUMENTS {
            let message = format!("the text holds more than {DOCUMENTS} documents");
            return Err(fault("too_large", place, message, "hand in fewer at a time"));
        }
        Ok(())
    }

    /// The trees, if there are any.
    fn finish(self) -> Option<Located> {
        let Self { documents, faults, .. } = self;
        (!documents.is_empty()).then_some(Located { documents, faults })
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

/// The items of a `List` of Kubernetes, or the tree as it was.
fn list_items(root: Node) -> Result<Box<[Node]>, Node> {
    let listed = root.field("kind").and_then(Node::text) == Some("List")
        && matches!(root.field("items").map(|node| &node.value), Some(Value::List(_)));
    match root.value {
        Value::Map(entries) if listed => {
            let items = entries.into_vec().into_iter().find_map(|entry| match entry.node.value {
                Value::List(items) if &*entry.key == "items" => Some(items),
                Value::List(_) | Value::Map(_) | Value::Plain(_) | Value::Quoted(_) => None,
            });
            Ok(items.unwrap_or_default())
        }
        value @ (Value::Map(_) | Value::List(_) | Value::Plain(_) | Value::Quoted(_)) => {
            Err(Node { place: root.place, value })
        }
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
