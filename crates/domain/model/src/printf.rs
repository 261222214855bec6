//! Go's formats with one whole number, as `withSequence` has them.

/// Widest field, in characters.
const WIDTH: usize = 99;

/// `number` put into a format with exactly one verb of whole numbers (`%d`, `%03d`, `%+d`, `%-5d`,
/// `%x`, `%#X`, `%o`, `%b`); `%%` is a percent sign. None if the format is another one, or wider
/// than 99 characters.
#[must_use]
pub fn number(format: &str, number: i64) -> Option<String> {
    let mut out = String::with_capacity(format.len());
    let (mut rest, mut verbs) = (format, 0_u32);
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        if let Some(after) = after.strip_prefix('%') {
            out.push('%');
            rest = after;
            continue;
        }
        let unflagged = after.trim_start_matches(['-', '+', '#', '0', ' ']);
        let flags = after.strip_suffix(unflagged)?;
        let mut verb = unflagged.trim_start_matches(|c: char| c.is_ascii_digit()).chars();
        let width = unflagged.strip_suffix(verb.as_str())?;
        let width = if width.is_empty() { 0 } else { width.parse().ok()? };
        if width > WIDTH {
            return None;
        }
        verbs = verbs.saturating_add(1);
        out.push_str(&field(flags, width, verb.next()?, number)?);
        rest = verb.as_str();
    }
    out.push_str(rest);
    (verbs == 1).then_some(out)
}

/// One field.
fn field(flags: &str, width: usize, verb: char, number: i64) -> Option<String> {
    let size = number.unsigned_abs();
    let (mark, digits) = match verb {
        'd' => ("", size.to_string()),
        'x' => ("0x", format!("{size:x}")),
        'X' => ("0X", format!("{size:X}")),
        'o' => ("0", format!("{size:o}")),
        'b' => ("0b", format!("{size:b}")),
        _ => return None,
    };
    let sign = match number {
        ..0 => "-",
        _ if flags.contains('+') => "+",
        _ if flags.contains(' ') => " ",
        _ => "",
    };
    let mark = if flags.contains('#') { mark } else { "" };
    // As in Go: zeros stand after the sign, and fill the field only to the left.
    let zeros = flags.contains('0') && !flags.contains('-');
    let inner = if zeros { width.saturating_sub(sign.len()) } else { 0 };
    let whole = format!("{sign}{mark}{digits:0>inner$}");
    Some(if flags.contains('-') { format!("{whole:<width$}") } else { format!("{whole:>width$}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_written_as_go_does() {
        let rows = [
            ("%d", -3, "-3"),
            ("user%02X.txt", 10, "user0A.txt"),
            ("%03d", 7, "007"),
            ("%03d", -7, "-07"),
            ("%4d|", 7, "   7|"),
            ("%-4d|", 7, "7   |"),
            ("%-04d|", 7, "7   |"),
            ("%+d", 0, "+0"),
            ("%+d", -1, "-1"),
            ("% d", 5, " 5"),
            ("%x", -1, "-1"),
            ("%#x", 255, "0xff"),
            ("%o%%", 8, "10%"),
            ("%b", 5, "101"),
        ];
        for (format, given, expected) in rows {
            assert_eq!(number(format, given).as_deref(), Some(expected), "{format} {given}");
        }
        for format in ["", "x", "%s", "%d %d", "%", "%999999d", "%.2f", "%5", "%100d"] {
            assert_eq!(number(format, 1), None, "{format}");
        }
    }
}
