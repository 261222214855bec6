//! Dispatches as bytes: many in one entry, because a server's work goes by entries.
//!
//! One version byte, the epoch (8 bytes), the time (8), then 24 for each attempt: workflow (16),
//! node (4), number (4); in version 2 also its pods (4). Numbers are big endian. Where each attempt is one
//! pod version 1 is written, which programs that know no gangs read as well.

use flowforge_model::attempt::AttemptKey;
use flowforge_model::id::{NodeIx, WorkflowId};
use flowforge_model::limits::DISPATCHES_PER_ENTRY;
use flowforge_model::time::Timestamp;
use flowforge_ports::queue::Dispatch;
use uuid::Uuid;

/// Each attempt is one pod.
const SINGLE: u8 = 1;
const SIZED: u8 = 2;
const HEAD: usize = 17;
const EACH: usize = 24;
const PODS: usize = 4;

/// Cuts a list into what one entry each may carry, in order.
pub(crate) fn packs(dispatches: &[Dispatch]) -> impl Iterator<Item = &[Dispatch]> {
    dispatches
        .chunk_by(|one, next| one.epoch == next.epoch && one.sent_at == next.sent_at)
        .flat_map(|alike| alike.chunks(DISPATCHES_PER_ENTRY))
}

/// The bytes of one pack; all of it has the epoch and the time of its first.
pub(crate) fn encode(pack: &[Dispatch]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEAD + (EACH + PODS) * pack.len());
    let Some(first) = pack.first() else { return bytes };
    let sized = pack.iter().any(|dispatch| dispatch.pods != 1);
    bytes.push(if sized { SIZED } else { SINGLE });
    bytes.extend(first.epoch.to_be_bytes());
    bytes.extend(first.sent_at.0.to_be_bytes());
    for Dispatch { key, pods, .. } in pack {
        bytes.extend(key.workflow.0.as_bytes());
        bytes.extend(key.node.0.to_be_bytes());
        bytes.extend(key.number.to_be_bytes());
        if sized {
            bytes.extend(pods.to_be_bytes());
        }
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
    let each = match *version {
        SINGLE => EACH,
        SIZED => EACH + PODS,
        _ => return None,
    };
    let attempts = attempts.chunks(each);
    if !(1..=DISPATCHES_PER_ENTRY).contains(&attempts.len()) {
        return None;
    }
    let one = |bytes: &[u8]| {
        let (key, pods) = bytes.split_first_chunk::<EACH>()?;
        let pods = if each == EACH {
            pods.is_empty().then_some(1)?
        } else {
            u32::from_be_bytes(pods.try_into().ok()?)
        };
        Some(Dispatch { key: attempt(key)?, pods, epoch, sent_at })
    };
    attempts.map(one).collect()
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
        (any::<u128>(), any::<u32>(), any::<u32>(), 1..3_u32, 0..3_u64, 0..3_i64).prop_map(
            |(workflow, node, number, pods, epoch, at)| Dispatch {
                key: AttemptKey {
                    workflow: WorkflowId(Uuid::from_u128(workflow)),
                    node: NodeIx(node),
                    number,
                },
                pods,
                epoch: epoch.wrapping_sub(1),
                sent_at: Timestamp(at - 1),
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_packed_comes_out_in_order(sent in proptest::collection::vec(dispatch(), 0..200)) {
            let packed: Vec<Vec<u8>> = packs(&sent).map(encode).collect();
            prop_assert!(packed.iter().all(|bytes| bytes.len() <= HEAD + (EACH + PODS) * DISPATCHES_PER_ENTRY));
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
            pods: 1,
            epoch,
            sent_at: Timestamp(0),
        };
        let sent: Vec<Dispatch> = (0..120).map(|n| of(u64::from(n >= 70))).collect();
        let lengths: Vec<usize> = packs(&sent).map(<[_]>::len).collect();
        assert_eq!(lengths, [50, 20, 50]);
        let mut bytes = encode(&sent[..1]);
        assert_eq!(bytes[0], SINGLE, "read by programs that know no gangs");
        bytes[0] = 3;
        assert_eq!(decode(&bytes), None, "of a later version");
        assert_eq!(decode(&encode(&sent[..51])), None, "too long");
    }
}
