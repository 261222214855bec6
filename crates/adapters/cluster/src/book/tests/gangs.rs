//! Several pods of one attempt.

use flowforge_model::attempt::{Main, OutputFile, Program, Work};
use proptest::prelude::*;

use super::*;

/// A book with one gang, that tells what it wants in words.
struct Gang {
    book: Book,
    order: Arc<WorkOrder>,
    now: Timestamp,
}

impl Gang {
    fn new(size: u32) -> Self {
        let mut order = order(process());
        let main = Main::Gang { process: process(), size };
        let (init, sidecars) = (Vec::new(), Vec::new());
        order.work = Work::Run(Box::new(Program { init, main, sidecars }));
        let (name, path) = ("sum".to_owned(), "/tmp/sum".to_owned());
        order.outputs = vec![OutputFile { name, path, default: None }];
        let order = Arc::new(order);
        let mut gang = Self { book: Book::new(Bounds::default()), order, now: NOW };
        let asks = gang.book.start(&gang.order, NOW);
        let made: Vec<String> = (0..size).map(|index| format!("make {index}")).collect();
        assert_eq!(said(&asks), made.join(", "));
        gang
    }

    fn place(&self, member: u32) -> Place {
        Place { attempt: self.order.attempt, member: Some(member) }
    }

    fn pod(&self, member: u32, status: &Value) -> Observed {
        serde_json::from_value(json!({
            "metadata": {
                "name": self.order.pod_name(Some(member)), "namespace": "p",
                "uid": format!("u{member}"), "creationTimestamp": "2023-11-14T22:13:00Z",
                "labels": {
                    "flowforge.io/attempt-id": self.order.attempt.to_string(),
                    "flowforge.io/member": member.to_string(),
                },
            },
            "status": status,
        }))
        .expect("a pod")
    }

    fn made(&mut self, member: u32, status: &Value) -> String {
        let pod = self.pod(member, status);
        said(&self.book.found(self.place(member), pod, self.now))
    }

    fn seen(&mut self, member: u32, status: &Value) -> String {
        let pod = self.pod(member, status);
        said(&self.book.seen(self.place(member), pod, self.now))
    }

    fn gone(&mut self, member: u32) -> String {
        let uid = format!("u{member}");
        said(&self.book.vanished(self.place(member), Some(&uid), None, self.now))
    }

    fn not_made(&mut self, member: u32, reason: Reason) -> String {
        said(&self.book.not_made(self.place(member), error(reason, "why"), self.now))
    }

    fn stop(&mut self) -> String {
        said(&self.book.stop(self.order.attempt))
    }
}

fn said(asks: &[Ask]) -> String {
    let index = |place: &Place| place.member.expect("a member");
    let word = |ask: &Ask| match ask {
        Ask::Make(_, place) => format!("make {}", index(place)),
        Ask::GiveUp(place) => format!("give up {}", index(place)),
        Ask::Delete(place, _) => format!("delete {}", index(place)),
        Ask::Read(place, _) => format!("read {}", index(place)),
        Ask::Tell(Fact { kind: FactKind::Started(_), .. }) => "started".to_owned(),
        Ask::Tell(Fact { kind: FactKind::Ready { .. }, .. }) => "ready".to_owned(),
        Ask::Tell(Fact { kind: FactKind::Finished(report), .. }) => match &report.failure {
            None => "success".to_owned(),
            Some(f) => format!("{:?} {} {}", f.class, f.reason.as_str(), f.message),
        },
    };
    asks.iter().map(word).collect::<Vec<_>>().join(", ")
}

fn done() -> Value {
    ended(0, Some("reported"))
}

fn no_node() -> Value {
    json!({ "phase": "Pending", "conditions": [{ "type": "PodScheduled", "status": "False",
        "reason": "Unschedulable", "message": "0/1 nodes are available" }] })
}

#[test]
fn a_gang_begins_and_ends_as_one() {
    let mut gang = Gang::new(3);
    assert_eq!(gang.made(1, &running()), "");
    assert_eq!(gang.made(0, &pending()), "");
    assert_eq!(gang.seen(2, &running()), "");
    assert_eq!(gang.seen(0, &running()), "started");
    assert_eq!(gang.seen(0, &done()), "");
    assert_eq!(gang.seen(2, &done()), "");
    assert_eq!(gang.seen(2, &done()), "", "once");
    assert_eq!(gang.seen(1, &done()), "success");
    let all = gang.book.settled(gang.order.attempt);
    assert_eq!(said(&all), "delete 0, delete 1, give up 2", "or it would be made once more");
    assert_eq!(gang.made(2, &done()), "delete 2");
    assert_eq!(gang.book.next(), None);
}

