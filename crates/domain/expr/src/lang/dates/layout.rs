//! Go's layouts: a time is written and read as an example of it.

use jiff::Zoned;
use jiff::civil::{Date, Time, Weekday};
use jiff::tz::{Offset, TimeZone};

pub(super) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
pub(super) const DAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// The pieces of a layout that stand for something, longest first where one begins another.
const PIECES: [&str; 28] = [
    "January", "Jan", "Monday", "Mon", "MST", "2006", "-07:00", "-0700", "-07", "Z07:00", "Z0700",
    "Z07", "002", "01", "02", "03", "04", "05", "06", "15", "PM", "pm", "_2", "1", "2", "3", "4",
    "5",
];

/// The next piece of a layout: the text before it, the piece, and the rest.
fn piece(layout: &str) -> Option<(&str, &str, &str)> {
    for (at, _) in layout.char_indices() {
        let (before, tail) = layout.split_at_checked(at)?;
        if tail.starts_with(['.', ',']) {
            let digits = tail.get(1..).unwrap_or("");
            let same = digits.bytes().take_while(|b| digits.as_bytes().first() == Some(b)).count();
            let after = digits.get(same..).unwrap_or("");
            let fraction = digits.starts_with(['0', '9']) && !after.starts_with(char::is_numeric);
            if !fraction {
                continue;
            }
            let (found, rest) = tail.split_at_checked(same.saturating_add(1))?;
            return Some((before, found, rest));
        }
        let found = PIECES.into_iter().find(|piece| {
            let next = tail.strip_prefix(piece);
            // `Jan` and `Mon` must not begin a longer word.
            let word = next.is_some_and(|n| n.starts_with(|c: char| c.is_ascii_lowercase()));
            next.is_some() && !(word && matches!(*piece, "Jan" | "Mon"))
        });
        if let Some(found) = found {
            return Some((before, found, tail.strip_prefix(found)?));
        }
    }
    None
}

/// Writes a time in a layout.
pub(in crate::lang) fn format(time: &Zoned, layout: &str) -> String {
    let mut out = String::new();
    let mut rest = layout;
    while let Some((before, piece, after)) = piece(rest) {
        out.push_str(before);
        out.push_str(&written(time, piece));
        rest = after;
    }
    out.push_str(rest);
    out
}

fn written(time: &Zoned, piece: &str) -> String {
    let hour = time.hour();
    let twelve = if hour % 12 == 0 { 12 } else { hour % 12 };
    let month = MONTHS.get(usize::from(time.month().unsigned_abs()).saturating_sub(1));
    let month = month.copied().unwrap_or("");
    let day = day_name(time.weekday()).1;
    match piece {
        "January" => month.to_owned(),
        "Jan" => month.get(..3).unwrap_or("").to_owned(),
        "Monday" => day.to_owned(),
        "Mon" => day.get(..3).unwrap_or("").to_owned(),
        "MST" => {
            let info = time.time_zone().to_offset_info(time.timestamp());
            info.abbreviation().to_owned()
        }
        "2006" => format!("{:04}", time.year()),
        "06" => format!("{:02}", time.year().rem_euclid(100)),
        "002" => format!("{:03}", time.day_of_year()),
        "01" => format!("{:02}", time.month()),
        "1" => time.month().to_string(),
        "02" => format!("{:02}", time.day()),
        "_2" => format!("{:2}", time.day()),
        "2" => time.day().to_string(),
        "15" => format!("{hour:02}"),
        "03" => format!("{twelve:02}"),
        "3" => twelve.to_string(),
        "04" => format!("{:02}", time.minute()),
        "4" => time.minute().to_string(),
        "05" => format!("{:02}", time.second()),
        "5" => time.second().to_string(),
        "PM" => if hour < 12 { "AM" } else { "PM" }.to_owned(),
        "pm" => if hour < 12 { "am" } else { "pm" }.to_owned(),
        fraction if fraction.starts_with(['.', ',']) => {
            let nanos = format!("{:09}", time.subsec_nanosecond());
            let digits = nanos.get(..fraction.len().saturating_sub(1)).unwrap_or(&nanos);
            if fraction.ends_with('9') {
                let digits = digits.trim_end_matches('0');
                let dot = fraction.get(..1).filter(|_| !digits.is_empty()).unwrap_or("");
                return format!("{dot}{digits}");
            }
            format!("{}{digits}", fraction.get(..1).unwrap_or(""))
        }
        offset => offset_text(time.offset().seconds(), offset),
    }
}

