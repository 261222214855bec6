//! Entries of streams as Redis tells them, and receipts as we give them out.

use flowforge_model::limits::DISPATCHES_PER_ENTRY;
use flowforge_model::time::Timestamp;
use flowforge_ports::queue::{DeadLetter, DeadLetterId, Receipt};

use crate::pack;

/// The fields of an entry, names and values in turn; none of one that was deleted meanwhile.
pub(super) type Fields = Option<Vec<Vec<u8>>>;
/// What `XREADGROUP` answers: entries by stream, or none in time.
pub(super) type Read = Option<Vec<(String, Vec<(String, Fields)>)>>;

/// The bytes of a field. Others than ours may write into the stream: nothing is taken for granted.
pub(super) fn field<'a>(fields: &'a Fields, name: &[u8]) -> Option<&'a [u8]> {
    let (pairs, _) = fields.as_ref()?.as_chunks::<2>();
    pairs.iter().find_map(|[key, value]| (key == name).then_some(value.as_slice()))
}

/// An entry's id and the number of its dispatches: `1700000000000-0/50`.
pub(super) fn receipt(id: &str, dispatches: usize) -> Receipt {
    Receipt(format!("{id}/{dispatches}"))
}

/// The parts of a receipt; none if it is not one of ours.
pub(super) fn parts(receipt: &Receipt) -> Option<(&str, usize)> {
    let (id, dispatches) = receipt.0.split_once('/')?;
    let dispatches = dispatches.parse().ok().filter(|&n| n <= DISPATCHES_PER_ENTRY)?;
    entry_time(id)?;
    Some((id, dispatches))
}

/// When an entry was written, by the server's clock; none if this is no id of an entry.
pub(super) fn entry_time(id: &str) -> Option<Timestamp> {
    let (at, turn) = id.split_once('-')?;
    turn.parse::<u64>().ok()?;
    at.parse().ok().map(Timestamp)
}

/// A dead letter from its entry.
pub(super) fn dead_letter(id: String, fields: &Fields) -> DeadLetter {
    DeadLetter {
        dispatches: field(fields, b"d").and_then(pack::decode).unwrap_or_default(),
        reason: String::from_utf8_lossy(field(fields, b"r").unwrap_or_default()).into_owned(),
        buried_at: entry_time(&id).unwrap_or_default(),
        id: DeadLetterId(id),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_is_read_as_it_was_given() {
        assert_eq!(parts(&receipt("17-3", 50)), Some(("17-3", 50)));
        for bad in ["", "17-3", "17-3/51", "17-3/-1", "17/1", "*/1", "17-3/1/1"] {
            assert_eq!(parts(&Receipt(bad.to_owned())), None, "{bad}");
        }
    }
}
