use std::collections::BTreeMap;
use std::fmt::Write;

use flowforge_model::limits::CRON_CATCH_UP;
use proptest::prelude::*;

use super::*;
use crate::schedule::{CatchUp, Definition};
use crate::state::Ended;

const MINUTE: i64 = 60_000;

fn id() -> ScheduleId {
    "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap()
}

fn minutely() -> Definition {
    Definition {
        name: "nightly".into(),
        schedules: vec!["* * * * *".into()],
        ..Definition::default()
    }
}

/// A schedule and its state, kept after every decision.
struct Story {
    schedule: Schedule,
    state: ScheduleState,
}

impl Story {
    fn new(definition: Definition) -> Self {
        let schedule = Schedule::compile(definition).unwrap();
        Self { schedule, state: ScheduleState::new(Timestamp(0)) }
    }

    fn at(&mut self, millis: i64) -> Decision {
        let decision = due(id(), &self.schedule, &self.state, Timestamp(millis));
        self.state = decision.state.clone();
        decision
    }

    /// What happens at an instant, in one line; times are in seconds.
    fn tell(&mut self, millis: i64) -> String {
        let decision = self.at(millis);
        let mut line = String::new();
        for run in &decision.stop {
            write!(line, "stop {} ", (run.0.as_u128() >> 80) / 1000).unwrap();
        }
        for (at, _) in &decision.fires {
            write!(line, "fire {} ", at.0 / 1000).unwrap();
        }
        for skip in &decision.skipped {
            write!(line, "skip {} ({}) ", skip.at.0 / 1000, skip.reason).unwrap();
        }
        match decision.next_at {
            Some(next) => write!(line, "next {}", next.0 / 1000).unwrap(),
            None => write!(line, "no next").unwrap(),
        }
        line
    }

    fn ended(&mut self, seconds: i64, how: Ended) {
        let run = id().run(Timestamp(seconds * 1000));
        self.state = self.state.ended(&self.schedule, (run, how), Timestamp(seconds * 1000));
    }
}

#[test]
fn a_fire_time_fires_once() {
    let mut story = Story::new(minutely());
    assert_eq!(story.tell(0), "next 60");
    assert_eq!(story.tell(59_999), "next 60");
    assert_eq!(story.tell(60_003), "fire 60 next 120");
    assert_eq!(story.tell(60_003), "next 120");
    assert_eq!(story.tell(50_000), "next 120", "the clock went back");
    assert_eq!(story.tell(61_000), "next 120");
    assert_eq!(story.tell(120_000), "fire 120 next 180");
    assert_eq!(story.state.last_scheduled_at, Some(Timestamp(120_000)));
}

#[test]
fn ten_seconds_late_is_punctual_and_more_is_missed() {
    let mut story = Story::new(minutely());
    assert_eq!(story.tell(70_000), "fire 60 next 120");
    assert_eq!(story.tell(130_001), "skip 120 (it was missed) next 180");
    assert_eq!(story.tell(3_600_005), "fire 3600 skip 3540 (it was missed) next 3660");
}

#[test]
fn within_the_starting_deadline_the_last_missed_one_is_started() {
    let deadline = Definition { starting_deadline: Some(Millis::from_secs(40)), ..minutely() };
    let mut story = Story::new(deadline);
    assert_eq!(story.tell(5 * MINUTE + 39_000), "fire 300 skip 240 (it was missed) next 360");
    assert_eq!(story.tell(9 * MINUTE + 41_000), "skip 540 (it was missed) next 600");
}

#[test]
fn all_missed_ones_are_caught_up_if_asked_but_not_without_end() {
    let all = Definition { catch_up: Some(CatchUp::All), ..minutely() };
    let mut story = Story::new(all.clone());
    assert_eq!(story.tell(3 * MINUTE + 30_000), "fire 60 fire 120 fire 180 next 240");
    let year = story.at(365 * 24 * 60 * MINUTE);
    assert_eq!(year.fires.len(), CRON_CATCH_UP + 1, "the newest, and a punctual one");
    assert_eq!(year.skipped.len(), 1);
    let bounded = Definition { starting_deadline: Some(Millis::from_secs(130)), ..all };
    let mut story = Story::new(bounded);
    assert_eq!(
        story.tell(60 * MINUTE + 30_000),
        "fire 3540 fire 3600 skip 3480 (it was missed) next 3660"
    );
}

#[test]
fn forbid_leaves_out_what_overlaps() {
    let forbid = Definition { concurrency: Concurrency::Forbid, ..minutely() };
    let mut story = Story::new(forbid);
    assert_eq!(story.tell(60_000), "fire 60 next 120");
    assert_eq!(
        story.tell(120_000),
        "skip 120 (an earlier run is not over, and concurrencyPolicy is Forbid) next 180"
    );
    story.ended(60, Ended::Succeeded);
    assert_eq!(story.tell(121_000), "next 180", "without a deadline it is lost");
    assert_eq!(story.tell(180_000), "fire 180 next 240");
}

