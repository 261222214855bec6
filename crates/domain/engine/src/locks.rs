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

fn requests(plan: &Plan, run: &Run, ix: NodeIx) -> Result<Valued<Vec<LockRequest>>> {
    let own = &run.template(plan, ix)?.locks;
    let shared: &[Lock] = if ix == NodeIx::ROOT { &plan.locks } else { &[] };
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
        let key = format!("{}/{}/{name}", lock.scope, run.context.project);
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
