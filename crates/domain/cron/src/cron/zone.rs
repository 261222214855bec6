//! Time zones by name, from the database of the build.

use flowforge_model::time::Timestamp;
use jiff::tz::{TimeZone, TimeZoneDatabase};

use crate::error::{CronError, cut};

/// An IANA time zone, or UTC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone(TimeZone);

impl Zone {
    /// Coordinated universal time.
    #[must_use]
    pub fn utc() -> Self {
        Self(TimeZone::UTC)
    }

    /// A zone by its IANA name, whatever its case.
    ///
    /// # Errors
    /// [`CronError::Zone`] if this build does not know it. `Local` is none: a server has no place.
    pub fn parse(name: &str) -> Result<Self, CronError> {
        let refuse = || CronError::Zone(cut(name));
        if name.eq_ignore_ascii_case("etc/unknown") {
            return Err(refuse());
        }
        TimeZoneDatabase::bundled().get(name).map(Self).map_err(|_| refuse())
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }

    /// An instant as clocks show it there: `2026-03-08T01:59:00-08:00`.
    #[must_use]
    pub fn show(&self, at: Timestamp) -> String {
        let at = jiff::Timestamp::from_millisecond(at.0).unwrap_or_default();
        at.to_zoned(self.0.clone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
    }

    /// Seconds to add to UTC at an instant; `None` beyond the year 9999.
    pub(super) fn offset(&self, unix: i64) -> Option<i64> {
        let at = jiff::Timestamp::from_second(unix).ok()?;
        Some(i64::from(self.0.to_offset(at).seconds()))
    }
}
