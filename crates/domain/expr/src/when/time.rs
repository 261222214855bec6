//! Quoted strings that govaluate takes for times.

/// What it tries, in its order. Where nothing says another zone, it is UTC.
const LAYOUTS: [&str; 13] = [
    "Mon Jan _2 15:04:05 2006",
    "Mon Jan _2 15:04:05 MST 2006",
    "Mon Jan 02 15:04:05 -0700 2006",
    "3:04PM",
    "2006-01-02T15:04:05Z07:00",
    "2006-01-02",
    "2006-01-02 15:04",
    "2006-01-02 15:04:05",
    "2006-01-02 15:04:05-07:00",
    "2006-01-02T15Z0700",
    "2006-01-02T15:04Z0700",
    "2006-01-02T15:04:05Z0700",
    "2006-01-02T15:04:05.999999999Z0700",
];

/// Unix seconds of a text in one of the layouts.
pub(super) fn parse(text: &str) -> Option<i64> {
    // Most strings are no times: those need no look at the layouts.
    let may_be = text.len() >= 6 && text.is_ascii() && text.contains([':', '-']);
    if !may_be {
        return None;
    }
    let found = LAYOUTS.iter().find_map(|layout| crate::lang::parse_time(layout, text));
    found.map(|time| time.timestamp().as_second())
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
            ("Thu Feb 29 12:00:00 2024", Some(1_709_208_000)),
            ("Thu Feb 29 12:00:00 UTC 2024", Some(1_709_208_000)),
            ("0:04PM", Some(-62_167_175_760)),
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
