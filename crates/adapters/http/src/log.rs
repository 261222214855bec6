//! What a task's log says about its request.

use flowforge_model::attempt::AttemptKey;
use flowforge_model::limits;
use flowforge_ports::clock::Clock;
use flowforge_ports::logs::{LogLine, LogStore, Stream};

/// The log of one attempt.
pub(crate) struct Log<'a> {
    pub(crate) key: AttemptKey,
    pub(crate) logs: &'a dyn LogStore,
    pub(crate) clock: &'a dyn Clock,
}

impl Log<'_> {
    /// Writes a remark, cut to the length of a line. Nothing secret may be in it.
    pub(crate) fn say(&self, text: &str) {
        let mut end = text.len().min(limits::LOG_LINE_BYTES);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let line = LogLine {
            at: self.clock.now(),
            node: self.key.node,
            attempt: self.key.number,
            stream: Stream::System,
            text: text.get(..end).unwrap_or_default().to_owned(),
            cut: false,
        };
        // The request matters more than the remark on it.
        if let Err(error) = self.logs.append(self.key.workflow, &[line]) {
            tracing::warn!(%error, "cannot write to the log of a task");
        }
    }
}
