//! How nodes begin: locks and remembered outputs first, then what their kind asks for.

use flowforge_model::event::{Effect, NodeKind, Timer};
use flowforge_model::id::NodeIx;
use flowforge_model::plan::{Body, OutputSource, Template};
use flowforge_model::status::{Reason, TaskChange, TaskStatus};

use crate::Result;
use crate::flow::Step;
use crate::node::Node;
use crate::settings::{settings_of, with_amounts};

impl Step<'_> {
    pub(crate) fn do_begin(&mut self, ix: NodeIx) -> Result {
        if self.run.node(ix)?.status != TaskStatus::Pending {
            return Ok(());
        }
        if self.run.halting(self.plan, ix)? {
            return self.end_early(ix);
        }
        if self.locked(ix)? { self.ask_for_locks(ix) } else { self.begin_unlocked(ix) }
    }

    /// Begins a node that holds its locks: its outputs may be known already.
    pub(crate) fn begin_unlocked(&mut self, ix: NodeIx) -> Result {
        let node = self.run.node(ix)?;
        let memoize = self.run.template(self.plan, ix)?.memoize.is_some();
        if memoize && node.children == 0 && self.outermost(ix)? {
            return self.ask_for_memo(ix);
        }
        self.begin_now(ix)
    }

    pub(crate) fn begin_now(&mut self, ix: NodeIx) -> Result {
        let node = self.run.node(ix)?;
        if node.children > 0 {
            return self.go_on(ix);
        }
        match node.kind {
            NodeKind::Leaf => self.begin_leaf(ix),
            NodeKind::Suspend => self.begin_suspension(ix),
            NodeKind::Dag | NodeKind::Steps => self.begin_group(ix),
            NodeKind::Loop => self.begin_loop(ix),
            NodeKind::Retry => self.begin_tries(ix),
        }
    }

    fn begin_leaf(&mut self, ix: NodeIx) -> Result {
        if let Err(fault) = settings_of(self.plan, self.run, ix, self.now)? {
            return self.fail(ix, fault);
        }
        if let Err(fault) = with_amounts(self.plan, self.run, ix)? {
            return self.fail(ix, fault);
        }
        // Whoever waited for locks has its timer already.
        if self.run.node(ix)?.queued_at.is_none() {
            self.set_timeout(ix)?;
        }
        self.queue_attempt(ix)
    }

    /// A leaf's `timeout` counts from the moment it is ready, waiting included.
    pub(crate) fn set_timeout(&mut self, ix: NodeIx) -> Result {
        let leaf = self.run.node(ix)?.kind == NodeKind::Leaf;
        if !leaf {
            return Ok(());
        }
        // What cannot be read fails the task when it begins.
        let settings = settings_of(self.plan, self.run, ix, self.now)?;
        if let Some(span) = settings.ok().and_then(|settings| settings.timeout) {
            self.set_timer(ix, Timer::Timeout, span);
        }
        Ok(())
    }

    /// A group or a suspension runs; it may have waited for its locks.
    pub(crate) fn run_now(&mut self, ix: NodeIx) -> Result<&mut Node> {
        let waited = self.run.node(ix)?.status == TaskStatus::Queued;
        let now = self.now;
        let change = if waited { TaskChange::Start } else { TaskChange::Begin };
        let node = self.change(ix, change)?;
        node.started_at = Some(now);
        Ok(node)
    }

    /// Offers the next attempt of a leaf.
    pub(crate) fn queue_attempt(&mut self, ix: NodeIx) -> Result {
        let now = self.now;
        let node = self.change(ix, TaskChange::Ready)?;
        node.attempt = node.attempt.saturating_add(1);
        node.queued_at = Some(now);
        let number = node.attempt;
        self.effect(Effect::Runnable { node: ix, number });
        self.look_at_hooks(ix)
    }

    fn begin_suspension(&mut self, ix: NodeIx) -> Result {
        let span = match self.suspension_span(ix)? {
            Ok(span) => span,
            Err(fault) => return self.fail(ix, fault),
        };
        let wanted = wanted(self.run.template(self.plan, ix)?);
        let node = self.run_now(ix)?;
        node.reason = Some(Reason::Suspended);
        if let Some(wanted) = wanted {
            node.extra().message = Some(wanted);
        }
        if let Some(span) = span {
            self.set_timer(ix, Timer::Suspend, span);
        }
        self.look_at_hooks(ix)
    }

    fn begin_tries(&mut self, ix: NodeIx) -> Result {
        if let Err(fault) = settings_of(self.plan, self.run, ix, self.now)? {
            return self.fail(ix, fault);
        }
        self.run_now(ix)?;
        self.add_try(ix)?;
        self.look_at_hooks(ix)
    }

    /// The next try of a group with a retry strategy.
    pub(crate) fn add_try(&mut self, ix: NodeIx) -> Result {
        let (template, number) = {
            let node = self.run.node(ix)?;
            (node.template, node.children)
        };
        let kind = match self.run.template(self.plan, ix)?.body {
            Body::Steps(_) => NodeKind::Steps,
            Body::Dag(_)
            | Body::Container(_)
            | Body::Script(..)
            | Body::Suspend(_)
            | Body::ContainerSet(_)
            | Body::Http(_)
            | Body::Object(_)
            | Body::Child(_) => NodeKind::Dag,
        };
        if let Err(fault) = self.room_for(1) {
            return self.fail(ix, fault);
        }
        let child = self.add(Some(ix), number, template, Some(kind))?;
        let node = self.run.node_mut(ix)?;
        node.first_child = child.0;
        node.children = number.saturating_add(1);
        node.waiting = 1;
        self.begin(child);
        Ok(())
    }
}

/// What a suspension asks of the user who resumes it: `needs a value for a, b`.
fn wanted(template: &Template) -> Option<String> {
    let supplied = template.outputs.iter().filter(|output| output.source == OutputSource::Supplied);
    let names: Vec<&str> = supplied.map(|output| &*output.name).collect();
    (!names.is_empty()).then(|| format!("needs a value for {}", names.join(", ")))
}