#[test]
fn with_a_deadline_forbid_starts_what_it_left_out_when_there_is_room() {
    let forbid = Definition {
        concurrency: Concurrency::Forbid,
        starting_deadline: Some(Millis::from_secs(30)),
        ..minutely()
    };
    let mut story = Story::new(forbid);
    story.at(60_000);
    story.at(120_000);
    assert_eq!(story.tell(125_000), "next 180", "the first one still runs");
    story.ended(60, Ended::Failed);
    assert_eq!(story.tell(149_000), "fire 120 next 180");
    story.at(180_000);
    story.ended(120, Ended::Failed);
    assert_eq!(story.tell(215_000), "next 240", "too late");
}

#[test]
fn replace_stops_the_others_first() {
    let replace = Definition {
        concurrency: Concurrency::Replace,
        schedules: vec!["@every 4s".into()],
        ..minutely()
    };
    let mut story = Story::new(replace);
    assert_eq!(story.tell(4000), "fire 4 next 8");
    assert_eq!(story.tell(8000), "stop 4 fire 8 next 12");
    story.ended(4, Ended::Failed);
    assert_eq!(
        story.tell(16_500),
        "stop 8 fire 16 skip 12 (a later one replaces it, and concurrencyPolicy is Replace) next 20"
    );
}

#[test]
fn a_suspended_schedule_owes_nothing_when_it_goes_on() {
    let mut story = Story::new(Definition { catch_up: Some(CatchUp::All), ..minutely() });
    story.schedule.suspend = true;
    assert_eq!(story.tell(5 * MINUTE), "no next");
    story.schedule.suspend = false;
    story.state = story.state.resumed(Timestamp(10 * MINUTE + 1));
    assert_eq!(story.tell(10 * MINUTE + 2), "next 660");
}

#[test]
fn new_schedules_owe_nothing_from_before() {
    let story = Story::new(Definition { catch_up: Some(CatchUp::All), ..minutely() });
    let changed =
        Definition { schedules: vec!["@every 7s".into()], ..story.schedule.definition().clone() };
    let changed = Schedule::compile(changed).unwrap();
    let state = story.state.replaced(Some(&story.schedule), &changed, Timestamp(10 * MINUTE));
    let decision = due(id(), &changed, &state, Timestamp(10 * MINUTE + 7000));
    assert_eq!(decision.fires.len(), 1);
    let same = story.state.replaced(Some(&story.schedule), &story.schedule, Timestamp(10 * MINUTE));
    assert_eq!(same, story.state);
}

#[test]
fn a_when_is_decided_with_the_schedule_s_own_values() {
    let when = |when: &str| {
        let mut story = Story::new(Definition {
            when: Some(when.into()),
            labels: BTreeMap::from([("tier".into(), "gold".into())]),
            ..minutely()
        });
        (story.tell(60_000), story.state.failed)
    };
    let fires = ("fire 60 next 120".to_owned(), 0);
    let skips = ("skip 60 (its when is false) next 120".to_owned(), 0);
    assert_eq!(when("{{cronworkflow.failed}} == 0"), fires);
    assert_eq!(when("{{cronworkflow.labels.tier}} == gold"), fires);
    assert_eq!(when("{{= cronworkflow.lastScheduledTime == nil }}"), fires);
    assert_eq!(when("{{= cronworkflow.name }} != nightly"), skips);
    let (line, failed) = when("{{= cronworkflow.name }}");
    assert_eq!(line, "skip 60 (when: 'nightly' is nightly, neither true nor false) next 120");
    assert_eq!(failed, 1, "a run that cannot be decided is a failed one");
}

/// The condition of Argo's documentation: not more than once in three minutes.
#[test]
fn a_when_may_ask_how_long_ago_the_last_run_was() {
    let when = "{{= cronworkflow.lastScheduledTime == nil || \
                (now() - cronworkflow.lastScheduledTime).Seconds() > 150 }}";
    let mut story = Story::new(Definition { when: Some(when.into()), ..minutely() });
    let skips = |at, next| format!("skip {at} (its when is false) next {next}");
    assert_eq!(story.tell(60_002), "fire 60 next 120");
    assert_eq!(story.tell(120_002), skips(120, 180));
    assert_eq!(story.tell(180_002), skips(180, 240));
    assert_eq!(story.tell(240_002), "fire 240 next 300");
}

#[test]
fn a_schedule_stops_when_its_condition_comes_true() {
    let stop = |text: &str| Definition { stop: Some(text.into()), ..minutely() };
    let mut story = Story::new(stop("cronworkflow.succeeded >= 1"));
    story.at(60_000);
    story.ended(60, Ended::Failed);
    assert_eq!(story.tell(120_000), "fire 120 next 180");
    story.ended(120, Ended::Succeeded);
    assert_eq!(story.state.phase, Phase::Stopped);
    assert_eq!(story.tell(180_000), "no next");
    assert_eq!((story.state.succeeded, story.state.failed), (1, 1));
    story.ended(120, Ended::Succeeded);
    assert_eq!(story.state.succeeded, 1, "an end counts once");
    let broken = Story::new(stop("cronworkflow.name + 'x'")).tell(60_000);
    assert_eq!(
        broken,
        "skip 60 (stopStrategy.expression: 'cronworkflow.name + 'x'' is \"nightlyx\", neither true nor false) next 120"
    );
}

