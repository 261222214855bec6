//! Lines that were dropped: counted, and told in the log where they are missing.

use std::collections::BTreeMap;

use flowforge_model::id::WorkflowId;
use flowforge_ports::logs::{LogLine, Stream};

/// Workflows of which losses are counted one by one; of others only the server's own log tells.
const WORKFLOWS: usize = 10_000;

/// What was dropped and not told yet.
#[derive(Debug, Default)]
pub(super) struct Losses(BTreeMap<WorkflowId, (u64, LogLine)>);

impl Losses {
    /// Lines of a workflow are missing: what follows has to wait until that is told.
    pub(super) fn has(&self, workflow: WorkflowId) -> bool {
        self.0.contains_key(&workflow)
    }

    /// These lines are dropped.
    pub(super) fn count(&mut self, workflow: WorkflowId, lines: &[LogLine]) {
        let Some(first) = lines.first() else { return };
        if self.0.is_empty() {
            tracing::error!(%workflow, "log lines are dropped: the spool is full, the disk failed or they were refused");
        }
        if self.0.len() < WORKFLOWS || self.has(workflow) {
            let line = || LogLine { stream: Stream::System, cut: false, ..first.clone() };
            let (count, _) = self.0.entry(workflow).or_insert_with(|| (0, line()));
            *count += lines.len() as u64;
        } else {
            tracing::error!(%workflow, lines = lines.len(), "log lines are dropped");
        }
    }

    /// What is to be told in a workflow's log.
    pub(super) fn line(&self, workflow: WorkflowId) -> Option<LogLine> {
        let (count, line) = self.0.get(&workflow)?;
        let text = format!(
            "{count} lines of this workflow are missing from here on: the log aggregator was away \
             and the spool of the executor was full (logs.spool_mib), the disk of the executor \
             failed, or the aggregator refused them; the executor's own log says which"
        );
        Some(LogLine { text, ..line.clone() })
    }

    /// It was told.
    pub(super) fn told(&mut self, workflow: WorkflowId) {
        self.0.remove(&workflow);
    }

    /// All of which something is to be told.
    pub(super) fn workflows(&self) -> Vec<WorkflowId> {
        self.0.keys().copied().collect()
    }
}
