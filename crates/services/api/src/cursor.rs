//! Places in lists, as opaque text that fits one list and one filter only.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::problem::{Code, Failure};

/// Bytes of the tag: enough to catch a mistake. A cursor is no secret and grants nothing.
const TAG: usize = 8;

/// The longest cursor: keys of locks may have some KiB.
const CURSOR_BYTES: usize = 16 * 1024;

/// A list and its filter; cursors are bound to it.
#[derive(Clone, Debug)]
pub(crate) struct Scope([u8; TAG]);

impl Scope {
    /// `parts` name the list and everything its filter says.
    pub(crate) fn new(parts: &[&str]) -> Self {
        let digest = digest(parts.iter().map(|part| part.as_bytes()));
        let mut tag = [0; TAG];
        tag.copy_from_slice(&digest[..TAG]);
        Self(tag)
    }

    /// The cursor behind the row with this key.
    pub(crate) fn seal(&self, key: &[u8]) -> String {
        let mut bytes = self.tag(key).to_vec();
        bytes.extend_from_slice(key);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The key of the row that a cursor is behind.
    pub(crate) fn open<const N: usize>(&self, cursor: &str) -> Result<[u8; N], Failure> {
        self.bytes(cursor)?.try_into().map_err(|_| refused())
    }

    /// The same for a key that is text.
    pub(crate) fn open_text(&self, cursor: &str) -> Result<String, Failure> {
        String::from_utf8(self.bytes(cursor)?).map_err(|_| refused())
    }

    fn bytes(&self, cursor: &str) -> Result<Vec<u8>, Failure> {
        if cursor.len() > CURSOR_BYTES {
            return Err(refused());
        }
        let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| refused())?;
        let (tag, key) = bytes.split_at_checked(TAG).ok_or_else(refused)?;
        if tag == self.tag(key) { Ok(key.to_vec()) } else { Err(refused()) }
    }

    fn tag(&self, key: &[u8]) -> [u8; TAG] {
        let digest = digest([&self.0[..], key]);
        let mut tag = [0; TAG];
        tag.copy_from_slice(&digest[..TAG]);
        tag
    }
}

fn refused() -> Failure {
    let detail = "the cursor does not belong to this list and filter";
    Failure::at(Code::BadCursor, "?cursor", detail)
}

/// SHA-256 over parts, each with its length before it, so that no two lists of parts are alike.
pub(crate) fn digest<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_fits_its_own_list_only() {
        let scope = Scope::new(&["workflows", "status=FAILED"]);
        let cursor = scope.seal(&7_u32.to_be_bytes());
        assert_eq!(scope.open::<4>(&cursor).unwrap(), 7_u32.to_be_bytes());
        assert!(Scope::new(&["workflows", ""]).open::<4>(&cursor).is_err());
        assert!(Scope::new(&["workflowsstatus=FAILED"]).open::<4>(&cursor).is_err());
        assert!(scope.open::<16>(&cursor).is_err());
        for at in 0..cursor.len() {
            let mut bytes = cursor.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let tampered = String::from_utf8(bytes).unwrap();
            assert!(scope.open::<4>(&tampered).is_err(), "{tampered}");
        }
        for junk in ["", "=", "%%%", "AAAA", &"A".repeat(20_000)] {
            assert!(scope.open::<4>(junk).is_err());
        }
    }
}
