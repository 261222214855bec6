//! What both queues refuse, cut and say alike.

use std::time::Duration;

use flowforge_model::limits::{HEARTBEAT_BYTES, MESSAGE_BYTES};
use flowforge_ports::queue::{DeadLetterId, QueueError};

/// Longest time that one call waits for work.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Refuses a heartbeat that no queue would keep.
pub(crate) fn check_body(body: &str) -> Result<(), QueueError> {
    if body.len() <= HEARTBEAT_BYTES {
        return Ok(());
    }
    let bytes = body.len();
    Err(QueueError::Refused(format!("a heartbeat of {bytes} bytes: at most {HEARTBEAT_BYTES}")))
}

/// The reason of a dead letter, no longer than is kept.
pub(crate) fn cut(reason: &str) -> &str {
    &reason[..reason.floor_char_boundary(MESSAGE_BYTES)]
}

/// The reason of a dead letter that was taken too often.
pub(crate) fn worn_out(taken: u32) -> String {
    format!("taken {} times and never acknowledged", taken.saturating_sub(1))
}

/// The id was not given out by a queue.
pub(crate) fn no_dead_letter(id: &DeadLetterId) -> QueueError {
    let id: String = id.0.chars().take(80).collect();
    QueueError::Refused(format!("`{id}` is no id of a dead letter"))
}
