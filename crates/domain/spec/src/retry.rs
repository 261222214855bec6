//! `retryStrategy`, and the spans of templates and workflows.

use flowforge_model::limits::{RETRY_LIMIT, SPAN_MS};
use flowforge_model::plan::{Backoff, RetryPolicy, RetryStrategy};
use flowforge_model::time::Millis;

use crate::grammar;
use crate::located::{Node, quote};
use crate::outline::Doc;
use crate::references::Names;

/// Largest growth per retry, in thousandths.
const FACTOR_MILLI: u32 = 1_000_000;

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
        let backoff = node.field("backoff").and_then(|node| self.backoff(node));
        Some(RetryStrategy {
            limit: self.optional_whole(node, "limit", 0, RETRY_LIMIT),
            policy,
            backoff,
            expression,
        })
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

    fn backoff(&self, node: &'a Node) -> Option<Backoff> {
        if !self.report.fields(node, &grammar::BACKOFF) {
            return None;
        }
        let span = |key| node.field(key).and_then(|node| self.span(node));
        let factor = node.field("factor").map_or(Some(1000), |node| self.factor(node));
        let (cap, max_duration) = (span("cap"), span("maxDuration"));
        let duration = self.report.required(node, &grammar::BACKOFF, "duration")?;
        Some(Backoff { duration: self.span(duration)?, factor_milli: factor?, cap, max_duration })
    }

    /// A decimal number from 1 to 1000 in thousandths; 0 means no growth, as in Argo.
    fn factor(&self, node: &'a Node) -> Option<u32> {
        self.report.string(node)?;
        let text = &*self.settled(node)?;
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let digits =
            |t: &str| !t.is_empty() && t.len() <= 9 && t.bytes().all(|b| b.is_ascii_digit());
        let milli = if digits(whole) && digits(fraction) {
            let thousandths: String = fraction.chars().chain("000".chars()).take(3).collect();
            let whole: Option<u32> = whole.parse().ok();
            let thousandths: Option<u32> = thousandths.parse().ok();
            whole
                .and_then(|w| w.checked_mul(1000))
                .zip(thousandths)
                .and_then(|(w, t)| w.checked_add(t))
        } else {
            None
        };
        match milli {
            Some(0) => Some(1000),
            Some(milli) if (1000..=FACTOR_MILLI).contains(&milli) => Some(milli),
            _ => {
                let message = format!("the factor {} is not between 1 and 1000", quote(text));
                self.report.error("out_of_range", node, message, "2 doubles the wait");
                None
            }
        }
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
