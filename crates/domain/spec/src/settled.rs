//! Numbers and spans. Most are needed before anything runs: of tags they may only hold
//! `{{workflow.parameters.x}}`, whose values are known when a workflow is submitted. A few of a
//! template are read when a task begins.

use std::borrow::Cow;

use flowforge_expr::RawSegment;
use flowforge_model::plan::Setting;
use flowforge_model::text::Text;
use flowforge_model::time::Millis;

use crate::located::{Node, quote};
use crate::outline::Doc;
use crate::references::Names;

/// Where a template has the settings that can wait until a task begins.
const LATE: [(&[&str], Setting); 7] = [
    (&["activeDeadlineSeconds"], Setting::ActiveDeadline),
    (&["timeout"], Setting::Timeout),
    (&["retryStrategy", "limit"], Setting::RetryLimit),
    (&["retryStrategy", "backoff", "duration"], Setting::BackoffDuration),
    (&["retryStrategy", "backoff", "factor"], Setting::BackoffFactor),
    (&["retryStrategy", "backoff", "cap"], Setting::BackoffCap),
    (&["retryStrategy", "backoff", "maxDuration"], Setting::BackoffMaxDuration),
];

/// Whether a scalar holds an input or an expression, which have their values when a task begins.
pub(crate) fn late(node: &Node) -> bool {
    let parts = flowforge_expr::parse_text(node.text().unwrap_or("")).unwrap_or_default();
    parts.iter().any(|part| match part {
        RawSegment::Literal(_) => false,
        RawSegment::Reference(tag) => tag.starts_with("inputs."),
        RawSegment::Expression(_) => true,
    })
}

impl<'a> Doc<'a> {
    /// The settings of a template whose texts are read when a task begins.
    pub(crate) fn late_settings(
        &self,
        template: &'a Node,
        names: &Names<'_, 'a>,
    ) -> Vec<(Setting, Text)> {
        let mut settings = Vec::new();
        for (path, setting) in LATE {
            let at = path.iter().try_fold(template, |node, key| node.field(key));
            if let Some(node) = at.filter(|node| late(node)) {
                settings.extend(self.text(node, names).map(|text| (setting, text)));
            }
        }
        settings
    }

    /// A whole number within a range.
    pub(crate) fn whole(&self, node: &'a Node, min: i64, max: i64) -> Option<i64> {
        let text = self.settled(node)?;
        self.report.integer_of(node, &text, min, max)
    }

    /// A field that may be missing, as a whole number.
    pub(crate) fn optional_whole(
        &self,
        node: &'a Node,
        key: &str,
        min: u32,
        max: u32,
    ) -> Option<u32> {
        let value = self.whole(node.field(key)?, i64::from(min), i64::from(max))?;
        u32::try_from(value).ok()
    }

    /// A span in Go's form or in seconds.
    pub(crate) fn span(&self, node: &'a Node) -> Option<Millis> {
        self.report.string(node)?;
        let text = self.settled(node)?;
        self.report.duration_of(node, &text)
    }

    /// A scalar with the parameters of the workflow put in; none if it was reported, or if nobody
    /// can know it yet.
    pub(crate) fn settled(&self, node: &'a Node) -> Option<Cow<'a, str>> {
        self.settled_of(node, node.text().unwrap_or(""))
    }

    /// The same of a text that stands at a node.
    pub(crate) fn settled_of<'t>(&self, node: &'a Node, text: &'t str) -> Option<Cow<'t, str>> {
        if !text.contains("{{") {
            return Some(Cow::Borrowed(text));
        }
        let Ok(parts) = flowforge_expr::parse_text(text) else {
            self.refuse_tags(node);
            return None;
        };
        let mut out = String::new();
        for part in parts {
            match part {
                RawSegment::Literal(text) => out.push_str(text),
                RawSegment::Reference(tag) => out.push_str(self.parameter_value(node, tag)?),
                RawSegment::Expression(_) => {
                    self.refuse_tags(node);
                    return None;
                }
            }
        }
        Some(Cow::Owned(out))
    }

    fn parameter_value(&self, node: &'a Node, tag: &str) -> Option<&str> {
        let Some(name) = tag.strip_prefix("workflow.parameters.") else {
            self.refuse_tags(node);
            return None;
        };
        let value = self.values.get(name);
        // A parameter that is declared has a value, or its lack was reported.
        if value.is_none() && !self.alone && !self.parameters.contains(name) {
            let hint = self.report.did_you_mean(name, self.parameters.iter().copied());
            let message = format!("the workflow has no parameter {}", quote(name));
            self.report.error("unknown_parameter", node, message, hint);
        }
        value.map(|value| &**value)
    }

    fn refuse_tags(&self, node: &'a Node) {
        let message = "a value that is needed before anything runs can only hold \
                       {{workflow.parameters.NAME}}";
        let hint = "write a constant or a parameter of the workflow; use several templates for \
                    several values";
        self.report.error("unsupported", node, message, hint);
    }
}
