//! Quoted strings that govaluate takes for times.

/// Unix seconds of a text in one of the formats, UTC unless it names an offset.
pub(super) fn parse(text: &str) -> Option<i64> {
    if !text.is_ascii() {
        return None;
    }
    kitchen(text).or_else(|| iso(text))
}

/// `3:04PM` of 1 January of the year 0.
fn kitchen(text: &str) -> Option<i64> {
    const YEAR_ZERO: i64 = -62_167_219_200;
    let (clock, afternoon) = text
        .strip_suffix("AM")
        .map(|clock| (clock, false))
        .or_else(|| text.strip_suffix("PM").map(|clock| (clock, true)))?;
    let (hour, minute) = clock.split_once(':')?;
    if hour.is_empty() || hour.len() > 2 || minute.len() != 2 {
        return None;
    }
    let (hour, minute) = (number(hour)?, number(minute)?);
    if hour == 0 || hour > 12 || minute > 59 {
        return None;
    }
    let hour = hour % 12 + if afternoon { 12 } else { 0 };
    Some(YEAR_ZERO + hour * 3600 + minute * 60)
}

/// `2006-01-02`, with `T15Z`, `T15:04Z`, `T15:04:05.999Z` (or an offset), ` 15:04`, ` 15:04:05`
/// and ` 15:04:05-07:00`.
fn iso(text: &str) -> Option<i64> {
    let (date, rest) = text.split_at_checked(10)?;
    let mut parts = date.split('-');
    let (y, m, d) = (parts.next()?, parts.next()?, parts.next()?);
    if y.len() != 4 || m.len() != 2 || d.len() != 2 || parts.next().is_some() {
        return None;
    }
    let days = days(number(y)?, number(m)?, number(d)?)?;
    let seconds = match rest.split_at_checked(1) {
        None => 0,
        Some((" ", clock)) => {
            let (clock, offset) = match clock.split_at_checked(8) {
                Some((clock, zone)) if !zone.is_empty() => (clock, offset(zone, false)?),
                _ => (clock, 0),
            };
            match clock.len() {
                5 | 8 => self::clock(clock)? - offset,
                _ => return None,
            }
        }
        Some(("T", rest)) => {
            let zone = rest.find(['Z', '+', '-'])?;
            let (clock, zone) = rest.split_at_checked(zone)?;
            self::clock(clock)? - offset(zone, true)?
        }
        Some(_) => return None,
    };
    Some(days * 86_400 + seconds)
}

/// `15`, `15:04`, `15:04:05` or `15:04:05.999` in seconds; fractions are cut.
fn clock(text: &str) -> Option<i64> {
    let mut parts = text.split(':');
    let two = |part: &str| (part.len() == 2).then(|| number(part)).flatten();
    let hour = two(parts.next()?)?;
    let minute = parts.next().map_or(Some(0), two)?;
    let second = match parts.next() {
        None => 0,
        Some(part) => match part.split_once('.') {
            Some((whole, fraction)) => {
                number(fraction)?;
                two(whole)?
            }
            None => two(part)?,
        },
    };
    (parts.next().is_none() && hour < 24 && minute < 60 && second < 60)
        .then_some(hour * 3600 + minute * 60 + second)
}

/// Seconds east of UTC: `Z` if allowed, `-07:00`, `-0700`.
fn offset(text: &str, z: bool) -> Option<i64> {
    if text == "Z" {
        return z.then_some(0);
    }
    let (sign, rest) = text.split_at_checked(1)?;
    let sign = match sign {
        "+" => 1,
        "-" => -1,
        _ => return None,
    };
    let (hour, minute) = match rest.len() {
        5 => rest.split_once(':')?,
        4 if z => rest.split_at_checked(2)?,
        _ => return None,
    };
    Some(sign * (number(hour)? * 3600 + number(minute)? * 60))
}

/// Days since 1970-01-01 of a proleptic Gregorian date; `None` if there is no such day.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => return None,
    };
    if day < 1 || day > length {
        return None;
    }
    // Howard Hinnant, "chrono-compatible low-level date algorithms": days_from_civil.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

fn number(text: &str) -> Option<i64> {
    let digits = !text.is_empty() && text.len() <= 9 && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    #[test]
    fn dates_are_unix_seconds() {
        let cases = [
            ("1970-01-01", Some(0)),
            ("2024-02-29T12:00:00Z", Some(1_709_208_000)),
            ("2024-02-29T12:00:00.5+01:00", Some(1_709_204_400)),
            ("2024-02-29 12:00", Some(1_709_208_000)),
            ("2024-02-29 12:00:00-01:00", Some(1_709_211_600)),
            ("2023-02-29", None),
            ("2024-02-29T12:00:00", None),
            ("20240229", None),
            ("25:00PM", None),
        ];
        for (text, expected) in cases {
            assert_eq!(super::parse(text), expected, "{text}");
        }
    }
}
