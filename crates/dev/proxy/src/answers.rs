//! What PostgreSQL answers, message by message.

/// The answer to a `COMMIT` that was carried out: its kind, its length, its words. After an error the
/// answer says `ROLLBACK`.
const COMMITTED: &[u8] = b"C\x00\x00\x00\x0bCOMMIT\x00";
/// A message begins with its kind and its length, which counts itself.
const HEAD: usize = 5;

/// Reads answers as they come, in pieces of any size.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    /// The beginning of a message whose rest has not come.
    rest: Vec<u8>,
}

impl Answers {
    /// The whole messages so far. If `loses` says so of a commit, those before it, and `true`.
    pub(crate) fn read(
        &mut self,
        piece: &[u8],
        mut loses: impl FnMut() -> bool,
    ) -> (Vec<u8>, bool) {
        self.rest.extend_from_slice(piece);
        let mut whole = 0;
        while let Some(message) = message(self.rest.get(whole..).unwrap_or_default()) {
            if message == COMMITTED && loses() {
                self.rest.truncate(whole);
                return (std::mem::take(&mut self.rest), true);
            }
            whole += message.len();
        }
        (self.rest.drain(..whole).collect(), false)
    }
}

/// The first message, if it is there as a whole.
fn message(bytes: &[u8]) -> Option<&[u8]> {
    let length: [u8; 4] = bytes.get(1..HEAD)?.try_into().ok()?;
    let length = usize::try_from(u32::from_be_bytes(length)).ok()?;
    bytes.get(..length.checked_add(1)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An empty row description, a commit, ready for the next.
    const SAID: &[u8] = b"T\x00\x00\x00\x06\x00\x00C\x00\x00\x00\x0bCOMMIT\x00Z\x00\x00\x00\x05I";

    #[test]
    fn the_answer_to_a_commit_is_found_wherever_the_pieces_end() {
        for end in 0..=SAID.len() {
            let mut answers = Answers::default();
            let (first, lost) = answers.read(&SAID[..end], || true);
            let (second, lost_then) = match lost {
                true => (Vec::new(), false),
                false => answers.read(&SAID[end..], || true),
            };
            assert!(lost ^ lost_then, "{end}");
            assert_eq!([first, second].concat(), &SAID[..7], "{end}");
        }
    }

    #[test]
    fn everything_else_is_passed_on() {
        let rolled_back = b"C\x00\x00\x00\x0dROLLBACK\x00";
        let mut answers = Answers::default();
        assert_eq!(answers.read(rolled_back, || true), (rolled_back.to_vec(), false));
        assert_eq!(answers.read(SAID, || false), (SAID.to_vec(), false));
    }
}
