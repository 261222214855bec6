//! Errors while they still point at bytes.

use crate::error::EvalError;

/// What went wrong, and the byte of the source where.
#[derive(Clone, Debug)]
pub(super) enum Fault {
    /// No values could save the expression.
    Compile(String, u32),
    /// These values have no result. The place is filled in by the nearest node that has one.
    Run(String, Option<u32>),
    Limit(EvalError),
}

impl Fault {
    /// The error for the author of `source`.
    pub(super) fn into_error(self, source: &str) -> EvalError {
        match self {
            Self::Compile(message, at) => EvalError::Compile { message, at: column(source, at) },
            Self::Run(message, at) => {
                EvalError::Run { message, at: column(source, at.unwrap_or(0)) }
            }
            Self::Limit(error) => error,
        }
    }

    /// The same, at `at` if it had no place yet.
    pub(super) fn at(self, at: u32) -> Self {
        match self {
            Self::Run(message, None) => Self::Run(message, Some(at)),
            other @ (Self::Compile(..) | Self::Run(..) | Self::Limit(_)) => other,
        }
    }
}

impl From<EvalError> for Fault {
    fn from(error: EvalError) -> Self {
        Self::Limit(error)
    }
}

/// A failure of these values.
pub(super) fn fail<T>(message: impl Into<String>) -> Result<T, Fault> {
    Err(Fault::Run(message.into(), None))
}

/// The character at a byte, from 1.
fn column(source: &str, at: u32) -> usize {
    let at = usize::try_from(at).unwrap_or(usize::MAX);
    source.char_indices().take_while(|(byte, _)| *byte < at).count().saturating_add(1)
}
