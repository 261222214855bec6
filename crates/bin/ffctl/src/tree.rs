//! A workflow's tasks as a tree, kept up to date by its events.

pub(crate) mod layout;

use std::collections::BTreeMap;

use flowforge_model::limits::NODES_PER_WORKFLOW;
use flowforge_model::status::{TaskStatus, WorkflowStatus};
use flowforge_wire::{Event, Workflow};

/// A status word that costs nothing to keep; words we do not know are kept too.
pub(crate) type Status = std::borrow::Cow<'static, str>;

/// One node of the tree.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Node {
    /// What it adds to the name of its parent.
    pub(crate) label: String,
    pub(crate) status: Status,
    pub(crate) note: Option<String>,
    pub(crate) attempt: u32,
    /// Milliseconds since the epoch.
    pub(crate) started: Option<i64>,
    pub(crate) finished: Option<i64>,
    /// By number.
    pub(crate) children: Vec<u32>,
    parent: Option<u32>,
}

/// Leaves counted by status.
pub(crate) type Counts = BTreeMap<Status, usize>;

/// The tree and its workflow.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tree {
    pub(crate) name: String,
    pub(crate) workflow: Node,
    /// By number; holes are nodes not heard of yet.
    nodes: Vec<Option<Node>>,
    /// Nodes without parent, the root first.
    pub(crate) tops: Vec<u32>,
    by_name: BTreeMap<String, u32>,
}

impl Tree {
    pub(crate) fn new(workflow: &Workflow) -> Self {
        let mut tree = Self::default();
        tree.name.clone_from(&workflow.name);
        tree.header(workflow);
        tree
    }

    /// Takes over what the workflow itself says.
    pub(crate) fn header(&mut self, workflow: &Workflow) {
        self.workflow.status = word(&workflow.status);
        self.workflow.note = note(workflow.reason.as_deref(), workflow.message.as_deref());
        self.workflow.started = workflow.started_at.map(|at| at.0.0);
        self.workflow.finished = workflow.finished_at.map(|at| at.0.0);
    }

    pub(crate) fn node(&self, ix: u32) -> Option<&Node> {
        self.nodes.get(usize::try_from(ix).ok()?)?.as_ref()
    }

    /// Takes over an event. Events may be given again.
    pub(crate) fn apply(&mut self, event: &Event) {
        match (event.node, &event.task) {
            (Some(ix), Some(name)) => {
                let Some(node) = self.reach(ix, name) else {
                    return;
                };
                update(node, event);
                node.attempt = event.attempt.unwrap_or(0);
            }
            _ if event.r#type == "workflow" => update(&mut self.workflow, event),
            _ => {}
        }
    }

    /// The node with this number, made if it is new.
    fn reach(&mut self, ix: u32, name: &str) -> Option<&mut Node> {
        if ix > NODES_PER_WORKFLOW {
            return None;
        }
        let index = usize::try_from(ix).ok()?;
        if self.nodes.len() <= index {
            self.nodes.resize(index + 1, None);
        }
        if self.nodes.get(index)?.is_none() {
            self.plant(ix, index, name);
        }
        self.nodes.get_mut(index)?.as_mut()
    }

    fn plant(&mut self, ix: u32, index: usize, name: &str) {
        let parent = self.parent_of(ix, name);
        let node = Node {
            label: rest(name, parent.map_or(0, |(_, length)| length)),
            parent: parent.map(|(parent, _)| parent),
            status: word("PENDING"),
            ..Node::default()
        };
        if let Some(place) = self.nodes.get_mut(index) {
            *place = Some(node);
        }
        self.by_name.insert(name.to_owned(), ix);
        insert(self.siblings(parent.map(|(parent, _)| parent)), ix);
        // Events of one commit may name a task before the group around it.
        let mut early: Vec<(u32, String)> = Vec::new();
        for inside in [format!("{name}."), format!("{name}(")] {
            let others = self.by_name.range(inside.clone()..);
            for (other, &child) in others.take_while(|(other, _)| other.starts_with(&inside)) {
                let mine = self.parent_of(child, other).is_some_and(|(found, _)| found == ix);
                let known = self.node(child).is_some_and(|node| node.parent == Some(ix));
                if mine && !known {
                    early.push((child, rest(other, name.len())));
                }
            }
        }
        for (child, label) in early {
            self.adopt(ix, child, label);
        }
    }

