//! Logs in memory.

use std::collections::HashMap;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use flowforge_model::id::{InstanceId, WorkflowId};
use flowforge_ports::logs::{Intake, LogCursor, LogLine, LogPage, LogQuery, LogStore, Shipment};

use crate::query::Matcher;

/// The in-memory twin of [`crate::SegmentLogs`]: same answers, nothing kept.
#[derive(Debug, Default)]
pub struct MemoryLogs {
    logs: Mutex<HashMap<WorkflowId, Log>>,
}

#[derive(Debug, Default)]
struct Log {
    lines: Vec<LogLine>,
    /// The last number of each source.
    sources: HashMap<InstanceId, u64>,
}

impl MemoryLogs {
    /// Without any log.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<WorkflowId, Log>> {
        self.logs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LogStore for MemoryLogs {
    fn append(&self, workflow: WorkflowId, lines: &[LogLine]) -> io::Result<()> {
        if !lines.is_empty() {
            self.lock().entry(workflow).or_default().lines.extend_from_slice(lines);
        }
        Ok(())
    }

    fn read(
        &self,
        workflow: WorkflowId,
        query: &LogQuery,
        after: LogCursor,
        limit: usize,
    ) -> io::Result<LogPage> {
        let matcher = Matcher::new(query);
        let logs = self.lock();
        let all = logs.get(&workflow).map_or(&[][..], |log| &log.lines);
        let mut page = LogPage { next: after, ..LogPage::default() };
        for (number, line) in (1_u64..).zip(all) {
            if number <= after.0 {
                continue;
            }
            if page.lines.len() >= limit {
                break;
            }
            page.next = LogCursor(number);
            if matcher.line(line) {
                page.lines.push((page.next, line.clone()));
            }
        }
        page.end = u64::try_from(all.len()).is_ok_and(|last| page.next.0 >= last);
        Ok(page)
    }

    fn seal(&self, _workflow: WorkflowId) -> io::Result<()> {
        Ok(())
    }

    fn delete(&self, workflow: WorkflowId) -> io::Result<()> {
        self.lock().remove(&workflow);
        Ok(())
    }
}

impl Intake for MemoryLogs {
    fn take_in(&self, source: InstanceId, shipment: &Shipment) -> io::Result<()> {
        let mut logs = self.lock();
        let log = logs.entry(shipment.workflow).or_default();
        let known = log.sources.entry(source).or_default();
        for (seq, line) in (shipment.seq..).zip(&shipment.lines) {
            if seq > *known {
                log.lines.push(line.clone());
                *known = seq;
            }
        }
        Ok(())
    }
}
