//! Loops: their items, and how they begin and end.

use std::borrow::Cow;

use flowforge_model::event::NodeKind;
use flowforge_model::id::NodeIx;
use flowforge_model::limits;
use flowforge_model::plan::{Plan, Repeat, Sequence};
use flowforge_model::printf;
use flowforge_model::status::{Reason, TaskChange, TaskStatus};
use flowforge_model::text::Text;
use serde_json::Value;

use crate::flow::Step;
use crate::run::Run;
use crate::scope::View;
use crate::values::{Fault, Valued};
use crate::{Result, StepError};

/// The items of a loop, kept once, in the node of the loop.
#[derive(Clone, Debug)]
pub(crate) enum Items {
    List(Box<[Value]>),
    /// `withSequence`: the number at a place is `start`, and one more (or less) for each place.
    Numbers {
        start: i64,
        down: bool,
        count: u32,
        format: Option<Box<str>>,
    },
}

impl Default for Items {
    fn default() -> Self {
        Self::List(Box::default())
    }
}

/// Equal when the items are, however they are kept.
impl PartialEq for Items {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && (0..self.len()).all(|at| self.get(at) == other.get(at))
    }
}

impl Items {
    pub(crate) fn len(&self) -> u32 {
        match self {
            Self::List(items) => u32::try_from(items.len()).unwrap_or(u32::MAX),
            Self::Numbers { count, .. } => *count,
        }
    }

    pub(crate) fn get(&self, at: u32) -> Option<Cow<'_, Value>> {
        match self {
            Self::List(items) => items.get(at as usize).map(Cow::Borrowed),
            Self::Numbers { start, down, count, format } => (at < *count).then(|| {
                let by = i64::from(at);
                let number =
                    if *down { start.saturating_sub(by) } else { start.saturating_add(by) };
                let plain = || number.to_string();
                let text = format.as_deref().and_then(|format| printf::number(format, number));
                Cow::Owned(Value::String(text.unwrap_or_else(plain)))
            }),
        }
    }
}

impl Run {
    /// The item that a child of a loop runs for.
    pub(crate) fn item(&self, ix: NodeIx) -> Option<Cow<'_, Value>> {
        let node = self.nodes.get(ix.index())?;
        let parent = self.nodes.get(node.parent?.index())?;
        if parent.kind != NodeKind::Loop || crate::hooks::place(node.slot).is_some() {
            return None;
        }
        parent.extra.as_ref()?.items.get(node.slot)
    }

    /// The items of a loop, from the texts of its task.
    fn items_of(&self, plan: &Plan, ix: NodeIx) -> Result<Valued<Items>> {
        let caller = self.caller(plan, ix)?;
        let task = caller.call.task.ok_or(StepError::Bug("a loop without a task"))?;
        let repeat = task.repeat.as_deref().ok_or(StepError::Bug("a loop without items"))?;
        let view = caller.view(plan, self, self.context.created_at);
        Ok(match repeat {
            Repeat::Items(items) => {
                let items = items.iter().map(|item| fixed_item(item, &view));
                items.collect::<Valued<_>>().map(Items::List)
            }
            Repeat::Param(text) => param_items(text, &view),
            Repeat::Sequence(sequence) => numbers(sequence, &view),
        })
    }

    /// The items of a loop whose rows were read: numbers in a row are kept as such again.
    pub(crate) fn keep_items(&mut self, plan: &Plan, ix: NodeIx, items: Vec<Value>) -> Result {
        let list = Items::List(items.into());
        let numbers = match self.items_of(plan, ix)? {
            Ok(numbers @ Items::Numbers { .. }) if numbers == list => Some(numbers),
            Ok(_) | Err(_) => None,
        };
        self.node_mut(ix)?.extra().items = numbers.unwrap_or(list);
        Ok(())
    }
}

