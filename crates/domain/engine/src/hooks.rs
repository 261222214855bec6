//! Hooks: what runs because of how a task stands.
//!
//! A hook's node is a child of the node it hooks. The highest bit of its slot tells it from a task
//! or a try; the generation and the place of the hook among its task's stand below. A hook that
//! fails fails nothing else (as in Argo), but whatever waits for its task waits for it as well.

use flowforge_model::event::{Ending, NodeKind};
use flowforge_model::id::NodeIx;
use flowforge_model::plan::{Hook, Plan};
use flowforge_model::status::{Reason, TaskStatus};

use crate::flow::Step;
use crate::node::Node;
use crate::run::Run;
use crate::values::Fault;
use crate::{Result, StepError};

/// The name of the hook that runs when its task has ended.
const EXIT: &str = "exit";
/// Set in the slots of hooks.
const BIT: u32 = 1 << 31;
/// The hooks of a task that a slot can name.
const PLACES: u32 = 0xffff;
/// Generations that a slot can tell apart.
const GENERATIONS: u32 = 0x7fff;

/// The slot of the hook at `place`, in this generation.
pub(crate) fn slot(place: u32, generation: u32) -> u32 {
    BIT | (generation & GENERATIONS) << 16 | (place & PLACES)
}

/// The place among its task's hooks, if this is the slot of one.
pub(crate) fn place(slot: u32) -> Option<usize> {
    (slot & BIT != 0).then_some((slot & PLACES) as usize)
}

/// `onExit` or `hooks.NAME`; those of later generations carry its number.
pub(crate) fn name(hook: &Hook, slot: u32) -> String {
    let name =
        if *hook.name == *EXIT { "onExit".to_owned() } else { format!("hooks.{}", hook.name) };
    match slot >> 16 & GENERATIONS {
        0 | 1 => name,
        generation => format!("{name}-{generation}"),
    }
}

impl Run {
    /// The hooks of what calls a node: of its task, or of the workflow for the root. Loops and the
    /// tries of a group have none: their items and the node around them do.
    pub(crate) fn hooks<'a>(&'a self, plan: &'a Plan, ix: NodeIx) -> Result<&'a [Hook]> {
        let node = self.node(ix)?;
        if node.kind == NodeKind::Loop || place(node.slot).is_some() {
            return Ok(&[]);
        }
        let Some(parent) = node.parent else {
            return Ok(if ix == NodeIx::ROOT { &plan.hooks } else { &[] });
        };
        if self.node(parent)?.kind == NodeKind::Retry {
            return Ok(&[]);
        }
        Ok(self.call(plan, ix)?.task.map_or(&[], |task| &task.hooks))
    }

    /// Whether a node is the exit hook of a task, or belongs to one.
    pub(crate) fn within_exit_hook(&self, plan: &Plan, ix: NodeIx) -> Result<bool> {
        let mut at = ix;
        loop {
            let node = self.node(at)?;
            let Some(parent) = node.parent else {
                return Ok(false);
            };
            if let Some(place) = place(node.slot) {
                let hook = self.hooks(plan, parent)?.get(place);
                if *hook.ok_or(StepError::Bug("no such hook"))?.name == *EXIT {
                    return Ok(true);
                }
            }
            at = parent;
        }
    }

    /// Keeps `watching` true to a node.
    pub(crate) fn watch(&mut self, ix: NodeIx) -> Result {
        let node = self.node(ix)?;
        if node.watches && node.status != TaskStatus::Pending && !node.status.terminal() {
            self.watching.insert(ix);
        } else if node.watches {
            self.watching.remove(&ix);
        }
        Ok(())
    }

    /// A node has ended and so have its hooks.
    pub(crate) fn settled(&self, ix: NodeIx) -> bool {
        self.nodes.get(ix.index()).is_some_and(|node| {
            node.status.terminal()
                && node
                    .hooks()
                    .iter()
                    .all(|hook| self.status(*hook).is_some_and(TaskStatus::terminal))
        })
    }
}

