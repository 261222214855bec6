//! Gangs: several pods of one attempt.

use flowforge_model::attempt::{
    AttemptKey, Failure, FailureClass, Main, OutputFile, Program, Report, Work, WorkOrder,
};
use flowforge_model::id::PodUid;
use flowforge_model::status::Reason;
use flowforge_ports::logs::Stream;
use serde_json::json;
use uuid::Uuid;

use crate::rig::{Rig, Running, empty_report, sh, until};
use crate::tokens::token_of;

fn gang(rig: &mut Rig, size: u32, script: &str, change: impl FnOnce(&mut WorkOrder)) -> AttemptKey {
    let main = Main::Gang { process: sh(script), size };
    let program = Program { init: Vec::new(), main, sidecars: Vec::new() };
    rig.attempt_of(|order| {
        order.work = Work::Run(Box::new(program));
        change(order);
    })
}

/// Starts the pods of the first members.
fn start(rig: &Rig, key: AttemptKey, count: u32) -> Vec<Running> {
    (0..count).map(|index| rig.member(key, index).start()).collect()
}

#[test]
fn all_begin_when_the_last_is_there_and_the_first_gives_the_outputs() {
    let mut rig = Rig::new();
    let place = rig.path("began").display().to_string();
    let script = format!(
        "echo $FLOWFORGE_GANG_INDEX >> {place}; echo it is $FLOWFORGE_GANG_INDEX; echo v > out"
    );
    let key = gang(&mut rig, 3, &script, |order| {
        let (name, path) = ("out".to_owned(), "out".to_owned());
        order.outputs = vec![OutputFile { name, path, default: None }];
    });
    let two = start(&rig, key, 2);
    until("both have asked", || two.iter().all(|one| rig.has_asked(key, one)));
    assert!(!rig.path("began").exists(), "they wait for the third");
    assert!(!rig.facts(key).0, "the attempt has not begun");
    let third = rig.member(key, 2).start();
    for running in two.into_iter().chain([third]) {
        let done = running.wait();
        assert_eq!((done.code, &*done.message), (Some(0), "reported"), "{done:?}");
    }
    let report = rig.report(key);
    assert_eq!(report.failure, None);
    assert_eq!(report.outputs, [("out".to_owned(), "v".to_owned())]);
    assert_eq!(report.result.as_deref(), Some("it is 0"));
    let mut lines = rig.lines(key, Stream::Stdout);
    lines.sort();
    assert_eq!(lines, ["[0] it is 0", "[1] it is 1", "[2] it is 2"]);
}

#[test]
fn the_first_failure_is_the_gangs_and_says_whose_it_is() {
    let mut rig = Rig::new();
    let place = rig.path("began").display().to_string();
    let script = format!(
        "if test $FLOWFORGE_GANG_INDEX = 1; then until test -e {place}; do sleep 0.1; done; \
         echo no >&2; exit 3; fi; touch {place}; sleep 1000"
    );
    let key = gang(&mut rig, 2, &script, |_| {});
    let mut all = start(&rig, key, 2);
    let failed = all.remove(1).wait();
    assert_eq!((failed.code, &*failed.message), (Some(3), "reported"));
    assert_eq!(rig.facts(key).1, [], "another one runs: a retry may not begin");
    // As the executor does, which sees that end.
    all[0].signal("TERM");
    let other = all.remove(0).wait();
    assert_eq!(&*other.message, "reported", "{other:?}");
    let report = rig.report(key);
    let failure = report.failure.unwrap();
    assert_eq!((failure.class, failure.reason), (FailureClass::User, Reason::ExitCode));
    assert!(failure.message.starts_with("member 1: "), "{}", failure.message);
    assert_eq!((report.exit_code, report.result), (Some(3), None));
}

