//! `steps`: groups one after the other.

use flowforge_model::limits::NODES_PER_WORKFLOW;
use flowforge_model::plan::{Steps, TemplateIx};

use crate::grammar;
use crate::located::{Node, Value};
use crate::outline::Doc;
use crate::references::{Names, Siblings};

impl<'a> Doc<'a> {
    /// Compiles groups of steps and fills `siblings` with them. A step beside groups is a group
    /// of its own.
    pub(crate) fn steps(
        &self,
        (ix, tried): (TemplateIx, bool),
        node: &'a Node,
        siblings: &mut Siblings<'a>,
    ) -> Option<Steps> {
        let groups = self.report.list(node, "lists of steps")?;
        siblings.steps = true;
        siblings.scope = self.scope(ix);
        let mut nodes = Vec::new();
        let mut group_ends = Vec::new();
        let mut given = 0_usize;
        for group in groups {
            let items = match &group.value {
                Value::List(items) => items,
                Value::Map(_) | Value::Plain(_) | Value::Quoted(_) => std::slice::from_ref(group),
            };
            if items.is_empty() {
                self.report.error("empty", group, "the group has no steps", "remove it");
            }
            given = given.saturating_add(items.len());
            nodes.extend(self.siblings(items, &grammar::STEP, siblings));
            group_ends.push(u32::try_from(nodes.len()).unwrap_or(u32::MAX));
        }
        if given == 0 || given > NODES_PER_WORKFLOW as usize {
            let message = format!("{given} steps; there must be 1 to {NODES_PER_WORKFLOW}");
            self.report.error("empty", node, message, "");
            return None;
        }
        let mut steps = Vec::with_capacity(nodes.len());
        let mut group_start = 0;
        let mut ends = group_ends.iter().copied().peekable();
        for (slot, node) in (0_u32..).zip(&nodes) {
            while let Some(end) = ends.next_if(|end| *end <= slot) {
                group_start = end;
            }
            let reachable = |target: u32, node: &'a Node, name: &str| {
                if target >= group_start {
                    let message = format!("the step {name} has not ended when this one begins");
                    let hint = format!("put {name} into an earlier group");
                    self.report.error("not_a_dependency", node, message, hint);
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
            steps.extend(self.task(node, name, template, &names));
        }
        (steps.len() == given).then_some(Steps { steps, group_ends })
    }
}