impl Step<'_> {
    /// A node stands as it has not stood before: hooks that waited for it begin.
    pub(crate) fn look_at_hooks(&mut self, ix: NodeIx) -> Result {
        let node = self.run.node(ix)?;
        let (hooked, status) = (node.hooked, node.status);
        let begun = node.queued_at.is_some() || node.started_at.is_some();
        if !hooked || matches!(status, TaskStatus::Pending | TaskStatus::Skipped) {
            return Ok(());
        }
        // What a stop or a deadline ends has its exit hooks still, if it had begun.
        let ending = self.run.state.ending;
        if ending > Some(Ending::Stop) || (ending.is_some() && !begun) {
            return Ok(());
        }
        let halting = self.run.halting(self.plan, ix)?;
        let generation = self.run.state.generation;
        let mut fire = Vec::new();
        for (place, hook) in (0_u32..).zip(self.run.hooks(self.plan, ix)?) {
            let slot = slot(place, generation);
            let exit = *hook.name == *EXIT;
            if exit && !status.terminal() || !exit && halting || self.fired(ix, slot)? {
                continue;
            }
            match self.is_time_for(ix, hook)? {
                Ok(true) => fire.push((slot, hook.call.template, None)),
                Ok(false) => {}
                // What it names may have no value yet; at the end it has none.
                Err(fault) if status.terminal() => {
                    fire.push((slot, hook.call.template, Some(fault)));
                }
                Err(_) => {}
            }
        }
        if halting && !fire.is_empty() {
            self.open_gate();
        }
        for (slot, template, fault) in fire {
            let hook = self.add(Some(ix), slot, template, None)?;
            let extra = self.run.node_mut(ix)?.extra();
            extra.hooks.push(hook);
            extra.open_hooks = extra.open_hooks.saturating_add(1);
            match fault {
                Some(fault) => self.fail(hook, fault)?,
                None => self.begin(hook),
            }
        }
        Ok(())
    }

    /// Something has changed: hooks whose expressions look at more than their own task may be due.
    /// They are few, and fire once.
    pub(crate) fn look_around(&mut self) -> Result {
        for ix in self.run.watching.clone() {
            self.look_at_hooks(ix)?;
        }
        Ok(())
    }

    fn fired(&self, ix: NodeIx, slot: u32) -> Result<bool> {
        let mut hooks = self.run.node(ix)?.hooks().iter();
        Ok(hooks.any(|hook| self.run.nodes.get(hook.index()).is_some_and(|hook| hook.slot == slot)))
    }

    fn is_time_for(&self, ix: NodeIx, hook: &Hook) -> Result<std::result::Result<bool, Fault>> {
        let Some(source) = &hook.expression else {
            return Ok(Ok(true));
        };
        let caller = self.run.caller_of_hook(self.plan, ix, hook)?;
        let view = caller.view(self.plan, self.run, self.now);
        Ok(flowforge_expr::decide(source, &view).map_err(|error| {
            Fault::new(Reason::ExpressionError, format!("hook {}: {error}", hook.name))
        }))
    }

    /// A hook has ended: its node may have been waiting for that.
    pub(crate) fn hook_ended(&mut self, hook: NodeIx) -> Result {
        let hooked = self.run.node(hook)?.parent.ok_or(StepError::Bug("a hook of nothing"))?;
        let node = self.run.node_mut(hooked)?;
        let over = node.over;
        let extra = node.extra();
        extra.open_hooks = extra.open_hooks.saturating_sub(1);
        if over && extra.open_hooks == 0 { self.tell(hooked) } else { Ok(()) }
    }
}

impl Node {
    pub(crate) fn hooks(&self) -> &[NodeIx] {
        self.extra.as_ref().map_or(&[], |extra| &extra.hooks)
    }

    pub(crate) fn open_hooks(&self) -> u32 {
        self.extra.as_ref().map_or(0, |extra| extra.open_hooks)
    }
}
