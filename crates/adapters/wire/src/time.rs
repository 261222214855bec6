//! Instants as text.

use std::fmt;

use flowforge_model::time::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// An instant, written as RFC 3339 in UTC with milliseconds: `2026-01-31T23:59:59.999Z`.
/// Instants outside of the years -9999 to 9999 are moved to the nearest end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub Timestamp);

impl Time {
    /// Reads any RFC 3339 instant; what is finer than a millisecond is cut off.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let instant: jiff::Timestamp = text.parse().ok()?;
        Some(Self(Timestamp(instant.as_millisecond())))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let instant = jiff::Timestamp::from_millisecond(self.0.0).unwrap_or(if self.0.0 < 0 {
            jiff::Timestamp::MIN
        } else {
            jiff::Timestamp::MAX
        });
        write!(f, "{instant:.3}")
    }
}

impl From<Timestamp> for Time {
    fn from(at: Timestamp) -> Self {
        Self(at)
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| de::Error::custom("not an RFC 3339 time"))
    }
}

#[cfg(feature = "openapi")]
mod schema {
    use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type};
    use utoipa::openapi::{RefOr, Schema as AnySchema};
    use utoipa::{PartialSchema, ToSchema};

    impl PartialSchema for super::Time {
        fn schema() -> RefOr<AnySchema> {
            RefOr::T(Schema::Object(
                ObjectBuilder::new()
                    .schema_type(Type::String)
                    .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
                    .description(Some("RFC 3339 in UTC with milliseconds"))
                    .build(),
            ))
        }
    }
    impl ToSchema for super::Time {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_milliseconds_and_read_back() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (1_767_225_599_999, "2025-12-31T23:59:59.999Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
        ] {
            let time = Time(Timestamp(millis));
            assert_eq!(time.to_string(), text);
            assert_eq!(Time::parse(text), Some(time));
        }
        assert_eq!(
            Time::parse("2026-01-01T01:00:00.0009+01:00").map(|t| t.to_string()),
            Some("2026-01-01T00:00:00.000Z".to_owned())
        );
        assert_eq!(Time::parse("2026-01-01"), None);
    }

    #[test]
    fn the_ends_of_time_can_be_written() {
        assert!(Time(Timestamp(i64::MAX)).to_string().starts_with("9999-"));
        assert!(Time(Timestamp(i64::MIN)).to_string().starts_with("-009999-"));
    }
}
