//! Dispatches as bytes: many in one entry, because a server's work goes by entries.
//!
//! One version byte, the epoch (8 bytes), the time (8), then 24 for each attempt: workflow (16),
//! node (4), number (4). Numbers are big endian.

use flowforge_model::attempt::AttemptKey;
use flowforge_model::id::{NodeIx, WorkflowId};
use flowforge_model::limits::DISPATCHES_PER_ENTRY;
use flowforge_model::time::Timestamp;
use flowforge_ports::queue::Dispatch;
use uuid::Uuid;

const VERSION: u8 = 1;
const HEAD: usize = 17;
const EACH: usize = 24;

/// Cuts a list into what one entry each may carry, in order.
pub(crate) fn packs(dispatches: &[Dispatch]) -> impl Iterator<Item = &[Dispatch]> {
    dispatches
        .chunk_by(|one, next| one.epoch == next.epoch && one.sent_at == next.sent_at)
        .flat_map(|alike| alike.chunks(DISPATCHES_PER_ENTRY))
}

/// The bytes of one pack; all of it has the epoch and the time of its first.
pub(crate) fn encode(pack: &[Dispatch]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEAD + EACH * pack.len());
    let Some(first) = pack.first() else { return bytes };
    bytes.push(VERSION);
    bytes.extend(first.epoch.to_be_bytes());
    bytes.extend(first.sent_at.0.to_be_bytes());
    for Dispatch { key, .. } in pack {
        bytes.extend(key.workflow.0.as_bytes());
        bytes.extend(key.node.0.to_be_bytes());
        bytes.extend(key.number.to_be_bytes());
    }
    bytes
}

/// What the bytes say; none if they are not a pack of this version.
pub(crate) fn decode(bytes: &[u8]) -> Option<Vec<Dispatch>> {
    let (head, attempts) = bytes.split_at_checked(HEAD)?;
    let (version, head) = head.split_first()?;
    let (epoch, at) = head.split_first_chunk()?;
    let (epoch, sent_at) =
        (u64::from_be_bytes(*epoch), Timestamp(i64::from_be_bytes(at.try_into().ok()?)));
    let (attempts, rest) = attempts.as_chunks::<EACH>();
    let fits = (1..=DISPATCHES_PER_ENTRY).contains(&attempts.len()) && rest.is_empty();
    if *version != VERSION || !fits {
        return None;
    }
    attempts.iter().map(|bytes| Some(Dispatch { key: attempt(bytes)?, epoch, sent_at })).collect()
}

fn attempt(bytes: &[u8; EACH]) -> Option<AttemptKey> {
    let (workflow, rest) = bytes.split_first_chunk()?;
    let (node, number) = rest.split_first_chunk()?;
    Some(AttemptKey {
        workflow: WorkflowId(Uuid::from_bytes(*workflow)),
        node: NodeIx(u32::from_be_bytes(*node)),
        number: u32::from_be_bytes(number.try_into().ok()?),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn dispatch() -> impl Strategy<Value = Dispatch> {
        (any::<u128>(), any::<u32>(), any::<u32>(), 0..3_u64, 0..3_i64).prop_map(
            |(workflow, node, number, epoch, at)| Dispatch {
                key: AttemptKey {
                    workflow: WorkflowId(Uuid::from_u128(workflow)),
                    node: NodeIx(node),
                    number,
                },
                epoch: epoch.wrapping_sub(1),
                sent_at: Timestamp(at - 1),
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_packed_comes_out_in_order(sent in proptest::collection::vec(dispatch(), 0..200)) {
            let packed: Vec<Vec<u8>> = packs(&sent).map(encode).collect();
            prop_assert!(packed.iter().all(|bytes| bytes.len() <= HEAD + EACH * DISPATCHES_PER_ENTRY));
            let came: Vec<Dispatch> = packed.iter().flat_map(|bytes| decode(bytes).unwrap()).collect();
            prop_assert_eq!(came, sent);
        }

        #[test]
        fn no_bytes_are_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..1300)) {
            decode(&bytes);
        }
    }

    #[test]
    fn neighbours_share_an_entry_and_no_entry_is_too_long() {
        let of = |epoch| Dispatch {
            key: AttemptKey { workflow: WorkflowId(Uuid::nil()), node: NodeIx(0), number: 1 },
            epoch,
            sent_at: Timestamp(0),
        };
        let sent: Vec<Dispatch> = (0..120).map(|n| of(u64::from(n >= 70))).collect();
        let lengths: Vec<usize> = packs(&sent).map(<[_]>::len).collect();
        assert_eq!(lengths, [50, 20, 50]);
        let mut bytes = encode(&sent[..1]);
        bytes[0] = 2;
        assert_eq!(decode(&bytes), None, "of a later version");
        assert_eq!(decode(&encode(&sent[..51])), None, "too long");
    }
}
