//! Collects problems while a document is compiled and gives them their places at the end.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use flowforge_model::limits::REPORTED_ERRORS;

use crate::located::{Document, Entry, Node, Place, Value, push_token};
use crate::problem::{Problem, Problems};
use crate::suggest;

/// Where a problem is: the node its pointer names, and the place to show.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spot<'a> {
    node: &'a Node,
    place: Place,
}

impl<'a> From<&'a Node> for Spot<'a> {
    fn from(node: &'a Node) -> Self {
        Self { node, place: node.place }
    }
}

/// The key, not its value.
impl<'a> From<&'a Entry> for Spot<'a> {
    fn from(entry: &'a Entry) -> Self {
        Self { node: &entry.node, place: entry.place }
    }
}

#[derive(Debug)]
struct Item<'a> {
    spot: Spot<'a>,
    problem: Problem,
}

#[derive(Debug, Default)]
struct List<'a> {
    items: Vec<Item<'a>>,
    omitted: usize,
}

/// Everything found so far. Shared by all readers of one document.
#[derive(Debug)]
pub(crate) struct Report<'a> {
    documents: &'a [Document],
    errors: RefCell<List<'a>>,
    warnings: RefCell<List<'a>>,
    /// Names that may still be compared to find a "did you mean".
    comparisons: Cell<usize>,
}

impl<'a> Report<'a> {
    pub(crate) fn new(documents: &'a [Document]) -> Self {
        Self {
            documents,
            errors: RefCell::default(),
            warnings: RefCell::default(),
            comparisons: Cell::new(5_000),
        }
    }

    /// Records an error. An empty hint is none.
    pub(crate) fn error(
        &self,
        code: &'static str,
        spot: impl Into<Spot<'a>>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let item = item(code, spot.into(), message.into(), hint.into());
        self.errors.borrow_mut().push(item);
    }

    /// Counts an error behind those that will be shown.
    pub(crate) fn omit(&self) {
        let mut errors = self.errors.borrow_mut();
        errors.omitted = errors.omitted.saturating_add(1);
    }

    /// Records something that is accepted but deserves a look.
    pub(crate) fn warning(
        &self,
        code: &'static str,
        spot: impl Into<Spot<'a>>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let item = item(code, spot.into(), message.into(), hint.into());
        self.warnings.borrow_mut().push(item);
    }

    /// "did you mean x?" for the known name nearest to `name`, or nothing. Bounded over the whole
    /// document, so that a wrong document of many names stays cheap to refuse.
    pub(crate) fn did_you_mean<'n>(
        &self,
        name: &str,
        known: impl Iterator<Item = &'n str>,
    ) -> String {
        let mut left = self.comparisons.get();
        let counted = known.take_while(|_| {
            let go_on = left > 0;
            left = left.saturating_sub(1);
            go_on
        });
        let nearest = suggest::nearest(name, counted);
        self.comparisons.set(left);
        nearest.map_or(String::new(), |nearest| format!("did you mean {nearest}?"))
    }

    pub(crate) fn has_errors(&self) -> bool {
        !self.errors.borrow().items.is_empty()
    }

    /// All errors in order of their places, after `faults`, which have theirs already.
    pub(crate) fn errors(&self, faults: Vec<Problem>) -> Problems {
        let mut list = self.errors.borrow_mut();
        list.shorten();
        let mut problems = faults;
        problems.extend(self.placed(&mut list.items));
        problems.sort_by_key(|p| (p.line, p.column));
        let more = problems.len().saturating_sub(REPORTED_ERRORS);
        problems.truncate(REPORTED_ERRORS);
        Problems { list: problems, omitted: list.omitted.saturating_add(more) }
    }

    /// The first warnings in order of their places.
    pub(crate) fn warnings(&self) -> Vec<Problem> {
        let mut list = self.warnings.borrow_mut();
        list.shorten();
        self.placed(&mut list.items)
    }

    /// Fills in the pointers with one walk over the trees; their depth is bounded. Nodes are known
    /// by their places, for copies of them may have been merged.
    fn placed(&self, items: &mut Vec<Item<'a>>) -> Vec<Problem> {
        let mut wanted: BTreeMap<Identity, Vec<usize>> = BTreeMap::new();
        for (at, item) in items.iter().enumerate() {
            wanted.entry(identity(item.spot.node)).or_default().push(at);
        }
        for document in self.documents {
            if wanted.is_empty() {
                break;
            }
            let mut path = document.prefix.clone();
            walk(&document.root, &mut path, &mut |node, pointer| {
                for at in wanted.remove(&identity(node)).unwrap_or_default() {
                    if let Some(item) = items.get_mut(at) {
                        pointer.clone_into(&mut item.problem.pointer);
                    }
                }
                !wanted.is_empty()
            });
        }
        items.drain(..).map(|item| item.problem).collect()
    }
}

/// What tells a node from all others: a list or an empty value may stand where something else
/// begins.
type Identity = (Place, u8);

fn identity(node: &Node) -> Identity {
    let shape = match &node.value {
        Value::Plain(_) if node.is_null() => 0,
        Value::Plain(_) | Value::Quoted(_) => 1,
        Value::List(_) => 2,
        Value::Map(_) => 3,
    };
    (node.place, shape)
}

fn item<'a>(code: &'static str, spot: Spot<'a>, message: String, hint: String) -> Item<'a> {
    let problem = Problem {
        code,
        pointer: String::new(),
        line: spot.place.line,
        column: spot.place.column,
        message,
        hint: (!hint.is_empty()).then_some(hint),
    };
    Item { spot, problem }
}

impl<'a> List<'a> {
    fn push(&mut self, item: Item<'a>) {
        self.items.push(item);
        if self.items.len() >= REPORTED_ERRORS.saturating_mul(8) {
            self.shorten();
        }
    }

    /// Keeps the first by place, each once: what all templates share is read for each of them.
    fn shorten(&mut self) {
        self.items.sort_by_key(|item| item.spot.place);
        self.items.dedup_by(|a, b| a.spot.place == b.spot.place && a.problem == b.problem);
        let more = self.items.len().saturating_sub(REPORTED_ERRORS);
        self.items.truncate(REPORTED_ERRORS);
        self.omitted = self.omitted.saturating_add(more);
    }
}

/// Visits nodes in order of the document until `visit` says stop.
fn walk(node: &Node, path: &mut String, visit: &mut dyn FnMut(&Node, &str) -> bool) -> bool {
    if !visit(node, path) {
        return false;
    }
    let length = path.len();
    let mut step = |token: &str, child: &Node| {
        push_token(path, token);
        let go_on = walk(child, path, visit);
        path.truncate(length);
        go_on
    };
    match &node.value {
        Value::Plain(_) | Value::Quoted(_) => true,
        Value::List(items) => {
            items.iter().enumerate().all(|(at, item)| step(&at.to_string(), item))
        }
        Value::Map(entries) => entries.iter().all(|entry| step(&entry.key, &entry.node)),
    }
}
