//! What tasks of a dag and steps have in common: a template, arguments, `when`, loops.

use std::collections::BTreeSet;

use flowforge_model::limits::{EXPRESSION_BYTES, NODES_PER_WORKFLOW};
use flowforge_model::plan::{ContinueOn, Needs, Repeat, Sequence, Task, TemplateIx};
use flowforge_model::printf;
use flowforge_model::text::Text;

use crate::grammar;
use crate::items::item_text;
use crate::located::{Node, Value, quote};
use crate::names::Dialect;
use crate::outline::{Doc, parameter_name};
use crate::references::Names;

const LOOPS: [&str; 3] = ["withItems", "withParam", "withSequence"];

/// The tasks of a template with a dag, or the steps of all its groups.
pub(crate) fn sites(template: &Node) -> impl Iterator<Item = &Node> {
    let tasks =
        template.field("dag").and_then(|dag| dag.field("tasks")).map_or(&[][..], Node::items);
    let groups = template.field("steps").map_or(&[][..], Node::items);
    let steps = groups.iter().flat_map(|group| match &group.value {
        Value::List(items) => &**items,
        Value::Map(_) | Value::Plain(_) | Value::Quoted(_) => std::slice::from_ref(group),
    });
    tasks.iter().chain(steps)
}

/// Whether a task is a loop.
pub(crate) fn is_loop(node: &Node) -> bool {
    LOOPS.iter().any(|key| node.field(key).is_some())
}

impl<'a> Doc<'a> {
    /// The call of a template; `None` if something was reported that leaves a hole.
    pub(crate) fn task(
        &self,
        node: &'a Node,
        name: &str,
        template: Option<TemplateIx>,
        names: &Names<'_, 'a>,
    ) -> Option<Task> {
        let inside = Names { item: is_loop(node), ..*names };
        let repeat = self.repeat(node, names);
        if let Some(looped) = LOOPS.iter().find_map(|key| node.field(key))
            && template.is_some_and(|template| self.is_daemon(template))
        {
            let message = "a daemon cannot be repeated: tasks name one address of it";
            let hint = "write a task for each, or let one script start them all";
            self.report.error("conflict", looped, message, hint);
        }
        let when = match node.field("when") {
            Some(when) => self.when(when, &inside),
            None => None,
        };
        let arguments = self.arguments(node, name, template, &inside);
        let continue_on =
            node.field("continueOn").map_or(ContinueOn::default(), |node| self.continue_on(node));
        Some(Task {
            name: name.into(),
            template: template?,
            arguments,
            artifacts: self.artifact_arguments(node, name, template, &inside),
            hooks: self.task_hooks(node, name, &inside),
            needs: Needs::All(Box::default()),
            when,
            repeat: repeat.map(Box::new),
            continue_on,
        })
    }

    /// Values for the inputs of `template`, all of which must have one.
    pub(crate) fn arguments(
        &self,
        node: &'a Node,
        name: &str,
        template: Option<TemplateIx>,
        names: &Names<'_, 'a>,
    ) -> Vec<(Box<str>, Text)> {
        let outline = template.and_then(|ix| self.outline(ix));
        let mut seen = BTreeSet::new();
        let mut out = Vec::new();
        let list = node
            .field("arguments")
            .filter(|arguments| self.report.fields(arguments, &grammar::ARGUMENTS));
        let items = list.map_or(&[][..], |n| self.report.list_field(n, "parameters", "arguments"));
        for item in items {
            if !self.report.fields(item, &grammar::ARGUMENT) {
                continue;
            }
            let Some(argument) = parameter_name(self.report, item, &grammar::ARGUMENT, &mut seen)
            else {
                continue;
            };
            let input = outline.map(|o| (o, o.inputs.iter().find(|i| i.name == argument)));
            match input {
                Some((_, Some(input))) => {
                    if let Some(value) = item.field("value") {
                        self.check_choice(value, &input.choices);
                    }
                }
                Some((outline, None)) => self.unknown_argument(item, argument, outline),
                None => {}
            }
            let value = match (item.field("value"), item.field("valueFrom")) {
                (None, Some(from)) => self.given_from(from, false, names),
                _ => self
                    .report
                    .required(item, &grammar::ARGUMENT, "value")
                    .and_then(|value| self.text(value, names)),
            };
            out.extend(value.map(|value| (argument.into(), value)));
        }
        if let Some(outline) = outline {
            for input in &outline.inputs {
                if !input.optional && !seen.contains(input.name) {
                    let message = format!(
                        "{} gives no value for the input {} of the template {}",
                        quote(name),
                        quote(input.name),
                        quote(outline.name)
                    );
                    let hint =
                        format!("add it to arguments.parameters of {name}, or give it a default");
                    self.report.error("missing_argument", node, message, hint);
                }
            }
        }
        out
    }