fn offset_text(seconds: i32, piece: &str) -> String {
    if seconds == 0 && piece.starts_with('Z') {
        return "Z".to_owned();
    }
    let sign = if seconds < 0 { '-' } else { '+' };
    let minutes = seconds.unsigned_abs() / 60;
    let (hours, minutes) = (minutes / 60, minutes % 60);
    match piece.get(1..) {
        Some("07:00") => format!("{sign}{hours:02}:{minutes:02}"),
        Some("0700") => format!("{sign}{hours:02}{minutes:02}"),
        _ => format!("{sign}{hours:02}"),
    }
}

/// The number of a day of the week, Sunday 0, and its name.
pub(super) fn day_name(day: Weekday) -> (i64, &'static str) {
    let number = day.to_sunday_zero_offset();
    let name = DAYS.get(usize::from(number.unsigned_abs())).copied().unwrap_or("");
    (i64::from(number), name)
}

/// What reading has found so far.
struct Found {
    year: i16,
    month: i8,
    day: i8,
    hour: i8,
    minute: i8,
    second: i8,
    nanos: i32,
    afternoon: Option<bool>,
    offset: Option<Offset>,
}

/// Reads a time in a layout; without an offset in it, it is one of `zone`. None if it does not
/// fit.
pub(in crate::lang) fn parse(layout: &str, text: &str, zone: &TimeZone) -> Option<Zoned> {
    let mut found = Found {
        year: 0,
        month: 1,
        day: 1,
        hour: 0,
        minute: 0,
        second: 0,
        nanos: 0,
        afternoon: None,
        offset: None,
    };
    let (mut layout, mut rest) = (layout, text);
    while let Some((before, piece, after)) = piece(layout) {
        rest = skip(before, rest)?;
        rest = read(&mut found, piece, rest)?;
        // Go takes a fraction behind the seconds even if the layout has none.
        if matches!(piece, "05" | "5") && !after.starts_with(['.', ',']) {
            rest = fraction(&mut found, rest)?;
        }
        layout = after;
    }
    if !skip(layout, rest)?.is_empty() {
        return None;
    }
    let hour = match found.afternoon {
        None => found.hour,
        Some(_) if found.hour > 12 => return None,
        Some(afternoon) => found.hour % 12 + if afternoon { 12 } else { 0 },
    };
    let date = Date::new(found.year, found.month, found.day).ok()?;
    let time = Time::new(hour, found.minute, found.second, found.nanos).ok()?;
    let zone = match found.offset {
        Some(Offset::UTC) => TimeZone::UTC,
        Some(offset) => TimeZone::fixed(offset),
        None => zone.clone(),
    };
    date.to_datetime(time).to_zoned(zone).ok()
}

/// Steps over literal text of a layout. Blanks in it stand for any number of blanks.
fn skip<'t>(literal: &str, text: &'t str) -> Option<&'t str> {
    let (mut literal, mut rest) = (literal, text);
    while let Some(first) = literal.chars().next() {
        if first == ' ' {
            if !rest.is_empty() && !rest.starts_with(' ') {
                return None;
            }
            literal = literal.trim_start_matches(' ');
            rest = rest.trim_start_matches(' ');
        } else {
            rest = rest.strip_prefix(first)?;
            literal = literal.get(first.len_utf8()..)?;
        }
    }
    Some(rest)
}

