//! What is decided when a task is released: its `when`, its loop, its suspension.

use flowforge_model::event::NodeKind;
use flowforge_model::id::NodeIx;
use flowforge_model::limits;
use flowforge_model::plan::{Body, Repeat, Sequence};
use flowforge_model::status::Reason;
use flowforge_model::text::Text;
use flowforge_model::time::Millis;
use serde_json::Value;

use crate::flow::Step;
use crate::scope::View;
use crate::values::{Fault, Valued};
use crate::{Result, StepError};

impl Step<'_> {
    /// The view of the dag or steps template a node was called from.
    fn caller_view(&self, ix: NodeIx) -> Result<Option<View<'_>>> {
        let Some(call) = self.run.call(self.plan, ix)? else {
            return Ok(None);
        };
        let item = match call.item {
            Some(item) => self.run.node(item)?.item(),
            None => None,
        };
        let inputs = self.run.node(call.group)?.inputs();
        Ok(Some(View::new(self.plan, self.run, call.group, inputs, self.now).with_item(item)))
    }

    /// Whether a node's `when` lets it run. Only the outermost node of a call asks.
    pub(crate) fn when(&self, ix: NodeIx) -> Result<Valued<bool>> {
        let parent = self.run.node(ix)?.parent;
        if let Some(parent) = parent
            && self.run.node(parent)?.kind == NodeKind::Retry
        {
            return Ok(Ok(true));
        }
        let Some(call) = self.run.call(self.plan, ix)? else {
            return Ok(Ok(true));
        };
        let Some(when) = &call.task.when else {
            return Ok(Ok(true));
        };
        let Some(view) = self.caller_view(ix)? else {
            return Ok(Ok(true));
        };
        Ok(match flowforge_expr::render(when, &view) {
            Ok(text) => flowforge_expr::when(&text)
                .map_err(|error| Fault::new(Reason::ConditionError, error.to_string())),
            Err(error) => Err(error.into()),
        })
    }

    /// How long a suspension lasts; none waits for a user.
    pub(crate) fn suspension_span(&self, ix: NodeIx) -> Result<Valued<Option<Millis>>> {
        let Body::Suspend(span) = &self.run.template(self.plan, ix)?.body else {
            return Err(StepError::Bug("a suspension without a template"));
        };
        let Some(text) = span else {
            return Ok(Ok(None));
        };
        let inputs = match self.inputs(ix)? {
            Ok(inputs) => inputs,
            Err(fault) => return Ok(Err(fault)),
        };
        let view = View::new(self.plan, self.run, ix, &inputs, self.now);
        Ok(match flowforge_expr::render(text, &view) {
            Ok(text) => match Millis::parse(&text) {
                Ok(span) => Ok(Some(span)),
                Err(_) => Err(Fault::new(Reason::Error, format!("{text:?} is not a duration"))),
            },
            Err(error) => Err(error.into()),
        })
    }

    /// The items of a loop.
    pub(crate) fn loop_items(&self, ix: NodeIx) -> Result<Valued<Vec<Value>>> {
        let call = self.run.call(self.plan, ix)?.ok_or(StepError::Bug("a loop without a task"))?;
        let repeat = call.task.repeat.as_deref().ok_or(StepError::Bug("a loop without items"))?;
        let view = self.caller_view(ix)?.ok_or(StepError::Bug("a loop without a caller"))?;
        Ok(match repeat {
            Repeat::Items(items) => items.iter().map(|item| fixed_item(item, &view)).collect(),
            Repeat::Param(text) => param_items(text, &view),
            Repeat::Sequence(sequence) => sequence_items(sequence, &view),
        })
    }
}

/// One of `withItems`, its tags replaced. Maps and lists come as the JSON they were in the
/// document; everything else is a text and stays as it is written.
fn fixed_item(item: &Text, view: &View<'_>) -> Valued<Value> {
    let text = flowforge_expr::render(item, view)?;
    let structured = text.starts_with(['{', '[']).then(|| serde_json::from_str(&text).ok());
    Ok(structured.flatten().unwrap_or_else(|| Value::String(text.into_owned())))
}

fn param_items(text: &Text, view: &View<'_>) -> Valued<Vec<Value>> {
    let source = flowforge_expr::render(text, view)?;
    match serde_json::from_str(&source) {
        Ok(Value::Array(items)) => Ok(items),
        Ok(_) | Err(_) => {
            let shown: String = source.chars().take(64).collect();
            let message = format!("withParam needs a JSON list, this is none: {shown:?}");
            Err(Fault::new(Reason::FanoutLimit, message))
        }
    }
}

fn sequence_items(sequence: &Sequence, view: &View<'_>) -> Valued<Vec<Value>> {
    let number = |text: &Option<Text>, what: &str| -> Valued<Option<i64>> {
        let Some(text) = text else { return Ok(None) };
        let source = flowforge_expr::render(text, view)?;
        source.trim().parse().map(Some).map_err(|_| {
            let message =
                format!("withSequence.{what} needs a whole number, this is none: {source:?}");
            Fault::new(Reason::FanoutLimit, message)
        })
    };
    let start = number(&sequence.start, "start")?.unwrap_or(0);
    let count = number(&sequence.count, "count")?;
    let end = number(&sequence.end, "end")?;
    let last = match (count, end) {
        (Some(count), _) if count <= 0 => return Ok(Vec::new()),
        (Some(count), _) => start.saturating_add(count.saturating_sub(1)),
        (None, Some(end)) => end,
        (None, None) => return Ok(Vec::new()),
    };
    let many = last.abs_diff(start);
    if many >= u64::from(limits::NODES_PER_WORKFLOW) {
        let message = format!("withSequence has more than {} numbers", limits::NODES_PER_WORKFLOW);
        return Err(Fault::new(Reason::FanoutLimit, message));
    }
    let step = if last < start { -1 } else { 1 };
    let mut at = start;
    let mut items = Vec::with_capacity(usize::try_from(many).unwrap_or(0).saturating_add(1));
    loop {
        items.push(Value::String(printf(sequence.format.as_deref(), at)));
        if at == last {
            return Ok(items);
        }
        at = at.saturating_add(step);
    }
}

/// `format` with its one integer verb (`%d`, `%03d`, `%x`, `%X`, `%o`) replaced; the number alone
/// without a format. The document's check has refused other verbs.
fn printf(format: Option<&str>, number: i64) -> String {
    let Some(format) = format else {
        return number.to_string();
    };
    let Some((before, rest)) = format.split_once('%') else {
        return format.to_owned();
    };
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (width, verb) = rest.split_at_checked(digits).unwrap_or(("", rest));
    let (zeros, width) = (width.starts_with('0'), width.parse::<usize>().unwrap_or(0).min(64));
    let mut verb = verb.chars();
    let written = match verb.next() {
        Some('x') => format!("{number:x}"),
        Some('X') => format!("{number:X}"),
        Some('o') => format!("{number:o}"),
        Some(_) | None => number.to_string(),
    };
    let padded = if zeros { format!("{written:0>width$}") } else { format!("{written:>width$}") };
    format!("{before}{padded}{}", verb.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_integer_verb_is_written_as_printf_does() {
        assert_eq!(printf(None, -3), "-3");
        assert_eq!(printf(Some("user%02X.txt"), 10), "user0A.txt");
        assert_eq!(printf(Some("%03d"), 7), "007");
        assert_eq!(printf(Some("%4d|"), 7), "   7|");
        assert_eq!(printf(Some("plain"), 7), "plain");
    }
}
