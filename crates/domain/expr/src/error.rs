//! What can go wrong in the languages of a document, in words for its author.

use flowforge_model::limits;

/// A text could not be rendered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// A tag names something that has no value here.
    #[error("{0} has no value")]
    Unresolved(String),
    /// An expression failed.
    #[error("{{{{={source_text}}}}}: {cause}")]
    Expression {
        /// The source between `{{=` and `}}`.
        source_text: String,
        /// Why it failed.
        cause: EvalError,
    },
    /// An expression that decides something is not true and not false.
    #[error("'{source_text}' is {value}, neither true nor false")]
    NotBool {
        /// The expression, cut.
        source_text: String,
        /// The value it has.
        value: String,
    },
    /// An expression came out as nil.
    #[error("{{{{={0}}}}} has no value (nil); give it one with ??")]
    Nil(String),
}

/// A `when` is not true and not false.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WhenError {
    /// It does not parse.
    #[error(
        "'{source_text}' is not a condition: {cause} (put quotes around values that are not plain words)"
    )]
    Parse {
        /// The substituted condition, cut.
        source_text: String,
        /// What is wrong with it.
        cause: String,
    },
    /// An operator does not take its operands.
    #[error("'{source_text}' cannot be decided: {cause}")]
    Eval {
        /// The substituted condition, cut.
        source_text: String,
        /// What is wrong with it.
        cause: String,
    },
    /// It has a value, but not a bool.
    #[error("'{source_text}' is {value}, neither true nor false")]
    NotBool {
        /// The substituted condition, cut.
        source_text: String,
        /// The value it has.
        value: String,
    },
}

/// An expression could not be evaluated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvalError {
    /// It does not parse, names something unknown or has types that do not fit: it never has a
    /// value, whatever the values of its names.
    #[error("{message} at character {at}")]
    Compile {
        /// What is wrong.
        message: String,
        /// Character, from 1.
        at: usize,
    },
    /// It has no value with these values of its names.
    #[error("{message} at character {at}")]
    Run {
        /// What is wrong.
        message: String,
        /// Character, from 1.
        at: usize,
    },
    /// The source itself is more than is allowed.
    #[error("{0}")]
    SourceLimit(&'static str),
    /// Evaluating it would take more than is allowed.
    #[error("{0}")]
    RunLimit(&'static str),
}

impl EvalError {
    /// The source is longer than an expression may be.
    pub(crate) const TOO_LONG: Self = Self::SourceLimit("longer than 4096 bytes");
    /// Parentheses, lists, calls or operators are nested too deeply.
    pub(crate) const TOO_DEEP: Self = Self::SourceLimit("nested deeper than 32 levels");
    /// The step budget is used up.
    pub(crate) const TOO_SLOW: Self = Self::RunLimit("takes more than 100000 steps");
    /// The memory budget is used up.
    pub(crate) const TOO_BIG: Self = Self::RunLimit("needs more than 4 MiB of memory");
    /// Lists and maps are nested too deeply.
    pub(crate) const TOO_NESTED: Self = Self::RunLimit("its values nest deeper than 64 levels");

    /// `COMPILE-ERR` if no values could save the expression, else `RUN-ERR`.
    #[must_use]
    pub fn class(&self) -> &'static str {
        match self {
            Self::Compile { .. } | Self::SourceLimit(_) => "COMPILE-ERR",
            Self::Run { .. } | Self::RunLimit(_) => "RUN-ERR",
        }
    }
}

const _: () = assert!(
    limits::EXPRESSION_BYTES == 4096
        && limits::EXPRESSION_DEPTH == 32
        && limits::EXPRESSION_STEPS == 100_000
        && limits::EXPRESSION_MEMORY == 4 << 20,
    "the messages above name the limits"
);

/// A text has a broken tag.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TagError {
    /// `{{` without `}}`.
    #[error("the tag {{{{{0} is not closed by }}}}")]
    Unclosed(String),
    /// `{{}}` or `{{=}}`.
    #[error("a tag is empty")]
    Empty,
    /// A tag inside a tag, where it can name nothing.
    #[error(
        "the tag {{{{{0} holds another tag that names no part of it: write it like inputs.parameters.{{{{item}}}}"
    )]
    Nested(String),
    /// An expression that does not parse.
    #[error("{{{{={source_text}}}}}: {cause}")]
    Expression {
        /// The source between `{{=` and `}}`.
        source_text: String,
        /// What is wrong with it.
        cause: EvalError,
    },
}

/// A `depends` condition is broken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConditionError {
    /// It does not parse.
    #[error("{message} at character {at}")]
    Syntax {
        /// What is wrong.
        message: String,
        /// Character, from 1.
        at: usize,
    },
    /// It names a task that does not exist.
    #[error("there is no task {0}")]
    UnknownTask(String),
    /// `task.Foo` with an outcome that does not exist.
    #[error(
        "{0} is no outcome: use Succeeded, Failed, Errored, Skipped, Omitted, Daemoned, AnySucceeded or AllFailed"
    )]
    UnknownOutcome(String),
    /// It would take more than is allowed.
    #[error("{0}")]
    Limit(&'static str),
}

/// At most 64 characters of a hostile text, control characters escaped.
pub(crate) fn cut(text: &str) -> String {
    let mut out: String = text
        .chars()
        .take(64)
        .flat_map(|c| {
            let escape = c.is_control();
            let escaped = escape.then(|| c.escape_default()).into_iter().flatten();
            escaped.chain((!escape).then_some(c))
        })
        .collect();
    if text.chars().nth(64).is_some() {
        out.push('…');
    }
    out
}
