//! What is decided when a task is released: its `when`, and how long it is suspended.

use flowforge_model::event::NodeKind;
use flowforge_model::id::NodeIx;
use flowforge_model::plan::Body;
use flowforge_model::status::Reason;
use flowforge_model::time::Millis;

use crate::flow::Step;
use crate::scope::View;
use crate::values::{Fault, Valued};
use crate::{Result, StepError};

impl Step<'_> {
    /// Whether a node's `when` lets it run. Only the outermost node of a call asks.
    pub(crate) fn when(&self, ix: NodeIx) -> Result<Valued<bool>> {
        let parent = self.run.node(ix)?.parent;
        if let Some(parent) = parent
            && self.run.node(parent)?.kind == NodeKind::Retry
        {
            return Ok(Ok(true));
        }
        let Some(when) = self.run.call(self.plan, ix)?.when() else {
            return Ok(Ok(true));
        };
        let caller = self.run.caller(self.plan, ix)?;
        let view = caller.view(self.plan, self.run, self.now);
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
}