fn read<'t>(found: &mut Found, piece: &str, text: &'t str) -> Option<&'t str> {
    let named = |names: &[&str], short: bool| {
        (1_i8..).zip(names).find_map(|(number, name)| {
            let name = if short { name.get(..3)? } else { name };
            let head = text.get(..name.len())?;
            head.eq_ignore_ascii_case(name).then(|| (number, text.get(name.len()..).unwrap_or("")))
        })
    };
    let (value, rest) = match piece {
        "January" | "Jan" => named(&MONTHS, piece == "Jan")?,
        "Monday" | "Mon" => named(&DAYS, piece == "Mon")?,
        "PM" | "pm" => {
            let (head, rest) = text.split_at_checked(2)?;
            found.afternoon = Some(match (head, piece) {
                ("PM", "PM") | ("pm", "pm") => true,
                ("AM", "PM") | ("am", "pm") => false,
                _ => return None,
            });
            return Some(rest);
        }
        "2006" => {
            let (year, rest) = text.split_at_checked(4)?;
            found.year = digits(year)?.try_into().ok()?;
            return Some(rest);
        }
        "06" => {
            let (year, rest) = text.split_at_checked(2)?;
            let year: i16 = digits(year)?.try_into().ok()?;
            found.year = if year >= 69 { 1900 + year } else { 2000 + year };
            return Some(rest);
        }
        "MST" => {
            let end = text.find(|c: char| !c.is_ascii_uppercase()).unwrap_or(text.len());
            let (name, rest) = text.split_at_checked(end)?;
            // A zone known by its letters only counts as UTC, as in Go.
            found.offset = found.offset.or(Some(Offset::UTC));
            return (3..=4).contains(&name.len()).then_some(rest);
        }
        fraction_piece if fraction_piece.starts_with(['.', ',']) => {
            return fraction(found, text);
        }
        offset if offset.starts_with(['Z', '-']) => return read_offset(found, offset, text),
        _ => {
            let one = !piece.starts_with('0');
            let text = if piece == "_2" { text.trim_start_matches(' ') } else { text };
            let second =
                text.get(1..2).is_some_and(|c| c.starts_with(|c: char| c.is_ascii_digit()));
            let width = if one && !second { 1 } else { 2 };
            let (number, rest) = text.split_at_checked(width)?;
            (i8::try_from(digits(number)?).ok()?, rest)
        }
    };
    match piece {
        "January" | "Jan" | "01" | "1" => found.month = value,
        "02" | "_2" | "2" => found.day = value,
        "15" | "03" | "3" => found.hour = value,
        "04" | "4" => found.minute = value,
        "05" | "5" => found.second = value,
        _ => {}
    }
    Some(rest)
}

/// Digits behind a dot, if there are any.
fn fraction<'t>(found: &mut Found, text: &'t str) -> Option<&'t str> {
    let Some(tail) = text.strip_prefix(['.', ',']) else {
        return Some(text);
    };
    let end = tail.find(|c: char| !c.is_ascii_digit()).unwrap_or(tail.len());
    let (part, rest) = tail.split_at_checked(end)?;
    let nine: String = part.chars().chain(std::iter::repeat('0')).take(9).collect();
    found.nanos = nine.parse().ok().filter(|_| !part.is_empty())?;
    Some(rest)
}

fn read_offset<'t>(found: &mut Found, piece: &str, text: &'t str) -> Option<&'t str> {
    if piece.starts_with('Z')
        && let Some(rest) = text.strip_prefix('Z')
    {
        found.offset = Some(Offset::UTC);
        return Some(rest);
    }
    let sign = match text.chars().next()? {
        '+' => 1,
        '-' => -1,
        _ => return None,
    };
    let width = match piece.get(1..)? {
        "07:00" => 6,
        "0700" => 5,
        _ => 3,
    };
    let (offset, rest) = text.split_at_checked(width)?;
    if width == 6 && offset.get(3..4) != Some(":") {
        return None;
    }
    let plain: String = offset.chars().skip(1).filter(|c| *c != ':').collect();
    let (hours, minutes) = plain.split_at_checked(2)?;
    let minutes = if minutes.is_empty() { 0 } else { digits(minutes)? };
    let seconds = (digits(hours)? * 60 + minutes) * 60;
    found.offset = Some(Offset::from_seconds(sign * i32::try_from(seconds).ok()?).ok()?);
    Some(rest)
}

fn digits(text: &str) -> Option<i64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}
