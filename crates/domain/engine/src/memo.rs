//! Remembered outputs: a task whose key is known does not run.

use flowforge_model::attempt::{Failure, FailureClass};
use flowforge_model::event::{Effect, Outputs};
use flowforge_model::id::NodeIx;
use flowforge_model::plan::Plan;
use flowforge_model::status::{Reason, TaskChange, TaskStatus};
use flowforge_model::time::Millis;

use crate::flow::Step;
use crate::run::Run;
use crate::scope::View;
use crate::values::{Fault, Valued, inputs_of};
use crate::{Result, StepError};

/// Where the outputs of a node are remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Memo {
    /// A cache of the project.
    pub cache: String,
    /// The key in it.
    pub key: String,
    /// Older outputs are not used.
    pub max_age: Option<Millis>,
}

/// Where the outputs of a node are remembered; none if they are not.
///
/// # Errors
/// Why the key has no value.
pub fn memo(plan: &Plan, run: &Run, node: NodeIx) -> Result<Option<Memo>, Box<Failure>> {
    let failure = |Fault { reason, message }| {
        Box::new(Failure { class: FailureClass::Error, reason, message })
    };
    memo_of(plan, run, node)
        .map_err(|bug| failure(Fault::new(Reason::Error, bug.to_string())))?
        .map_err(failure)
}

fn memo_of(plan: &Plan, run: &Run, ix: NodeIx) -> Result<Valued<Option<Memo>>> {
    let Some(memoize) = &run.template(plan, ix)?.memoize else {
        return Ok(Ok(None));
    };
    let inputs = match inputs_of(plan, run, ix)? {
        Ok(inputs) => inputs,
        Err(fault) => return Ok(Err(fault)),
    };
    let view = View::new(plan, run, ix, &inputs, run.context.created_at);
    Ok(match flowforge_expr::render(&memoize.key, &view) {
        Ok(key) => Ok(Some(Memo {
            cache: memoize.cache.to_string(),
            key: key.into_owned(),
            max_age: memoize.max_age,
        })),
        Err(error) => Err(error.into()),
    })
}

impl Step<'_> {
    pub(crate) fn ask_for_memo(&mut self, ix: NodeIx) -> Result {
        if let Err(fault) = memo_of(self.plan, self.run, ix)? {
            return self.fail(ix, fault);
        }
        self.run.node_mut(ix)?.recalling = true;
        self.effect(Effect::Recall { node: ix });
        Ok(())
    }

    /// A task whose outputs are known has succeeded with them; another one begins.
    pub(crate) fn recalled(&mut self, ix: NodeIx, hit: Option<&Outputs>) -> Result {
        let node = self.run.node_mut(ix).map_err(|_| StepError::Stale("no such task"))?;
        if !std::mem::take(&mut node.recalling) {
            return Err(StepError::Stale("nothing was asked"));
        }
        let Some(outputs) = hit else {
            return self.begin_now(ix);
        };
        if node.status == TaskStatus::Queued {
            self.change(ix, TaskChange::Start)?;
        }
        self.run.node_mut(ix)?.extra().outputs = Some(outputs.clone());
        self.export_globals(ix)?;
        self.end(ix, TaskChange::Succeed, Some(Reason::Memoized), None)
    }
}
