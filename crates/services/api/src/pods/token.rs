//! The token of an attempt: `POD.SIGNATURE`. Nothing about it is stored: it says which pod it was given
//! to, and the signature covers that and the attempt.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flowforge_model::attempt::AttemptKey;
use flowforge_model::id::PodUid;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// What is signed begins with this, so that it is not mistaken for anything else signed with the key.
const PURPOSE: &[u8] = b"flowforge attempt token 1\0";

/// The token by which a pod tells of an attempt.
pub(super) fn sign(signing_key: &[u8; 32], key: AttemptKey, pod: PodUid) -> Option<String> {
    let signature = code(signing_key, key, pod)?.finalize().into_bytes();
    Some(format!("{pod}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

/// The pod that a token of this attempt was given to; none if it is no such token.
pub(super) fn pod_of(signing_key: &[u8; 32], key: AttemptKey, token: &str) -> Option<PodUid> {
    let (pod, signature) = token.split_once('.')?;
    let pod = pod.parse().ok()?;
    let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
    // In a time that does not depend on where they differ.
    code(signing_key, key, pod)?.verify_slice(&signature).ok()?;
    Some(pod)
}

fn code(signing_key: &[u8; 32], key: AttemptKey, pod: PodUid) -> Option<Hmac<Sha256>> {
    // A key may have any length: this never fails.
    let mut code = Hmac::<Sha256>::new_from_slice(signing_key).ok()?;
    code.update(PURPOSE);
    code.update(key.workflow.0.as_bytes());
    code.update(&key.node.0.to_be_bytes());
    code.update(&key.number.to_be_bytes());
    code.update(pod.0.as_bytes());
    Some(code)
}

#[cfg(test)]
mod tests {
    use flowforge_model::id::{NodeIx, WorkflowId};
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_token_is_of_one_attempt_one_pod_and_one_key() {
        let id = WorkflowId(Uuid::from_u128(7));
        let key = AttemptKey { workflow: id, node: NodeIx(1), number: 2 };
        let pod = PodUid(Uuid::from_u128(8));
        let secret = [3; 32];
        let token = sign(&secret, key, pod).unwrap();
        assert_eq!(pod_of(&secret, key, &token), Some(pod));
        assert_eq!(pod_of(&[4; 32], key, &token), None);
        let others = [
            AttemptKey { workflow: WorkflowId(Uuid::from_u128(9)), ..key },
            AttemptKey { node: NodeIx(2), ..key },
            AttemptKey { number: 1, ..key },
        ];
        for other in others {
            assert_eq!(pod_of(&secret, other, &token), None);
        }
        let (_, signature) = token.split_once('.').unwrap();
        let stolen = format!("{}.{signature}", PodUid(Uuid::from_u128(10)));
        let shorter = &token[..token.len() - 1];
        for bad in ["", ".", &stolen, shorter, &format!("{token}A"), &format!("{pod}.")] {
            assert_eq!(pod_of(&secret, key, bad), None, "{bad}");
        }
    }
}
