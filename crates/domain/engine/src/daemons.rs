//! Daemons: tasks that serve those after them, until the template around them ends.
//!
//! A daemon that is ready serves: its dependents go on, and the group around it waits for it no more.
//! When all that a group waits for has ended its daemons are told to stop, and it ends after them. One
//! that comes to its end before is absent: what has not begun waits until it is ready again. All of
//! this is derived from rows: ready is `RUNNING` with the reason `daemoned`, and who has an address
//! has served.

use flowforge_model::event::{Effect, NodeKind, Timer};
use flowforge_model::id::NodeIx;
use flowforge_model::limits;
use flowforge_model::plan::{Body, Plan};
use flowforge_model::status::{Reason, TaskChange, TaskStatus};
use flowforge_model::time::Timestamp;

use crate::flow::{Step, cut};
use crate::groups::forgiven;
use crate::node::Node;
use crate::run::Run;
use crate::steps::group_end;
use crate::{Result, StepError};

impl Node {
    /// A daemon that serves.
    pub(crate) fn ready(&self) -> bool {
        self.status == TaskStatus::Running && self.reason == Some(Reason::Daemoned)
    }

    /// A daemon that has been ready in this generation.
    pub(crate) fn served(&self) -> bool {
        self.outputs().is_some_and(|outputs| outputs.ip.is_some())
    }

    /// Of a steps template: daemons that are absent.
    pub(crate) fn absent(&self) -> u32 {
        self.extra.as_ref().map_or(0, |extra| extra.absent)
    }
}

impl Run {
    /// The group around a node waits for it: it has not ended, and is no daemon that has served.
    pub(crate) fn awaited(&self, ix: NodeIx) -> bool {
        let served = self.nodes.get(ix.index()).is_some_and(Node::served);
        !served && !self.settled(ix)
    }

    /// What depends on a node waits for it: it has not ended, and is no daemon that serves.
    pub(crate) fn missing(&self, ix: NodeIx) -> bool {
        let ready = self.nodes.get(ix.index()).is_some_and(Node::ready);
        !ready && !self.settled(ix)
    }

    /// A daemon that has served, and serves no more although it has not ended.
    pub(crate) fn is_absent(&self, ix: NodeIx) -> bool {
        self.nodes.get(ix.index()).is_some_and(Node::served) && self.missing(ix)
    }

    fn is_daemon(&self, plan: &Plan, ix: NodeIx) -> Result<bool> {
        let leaf = self.node(ix)?.kind == NodeKind::Leaf;
        Ok(leaf && self.template(plan, ix)?.daemon.is_some())
    }

    /// The group whose tasks a daemon serves. One that stands for no task of a group serves nobody.
    fn served_group(&self, ix: NodeIx) -> Result<Option<NodeIx>> {
        let node = self.node(ix)?;
        let group = node.parent.filter(|_| crate::hooks::place(node.slot).is_none());
        let Some(group) = group else { return Ok(None) };
        let kind = self.node(group)?.kind;
        Ok(matches!(kind, NodeKind::Dag | NodeKind::Steps).then_some(group))
    }

    /// A daemon that has served, and that nobody needs any more.
    pub(crate) fn needless(&self, ix: NodeIx) -> Result<bool> {
        if !self.node(ix)?.served() {
            return Ok(false);
        }
        let Some(group) = self.served_group(ix)? else { return Ok(true) };
        Ok(!self.node(group)?.child_ixs().any(|child| self.awaited(child)))
    }

    /// A daemon that has failed while others needed it: nothing more begins in its group.
    pub(crate) fn deserted(&self, plan: &Plan, ix: NodeIx) -> Result<bool> {
        let node = self.node(ix)?;
        if node.status != TaskStatus::Failed || !node.served() {
            return Ok(false);
        }
        let Some(group) = self.served_group(ix)? else { return Ok(false) };
        let tasks = self.template(plan, group)?.body.tasks();
        let task = tasks.get(node.slot as usize).ok_or(StepError::Bug("no such task"))?;
        Ok(!forgiven(node, task.continue_on))
    }