#[test]
fn the_first_failure_ends_the_others_and_is_told_when_all_have_ended() {
    let mut gang = Gang::new(4);
    for member in 0..3 {
        gang.made(member, &running());
    }
    assert_eq!(gang.seen(1, &ended(3, Some("reported"))), "delete 0, delete 2, give up 3");
    assert_eq!(gang.seen(2, &ended(143, Some("reported"))), "");
    assert_eq!(gang.not_made(3, Reason::Stopped), "");
    let last = gang.gone(0);
    assert_eq!(last, "User exit_code member 1: ended by exit code 3");
    assert_eq!(gang.stop(), "", "it has ended");
    // What was asked for once is not asked for again, and what ended by itself goes now.
    assert_eq!(said(&gang.book.settled(gang.order.attempt)), "delete 1");
}

#[test]
fn none_runs_if_one_cannot_be_made() {
    let mut gang = Gang::new(2);
    gang.seen(0, &running());
    assert_eq!(gang.not_made(1, Reason::PodRefused), "delete 0");
    assert_eq!(gang.gone(0), "Error pod_refused member 1: why");
}

#[test]
fn one_that_is_made_late_goes_at_once() {
    let mut gang = Gang::new(2);
    gang.seen(0, &running());
    assert_eq!(gang.gone(0), "give up 1");
    assert_eq!(gang.seen(1, &pending()), "delete 1");
    assert_eq!(gang.gone(1), "Lost pod_deleted its pod was deleted before it had ended");
}

#[test]
fn a_stop_ends_all() {
    let mut gang = Gang::new(3);
    gang.seen(0, &running());
    gang.seen(1, &no_node());
    assert_eq!(gang.stop(), "delete 0, delete 1, give up 2");
    assert_eq!(gang.gone(1), "give up 2");
    assert_eq!(gang.not_made(2, Reason::Stopped), "");
    assert_eq!(gang.seen(0, &ended(143, Some("reported"))), "Stopped stopped stopped");
}

#[test]
fn members_without_a_node_keep_no_others_for_long() {
    let mut gang = Gang::new(3);
    gang.seen(0, &running());
    gang.seen(1, &no_node());
    // The pods are older than this runner knows the attempt: another one has asked for them.
    let due = gang.book.next().expect("a look");
    assert_eq!(due, Timestamp(NOW.0 - 20_000).plus(Bounds::default().bind));
    assert_eq!(said(&gang.book.tick(Timestamp(due.0 - 1))), "");
    assert_eq!(said(&gang.book.tick(due)), "delete 0, delete 1, give up 2");
    assert_eq!(gang.gone(1), "");
    assert_eq!(gang.not_made(2, Reason::Stopped), "");
    assert_eq!(
        gang.gone(0),
        "Error gang_not_bound 1 of 3 members had a node within 300 s, and a gang runs as a whole: \
         member 1: 0/1 nodes are available"
    );
    assert_eq!(gang.book.next(), None);
}

#[test]
fn who_has_a_node_may_take_its_time() {
    let mut gang = Gang::new(2);
    let creating = json!({ "phase": "Pending", "startTime": "2023-11-14T22:13:00Z" });
    gang.seen(0, &creating);
    gang.seen(1, &running());
    let due = gang.book.next().expect("a look");
    assert_eq!(due, Timestamp(NOW.0 - 20_000).plus(Bounds::default().start));
    assert_eq!(said(&gang.book.tick(due)), "delete 1");
    assert_eq!(gang.gone(1), "Error spawn_failed member 0: its pod did not begin in time:");
}

#[test]
fn only_the_first_has_outputs_to_lose() {
    let mut gang = Gang::new(2);
    gang.seen(0, &running());
    gang.seen(1, &ended(0, None));
    gang.now = NOW.plus(Millis(10_000));
    assert_eq!(
        said(&gang.book.tick(gang.now)),
        "",
        "it has ended well, and nothing of it is missing"
    );
    gang.seen(0, &ended(0, None));
    gang.now = gang.now.plus(Millis(10_000));
    assert_eq!(
        said(&gang.book.tick(gang.now)),
        "Transient output_missing member 0: it succeeded, but nobody heard from its pod: the output \
         sum is missing"
    );
}

