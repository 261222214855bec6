//! What can be wrong with a schedule, in words for its author.

use flowforge_expr::{EvalError, TagError};
use flowforge_model::limits::{CRON_BYTES, CRON_EXPRESSIONS};

/// Why an expression, a time zone or a condition of a schedule is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CronError {
    /// Nothing between the quotes.
    #[error("is empty; write five fields (minute hour day month weekday) or @daily")]
    Empty,
    /// More than [`CRON_BYTES`].
    #[error("is longer than {CRON_BYTES} bytes")]
    TooLong,
    /// Six fields: the first would be seconds.
    #[error(
        "has 6 fields, but there are no seconds: write minute hour day month weekday, or @every 10s"
    )]
    Seconds,
    /// Another number of fields than five.
    #[error("has {0} fields, expected 5: minute hour day month weekday")]
    FieldCount(usize),
    /// A field is wrong.
    #[error("{field} '{part}': {cause}")]
    Field {
        /// Which one.
        field: &'static str,
        /// The item of its list, cut.
        part: String,
        /// What is wrong with it.
        cause: &'static str,
    },
    /// `@something` that does not exist.
    #[error(
        "{0} is not known; use @yearly, @monthly, @weekly, @daily, @hourly or @every with a span"
    )]
    Descriptor(String),
    /// `@every` with something that is no span.
    #[error("@every '{0}': expected a span with units, such as 90s or 1h30m, of at most ten years")]
    Every(String),
    /// A time zone that the database of this build does not hold.
    #[error("the time zone '{0}' is not known; use an IANA name such as Europe/Berlin")]
    Zone(String),
    /// `TZ=` although the schedule has a time zone of its own.
    #[error("has a time zone of its own beside the one of the schedule; keep one of them")]
    TwoZones,
    /// No expression at all.
    #[error("there must be at least one schedule")]
    NoExpression,
    /// More than [`CRON_EXPRESSIONS`].
    #[error("has more than {CRON_EXPRESSIONS} schedules")]
    TooManyExpressions,
    /// A condition has a broken tag.
    #[error(transparent)]
    Tag(#[from] TagError),
    /// A condition has a tag that names nothing.
    #[error(
        "{{{{{0}}}}} is not known here; there are cronworkflow.name, namespace, labels.NAME, annotations.NAME, lastScheduledTime, failed and succeeded"
    )]
    UnknownTag(String),
    /// A condition does not parse.
    #[error(transparent)]
    Expression(#[from] EvalError),
}

/// The part of a [`Definition`](crate::Definition) that a fault is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// All schedules together.
    Schedules,
    /// One of them, from 0.
    Expression(usize),
    /// The time zone.
    Timezone,
    /// The condition of each run.
    When,
    /// The condition that ends the schedule.
    Stop,
}

/// One thing wrong with a definition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct Fault {
    /// Where.
    pub place: Place,
    /// What.
    pub error: CronError,
}

/// At most 64 characters of a hostile text, control characters escaped.
pub(crate) fn cut(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars().take(64) {
        if c.is_control() {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    if text.chars().nth(64).is_some() {
        out.push('…');
    }
    out
}