#[test]
fn runs_do_not_pile_up_without_end() {
    let mut story = Story::new(minutely());
    story.state.active = (0..1000).map(|n| id().run(Timestamp(n))).collect();
    assert_eq!(story.tell(60_000), "skip 60 (1000 earlier runs are not over) next 120");
}

/// What the server does between two looks.
#[derive(Clone, Copy, Debug)]
enum Act {
    /// Time passes.
    Wait(i64),
    /// It dies between the decision and its commit.
    Crash,
    /// A run ends.
    End,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => (0_i64..9_000).prop_map(Act::Wait),
        1 => (0_i64..200_000).prop_map(Act::Wait),
        2 => Just(Act::Crash),
        2 => Just(Act::End),
    ]
}

fn definition() -> impl Strategy<Value = Definition> {
    let expression =
        prop::sample::select(vec!["* * * * *", "*/7 * * * *", "@every 13s", "@every 1s"]);
    let catch_up = prop::sample::select(vec![CatchUp::None, CatchUp::Last, CatchUp::All]);
    let concurrency =
        prop::sample::select(vec![Concurrency::Allow, Concurrency::Forbid, Concurrency::Replace]);
    let deadline = prop::option::of((0_u64..600).prop_map(Millis::from_secs));
    (prop::collection::vec(expression, 1..3), catch_up, concurrency, deadline).prop_map(
        |(schedules, catch_up, concurrency, starting_deadline)| Definition {
            schedules: schedules.into_iter().map(str::to_owned).collect(),
            catch_up: Some(catch_up),
            concurrency,
            starting_deadline,
            ..Definition::default()
        },
    )
}

proptest! {
    /// However often the server dies between deciding and keeping: no fire time starts two runs,
    /// none is decided early, and each one is started or told to be left out, if not missed.
    #[test]
    fn no_fire_time_is_lost_or_doubled_across_restarts(
        definition in definition(), acts in prop::collection::vec(act(), 1..60),
    ) {
        let schedule = Schedule::compile(definition).unwrap();
        let mut kept = ScheduleState::new(Timestamp(500));
        let (mut now, mut fired, mut told) = (500_i64, BTreeMap::new(), Vec::new());
        let mut punctual = Vec::new();
        for act in acts {
            match act {
                Act::Wait(millis) => now += millis,
                // The decision is dropped; the same one is made again below.
                Act::Crash => {
                    let dropped = due(id(), &schedule, &kept, Timestamp(now));
                    prop_assert_eq!(&dropped, &due(id(), &schedule, &kept, Timestamp(now)));
                    continue;
                }
                Act::End => {
                    if let Some(run) = kept.active.first().copied() {
                        kept = kept.ended(&schedule, (run, Ended::Succeeded), Timestamp(now));
                    }
                }
            }
            let decision = due(id(), &schedule, &kept, Timestamp(now));
            // By counting: what came due within the last ten seconds.
            let mut at = kept.considered_to;
            while let Some(next) = schedule.next_after(kept.anchor, at).filter(|at| at.0 <= now) {
                if next.0 >= now - 10_000 {
                    punctual.push(next);
                }
                at = next;
            }
            for (at, run) in &decision.fires {
                prop_assert!(at.0 <= now);
                prop_assert!(fired.insert(*at, *run).is_none(), "{at:?} fired twice");
                prop_assert_eq!(*run, id().run(*at));
            }
            told.extend(decision.skipped.iter().map(|skip| skip.at));
            if schedule.concurrency != Concurrency::Allow {
                let over = |run: &&WorkflowId| !decision.stop.contains(run);
                prop_assert!(decision.state.active.iter().filter(over).count() <= 1);
            }
            prop_assert!(decision.next_at.is_none_or(|next| next.0 > now));
            kept = decision.state;
            // Runs that are replaced end soon.
            for run in decision.stop {
                kept = kept.ended(&schedule, (run, Ended::Failed), Timestamp(now));
            }
        }
        for at in punctual {
            prop_assert!(fired.contains_key(&at) || told.contains(&at), "{at:?} is lost");
        }
    }

    /// With catch-up of everything, all fire times run, however long nobody looked.
    #[test]
    fn catching_up_leaves_nothing_out(waits in prop::collection::vec(0_i64..90 * MINUTE, 1..20)) {
        let mut story = Story::new(Definition { catch_up: Some(CatchUp::All), ..minutely() });
        let (mut now, mut fired) = (0, Vec::new());
        for wait in waits {
            now += wait;
            let decision = story.at(now);
            fired.extend(decision.fires.iter().map(|(at, _)| at.0 / MINUTE));
            for (_, run) in decision.fires {
                story.state = story.state.ended(&story.schedule, (run, Ended::Succeeded), Timestamp(now));
            }
        }
        prop_assert_eq!(fired, (1..=now / MINUTE).collect::<Vec<_>>());
    }
}
