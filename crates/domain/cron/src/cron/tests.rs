use std::path::PathBuf;

use flowforge_model::time::Timestamp;
use proptest::prelude::*;

use super::*;

fn at(rfc3339: &str) -> Timestamp {
    Timestamp(rfc3339.parse::<jiff::Timestamp>().unwrap().as_millisecond())
}

fn utc(source: &str) -> Cron {
    Cron::parse(source, None).unwrap()
}

/// Fire times after `after`, in the zone, as people write them.
fn fires(source: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
    let zone = Zone::parse(zone).unwrap();
    let cron = Cron::parse(source, Some(&zone)).unwrap();
    let tz = jiff::tz::TimeZoneDatabase::bundled().get(zone.name()).unwrap();
    let mut after = at(after);
    let mut out = Vec::new();
    for _ in 0..count {
        after = cron.next_after(Timestamp(0), after).unwrap();
        let shown = jiff::Timestamp::from_millisecond(after.0).unwrap().to_zoned(tz.clone());
        out.push(shown.strftime("%m-%d %H:%M %Z").to_string());
    }
    out
}

/// Rows written by a program around robfig/cron v3.0.1: zone, expression, second, next three.
#[test]
fn fire_times_are_those_of_robfig() {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/robfig.tsv");
    let text = std::fs::read_to_string(file).unwrap();
    let (mut rows, mut wrong) = (0, Vec::new());
    for row in text.lines().filter(|row| !row.starts_with('#')) {
        let columns: Vec<&str> = row.split('\t').collect();
        let [zone, source, after, expected] = columns[..] else { panic!("{row}") };
        rows += 1;
        let found = match Cron::parse(&format!("CRON_TZ={zone} {source}"), None) {
            Err(_) => "ERR".to_owned(),
            Ok(cron) => {
                let mut after = Timestamp(after.parse::<i64>().unwrap() * 1000);
                let mut out = Vec::new();
                for _ in 0..3 {
                    let Some(next) = cron.next_after(Timestamp(0), after) else {
                        out.push("-".to_owned());
                        break;
                    };
                    out.push((next.0 / 1000).to_string());
                    after = next;
                }
                out.join(" ")
            }
        };
        if found != expected {
            wrong.push(format!("{row}\n   found {found}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {rows}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(rows > 500, "{rows} rows");
}

/// The table of Argo's documentation.
#[test]
fn a_skipped_hour_does_not_fire_and_a_repeated_one_fires_twice() {
    let los_angeles = |source, after| fires(source, "America/Los_Angeles", after, 3);
    let spring = "2020-03-08T08:00:00Z";
    assert_eq!(
        los_angeles("59 1 * * *", spring),
        ["03-08 01:59 PST", "03-09 01:59 PDT", "03-10 01:59 PDT"]
    );
    assert_eq!(
        los_angeles("0 2 * * *", spring),
        ["03-09 02:00 PDT", "03-10 02:00 PDT", "03-11 02:00 PDT"]
    );
    let autumn = "2020-11-01T07:00:00Z";
    assert_eq!(
        los_angeles("59 1 * * *", autumn),
        ["11-01 01:59 PDT", "11-01 01:59 PST", "11-02 01:59 PST"]
    );
    assert_eq!(
        los_angeles("0 2 * * *", autumn),
        ["11-01 02:00 PST", "11-02 02:00 PST", "11-03 02:00 PST"]
    );
}

#[test]
fn a_day_matches_both_fields_if_one_is_a_star_and_either_if_not() {
    let first = |source| fires(source, "UTC", "2026-01-01T00:00:00Z", 1).remove(0);
    assert_eq!(first("0 0 13 * 5"), "01-02 00:00 UTC", "a Friday");
    assert_eq!(first("0 0 13 * *"), "01-13 00:00 UTC");
    assert_eq!(first("0 0 ? * 5"), "01-02 00:00 UTC");
    assert_eq!(first("0 0 */1 * 5"), "01-02 00:00 UTC");
    assert_eq!(first("0 0 */2 * 6"), "01-03 00:00 UTC", "both: odd days or Saturdays");
    assert_eq!(fires("0 0 */2 * 6", "UTC", "2026-01-03T00:00:00Z", 1), ["01-05 00:00 UTC"]);
}

#[test]
fn what_never_comes_is_none() {
    for never in ["0 0 30 2 *", "0 0 31 4,6,9,11 *", "* * 31 feb ?"] {
        assert_eq!(
            utc(never).next_after(Timestamp(0), at("2026-01-01T00:00:00Z")),
            None,
            "{never}"
        );
    }
    // Eight years without a leap day are more than are searched.
    let leap = utc("0 0 29 2 *");
    assert_eq!(leap.next_after(Timestamp(0), at("2096-03-01T00:00:00Z")), None);
    assert!(leap.next_after(Timestamp(0), at("2026-03-01T00:00:00Z")).is_some());
}

#[test]
fn time_ends_with_the_year_9999() {
    for source in ["* * * * *", "0 0 1 1 *", "@every 1s", "@every 87600h"] {
        let cron = utc(source);
        for after in [i64::MIN, i64::MIN + 1, -1, i64::MAX - 1, i64::MAX] {
            let next = cron.next_after(Timestamp(0), Timestamp(after));
            assert!(next.is_none_or(|next| next.0 > after), "{source} {after}");
        }
        let last = at("9999-12-30T22:00:00Z");
        assert_eq!(cron.next_after(Timestamp(0), last), None, "{source}");
        assert_eq!(cron.next_after(last, Timestamp(last.0 + 1)), None, "{source}");
    }
}

#[test]
fn every_counts_from_the_anchor() {
    let anchor = Timestamp(1_000_700);
    let next = |source, after| utc(source).next_after(anchor, Timestamp(after)).unwrap().0;
    assert_eq!(next("@every 90s", 0), 1_090_000, "never before the anchor");
    assert_eq!(next("@every 90s", 1_000_700), 1_090_000);
    assert_eq!(next("@every 90s", 1_089_999), 1_090_000);
    assert_eq!(next("@every 90s", 1_090_000), 1_180_000);
    assert_eq!(next("@every 1h30m", 1_000_700), 1_000_000 + 5_400_000);
    // At least a second, whole seconds.
    for second in ["@every 1ms", "@every 0", "@every 999ms", "@every 1.9s", "@every 5us"] {
        assert_eq!(next(second, 1_000_700), 1_001_000, "{second}");
    }
}

#[test]
fn a_time_zone_may_stand_before_the_expression() {
    let berlin = Zone::parse("europe/berlin").unwrap();
    assert_eq!(berlin.name(), "Europe/Berlin");
    for source in ["TZ=Europe/Berlin 0 12 * * *", "CRON_TZ=Europe/Berlin   @daily"] {
        let own = Cron::parse(source, None).unwrap();
        let plain = Cron::parse(source.split_once(' ').unwrap().1.trim(), Some(&berlin)).unwrap();
        let after = at("2026-06-01T15:00:00Z");
        assert_eq!(own.next_after(after, after), plain.next_after(after, after));
        assert_eq!(Cron::parse(source, Some(&berlin)).unwrap_err(), CronError::TwoZones);
    }
    assert_eq!(berlin.show(at("2026-06-01T10:00:00Z")), "2026-06-01T12:00:00+02:00");
    for bad in ["Local", "Mars/Olympus", "", "../../etc/passwd", "Etc/Unknown"] {
        assert!(Zone::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn what_is_wrong_is_said() {
    let cases = [
        ("", "is empty; write five fields (minute hour day month weekday) or @daily"),
        ("CRON_TZ=UTC", "is empty; write five fields (minute hour day month weekday) or @daily"),
        (
            "* * * * * *",
            "has 6 fields, but there are no seconds: write minute hour day month weekday, or @every 10s",
        ),
        ("* * *", "has 3 fields, expected 5: minute hour day month weekday"),
        ("60 * * * *", "minute '60': is above 59"),
        ("* * 0 * *", "day of month '0': is below 1"),
        ("* * * * 1,7", "day of week '7': is above 6; Sunday is 0"),
        ("* * * * fri-mon", "day of week 'fri-mon': ends before it begins"),
        ("* * L * *", "day of month 'L': is not a number or a name"),
        ("*/0 * * * *", "minute '*/0': a step is at least 1"),
        (", * * * *", "minute ',': names no value, it would never fire"),
        (
            "@Daily",
            "@Daily is not known; use @yearly, @monthly, @weekly, @daily, @hourly or @every with a span",
        ),
        (
            "@every 5",
            "@every '5': expected a span with units, such as 90s or 1h30m, of at most ten years",
        ),
        (
            "@every -5s",
            "@every '-5s': expected a span with units, such as 90s or 1h30m, of at most ten years",
        ),
        (
            "TZ=Mars/Olympus * * * * *",
            "the time zone 'Mars/Olympus' is not known; use an IANA name such as Europe/Berlin",
        ),
    ];
    for (source, expected) in cases {
        assert_eq!(Cron::parse(source, None).unwrap_err().to_string(), expected, "{source}");
    }
    let long = "1,".repeat(5 * 1024);
    assert_eq!(Cron::parse(&long, None).unwrap_err(), CronError::TooLong);
}

proptest! {
    #[test]
    fn no_text_panics(source in "(\\PC|[0-9*/,?@ -]|TZ=|@every ){0,40}", after: i64) {
        if let Ok(cron) = Cron::parse(&source, None) {
            let next = cron.next_after(Timestamp(0), Timestamp(after));
            prop_assert!(next.is_none_or(|next| next.0 > after && next.0 % 1000 == 0));
        }
    }

    /// Each fire time is the next one of everything between it and the one before.
    #[test]
    fn the_next_fire_time_does_not_depend_on_where_one_looks_from(
        minute in "(\\*|\\*/7|[1-5][0-9]|3-40/5)", hour in "(\\*|[0-9]|1,2,3)",
        day in "(\\*|[1-9]|\\*/9)", weekday in "(\\*|[0-6])",
        zone in prop::sample::select(vec!["Europe/Berlin", "America/Sao_Paulo", "Australia/Lord_Howe", "Asia/Beirut"]),
        from in 946_684_800_i64..2_500_000_000, part in 0.0..1.0_f64,
    ) {
        let zone = Zone::parse(zone).unwrap();
        let cron = Cron::parse(&format!("{minute} {hour} {day} * {weekday}"), Some(&zone)).unwrap();
        let from = Timestamp(from * 1000);
        if let Some(next) = cron.next_after(from, from) {
            #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "any point between will do")]
            let between = from.0 + ((next.0 - from.0) as f64 * part) as i64;
            if between < next.0 {
                prop_assert_eq!(cron.next_after(from, Timestamp(between)), Some(next));
            }
        }
    }
}