#[test]
fn a_member_is_one_pod_and_a_gang_has_no_others() {
    let mut rig = Rig::new();
    let key = gang(&mut rig, 2, "true", |_| {});
    let single = rig.attempt(sh("true"));
    let ask = |key: AttemptKey, index: u32, as_whom: Option<u32>, early: bool| {
        let pod = PodUid(Uuid::now_v7());
        let mut asked = json!({ "pod": pod, "early": early });
        if let Some(member) = as_whom {
            asked["member"] = member.into();
        }
        let (status, answer) = rig.ask(key, "start", &token_of(key, index, pod), &asked);
        (status, answer["code"].as_str().unwrap_or_default().to_owned())
    };
    let told = |status, code: &str| (status, code.to_owned());
    // Its name says which it is, and its order whether there is one.
    assert_eq!(ask(key, 0, None, false), told(401, "unauthorized"));
    assert_eq!(ask(key, 0, Some(1), false), told(401, "unauthorized"));
    assert_eq!(ask(key, 2, Some(2), false), told(410, "attempt_over"));
    assert_eq!(ask(single, 0, Some(0), false), told(410, "attempt_over"));
    assert_eq!(rig.run(key).message, "refused: attempt_over");
    // What fetches its inputs waits for nobody, and keeps the place for its pod.
    assert_eq!(ask(key, 0, Some(0), true), told(200, ""));
    assert_eq!(ask(key, 0, Some(0), false), told(409, "attempt_taken"));
    assert_eq!(ask(key, 1, Some(1), false), told(425, "gang_waiting"));
    rig.stop(key);
    assert_eq!(rig.member(key, 1).start().wait().message, "refused: attempt_taken");
    assert!(!rig.facts(key).0);
}

#[test]
fn what_is_to_stop_while_it_waits_does_not_begin() {
    let mut rig = Rig::new();
    let key = gang(&mut rig, 2, "true", |_| {});
    let first = rig.member(key, 0).start();
    until("it has asked", || rig.has_asked(key, &first));
    rig.stop(key);
    assert_eq!(first.wait().message, "refused: attempt_stopped");
}

#[test]
fn a_member_that_is_told_to_end_while_it_waits_ends() {
    let mut rig = Rig::new();
    let key = gang(&mut rig, 2, "true", |_| {});
    let first = rig.member(key, 0).env("FLOWFORGE_START_WAIT", "0").start();
    until("it has asked", || rig.has_asked(key, &first));
    first.signal("TERM");
    assert_eq!(first.wait().message, "refused: stopped");
}

#[test]
fn one_that_did_not_begin_leaves_the_word_to_the_one_that_failed() {
    let mut rig = Rig::new();
    let key = gang(&mut rig, 2, "true", |_| {});
    let (waits, fails) = (rig.member(key, 0).start(), PodUid(Uuid::now_v7()));
    until("it has asked", || rig.has_asked(key, &waits));
    let asked = json!({ "pod": fails, "member": 1, "early": true });
    let (_, answer) = rig.ask(key, "start", &token_of(key, 1, fails), &asked);
    let token = answer["token"].as_str().unwrap();
    let failure = Failure {
        class: FailureClass::Error,
        reason: Reason::ArtifactMissing,
        message: "member 1: no input".to_owned(),
    };
    let report = Report { failure: Some(failure.clone()), ..empty_report() };
    let body = serde_json::to_value(report).unwrap();
    assert_eq!(rig.ask(key, "result", token, &body).0, 200);
    assert_eq!(rig.facts(key).1, []);
    waits.signal("TERM");
    assert_eq!(waits.wait().message, "refused: stopped");
    let (began, ends) = rig.facts(key);
    assert!(!began);
    assert_eq!(ends.into_iter().map(|end| end.failure).collect::<Vec<_>>(), [Some(failure)]);
}

#[test]
fn each_member_tells_once() {
    let mut rig = Rig::new();
    let key = gang(&mut rig, 2, "true", |_| {});
    let begin = |index: u32| {
        let pod = PodUid(Uuid::now_v7());
        let asked = json!({ "pod": pod, "member": index, "early": true });
        let (status, answer) = rig.ask(key, "start", &token_of(key, index, pod), &asked);
        assert_eq!(status, 200, "{answer}");
        answer["token"].as_str().unwrap().to_owned()
    };
    let tokens = [begin(0), begin(1)];
    let tell = |index: usize| {
        let report = serde_json::to_value(empty_report()).unwrap();
        let (status, answer) = rig.ask(key, "result", &tokens[index], &report);
        assert_eq!(status, 200, "{answer}");
        answer["outcome"].as_str().unwrap().to_owned()
    };
    assert_eq!([tell(1), tell(1)], ["taken", "late"]);
    assert_eq!(rig.facts(key).1, []);
    assert_eq!([tell(0), tell(0)], ["taken", "late"]);
    assert_eq!(rig.facts(key).1, [empty_report()]);
}