    fn unknown_argument(&self, item: &'a Node, name: &str, of: &crate::outline::Outline<'a>) {
        let inputs = of.inputs.iter().map(|input| input.name);
        let hint = self.report.did_you_mean(name, inputs);
        let message = format!("the template {} has no input {}", quote(of.name), quote(name));
        match self.dialect {
            Dialect::Native => self.report.error("unknown_argument", item, message, hint),
            // Argo drops them in silence.
            Dialect::Argo => self.report.warning("unknown_argument", item, message, hint),
        }
    }

    fn when(&self, node: &'a Node, names: &Names<'_, 'a>) -> Option<Text> {
        let source = self.report.string(node)?;
        if source.len() > EXPRESSION_BYTES {
            let message = format!("a condition has at most {EXPRESSION_BYTES} bytes");
            self.report.error("limit", node, message, "compute it in a task");
            return None;
        }
        let text = self.text_of(node, source, names)?;
        if let Some(Err(cause)) = text.as_plain().map(flowforge_expr::when) {
            match self.dialect {
                Dialect::Native => self.report.error("bad_condition", node, cause.to_string(), ""),
                // As in Argo: an error when it is decided.
                Dialect::Argo => self.report.warning("bad_condition", node, cause.to_string(), ""),
            }
        }
        Some(text)
    }

    fn continue_on(&self, node: &'a Node) -> ContinueOn {
        if !self.report.fields(node, &grammar::CONTINUE_ON) {
            return ContinueOn::default();
        }
        let flag = |key| {
            let value = node.field(key).and_then(|node| self.report.boolean(node));
            value.unwrap_or(false)
        };
        ContinueOn { error: flag("error"), failed: flag("failed") }
    }

    /// The loop of a task, if it is one. Its texts stand outside of it.
    fn repeat(&self, node: &'a Node, names: &Names<'_, 'a>) -> Option<Repeat> {
        let given: Vec<&Node> = LOOPS.iter().filter_map(|key| node.field(key)).collect();
        if let [_, second, ..] = given.as_slice() {
            let message = "a task has one of withItems, withParam, withSequence";
            self.report.error("conflict", *second, message, "keep one of them");
            return None;
        }
        if let Some(items) = node.field("withItems") {
            let items = self.report.list(items, "items")?;
            if items.len() > NODES_PER_WORKFLOW as usize {
                let message = format!("a workflow has at most {NODES_PER_WORKFLOW} tasks");
                self.report.error("limit", node, message, "");
                return None;
            }
            let texts = items.iter().filter_map(|item| item_text(self, item, names));
            return Some(Repeat::Items(texts.collect()));
        }
        if let Some(param) = node.field("withParam") {
            return self.text(param, names).map(Repeat::Param);
        }
        let sequence = node.field("withSequence")?;
        self.sequence(sequence, names).map(Repeat::Sequence)
    }

    fn sequence(&self, node: &'a Node, names: &Names<'_, 'a>) -> Option<Sequence> {
        if !self.report.fields(node, &grammar::SEQUENCE) {
            return None;
        }
        let (count, end) = (node.field("count"), node.field("end"));
        if count.is_some() == end.is_some() {
            let message = "withSequence needs either count or end";
            self.report.error("conflict", node, message, "give one of the two");
            return None;
        }
        let number = |field: Option<&'a Node>, min: i64| {
            let field = field?;
            let text = self.text(field, names)?;
            if text.as_plain().is_some() {
                let nodes = i64::from(NODES_PER_WORKFLOW);
                let max = if min == 0 { nodes } else { i64::MAX };
                self.report.integer(field, min, max)?;
            }
            Some(text)
        };
        let format = node.field("format").and_then(|node| {
            let format = self.text(node, names)?;
            if format.as_plain().is_some_and(|format| printf::number(format, 0).is_none()) {
                let found = quote(node.text().unwrap_or(""));
                let message = format!("{found} is not a format with one number");
                let hint = "write it like item-%d, %03d or 0x%x";
                self.report.error("bad_format", node, message, hint);
            }
            Some(format)
        });
        Some(Sequence {
            count: number(count, 0),
            start: number(node.field("start"), i64::MIN),
            end: number(end, i64::MIN),
            format,
        })
    }
}
