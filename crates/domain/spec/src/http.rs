//! `http`: a request as a task.

use flowforge_model::plan::{Body, Http};
use flowforge_model::text::Text;
use flowforge_model::time::Millis;

use crate::grammar;
use crate::located::{Node, quote};
use crate::outline::Doc;
use crate::references::Names;

/// Argo's wait for an answer, in seconds.
const TIMEOUT_SECONDS: u64 = 30;

impl<'a> Doc<'a> {
    pub(crate) fn http(&self, node: &'a Node, names: &Names<'_, 'a>) -> Option<Body> {
        if !self.report.fields(node, &grammar::HTTP) {
            return None;
        }
        let url = self.report.required(node, &grammar::HTTP, "url");
        let method = node.field("method").map(|node| self.method(node, names));
        let timeout = self.seconds(node, "timeoutSeconds", 1);
        let insecure = node.field("insecureSkipVerify").and_then(|node| self.report.boolean(node));
        let success = node.field("successCondition").and_then(|node| self.success(node));
        Some(Body::Http(Box::new(Http {
            method: match method {
                Some(method) => method?,
                None => Text::plain("GET"),
            },
            url: self.url(url?, names)?,
            headers: self.headers(node, names),
            body: node.field("body").and_then(|node| self.text(node, names)),
            timeout: timeout.unwrap_or(Millis::from_secs(TIMEOUT_SECONDS)),
            success,
            insecure: insecure.unwrap_or(false),
        })))
    }

    fn method(&self, node: &'a Node, names: &Names<'_, 'a>) -> Option<Text> {
        let text = self.text(node, names)?;
        let fine =
            |m: &str| !m.is_empty() && m.len() <= 32 && m.bytes().all(|b| b.is_ascii_uppercase());
        if text.as_plain().is_some_and(|method| !fine(method)) {
            let message = format!("{} is no method", node.describe());
            self.report.error("bad_value", node, message, "write GET, POST, PUT...");
            return None;
        }
        Some(text)
    }

    /// An expression over the answer. It is evaluated where the request is sent, so nothing else
    /// has a value there; a tag would make text of a value part of the expression.
    fn success(&self, node: &'a Node) -> Option<Text> {
        let source = self.report.string(node)?;
        if source.contains("{{") {
            let message = "successCondition cannot hold tags: a value would become code";
            let hint = "compare with constants, or return the answer and check it in a task";
            self.report.error("unsupported", node, message, hint);
            return None;
        }
        let paths = match flowforge_expr::names(source) {
            Ok(paths) => paths,
            Err(cause) => {
                let message = format!("{} is no expression: {cause}", quote(source));
                self.report.error("bad_expression", node, message, "");
                return None;
            }
        };
        for path in paths {
            let root = path.first().map_or("", String::as_str);
            if root != "response" {
                let message = format!("{} has no value in a successCondition", quote(root));
                let hint = "response has statusCode, body and headers";
                self.report.error("unknown_reference", node, message, hint);
            }
        }
        Some(Text::plain(source))
    }
}
