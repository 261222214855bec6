//! `dag`: tasks, what they wait for, and the order that follows.

use std::cell::RefCell;

use flowforge_expr::ConditionError;
use flowforge_model::limits::{EDGES_PER_WORKFLOW, NODES_PER_WORKFLOW};
use flowforge_model::plan::{Dag, Dependency, DependencyKind, Needs, Rows, TemplateIx};

use crate::grammar;
use crate::graph;
use crate::located::{Node, Value, quote};
use crate::names::Dialect;
use crate::outline::Doc;
use crate::references::{Names, Siblings};
use crate::task::is_loop;

/// A text of one task that names another which is not its direct dependency.
struct Indirect<'a> {
    slot: u32,
    target: u32,
    node: &'a Node,
}

impl<'a> Doc<'a> {
    /// Compiles a dag and fills `siblings` with its tasks.
    pub(crate) fn dag(
        &self,
        (ix, tried): (TemplateIx, bool),
        node: &'a Node,
        siblings: &mut Siblings<'a>,
    ) -> Option<Dag> {
        if !self.report.fields(node, &grammar::DAG) {
            return None;
        }
        let list = self.report.required(node, &grammar::DAG, "tasks")?;
        let items = self.report.list(list, "tasks")?;
        if items.is_empty() || items.len() > NODES_PER_WORKFLOW as usize {
            let (code, message) = if items.is_empty() {
                ("empty", "the dag has no tasks".to_owned())
            } else {
                ("limit", format!("a workflow has at most {NODES_PER_WORKFLOW} tasks"))
            };
            self.report.error(code, list, message, "");
            return None;
        }
        siblings.scope = self.scope(ix);
        // Slots count the tasks that are maps with a name; the others are reported.
        let nodes = self.siblings(items, &grammar::TASK, siblings);
        self.check_digits(&nodes, siblings);
        let (needs, complete) = self.all_needs(&nodes, siblings);
        let edges = graph::Edges::of(&needs);
        let order = match graph::order(&edges) {
            Ok(order) => Some(order),
            Err(cycle) => {
                self.report_cycle(&cycle, &nodes, siblings);
                None
            }
        };
        let indirect = RefCell::new(Vec::new());
        let mut tasks = Vec::with_capacity(nodes.len());
        for (((slot, node), needs), complete) in (0..).zip(&nodes).zip(needs).zip(complete) {
            let reachable = |target: u32, node: &'a Node, _: &str| {
                if complete && !edges.direct(slot, target) {
                    indirect.borrow_mut().push(Indirect { slot, target, node });
                }
            };
            let names = Names {
                template: Some(ix),
                siblings: Some((siblings, &reachable)),
                item: false,
                leaf: false,
                tried,
            };
            let name = siblings.names.get(slot as usize).copied().unwrap_or("");
            let template = siblings.templates.get(slot as usize).copied().flatten();
            if let Some(mut task) = self.task(node, name, template, &names) {
                task.needs = needs;
                tasks.push(task);
            }
        }
        let targets = self.targets(node, siblings, &edges);
        let order = order?;
        self.check_indirect(&indirect.into_inner(), &edges, &order, siblings);
        (tasks.len() == items.len()).then(|| Dag {
            dependents: Rows::from_pairs(tasks.len(), &edges.reversed()),
            tasks,
            targets,
            order,
            fail_fast: self.fail_fast(node, self.dialect == Dialect::Argo),
        })
    }

    /// Names, templates and loops of tasks or steps. Gives the nodes that got a slot.
    pub(crate) fn siblings(
        &self,
        items: &'a [Node],
        kind: &grammar::Kind,
        siblings: &mut Siblings<'a>,
    ) -> Vec<&'a Node> {
        let mut nodes = Vec::with_capacity(items.len());
        for item in items {
            if !self.report.fields(item, kind) {
                continue;
            }
            let Some(at) = self.report.required(item, kind, "name") else {
                continue;
            };
            let Some(name) = self.report.string(at) else {
                continue;
            };
            self.dialect.check_name(self.report, at, name, kind.name);
            let slot = u32::try_from(siblings.names.len()).unwrap_or(u32::MAX);
            if siblings.by_name.insert(name, slot).is_some() {
                let message = format!("the name {} is given twice in this template", quote(name));
                self.report.error("duplicate_name", at, message, "rename one of them");
            }
            let template = self.callee(siblings.scope, item, kind);
            siblings.names.push(name);
            siblings.templates.push(template);
            siblings.loops.push(is_loop(item));
            nodes.push(item);
        }
        nodes
    }

    /// `depends` reads what begins with a digit as a number, in Argo.
    fn check_digits(&self, nodes: &[&'a Node], siblings: &Siblings<'a>) {
        if self.dialect == Dialect::Native || nodes.iter().all(|n| n.field("depends").is_none()) {
            return;
        }
        for (node, name) in nodes.iter().zip(&siblings.names) {
            if name.starts_with(|c: char| c.is_ascii_digit()) {
                let message =
                    format!("{} begins with a digit, beside tasks with depends", quote(name));
                let hint = "begin the name with a letter";
                self.report.error("bad_name", node.field("name").unwrap_or(node), message, hint);
            }
        }
    }

    /// What each task waits for, and whether all of it was understood: with a broken dependency
    /// there is no telling what the task was to wait for.
    fn all_needs(&self, nodes: &[&'a Node], siblings: &Siblings<'a>) -> (Vec<Needs>, Vec<bool>) {
        let mut left = EDGES_PER_WORKFLOW;
        let mut out = Vec::with_capacity(nodes.len());
        let mut complete = Vec::with_capacity(nodes.len());
        for (slot, node) in (0..).zip(nodes) {
            let needs = self.needs(slot, node, siblings);
            complete.push(needs.is_some());
            let needs = needs.unwrap_or(Needs::All(Box::default()));
            let count = needs.slots().count();
            if count > left {
                let message = format!("more than {EDGES_PER_WORKFLOW} dependencies");
                let hint = "join through a task in between: n to m costs n + m edges then";
                self.report.error("limit", *node, message, hint);
                out.resize_with(nodes.len(), || Needs::All(Box::default()));
                complete.resize(nodes.len(), false);
                break;
            }
            left -= count;
            out.push(needs);
        }
        (out, complete)
    }

    /// What one task waits for; `None` if something of it was reported.
    fn needs(&self, slot: u32, node: &'a Node, siblings: &Siblings<'a>) -> Option<Needs> {
        let Some(depends) = node.field("depends") else {
            return self.dependencies(slot, node, siblings).map(Needs::All);
        };
        for key in ["dependencies", "continueOn"] {
            if let Some(other) = node.field(key) {
                let message = format!("a task with depends has no {key}");
                let hint = "say it in depends: a.Succeeded, a.Failed, a.Errored, ...";
                self.report.error("conflict", other, message, hint);
            }
        }
        let source = self.report.string(depends)?;
        let slots = RefCell::new(Vec::new());
        let lookup = |name: &str| {
            let found = siblings.by_name.get(name).copied()?;
            slots.borrow_mut().push(found);
            Some(found)
        };
        let condition = match flowforge_expr::condition(source, &lookup) {
            Ok(condition) => condition,
            Err(cause) => {
                let (code, hint) = if let ConditionError::UnknownTask(name) = &cause {
                    let names = siblings.names.iter().copied();
                    ("unknown_task", self.report.did_you_mean(name, names))
                } else {
                    let hint = "write it like a && (b.Failed || !c)";
                    ("bad_condition", hint.to_owned())
                };
                let message = format!("depends {}: {cause}", quote(source));
                self.report.error(code, depends, message, hint);
                return None;
            }
        };
        let mut slots = slots.into_inner();
        slots.sort_unstable();
        slots.dedup();
        if slots.contains(&slot) {
            self.report_self(depends);
            return None;
        }
        Some(Needs::Depends { slots: slots.into(), condition: Box::new(condition) })
    }

    fn report_self(&self, node: &'a Node) {
        let message = "the task depends on itself";
        self.report.error("cycle", node, message, "remove the dependency");
    }

    /// `dependencies`: names, or `{task, type}`; `None` if one of them was reported.
    fn dependencies(
        &self,
        slot: u32,
        node: &'a Node,
        siblings: &Siblings<'a>,
    ) -> Option<Box<[Dependency]>> {
        let items = self.report.list_field(node, "dependencies", "names of tasks");
        let mut out: Vec<Dependency> = Vec::with_capacity(items.len());
        let mut complete = true;
        for item in items {
            let read = self.dependency(slot, item, siblings);
            complete &= read.is_some();
            out.extend(read);
        }
        // Twice the same edge is one edge. The order of the document has no meaning.
        out.sort_by_key(|d| d.slot);
        out.dedup();
        let twice = |pair: &[Dependency]| matches!(pair, [a, b] if a.slot == b.slot);
        if out.windows(2).any(twice) {
            let message = "one task is depended on with two types";
            let at = node.field("dependencies").unwrap_or(node);
            self.report.error("conflict", at, message, "keep one of them");
            return None;
        }
        complete.then(|| out.into())
    }

    fn dependency(&self, slot: u32, item: &'a Node, siblings: &Siblings<'a>) -> Option<Dependency> {
        let (at, kind) = self.dependency_type(item)?;
        let name = self.report.string(at)?;
        match siblings.by_name.get(name) {
            None => {
                let hint = self.report.did_you_mean(name, siblings.names.iter().copied());
                let message = format!("there is no task {} to depend on", quote(name));
                self.report.error("unknown_task", at, message, hint);
                None
            }
            Some(target) if *target == slot => {
                self.report_self(at);
                None
            }
            Some(target) => Some(Dependency { slot: *target, kind }),
        }
    }

    fn dependency_type(&self, item: &'a Node) -> Option<(&'a Node, DependencyKind)> {
        if !matches!(item.value, Value::Map(_)) {
            return Some((item, DependencyKind::Success));
        }
        if !self.report.fields(item, &grammar::DEPENDENCY) {
            return None;
        }
        let task = self.report.required(item, &grammar::DEPENDENCY, "task")?;
        let kind = match item.field("type") {
            None => DependencyKind::Success,
            Some(node) => match self.report.string(node)? {
                "success" => DependencyKind::Success,
                "completion" => DependencyKind::Completion,
                "failure" => DependencyKind::Failure,
                other => {
                    let message = format!("there is no type of dependency {}", quote(other));
                    let hint = "types are success, completion and failure";
                    self.report.error("bad_value", node, message, hint);
                    return None;
                }
            },
        };
        Some((task, kind))
    }

    fn report_cycle(&self, cycle: &[u32], nodes: &[&'a Node], siblings: &Siblings<'a>) {
        const SHOWN: usize = 12;
        let name = |slot: &u32| siblings.names.get(*slot as usize).copied().unwrap_or("?");
        let mut path: Vec<&str> = cycle.iter().take(SHOWN).map(name).collect();
        if cycle.len() > SHOWN {
            path.push("...");
        }
        path.extend(cycle.first().map(name));
        let Some(node) = cycle.first().and_then(|slot| nodes.get(*slot as usize)) else {
            return;
        };
        let message = format!("the tasks wait for each other: {}", path.join(" -> "));
        let hint = "remove one of these dependencies";
        let at = node.field("dependencies").or(node.field("depends"));
        self.report.error("cycle", at.unwrap_or(node), message, hint);
    }

    /// `target`, or the tasks nothing depends on.
    fn targets(&self, node: &'a Node, siblings: &Siblings<'a>, edges: &graph::Edges) -> Vec<u32> {
        let Some(target) = node.field("target") else {
            return edges.leaves();
        };
        let mut out = Vec::new();
        let Some(names) = self.report.string(target).and_then(|_| self.settled(target)) else {
            return out;
        };
        for name in names.split_whitespace() {
            match siblings.by_name.get(name) {
                Some(slot) => out.push(*slot),
                None => {
                    let hint = self.report.did_you_mean(name, siblings.names.iter().copied());
                    let message = format!("there is no task {} to be the target", quote(name));
                    self.report.error("unknown_task", target, message, hint);
                }
            }
        }
        out.sort_unstable();
        out.dedup();
        out
    }

    fn check_indirect(
        &self,
        indirect: &[Indirect<'a>],
        edges: &graph::Edges,
        order: &[u32],
        siblings: &Siblings<'a>,
    ) {
        let pairs: Vec<(u32, u32)> = indirect.iter().map(|i| (i.slot, i.target)).collect();
        let Some(reached) = graph::ancestors(&pairs, edges, order) else {
            if let Some(first) = indirect.first() {
                let message = "too many texts name tasks that are no direct dependencies";
                let hint = "list the tasks that are named in dependencies";
                self.report.error("limit", first.node, message, hint);
            }
            return;
        };
        let name = |slot: u32| siblings.names.get(slot as usize).copied().unwrap_or("?");
        for (use_, reached) in indirect.iter().zip(reached) {
            if !reached {
                let (task, target) = (name(use_.slot), name(use_.target));
                let message = format!("{task} names {target}, but does not wait for it");
                let hint = format!("add {target} to the dependencies of {task}");
                self.report.error("not_a_dependency", use_.node, message, hint);
            }
        }
    }
}
