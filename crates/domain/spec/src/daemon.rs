//! `daemon`: a template that serves the tasks after it, and `readinessProbe`, which says when.

use flowforge_model::daemon::{Check, Daemon, Probe};
use flowforge_model::plan::{TemplateIx, Value};
use flowforge_model::text::Text;
use flowforge_model::time::Millis;

use crate::grammar;
use crate::located::{Node, quote};
use crate::outline::{BodyKind, Doc};
use crate::references::Names;

/// Kubernetes' default for `periodSeconds`.
const PERIOD_SECONDS: u64 = 10;
/// Kubernetes' default for `timeoutSeconds`.
const TIMEOUT_SECONDS: u64 = 1;
/// Kubernetes' default for `failureThreshold`.
const FAILURES: u32 = 3;
/// Answers in a row that may be asked for.
const MOST_ANSWERS: u32 = 1000;

/// What of a probe is asked, and nothing else.
const CHECKS: &str = "write one of httpGet, tcpSocket and exec";

impl<'a> Doc<'a> {
    /// Whether a template is a daemon.
    pub(crate) fn is_daemon(&self, template: TemplateIx) -> bool {
        let field = self.outline(template).and_then(|outline| outline.node.field("daemon"));
        field.and_then(Node::text) == Some("true")
    }

    /// What makes the template a daemon; `None` if it is none, or if what is wrong was reported.
    pub(crate) fn daemon(
        &self,
        template: &'a Node,
        (kind, body): (BodyKind, &'a Node),
        names: &Names<'_, 'a>,
    ) -> Option<Box<Daemon<Text, Text>>> {
        let field = template.field("daemon")?;
        let probe = body.field("readinessProbe").filter(|probe| !probe.is_null());
        if self.report.boolean(field)? {
            if !matches!(kind, BodyKind::Container | BodyKind::Script) {
                let message = "a daemon is one container or script";
                let hint = "set daemon on the template of the task that is to serve others";
                self.report.error("conflict", field, message, hint);
                return None;
            }
            if let Some(memoize) = template.field("memoize") {
                let message = "a daemon cannot be remembered: it serves only while it runs";
                self.report.error("conflict", memoize, message, "remove one of the two");
            }
            let probe = match probe {
                Some(probe) => Some(self.probe(probe, names)?),
                None => None,
            };
            return Some(Box::new(Daemon { probe }));
        }
        None
    }

    /// A probe of a template that is no daemon.
    pub(crate) fn idle_probe(&self, template: &'a Node, kind: BodyKind, body: &'a Node) {
        let daemon = template.field("daemon").and_then(Node::text) == Some("true");
        let alone = matches!(kind, BodyKind::Container | BodyKind::Script);
        if let Some(probe) = body.field("readinessProbe").filter(|_| alone && !daemon) {
            let message = "readinessProbe has no effect: nobody waits for a task to be ready that \
                           is no daemon";
            self.report.warning("no_effect", probe, message, "");
        }
    }

    fn probe(&self, node: &'a Node, names: &Names<'_, 'a>) -> Option<Probe<Text, Text>> {
        if !self.report.fields(node, &grammar::PROBE) {
            return None;
        }
        let checks = ["httpGet", "tcpSocket", "exec"];
        let given: Vec<&str> = checks.into_iter().filter(|key| node.field(key).is_some()).collect();
        let &[key] = given.as_slice() else {
            let message = format!("a probe asks one thing, found {}", given.len());
            self.report.error("conflict", node, message, CHECKS);
            return None;
        };
        let check = self.check(key, node.field(key)?, names);
        let seconds =
            |key, min, default| self.seconds(node, key, min).unwrap_or(Millis::from_secs(default));
        let count =
            |key, default| self.optional_whole(node, key, 1, MOST_ANSWERS).unwrap_or(default);
        Some(Probe {
            initial_delay: seconds("initialDelaySeconds", 0, 0),
            period: seconds("periodSeconds", 1, PERIOD_SECONDS),
            timeout: seconds("timeoutSeconds", 1, TIMEOUT_SECONDS),
            successes: count("successThreshold", 1),
            failures: count("failureThreshold", FAILURES),
            check: check?,
        })
    }

    fn check(&self, key: &str, node: &'a Node, names: &Names<'_, 'a>) -> Option<Check<Text, Text>> {
        let text = |key: &str| node.field(key).and_then(|node| self.text(node, names));
        match key {
            "httpGet" => {
                if !self.report.fields(node, &grammar::HTTP_GET) {
                    return None;
                }
                let port = self.report.required(node, &grammar::HTTP_GET, "port");
                Some(Check::Http {
                    host: text("host"),
                    port: self.port(port?, names)?,
                    path: text("path").unwrap_or_else(|| Text::plain("/")),
                    secure: node.field("scheme").is_some_and(|node| self.secure(node)),
                    headers: self.probe_headers(node, names),
                })
            }
            "tcpSocket" => {
                if !self.report.fields(node, &grammar::TCP_SOCKET) {
                    return None;
                }
                let port = self.report.required(node, &grammar::TCP_SOCKET, "port");
                Some(Check::Tcp { host: text("host"), port: self.port(port?, names)? })
            }
            _ => {
                if !self.report.fields(node, &grammar::EXEC) {
                    return None;
                }
                self.report.required(node, &grammar::EXEC, "command")?;
                Some(Check::Exec(self.arguments_of_command(node, "command", names)))
            }
        }
    }

    fn secure(&self, node: &'a Node) -> bool {
        match node.text() {
            Some("HTTPS") => true,
            Some("HTTP") => false,
            _ => {
                let message = format!("{} is no scheme", node.describe());
                self.report.error("bad_value", node, message, "write HTTP or HTTPS");
                false
            }
        }
    }

    fn port(&self, node: &'a Node, names: &Names<'_, 'a>) -> Option<Text> {
        let text = self.text(node, names)?;
        let fine = |port: &str| port.parse::<u16>().is_ok_and(|port| port > 0);
        if text.as_plain().is_some_and(|port| !fine(port)) {
            let message = format!("{} is no port", node.text().map_or(node.describe(), quote));
            let hint = "write its number, from 1 to 65535: the ports of a container have no names \
                        here";
            self.report.error("out_of_range", node, message, hint);
            return None;
        }
        Some(text)
    }

    fn probe_headers(&self, node: &'a Node, names: &Names<'_, 'a>) -> Vec<(String, Text)> {
        let items = self.report.list_field(node, "httpHeaders", "headers");
        let header = |item: &'a Node| {
            let (name, value) = self.header(item, names)?;
            match value {
                Value::Text(text) => Some((name.to_string(), text)),
                Value::Secret(_) => {
                    let message = "a header of a probe holds no secret";
                    self.report.error("unsupported", item, message, "write its value");
                    None
                }
            }
        };
        items.iter().filter_map(header).collect()
    }
}
