//! What a leaf runs.

use flowforge_model::limits::ARGUMENT_BYTES;
use flowforge_model::plan::{Body, Container, PullPolicy};
use flowforge_model::text::Text;

use crate::grammar::{self, Kind};
use crate::located::{Node, quote};
use crate::names::Dialect;
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

    /// A container of `kind`.
    pub(crate) fn container_of(
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
        let (env, secrets) = self.environment(node, names);
        Some(Container {
            image: image?,
            args: self.arguments_of_command(node, "args", names),
            command,
            env,
            secrets,
            mounts: self.mounts(node, names),
            working_dir: node.field("workingDir").and_then(|node| self.text(node, names)),
            resources: self.resources(node.field("resources")),
            variables: self.dialect == Dialect::Argo,
            pull: node.field("imagePullPolicy").and_then(|node| self.pull(node)),
            security: self.security(node),
        })
    }

    fn pull(&self, node: &'a Node) -> Option<PullPolicy> {
        let known = [PullPolicy::Always, PullPolicy::IfNotPresent, PullPolicy::Never];
        let text = self.report.string(node)?;
        let found = known.into_iter().find(|policy| policy.as_str() == text);
        if found.is_none() {
            let message = format!("there is no imagePullPolicy {}", quote(text));
            let hint = "policies are Always, IfNotPresent, Never";
            self.report.error("bad_value", node, message, hint);
        }
        found
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
    pub(crate) fn arguments_of_command(
        &self,
        node: &'a Node,
        key: &str,
        names: &Names<'_, 'a>,
    ) -> Vec<Text> {
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
    pub(crate) fn check_length(&self, node: &'a Node) {
        let length = node.text().map_or(0, str::len);
        if length > ARGUMENT_BYTES {
            let message =
                format!("{length} bytes; Linux passes at most {ARGUMENT_BYTES} in one string");
            self.report.error("limit", node, message, "use a script, whose source is a file");
        }
    }
}
