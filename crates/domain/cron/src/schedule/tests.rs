use proptest::prelude::*;

use super::*;

fn definition(schedules: &[&str]) -> Definition {
    Definition {
        schedules: schedules.iter().map(|&s| s.to_owned()).collect(),
        ..Definition::default()
    }
}

#[test]
fn everything_wrong_is_reported_at_once() {
    let faults = Schedule::compile(Definition {
        timezone: Some("Mars/Olympus".into()),
        when: Some("{{workflow.name}} == x".into()),
        stop: Some("cronworkflow.failed >".into()),
        ..definition(&["* * * * *", "* * * * * *", "@often"])
    })
    .unwrap_err();
    let places: Vec<Place> = faults.iter().map(|fault| fault.place).collect();
    assert_eq!(
        places,
        [Place::Timezone, Place::Expression(1), Place::Expression(2), Place::When, Place::Stop]
    );
    let none = Schedule::compile(Definition::default()).unwrap_err();
    assert_eq!(
        none.first().map(ToString::to_string).unwrap(),
        "there must be at least one schedule"
    );
    let many = vec!["@daily"; CRON_EXPRESSIONS + 1];
    assert_eq!(
        Schedule::compile(definition(&many)).unwrap_err()[0].error,
        CronError::TooManyExpressions
    );
}

#[test]
fn what_is_not_said_is_what_argo_takes() {
    let schedule = Schedule::compile(definition(&["@daily"])).unwrap();
    assert_eq!(schedule.concurrency, Concurrency::Allow);
    assert_eq!((schedule.successful_history, schedule.failed_history), (3, 1));
    assert_eq!(schedule.catch_up, CatchUp::None);
    assert_eq!(schedule.zone().name(), "UTC");
    let zero = Definition { starting_deadline: Some(Millis(0)), ..definition(&["@daily"]) };
    assert_eq!(Schedule::compile(zero).unwrap().catch_up, CatchUp::None);
    let deadline = Definition { starting_deadline: Some(Millis(1)), ..definition(&["@daily"]) };
    assert_eq!(Schedule::compile(deadline).unwrap().catch_up, CatchUp::Last);
}

proptest! {
    #[test]
    fn the_last_fire_time_is_the_one_that_counting_finds(
        every in 1_u32..400, minute in 0_u32..60, from in 0_i64..10_000_000, length in 0_i64..20_000_000,
    ) {
        let schedules = [format!("@every {every}s"), format!("{minute} */3 * * *")];
        let schedules: Vec<&str> = schedules.iter().map(String::as_str).collect();
        let schedule = Schedule::compile(definition(&schedules)).unwrap();
        let (from, until) = (Timestamp(from), Timestamp(from + length));
        let anchor = Timestamp(5000);
        let (mut last, mut at) = (None, from);
        while let Some(next) = schedule.next_after(anchor, at).filter(|next| *next <= until) {
            last = Some(next);
            at = next;
        }
        prop_assert_eq!(schedule.last_within(anchor, from, until), last);
    }
}