    /// Whether a group, all of whose other tasks have ended, fails.
    fn fails(&self, plan: &Plan, group: NodeIx) -> Result<bool> {
        Ok(match &self.template(plan, group)?.body {
            Body::Dag(dag) => self.dag_fails(group, dag)?,
            Body::Steps(steps) => {
                let last = steps.group_ends.last().copied().unwrap_or(0);
                self.bad_step(group, steps, 0..last)?.is_some()
            }
            Body::Container(_)
            | Body::Script(..)
            | Body::Suspend(_)
            | Body::ContainerSet(_)
            | Body::Http(_)
            | Body::Object(_)
            | Body::Child(_) => return Err(StepError::Bug("not a group")),
        })
    }
}

impl Step<'_> {
    /// A daemon is ready.
    pub(crate) fn ready(&mut self, ix: NodeIx, number: u32, at: Timestamp, ip: &str) -> Result {
        let node = self.run.node(ix).map_err(|_| StepError::Stale("no such task"))?;
        let (status, asks) = (node.status, node.waits_for_locks());
        let live = matches!(status, TaskStatus::Queued | TaskStatus::Running) && !asks;
        if node.attempt != number || !live || node.ready() || !self.run.is_daemon(self.plan, ix)? {
            return Err(StepError::Stale("not a daemon that gets ready"));
        }
        let stopping = node.reason == Some(Reason::Timeout) || self.run.needless(ix)?;
        if stopping || self.run.halting(self.plan, ix)? {
            return Err(StepError::Stale("it is being stopped"));
        }
        if status == TaskStatus::Queued {
            self.started(ix, number, at)?;
        }
        self.touch(ix);
        let ip = cut(ip.to_owned(), limits::MESSAGE_BYTES);
        let node = self.run.node_mut(ix)?;
        let (slot, again) = (node.slot, node.served());
        node.reason = Some(Reason::Daemoned);
        let extra = node.extra();
        extra.message = Some(format!("ready at {ip}"));
        extra.outputs.get_or_insert_default().ip = Some(ip);
        self.look_at_hooks(ix)?;
        // Its dependents may need the place that it takes under a `parallelism`.
        self.leave_parallelism(ix)?;
        match self.run.served_group(ix)? {
            Some(group) => self.serves(group, slot, again),
            None => self.dismiss(ix).map(drop),
        }
    }

    /// What a group waits for, or what in it waits for the child at `slot`, goes on. `served` says that
    /// the group waits for that one no more.
    pub(crate) fn serves(&mut self, group: NodeIx, slot: u32, served: bool) -> Result {
        let node = self.run.node_mut(group)?;
        if !served {
            node.waiting = node.waiting.saturating_sub(1);
        }
        let (kind, done) = (node.kind, node.waiting == 0);
        match kind {
            NodeKind::Dag => {
                self.free_dependents(group, slot)?;
                if done { self.end_dag(group) } else { Ok(()) }
            }
            NodeKind::Steps => {
                if served {
                    self.back(group, slot)?;
                }
                if done { self.step_group_ended(group) } else { Ok(()) }
            }
            NodeKind::Loop | NodeKind::Retry | NodeKind::Leaf | NodeKind::Suspend => {
                Err(StepError::Bug("serves no group"))
            }
        }
    }

    /// A daemon that was absent from a steps template is not any more.
    fn back(&mut self, group: NodeIx, slot: u32) -> Result {
        let extra = self.run.node_mut(group)?.extra();
        extra.absent = extra.absent.saturating_sub(1);
        for child in self.steps_after(group, slot)? {
            let node = self.run.node_mut(child)?;
            node.waiting = node.waiting.saturating_sub(1);
            if node.waiting == 0 {
                self.release(child);
            }
        }
        Ok(())
    }

    /// The steps of the current group that have not begun, if the one at `slot` stands before them.
    fn steps_after(&self, group: NodeIx, slot: u32) -> Result<Vec<NodeIx>> {
        let node = self.run.node(group)?;
        let Body::Steps(steps) = &self.run.template(self.plan, group)?.body else {
            return Err(StepError::Bug("a steps node without steps"));
        };
        let current = node.group..group_end(steps, node.group);
        let after = current.filter(|_| slot < node.group);
        let after = after.filter_map(|slot| self.run.child(group, slot));
        Ok(after.filter(|child| self.run.status(*child) == Some(TaskStatus::Pending)).collect())
    }

    /// A daemon serves no more: what has not begun waits until it is ready again, or has ended.
    pub(crate) fn leaves(&mut self, ix: NodeIx) -> Result {
        if !self.run.node(ix)?.ready() {
            return Ok(());
        }
        self.touch(ix);
        let node = self.run.node_mut(ix)?;
        node.reason = None;
        node.extra().message = None;
        let slot = node.slot;
        let Some(group) = self.run.served_group(ix)? else { return Ok(()) };
        if self.parallelism_around(ix)?.is_some() {
            let extra = self.run.node_mut(group)?.extra();
            extra.active = extra.active.saturating_add(1);
            self.run.node_mut(ix)?.counted = true;
        }
        let body = &self.run.template(self.plan, group)?.body;
        let dependents: Vec<NodeIx> = if let Body::Dag(dag) = body {
            let slots = dag.dependents.row(slot).iter();
            slots.filter_map(|slot| self.run.child(group, *slot)).collect()
        } else {
            let extra = self.run.node_mut(group)?.extra();
            extra.absent = extra.absent.saturating_add(1);
            self.steps_after(group, slot)?
        };
        for child in dependents {
            let node = self.run.node_mut(child)?;
            if node.status != TaskStatus::Pending {
                continue;
            }
            node.waiting = node.waiting.saturating_add(1);
            // Held back by `parallelism` it would begin when there is room.
            if let Some(extra) = &mut self.run.node_mut(group)?.extra {
                extra.held.retain(|held| *held != child);
            }
        }
        Ok(())
    }

    /// All that a group waits for has ended: its daemons are told to stop. Whether any are left.
    pub(crate) fn dismiss_all(&mut self, group: NodeIx) -> Result<bool> {
        let mut left = false;
        for child in self.run.node(group)?.child_ixs() {
            let node = self.run.node(child)?;
            // The end of one that the group has not heard of yet comes in this very step.
            if node.served() && !(node.over && self.run.settled(child)) {
                self.dismiss(child)?;
                left = true;
            }
        }
        Ok(left)
    }

    fn dismiss(&mut self, ix: NodeIx) -> Result {
        let node = self.run.node(ix)?;
        match node.status {
            TaskStatus::Queued | TaskStatus::Running => {
                let number = node.attempt;
                self.effect(Effect::Stop { node: ix, number });
                Ok(())
            }
            TaskStatus::Retrying => {
                self.effect(Effect::ClearTimer { node: ix, timer: Timer::Retry });
                self.dismissed(ix)
            }
            // Its hooks run.
            TaskStatus::Pending
            | TaskStatus::Succeeded
            | TaskStatus::Failed
            | TaskStatus::Skipped
            | TaskStatus::Cancelled => Ok(()),
        }
    }

    /// A daemon that nobody needs any more has ended, however it did.
    pub(crate) fn dismissed(&mut self, ix: NodeIx) -> Result {
        let fails = match self.run.served_group(ix)? {
            Some(group) => self.run.fails(self.plan, group)?,
            None => false,
        };
        self.leaves(ix)?;
        if fails && self.run.halting(self.plan, ix)? {
            return self.end_early(ix);
        }
        let node = self.run.node_mut(ix)?;
        node.exit_code = None;
        // A success is final: what a later generation needs again must not be one.
        let change = if fails { TaskChange::Cancel } else { TaskChange::Succeed };
        // The table knows no short cuts.
        let (retries, runs) =
            (node.status == TaskStatus::Retrying, node.status == TaskStatus::Running);
        if retries && !fails {
            self.change(ix, TaskChange::Ready)?;
        }
        if !runs && !fails {
            self.change(ix, TaskChange::Start)?;
        }
        let message = "ended with the tasks that it served".to_owned();
        self.end(ix, change, Some(Reason::Daemoned), Some(message))
    }
}
