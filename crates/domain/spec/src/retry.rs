//! `retryStrategy`, and the spans of templates and workflows.

use flowforge_model::limits::{RETRY_LIMIT, SPAN_MS};
use flowforge_model::plan::{Backoff, RetryPolicy, RetryStrategy};
use flowforge_model::time::Millis;

use crate::grammar;
use crate::located::{Node, quote};
use crate::outline::Doc;
use crate::references::Names;
use crate::settled::late;

impl<'a> Doc<'a> {
    pub(crate) fn retry(&self, node: &'a Node, names: &Names<'_, 'a>) -> Option<RetryStrategy> {
        if !self.report.fields(node, &grammar::RETRY) {
            return None;
        }
        let expression = node.field("expression").and_then(|node| {
            let source = self.report.string(node)?;
            self.expression(node, source, names)
        });
        let policy = match node.field("retryPolicy") {
            Some(node) => self.retry_policy(node).unwrap_or_default(),
            // As in Argo: an expression decides alone unless a policy is given.
            None if expression.is_some() => RetryPolicy::Always,
            None => RetryPolicy::default(),
        };
        // The retries of a whole workflow belong to no task that could begin.
        let waits = |node: &Node| names.template.is_some() && late(node);
        let backoff = node.field("backoff").and_then(|node| self.backoff(node, waits));
        let limit = match node.field("limit") {
            Some(limit) if waits(limit) => None,
            _ => self.optional_whole(node, "limit", 0, RETRY_LIMIT),
        };
        Some(RetryStrategy { limit, policy, backoff, expression })
    }

    fn retry_policy(&self, node: &'a Node) -> Option<RetryPolicy> {
        Some(match self.report.string(node)? {
            "Always" => RetryPolicy::Always,
            "OnFailure" => RetryPolicy::OnFailure,
            "OnError" => RetryPolicy::OnError,
            "OnTransientError" | "OnTransient" => RetryPolicy::OnTransient,
            "Never" => RetryPolicy::Never,
            other => {
                let message = format!("there is no retryPolicy {}", quote(other));
                let hint = "policies are Always, OnFailure, OnError, OnTransient, Never";
                self.report.error("bad_value", node, message, hint);
                return None;
            }
        })
    }

    fn backoff(&self, node: &'a Node, waits: impl Fn(&Node) -> bool) -> Option<Backoff> {
        if !self.report.fields(node, &grammar::BACKOFF) {
            return None;
        }
        let now = |key| node.field(key).filter(|node| !waits(node));
        let span = |key| now(key).and_then(|node| self.span(node));
        let factor = now("factor").map_or(Some(1000), |node| self.factor(node));
        let (cap, max_duration) = (span("cap"), span("maxDuration"));
        let duration = self.report.required(node, &grammar::BACKOFF, "duration")?;
        let duration = if waits(duration) { Some(Millis(0)) } else { self.span(duration) };
        Some(Backoff { duration: duration?, factor_milli: factor?, cap, max_duration })
    }

    fn factor(&self, node: &'a Node) -> Option<u32> {
        self.report.string(node)?;
        let text = &*self.settled(node)?;
        let factor = Backoff::factor(text);
        if factor.is_none() {
            let message = format!("the factor {} is not between 1 and 1000", quote(text));
            self.report.error("out_of_range", node, message, "2 doubles the wait");
        }
        factor
    }

    /// A field of whole seconds, at least `min`.
    pub(crate) fn seconds(&self, node: &'a Node, key: &str, min: i64) -> Option<Millis> {
        let max = i64::try_from(SPAN_MS / 1000).unwrap_or(i64::MAX);
        let seconds = self.whole(node.field(key)?, min, max)?;
        u64::try_from(seconds).ok().map(Millis::from_secs)
    }

    /// A span above zero.
    pub(crate) fn positive_duration(&self, node: &'a Node) -> Option<Millis> {
        let span = self.span(node)?;
        if span.0 == 0 {
            let message = "nothing can finish in no time";
            self.report.error("out_of_range", node, message, "give a span above zero");
            return None;
        }
        Some(span)
    }
}
