//! What a leaf runs.

use std::collections::BTreeSet;

use flowforge_model::limits::{ARGUMENT_BYTES, ENV_BYTES, ENV_VARS};
use flowforge_model::plan::{Body, Container, Value};
use flowforge_model::text::Text;

use crate::grammar::{self, Kind};
use crate::located::{Node, quote};
use crate::outline::Doc;
use crate::references::Names;

/// Bytes of an image's name. Registries stop at 255 for the name; host and digest come on top.
const IMAGE_BYTES: usize = 1024;
/// Arguments of one command.
const ARGUMENTS: usize = 10_000;

impl<'a> Doc<'a> {
    pub(crate) fn container(&self, node: &'a Node, names: &Names<'_, 'a>) -> Option<Container> {
        self.container_of(node, &grammar::CONTAINER, names)
    }

    pub(crate) fn script(&self, node: &'a Node, names: &Names<'_, 'a>) -> Option<Body> {
        let container = self.container_of(node, &grammar::SCRIPT, names);
        let source = self.report.required(node, &grammar::SCRIPT, "source")?;
        let source = self.text(source, names)?;
        Some(Body::Script(container?, source))
    }

    fn container_of(
        &self,
        node: &'a Node,
        kind: &Kind,
        names: &Names<'_, 'a>,
    ) -> Option<Container> {
        if !self.report.fields(node, kind) {
            return None;
        }
        let image = self.report.required(node, kind, "image");
        let image = image.and_then(|node| self.image(node, names));
        let command = self.arguments_of_command(node, "command", names);
        if let Some(Text::Plain(program)) = command.first()
            && program.is_empty()
        {
            let at = node.field("command").unwrap_or(node);
            let message = "the program is empty";
            self.report.error("empty", at, message, "name a program first");
        }
        Some(Container {
            image: image?,
            args: self.arguments_of_command(node, "args", names),
            command,
            env: self.environment(node, names),
            mounts: Vec::new(),
            working_dir: node.field("workingDir").and_then(|node| self.text(node, names)),
            resources: self.resources(node.field("resources")),
        })
    }

    fn image(&self, node: &'a Node, names: &Names<'_, 'a>) -> Option<Text> {
        let source = self.report.string(node)?;
        let text = self.text_of(node, source, names)?;
        let bad = |c: char| c.is_whitespace() || c.is_control();
        let message = if source.is_empty() {
            "the image is empty"
        } else if source.len() > IMAGE_BYTES {
            "the image's name is longer than 1024 bytes"
        } else if source.contains("://") {
            "an image is no URL"
        } else if text.as_plain().is_some_and(|text| text.contains(bad)) {
            "the image holds a blank"
        } else {
            return Some(text);
        };
        let hint = "write it like registry/name:tag";
        self.report.error("bad_image", node, message, hint);
        None
    }

    /// `command` or `args`: a list of strings.
    fn arguments_of_command(&self, node: &'a Node, key: &str, names: &Names<'_, 'a>) -> Vec<Text> {
        let Some(list) = node.field(key) else {
            return Vec::new();
        };
        if let Some(text) = list.text() {
            let message = format!("{key} must be a list of strings, found {}", quote(text));
            let hint = if text.len() <= 60 && !text.contains(['"', '\\', '\n']) {
                format!("write {key}: [sh, -c, \"{text}\"]; no shell splits it for you")
            } else {
                "write it as a list; no shell splits it for you".to_owned()
            };
            self.report.error("wrong_type", list, message, hint);
            return Vec::new();
        }
        let items = self.report.list(list, "strings").unwrap_or(&[]);
        if items.len() > ARGUMENTS {
            let message = format!("{} arguments; at most {ARGUMENTS} are passed", items.len());
            self.report.error("limit", list, message, "pass a file");
            return Vec::new();
        }
        items
            .iter()
            .filter_map(|item| {
                self.check_length(item);
                self.text(item, names)
            })
            .collect()
    }

    /// A constant longer than Linux passes to a process.
    fn check_length(&self, node: &'a Node) {
        let length = node.text().map_or(0, str::len);
        if length > ARGUMENT_BYTES {
            let message =
                format!("{length} bytes; Linux passes at most {ARGUMENT_BYTES} in one string");
            self.report.error("limit", node, message, "use a script, whose source is a file");
        }
    }

    fn environment(&self, node: &'a Node, names: &Names<'_, 'a>) -> Vec<(Box<str>, Value)> {
        let items = self.report.list_field(node, "env", "variables");
        let mut seen = BTreeSet::new();
        let mut bytes = 0_usize;
        let mut out = Vec::new();
        for item in items {
            if !self.report.fields(item, &grammar::ENV) {
                continue;
            }
            let Some(node) = self.report.required(item, &grammar::ENV, "name") else {
                continue;
            };
            let Some(name) = self.report.string(node) else {
                continue;
            };
            if !self.check_variable(node, name) {
                continue;
            }
            if !seen.insert(name) {
                let message = format!("the variable {} is set twice", quote(name));
                self.report.error("duplicate_name", node, message, "keep one of them");
                continue;
            }
            let value = match item.field("value") {
                Some(value) => {
                    self.check_length(value);
                    bytes = bytes.saturating_add(value.text().map_or(0, str::len));
                    self.text(value, names)
                }
                None => Some(Text::plain("")),
            };
            bytes = bytes.saturating_add(name.len());
            out.extend(value.map(|value| (name.into(), Value::Text(value))));
        }
        if let Some(list) = node.field("env").filter(|_| out.len() > ENV_VARS) {
            let message = format!("{} variables; at most {ENV_VARS} are passed", out.len());
            self.report.error("limit", list, message, "pass a file or one JSON variable");
        }
        if let Some(list) = node.field("env").filter(|_| bytes > ENV_BYTES) {
            let message = format!("{bytes} bytes of environment; at most {ENV_BYTES} are passed");
            self.report.error("limit", list, message, "pass a file");
        }
        out
    }

    fn check_variable(&self, node: &'a Node, name: &str) -> bool {
        let bad = |c: char| c == '=' || c.is_control() || c.is_whitespace();
        if name.is_empty() || name.contains(bad) {
            let message = format!("{} is no name of a variable", quote(name));
            let hint = "use letters, digits and _";
            self.report.error("bad_name", node, message, hint);
            return false;
        }
        if name.starts_with("FLOWFORGE_") {
            let message =
                format!("{} is reserved: FLOWFORGE_ variables are set for the task", quote(name));
            self.report.error("reserved_name", node, message, "choose another name");
            return false;
        }
        true
    }
}
