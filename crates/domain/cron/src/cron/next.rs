//! The next time that matches five fields: the search of robfig's `SpecSchedule.Next`.
//!
//! It goes field by field from the month down, and begins again when one wraps around. What it
//! does where the clock changes follows from how Go builds a date, so that is done the same way.

use jiff::civil::{Date, DateTime};
use jiff::tz::Offset;

use super::field::Set;
use super::zone::Zone;

/// The five fields.
#[derive(Clone, Debug)]
pub(super) struct Fields {
    pub(super) minute: Set,
    pub(super) hour: Set,
    pub(super) day: Set,
    pub(super) month: Set,
    pub(super) weekday: Set,
}

impl Fields {
    fn day_matches(&self, at: DateTime) -> bool {
        let day = self.day.has(at.day());
        let weekday = self.weekday.has(at.weekday().to_sunday_zero_offset());
        if self.day.star || self.weekday.star { day && weekday } else { day || weekday }
    }
}

/// Years that are searched.
const YEARS: i16 = 5;
/// Steps that are taken at most: five years have 60 months and 1,830 days.
const STEPS: u32 = 8192;

/// The first match after the second `after`, in seconds since the epoch.
pub(super) fn next_after(fields: &Fields, zone: &Zone, after: i64) -> Option<i64> {
    let mut search =
        Search { zone, at: Wall::at(zone, after.checked_add(1)?)?, moved: false, steps: STEPS };
    let limit = search.at.civil.year().checked_add(YEARS)?;
    while search.at.civil.year() <= limit {
        if search.month(fields)?
            && search.day(fields)?
            && search.hour(fields)?
            && search.minute(fields)?
            && search.second()?
        {
            return Some(search.at.unix);
        }
    }
    None
}

/// An instant and what clocks show there.
#[derive(Clone, Copy)]
struct Wall {
    unix: i64,
    civil: DateTime,
}

impl Wall {
    fn at(zone: &Zone, unix: i64) -> Option<Self> {
        let local = unix.checked_add(zone.offset(unix)?)?;
        let local = jiff::Timestamp::from_second(local).ok()?;
        Some(Self { unix, civil: Offset::UTC.to_datetime(local) })
    }

    /// Go's `time.Date`. Where the clock skips or repeats the time, the offset is the one that
    /// holds after reading the time with the offset that holds when it is taken for UTC.
    fn of(zone: &Zone, civil: DateTime) -> Option<Self> {
        let local = Offset::UTC.to_timestamp(civil).ok()?.as_second();
        let guess = local.checked_sub(zone.offset(local)?)?;
        Self::at(zone, local.checked_sub(zone.offset(guess)?)?)
    }
}

struct Search<'z> {
    zone: &'z Zone,
    at: Wall,
    /// Whether a field was moved, which leaves the smaller ones at their beginning.
    moved: bool,
    steps: u32,
}

// Each of these moves on to the first match of its field. `Some(false)`: it wrapped around, and
// the larger fields have to be looked at again. `None`: there is nothing.
impl Search<'_> {
    fn month(&mut self, fields: &Fields) -> Option<bool> {
        while !fields.month.has(self.at.civil.month()) {
            if self.first_move()? {
                let first = self.at.civil.date().first_of_month();
                self.at = Wall::of(self.zone, first.to_datetime(jiff::civil::Time::midnight()))?;
            }
            self.at = self.next_month()?;
            if self.at.civil.month() == 1 {
                return Some(false);
            }
        }
        Some(true)
    }

    fn day(&mut self, fields: &Fields) -> Option<bool> {
        while !fields.day_matches(self.at.civil) {
            if self.first_move()? {
                let midnight = self.at.civil.date().to_datetime(jiff::civil::Time::midnight());
                self.at = Wall::of(self.zone, midnight)?;
            }
            let tomorrow = self.at.civil.date().tomorrow().ok()?;
            self.at = Wall::of(self.zone, tomorrow.to_datetime(self.at.civil.time()))?;
            // A day without a midnight: back to its beginning, or on to the next.
            let hour = i64::from(self.at.civil.hour());
            if hour != 0 {
                let hours = if hour > 12 { 24 - hour } else { -hour };
                self.advance(hours.checked_mul(3600)?)?;
            }
            if self.at.civil.day() == 1 {
                return Some(false);
            }
        }
        Some(true)
    }

    fn hour(&mut self, fields: &Fields) -> Option<bool> {
        while !fields.hour.has(self.at.civil.hour()) {
            if self.first_move()? {
                let civil = self.at.civil;
                let hour = civil.date().at(civil.hour(), 0, 0, 0);
                self.at = Wall::of(self.zone, hour)?;
            }
            self.advance(3600)?;
            if self.at.civil.hour() == 0 {
                return Some(false);
            }
        }
        Some(true)
    }

    fn minute(&mut self, fields: &Fields) -> Option<bool> {
        while !fields.minute.has(self.at.civil.minute()) {
            if self.first_move()? {
                self.advance(-self.at.unix.rem_euclid(60))?;
            }
            self.advance(60)?;
            if self.at.civil.minute() == 0 {
                return Some(false);
            }
        }
        Some(true)
    }

    /// Fire times are full minutes.
    fn second(&mut self) -> Option<bool> {
        let second = i64::from(self.at.civil.second());
        if second == 0 {
            return Some(true);
        }
        self.first_move()?;
        self.advance(60_i64.checked_sub(second)?)?;
        Some(false)
    }

    /// Counts a step; whether it is the first.
    fn first_move(&mut self) -> Option<bool> {
        self.steps = self.steps.checked_sub(1)?;
        Some(!std::mem::replace(&mut self.moved, true))
    }

    fn advance(&mut self, seconds: i64) -> Option<()> {
        self.at = Wall::at(self.zone, self.at.unix.checked_add(seconds)?)?;
        Some(())
    }

    /// The same day and time of the next month, as Go's `AddDate`: days that a month does not
    /// have run over into the one after.
    fn next_month(&self) -> Option<Wall> {
        let civil = self.at.civil;
        let last = civil.date().last_of_month();
        let first: Date = last.tomorrow().ok()?;
        let days = jiff::Span::new().try_days(i64::from(civil.day()) - 1).ok()?;
        let date = first.checked_add(days).ok()?;
        Wall::of(self.zone, date.to_datetime(civil.time()))
    }
}