    fn adopt(&mut self, parent: u32, child: u32, label: String) {
        let Some(node) = self.slot(child) else {
            return;
        };
        node.label = label;
        let before = node.parent.replace(parent);
        self.siblings(before).retain(|one| *one != child);
        insert(self.siblings(Some(parent)), child);
    }

    fn siblings(&mut self, parent: Option<u32>) -> &mut Vec<u32> {
        let index = parent.and_then(|ix| usize::try_from(ix).ok());
        match index.and_then(|index| self.nodes.get_mut(index)) {
            Some(Some(node)) => &mut node.children,
            _ => &mut self.tops,
        }
    }

    /// The node with the longest name that this one continues, and the length of that name. Items
    /// of loops may hold dots and brackets, so names cannot be split without knowing the others.
    fn parent_of(&self, ix: u32, name: &str) -> Option<(u32, usize)> {
        // The root is nobody's child, and neither are exit handlers.
        if ix == 0 {
            return None;
        }
        let ends = name.char_indices().rev().filter(|(_, c)| matches!(c, '.' | '('));
        let root = (!name.starts_with("onExit-")).then_some(0);
        ends.map(|(at, _)| at)
            .chain(root)
            .find_map(|at| Some((*self.by_name.get(name.get(..at)?)?, at)))
    }

    fn slot(&mut self, ix: u32) -> Option<&mut Node> {
        self.nodes.get_mut(usize::try_from(ix).ok()?)?.as_mut()
    }

    /// Leaves below a node, itself if it has no children.
    pub(crate) fn count(&self, ix: u32, counts: &mut Counts) {
        let Some(node) = self.node(ix) else {
            return;
        };
        if node.children.is_empty() {
            *counts.entry(node.status.clone()).or_default() += 1;
        }
        for &child in &node.children {
            self.count(child, counts);
        }
    }

    /// All leaves.
    pub(crate) fn totals(&self) -> Counts {
        let mut counts = Counts::new();
        for &top in &self.tops {
            self.count(top, &mut counts);
        }
        counts
    }
}

/// What a name adds to its first `length` bytes.
fn rest(name: &str, length: usize) -> String {
    let rest = name.get(length..).unwrap_or(name);
    rest.strip_prefix('.').unwrap_or(rest).to_owned()
}

/// Puts a number into its place among others.
fn insert(numbers: &mut Vec<u32>, number: u32) {
    if let Err(at) = numbers.binary_search(&number) {
        numbers.insert(at, number);
    }
}

fn update(node: &mut Node, event: &Event) {
    let at = event.at.0.0;
    let was_final = is_final(&node.status);
    node.status = word(&event.status);
    node.note = note(event.reason.as_deref(), event.message.as_deref());
    if is_final(&node.status) {
        node.finished.get_or_insert(at);
    } else {
        node.finished = None;
        if was_final {
            node.started = None;
        }
    }
    if &*node.status == "RUNNING" {
        node.started.get_or_insert(at);
    }
}

/// Nothing more will happen.
pub(crate) fn is_final(status: &str) -> bool {
    TaskStatus::parse(status).is_some_and(TaskStatus::terminal)
}

fn word(status: &str) -> Status {
    if let Some(status) = TaskStatus::parse(status) {
        Status::Borrowed(status.as_str())
    } else if let Some(status) = WorkflowStatus::parse(status) {
        Status::Borrowed(status.as_str())
    } else {
        Status::Owned(status.to_owned())
    }
}

/// Why something stands where it stands, in one line: the text for people, else the code.
pub(crate) fn note(reason: Option<&str>, message: Option<&str>) -> Option<String> {
    message.filter(|text| !text.is_empty()).or(reason).map(str::to_owned)
}
