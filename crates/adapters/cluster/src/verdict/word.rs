//! What a runner leaves in its termination message.

/// A runner's word about what it told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// The end was told and taken.
    Reported,
    /// It could not be told.
    Unreported(String),
    /// It was not allowed to begin, and has not.
    Refused(String),
}

/// Characters of a reason that are shown; a container may write 4 KiB of anything.
const SHOWN: usize = 500;

impl Word {
    pub(super) fn parse(message: &str) -> Option<Self> {
        let message = message.trim();
        let rest = |word: &str| {
            let rest = message.strip_prefix(word)?.strip_prefix(':')?;
            Some(shown(rest.trim()))
        };
        if message == "reported" {
            return Some(Self::Reported);
        }
        rest("unreported").map(Self::Unreported).or_else(|| rest("refused").map(Self::Refused))
    }
}

/// The beginning of a message of others.
pub(super) fn shown(message: &str) -> String {
    message.chars().take(SHOWN).collect()
}