impl Step<'_> {
    pub(crate) fn begin_loop(&mut self, ix: NodeIx) -> Result {
        let items = match self.run.items_of(self.plan, ix)? {
            Ok(items) => items,
            // As in Argo: a loop that is not to run needs no items.
            Err(_) if self.when(ix)? == Ok(false) => {
                return self.end(ix, TaskChange::Skip, Some(Reason::When), None);
            }
            Err(fault) => return self.fail(ix, fault),
        };
        let count = items.len();
        if count == 0 {
            let message = Some("skipped: the loop has no items".to_owned());
            return self.end(ix, TaskChange::Skip, Some(Reason::When), message);
        }
        if let Err(fault) = self.room_for(count as usize) {
            return self.fail(ix, fault);
        }
        let task = self.run.caller(self.plan, ix)?.call.task;
        let hooks = task.map_or(&[][..], |task| &task.hooks);
        let (hooked, watches) = (!hooks.is_empty(), hooks.iter().any(|hook| hook.wide));
        let first = u32::try_from(self.run.nodes.len()).unwrap_or(u32::MAX);
        let now = self.now;
        let node = self.change(ix, TaskChange::Begin)?;
        let template = node.template;
        node.started_at = Some(now);
        node.first_child = first;
        node.children = count;
        node.waiting = count;
        node.extra().items = items;
        let kind = self.kind_of(template)?;
        self.run.nodes.reserve(count as usize);
        for slot in 0..count {
            let child = self.add(Some(ix), slot, template, Some(kind))?;
            let node = self.run.node_mut(child)?;
            (node.hooked, node.watches) = (hooked, watches);
            self.release(child);
        }
        Ok(())
    }

    pub(crate) fn end_loop(&mut self, ix: NodeIx) -> Result {
        let culprit = if self.any_child_bad(ix)? { self.first_bad_child(ix)? } else { None };
        self.end_group(ix, culprit)
    }

    pub(crate) fn any_child_bad(&self, ix: NodeIx) -> Result<bool> {
        for child in self.run.node(ix)?.child_ixs() {
            if matches!(self.run.node(child)?.status, TaskStatus::Failed | TaskStatus::Cancelled) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// One of `withItems`, its tags replaced. Maps and lists come as the JSON they were in the
/// document; everything else is a text and stays as it is written.
fn fixed_item(item: &Text, view: &View<'_>) -> Valued<Value> {
    let text = flowforge_expr::render(item, view)?;
    let structured = text.starts_with(['{', '[']).then(|| serde_json::from_str(&text).ok());
    Ok(structured.flatten().unwrap_or_else(|| Value::String(text.into_owned())))
}

fn param_items(text: &Text, view: &View<'_>) -> Valued<Items> {
    let source = flowforge_expr::render(text, view)?;
    match serde_json::from_str(&source) {
        Ok(Value::Array(items)) => Ok(Items::List(items.into())),
        Ok(_) | Err(_) => {
            let shown: String = source.chars().take(64).collect();
            let message = format!("withParam needs a JSON list, this is none: {shown:?}");
            Err(Fault::new(Reason::FanoutLimit, message))
        }
    }
}

fn numbers(sequence: &Sequence, view: &View<'_>) -> Valued<Items> {
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
        (Some(count), _) if count <= 0 => return Ok(Items::default()),
        (Some(count), _) => start.saturating_add(count.saturating_sub(1)),
        (None, Some(end)) => end,
        (None, None) => return Ok(Items::default()),
    };
    let format = sequence.format.as_ref().map(|format| flowforge_expr::render(format, view));
    let format = format.transpose()?;
    if let Some(format) = format.as_ref().filter(|format| printf::number(format, 0).is_none()) {
        let message = format!("withSequence.format {format:?} is not a format with one number");
        return Err(Fault::new(Reason::Error, message));
    }
    let many = last.abs_diff(start);
    if many >= u64::from(limits::NODES_PER_WORKFLOW) {
        let message = format!("withSequence has more than {} numbers", limits::NODES_PER_WORKFLOW);
        return Err(Fault::new(Reason::FanoutLimit, message));
    }
    let count = u32::try_from(many).unwrap_or(u32::MAX).saturating_add(1);
    Ok(Items::Numbers { start, down: last < start, count, format: format.map(Into::into) })
}
