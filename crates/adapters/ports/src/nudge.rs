//! How the api wakes the controller inside one process.

use std::sync::Arc;

use flowforge_model::id::WorkflowId;
use flowforge_model::plan::Plan;

/// A hint: an intent for this workflow was committed. Losing it costs latency only; the intent's
/// row is the truth.
#[derive(Clone, Debug)]
pub struct Nudge {
    /// Which workflow.
    pub workflow: WorkflowId,
    /// Its plan, compiled from the document and parameters as stored; spares compiling it again.
    pub plan: Option<Arc<Plan>>,
}
