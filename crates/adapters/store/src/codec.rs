//! Between columns and the nouns: what does not depend on the database.

use flowforge_model::event::{Ending, Outputs};
use flowforge_ports::store::StoreError;

/// Pairs whose order counts: parameters, labels.
pub(crate) type Pairs = Vec<(String, String)>;

/// Fastest level: a document is text of some KiB, and half its size is enough.
const ZSTD_LEVEL: i32 = 1;
/// Bytes that a stored document may claim: sixteen times what a request may carry.
const DOCUMENT_BYTES: usize = 16 * flowforge_model::limits::BODY_BYTES;

/// The columns of `task` that `task_row` reads, in its order.
macro_rules! task_columns {
    () => {
        "t.node, t.parent, t.slot, t.kind, t.name, t.template, t.item, t.status, t.reason, \
         t.message, t.attempt, t.failures, t.losses, t.exit_code, t.queued_at, t.started_at, \
         t.finished_at, t.outputs"
    };
}
/// The columns of `workflow` that `workflow_state` reads, in its order.
macro_rules! state_columns {
    () => {
        "w.status, w.reason, w.message, w.generation, w.ending, w.started_at, w.finished_at, \
         w.outputs"
    };
}
pub(crate) use {state_columns, task_columns};

/// A document as it is stored.
#[derive(Debug)]
pub(crate) struct Compressed {
    pub(crate) bytes: usize,
    pub(crate) zstd: Vec<u8>,
}

pub(crate) fn compress(text: &str) -> Result<Compressed, StoreError> {
    let zstd = zstd::bulk::compress(text.as_bytes(), ZSTD_LEVEL)
        .map_err(|error| StoreError::Unavailable(format!("compress the document: {error}")))?;
    Ok(Compressed { bytes: text.len(), zstd })
}

pub(crate) fn decompress(bytes: usize, zstd: &[u8]) -> Result<String, StoreError> {
    if bytes > DOCUMENT_BYTES {
        return Err(corrupt("document size"));
    }
    let text = zstd::bulk::decompress(zstd, bytes)
        .map_err(|error| StoreError::Corrupt(format!("document: {error}")))?;
    if text.len() != bytes {
        return Err(corrupt("document size"));
    }
    String::from_utf8(text).map_err(|_| corrupt("document text"))
}

pub(crate) fn corrupt(what: &str) -> StoreError {
    StoreError::Corrupt(what.to_owned())
}

pub(crate) fn to_json<T: serde::Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Conflict(error.to_string()))
}

pub(crate) fn outputs_json(outputs: Option<&Outputs>) -> Result<Option<String>, StoreError> {
    outputs.map(to_json).transpose()
}

/// The text of a column with JSON.
pub(crate) fn from_json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::Corrupt(error.to_string()))
}

/// The text of a column with a word of a fixed vocabulary.
pub(crate) fn parse_word<T>(
    word: &str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<T, StoreError> {
    parse(word).ok_or_else(|| StoreError::Corrupt(format!("unknown word {word:?}")))
}

pub(crate) fn ending_word(ending: Ending) -> &'static str {
    match ending {
        Ending::Deadline => "deadline",
        Ending::Stop => "stop",
        Ending::Terminate => "terminate",
        Ending::Cancel => "cancel",
    }
}

pub(crate) fn ending(word: &str) -> Option<Ending> {
    [Ending::Deadline, Ending::Stop, Ending::Terminate, Ending::Cancel]
        .into_iter()
        .find(|ending| ending_word(*ending) == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_reads_back_and_a_damaged_one_is_corrupt() {
        let text = "spec: {}\n".repeat(1000);
        let stored = compress(&text).unwrap();
        assert!(stored.zstd.len() < 200);
        assert_eq!(decompress(stored.bytes, &stored.zstd).unwrap(), text);
        for (bytes, zstd) in [
            (stored.bytes - 1, &stored.zstd[..]),
            (stored.bytes + 1, &stored.zstd[..]),
            (usize::MAX, &stored.zstd[..]),
            (stored.bytes, b"not zstd"),
        ] {
            assert!(matches!(decompress(bytes, zstd), Err(StoreError::Corrupt(_))));
        }
    }
}
