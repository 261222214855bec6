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
    /// Another container tells.
    Beside {
        /// It ended because of that one.
        stopped: bool,
    },
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
        match message {
            "reported" => return Some(Self::Reported),
            "done" => return Some(Self::Beside { stopped: false }),
            "stopped" => return Some(Self::Beside { stopped: true }),
            _ => {}
        }
        rest("unreported").map(Self::Unreported).or_else(|| rest("refused").map(Self::Refused))
    }

    /// Of the words of several containers the one that counts has the greatest.
    pub(super) fn weight(&self) -> u8 {
        match self {
            Self::Beside { .. } => 0,
            Self::Unreported(_) => 1,
            Self::Refused(_) => 2,
            Self::Reported => 3,
        }
    }
}

/// The beginning of a message of others.
pub(super) fn shown(message: &str) -> String {
    message.chars().take(SHOWN).collect()
}
