//! Locks: which ones a node needs, and what happens while it waits for them.

use flowforge_model::attempt::{Failure, FailureClass};
use flowforge_model::event::{Effect, NodeKind};
use flowforge_model::id::NodeIx;
use flowforge_model::plan::{Lock, Plan};
use flowforge_model::status::{Reason, TaskChange};

use crate::flow::Step;
use crate::run::Run;
use crate::scope::View;
use crate::values::{Fault, Valued, inputs_of};
use crate::{Result, StepError};

/// One of the locks that a node waits for or holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockRequest {
    /// `scope/project/name`: the same for all who share the lock.
    pub key: String,
    /// How many may hold it at a time.
    pub limit: u32,
}

/// The locks that a node needs before it begins, each once; the root needs those of its workflow
/// as well.
///
/// # Errors
/// Why the name of a lock has no value.
pub fn lock_requests(
    plan: &Plan,
    run: &Run,
    node: NodeIx,
) -> Result<Vec<LockRequest>, Box<Failure>> {
    let failure = |Fault { reason, message }| {
        Box::new(Failure { class: FailureClass::Error, reason, message })
    };
    let requests = requests(plan, run, node);
    requests.map_err(|bug| failure(Fault::new(Reason::Error, bug.to_string())))?.map_err(failure)
}

/// The locks that a node keeps when it gives its locks back: the root keeps those of its workflow
/// until that has ended.
#[must_use]
pub fn kept_locks(plan: &Plan, run: &Run, node: NodeIx) -> Vec<LockRequest> {
    if node != NodeIx::ROOT || run.state.status.terminal() {
        return Vec::new();
    }
    let kept = some_requests(plan, run, node, (&plan.locks, &[]));
    kept.ok().and_then(Valued::ok).unwrap_or_default()
}

fn requests(plan: &Plan, run: &Run, ix: NodeIx) -> Result<Valued<Vec<LockRequest>>> {
    let own = &run.template(plan, ix)?.locks;
    let shared: &[Lock] = if ix == NodeIx::ROOT { &plan.locks } else { &[] };
    some_requests(plan, run, ix, (shared, own))
}

fn some_requests(
    plan: &Plan,
    run: &Run,
    ix: NodeIx,
    (shared, own): (&[Lock], &[Lock]),
) -> Result<Valued<Vec<LockRequest>>> {
    let inputs = match inputs_of(plan, run, ix)? {
        Ok(inputs) => inputs,
        Err(fault) => return Ok(Err(fault)),
    };
    let view = View::new(plan, run, ix, &inputs, run.context.created_at);
    let mut requests: Vec<LockRequest> = Vec::with_capacity(own.len() + shared.len());
    for lock in shared.iter().chain(own) {
        let name = match flowforge_expr::render(&lock.name, &view) {
            Ok(name) => name,
            Err(error) => return Ok(Err(error.into())),
        };
        let key = format!("{}/{}/{name}", lock.scope, run.context.lock_name);
        match requests.iter_mut().find(|known| known.key == key) {
            Some(known) => known.limit = known.limit.min(lock.limit),
            None => requests.push(LockRequest { key, limit: lock.limit }),
        }
    }
    Ok(Ok(requests))
}

impl Run {
    /// The node that stands for a call: neither the loop around its items nor a try inside it.
    pub(crate) fn outermost(&self, ix: NodeIx) -> Result<bool> {
        let node = self.node(ix)?;
        let is_try = match node.parent {
            Some(parent) if crate::hooks::place(node.slot).is_none() => {
                self.node(parent)?.kind == NodeKind::Retry
            }
            _ => false,
        };
        Ok(node.kind != NodeKind::Loop && !is_try)
    }
}

impl Step<'_> {
    pub(crate) fn outermost(&self, ix: NodeIx) -> Result<bool> {
        self.run.outermost(ix)
    }

    /// Whether a node needs locks.
    pub(crate) fn locked(&self, ix: NodeIx) -> Result<bool> {
        let own = !self.run.template(self.plan, ix)?.locks.is_empty();
        let shared = ix == NodeIx::ROOT && !self.plan.locks.is_empty();
        Ok((own || shared) && self.outermost(ix)?)
    }

    pub(crate) fn ask_for_locks(&mut self, ix: NodeIx) -> Result {
        let requests = match requests(self.plan, self.run, ix)? {
            Ok(requests) => requests,
            Err(fault) => return self.fail(ix, fault),
        };
        if let Some(fault) = self.waits_for_itself(ix, &requests)? {
            return self.fail(ix, fault);
        }
        let keys: Vec<&str> = requests.iter().map(|request| &*request.key).collect();
        let message = format!("waits for {}", keys.join(" and "));
        let now = self.now;
        let node = self.change(ix, TaskChange::Ready)?;
        node.queued_at = Some(now);
        node.reason = Some(Reason::Lock);
        node.extra().message = Some(message);
        self.set_timeout(ix)?;
        self.effect(Effect::Acquire { node: ix });
        self.look_at_hooks(ix)
    }

    /// Why a node could never get its locks: what holds them ends only after the node. Argo lets it
    /// wait without an end.
    fn waits_for_itself(&self, ix: NodeIx, wanted: &[LockRequest]) -> Result<Option<Fault>> {
        let above = self.held_above(ix)?;
        let count = |key: &str| above.iter().filter(|held| *held.key == *key).count();
        let stuck = wanted.iter().find(|lock| count(&lock.key) >= lock.limit as usize);
        Ok(stuck.map(|lock| {
            let message = format!(
                "it would wait for {} without an end: its workflow or what calls it holds that \
                 until this has ended; give the two locks different names, or keep one of them",
                lock.key
            );
            Fault::new(Reason::Error, message)
        }))
    }

    /// What the nodes around a node hold at least until it has ended.
    fn held_above(&self, ix: NodeIx) -> Result<Vec<LockRequest>> {
        let (mut held, mut at) = (Vec::new(), ix);
        while let Some(parent) = self.run.node(at)?.parent {
            // A hook outlives the locks of its task, not those of the workflow.
            let hooked = crate::hooks::place(self.run.node(at)?.slot).is_some();
            if hooked && parent == NodeIx::ROOT {
                held.extend(kept_locks(self.plan, self.run, parent));
            } else if !hooked && self.locked(parent)? {
                held.extend(requests(self.plan, self.run, parent)?.unwrap_or_default());
            }
            at = parent;
        }
        if at != NodeIx::ROOT {
            // Of the exit handler.
            held.extend(kept_locks(self.plan, self.run, NodeIx::ROOT));
        }
        Ok(held)
    }

    pub(crate) fn granted(&mut self, ix: NodeIx) -> Result {
        let node = self.run.node_mut(ix).map_err(|_| StepError::Stale("no such task"))?;
        if !node.waits_for_locks() {
            return Err(StepError::Stale("not waiting for locks"));
        }
        node.reason = None;
        if let Some(extra) = &mut node.extra {
            extra.message = None;
        }
        self.touch(ix);
        self.begin_unlocked(ix)
    }
}