#[test]
fn what_says_it_is_a_member_and_is_none_is_passed_over() {
    let mut gang = Gang::new(2);
    let alone = Place { attempt: gang.order.attempt, member: None };
    let mut pod = gang.pod(0, &ended(3, Some("reported")));
    pod.metadata.name = Some(gang.order.pod_name(None));
    assert_eq!(said(&gang.book.seen(alone, pod, NOW)), "");
    assert_eq!(gang.seen(2, &ended(3, Some("reported"))), "");
    let mut other = gang.pod(0, &running());
    other.metadata.name = Some(gang.order.pod_name(Some(1)));
    assert_eq!(said(&gang.book.seen(gang.place(0), other, NOW)), "");
    let found = gang.pod(1, &running());
    assert_eq!(
        said(&gang.book.found(gang.place(0), found, NOW)),
        "give up 1",
        "another's pod has its name"
    );
}

#[test]
fn members_that_are_missing_in_a_list_are_looked_for() {
    let mut gang = Gang::new(3);
    gang.seen(0, &running());
    gang.seen(1, &running());
    gang.seen(2, &done());
    let there = gang.pod(1, &running());
    assert_eq!(said(&gang.book.listed(vec![there], NOW)), "read 0");
}

/// What may happen to a pod.
#[derive(Clone, Debug)]
enum News {
    Runs,
    Ends(i32),
    Vanishes,
    NotMade,
    Stop,
    Time(u64),
}

fn news() -> impl Strategy<Value = News> {
    prop_oneof![
        4 => Just(News::Runs),
        4 => prop_oneof![3 => Just(0), 1 => 1..200].prop_map(News::Ends),
        1 => Just(News::Vanishes),
        1 => Just(News::NotMade),
        1 => Just(News::Stop),
        1 => (1_u64..400_000).prop_map(News::Time),
    ]
}

/// Ends of attempts, and begins of them, among what is asked for.
fn told_of(asks: &[Ask], end: bool) -> usize {
    let kind = |ask: &Ask| match ask {
        Ask::Tell(Fact { kind, .. }) => Some(matches!(kind, FactKind::Finished(_))),
        _ => None,
    };
    asks.iter().filter(|ask| kind(ask) == Some(end)).count()
}

proptest! {
    /// Whatever happens: one end is told, not before all have ended, and no pod is asked to go twice.
    #[test]
    fn a_gang_ends_once(
        size in 2_u32..5,
        script in prop::collection::vec((0_u32..5, news()), 0..40),
    ) {
        let mut gang = Gang::new(size);
        let (mut asks, mut there, mut over) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
        for (member, news) in script.into_iter().map(|(member, news)| (member % size, news)) {
            let (place, now) = (gang.place(member), gang.now);
            match news {
                News::Runs => drop(there.insert(member)),
                News::Ends(_) | News::Vanishes => drop(over.insert(member)),
                // What is there says itself how it ends.
                News::NotMade if !there.contains(&member) => drop(over.insert(member)),
                News::NotMade | News::Stop | News::Time(_) => {}
            }
            asks.extend(match news {
                News::Runs => gang.book.seen(place, gang.pod(member, &running()), now),
                News::Ends(code) => {
                    gang.book.seen(place, gang.pod(member, &ended(code, Some("reported"))), now)
                }
                News::Vanishes => gang.book.vanished(place, None, None, now),
                News::NotMade => gang.book.not_made(place, error(Reason::PodRefused, "no"), now),
                News::Stop => gang.book.stop(gang.order.attempt),
                News::Time(by) => {
                    gang.now = now.plus(Millis(by));
                    gang.book.tick(gang.now)
                }
            });
            let all = over.len() == usize::try_from(size).unwrap_or(0);
            prop_assert_eq!(told_of(&asks, true), usize::from(all));
        }
        for member in 0..size {
            asks.extend(gang.book.vanished(gang.place(member), None, None, gang.now));
        }
        prop_assert_eq!(told_of(&asks, true), 1);
        prop_assert!(told_of(&asks, false) <= 1);
        prop_assert_eq!((gang.book.running().count(), gang.book.next()), (0, None));
        asks.extend(gang.book.settled(gang.order.attempt));
        for place in (0..size).map(|member| gang.place(member)) {
            let of = |ask: &&Ask| matches!(ask, Ask::Delete(one, _) if *one == place);
            prop_assert!(asks.iter().filter(of).count() <= 1);
        }
    }
}
