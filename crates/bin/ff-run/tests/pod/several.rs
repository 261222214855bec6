//! Pods of several containers: one before the other, and beside each other.

use flowforge_model::attempt::{
    AttemptKey, FailureClass, Main, Member, OutputFile, Process, Program, Report, Work, WorkOrder,
};
use flowforge_model::status::Reason;
use flowforge_model::time::Millis;
use flowforge_ports::logs::Stream;

use crate::rig::{Done, Pod, Rig, sh, until};

fn named(name: &str, script: &str) -> Process {
    Process { name: name.to_owned(), ..sh(script) }
}

fn program(init: Vec<Process>, main: Main) -> Work {
    Work::Run(Box::new(Program { init, main, sidecars: Vec::new() }))
}

/// A container set: name, script, places of those before. `$S` is a directory of all of them.
fn set(rig: &mut Rig, members: &[(&str, &str, &[u32])], retries: u32) -> AttemptKey {
    set_of(rig, members, retries, |_| {})
}

fn set_of(
    rig: &mut Rig,
    members: &[(&str, &str, &[u32])],
    retries: u32,
    change: impl FnOnce(&mut WorkOrder),
) -> AttemptKey {
    let shared = rig.dir.path().display().to_string();
    let member = |(name, script, after): &(&str, &str, &[u32])| Member {
        process: named(name, &format!("S={shared}; {script}")),
        after: after.to_vec(),
    };
    let members = members.iter().map(member).collect();
    rig.attempt_of(|order| {
        order.work = program(Vec::new(), Main::Set { members, retries, wait: Millis(1) });
        change(order);
    })
}

/// Runs all at once to their ends.
fn all(pods: Vec<Pod>) -> Vec<Done> {
    let running: Vec<_> = pods.into_iter().map(Pod::start).collect();
    running.into_iter().map(crate::rig::Running::wait).collect()
}

/// The exit codes and termination messages.
fn ends(done: &[Done]) -> Vec<(Option<i32>, &str)> {
    done.iter().map(|done| (done.code, &*done.message)).collect()
}

fn failed(report: &Report) -> (FailureClass, Reason, &str) {
    let failure = report.failure.as_ref().unwrap();
    (failure.class, failure.reason, &failure.message)
}

#[test]
fn containers_of_different_users_find_each_other() {
    let mut rig = Rig::new();
    let members =
        [("a", "echo a", &[][..]), ("b", "echo b", &[0]), ("main", "echo c; exit 3", &[1])];
    let key = set(&mut rig, &members, 0);
    let pods = rig.containers(key, &["a", "b", "main"]);
    rig.open_up();
    let users = [2001, 0, 2002];
    let pods = pods.into_iter().zip(users).map(|(pod, user)| pod.of(user).env("MASK", "077"));
    let done = all(pods.collect());
    assert_eq!(
        ends(&done),
        [(Some(0), "done"), (Some(0), "done"), (Some(3), "reported")],
        "{done:?}"
    );
    assert_eq!(failed(&rig.report(key)).1, Reason::ExitCode);
}

#[test]
fn containers_run_one_before_the_other_and_the_last_tells_the_end() {
    let mut rig = Rig::new();
    let key = rig.attempt_of(|order| {
        let init = ["one", "two"].map(|name| named(name, &format!("echo {name}; sleep 0.02")));
        order.work = program(init.into(), Main::One(sh("echo three; echo out > rel")));
        let output = OutputFile { name: "o".to_owned(), path: "rel".to_owned(), default: None };
        order.outputs = vec![output];
    });
    // As a kubelet does: each when the one before has succeeded.
    let done: Vec<Done> = rig
        .containers(key, &["one", "two", "main"])
        .into_iter()
        .map(|pod| pod.start().wait())
        .collect();
    let wanted = [(Some(0), "done"), (Some(0), "done"), (Some(0), "reported")];
    assert_eq!(ends(&done), wanted, "{done:?}");
    let report = rig.report(key);
    assert_eq!((report.failure, report.result.as_deref()), (None, Some("three")));
    assert_eq!(report.outputs, [("o".to_owned(), "out".to_owned())]);
    assert!(
        report.finished_at.since(report.started_at.unwrap()) >= Millis(40),
        "from the first on"
    );
    assert_eq!(rig.lines(key, Stream::Stdout), ["one", "two", "three"]);
}

#[test]
fn one_before_the_main_container_that_fails_ends_the_attempt_by_its_name() {
    let mut rig = Rig::new();
    let key = rig.attempt_of(|order| {
        let init = vec![named("prepare", "echo no luck >&2; exit 3")];
        order.work = program(init, Main::One(sh("echo ran")));
    });
    let mut pods = rig.containers(key, &["prepare", "prepare-again"]);
    let again = pods.pop().unwrap();
    let done = pods.pop().unwrap().start().wait();
    assert_eq!((done.code, &*done.message), (Some(3), "reported"), "{done:?}");
    let report = rig.report(key);
    let wanted = "container prepare: exit code 3: no luck";
    assert_eq!(failed(&report), (FailureClass::User, Reason::ExitCode, wanted));
    assert_eq!((report.exit_code, report.result), (Some(3), None));
    assert!(report.started_at.is_some());
    // A node that lost sight of it may start it once more.
    let done = again.env("FLOWFORGE_CONTAINER", "prepare").start().wait();
    assert_eq!((done.code, &*done.message), (Some(88), "refused: begun_before"), "{done:?}");
}

#[test]
fn one_beside_the_main_container_stays_until_the_pod_ends_and_its_end_changes_nothing() {
    let mut rig = Rig::new();
    let shared = rig.dir.path().display().to_string();
    let key = rig.attempt_of(|order| {
        let serve = format!("trap 'echo bye; exit 5' TERM; touch {shared}/up; sleep 1000 & wait");
        let meet = format!("until test -e {shared}/up; do sleep 0.01; done; echo met");
        let sidecars = vec![named("server", &serve), named("brief", "echo short; exit 3")];
        let main = Main::One(sh(&meet));
        order.work = Work::Run(Box::new(Program { init: Vec::new(), main, sidecars }));
    });
    let mut pods = rig.containers(key, &["server", "brief", "main"]);
    let main = pods.pop().unwrap();
    let beside: Vec<_> = pods.into_iter().map(Pod::sidecar).map(Pod::start).collect();
    until("the short one has ended", || rig.lines(key, Stream::System).len() == 1);
    let done = main.start().wait();
    assert_eq!((done.code, &*done.message), (Some(0), "reported"), "{done:?}");
    let report = rig.report(key);
    assert_eq!((report.failure, report.result.as_deref()), (None, Some("met")));
    // As a node does when the main container has ended: until then both are there.
    beside.iter().for_each(|one| one.signal("TERM"));
    let done: Vec<Done> = beside.into_iter().map(crate::rig::Running::wait).collect();
    assert_eq!(ends(&done), [(Some(5), "done"), (Some(3), "done")], "{done:?}");
    let said = rig.lines(key, Stream::System);
    assert_eq!(said, ["a sidecar has ended: container brief: exit code 3"]);
}

#[test]
fn one_beside_a_pod_that_may_not_begin_runs_nothing_and_stays_too() {
    let mut rig = Rig::new();
    let key = rig.attempt_of(|order| {
        let (init, main) = (Vec::new(), Main::One(sh("true")));
        let sidecars = vec![named("server", "echo ran")];
        order.work = Work::Run(Box::new(Program { init, main, sidecars }));
    });
    rig.end(key);
    let server = rig.containers(key, &["server"]).pop().unwrap().sidecar();
    let end = server.dir.join("end");
    let running = server.start();
    until("it is refused", || end.exists());
    running.signal("TERM");
    let done = running.wait();
    assert_eq!((done.code, &*done.message), (Some(88), "refused: attempt_over"), "{done:?}");
    assert_eq!(rig.lines(key, Stream::Stdout), [""; 0]);
}

#[test]
fn the_deadline_is_that_of_the_whole_attempt() {
    let mut rig = Rig::new();
    let key = rig.attempt_of(|order| {
        let init = vec![named("slow", "sleep 0.3")];
        order.work = program(init, Main::One(sh("exec sleep 1000")));
        order.deadline = Some(Millis(400));
    });
    let mut pods = rig.containers(key, &["slow", "main"]).into_iter();
    assert_eq!(pods.next().unwrap().start().wait().message, "done");
    let done = pods.next().unwrap().start().wait();
    assert_eq!((done.code, &*done.message), (Some(143), "reported"), "{done:?}");
    let report = rig.report(key);
    assert_eq!(failed(&report).1, Reason::Deadline);
    let took = report.finished_at.since(report.started_at.unwrap());
    assert!(took >= Millis(400) && took < Millis(20_000), "{took:?}");
}

#[test]
fn members_run_in_their_order_and_main_gives_the_result() {
    let mut rig = Rig::new();
    let meet = |mine: &str, theirs: &str| {
        format!(
            "cat $S/f; touch $S/{mine}; until test -e $S/{theirs}; do sleep 0.01; done; echo {mine}"
        )
    };
    let (b, c) = (meet("b", "c"), meet("c", "b"));
    let members: &[(&str, &str, &[u32])] = &[
        ("main", "ls $S/b $S/c | wc -l; echo m > rel", &[1, 2]),
        ("b", &b, &[3]),
        ("c", &c, &[3]),
        ("first", "sleep 0.05; echo f > $S/f; echo first", &[]),
    ];
    let key = set_of(&mut rig, members, 0, |order| {
        let output = OutputFile { name: "o".to_owned(), path: "rel".to_owned(), default: None };
        order.outputs = vec![output];
    });
    let done = all(rig.containers(key, &["main", "b", "c", "first"]));
    let codes: Vec<_> = done.iter().map(|done| done.code).collect();
    assert_eq!(codes, [Some(0); 4], "{done:?}");
    let told = done.iter().filter(|done| done.message == "reported").count();
    let silent = done.iter().filter(|done| done.message == "done").count();
    assert_eq!((told, silent), (1, 3), "{done:?}");
    let report = rig.report(key);
    assert_eq!((report.failure, report.result.as_deref()), (None, Some("2")));
    assert_eq!(report.exit_code, Some(0));
    assert_eq!(report.outputs, [("o".to_owned(), "m".to_owned())]);
    let mut lines = rig.lines(key, Stream::Stdout);
    lines.sort();
    assert_eq!(lines, ["2", "b", "c", "f", "f", "first"]);
}

#[test]
fn the_first_member_that_fails_stops_the_others() {
    let mut rig = Rig::new();
    let members: &[(&str, &str, &[u32])] = &[
        ("main", "echo ran", &[1, 2]),
        ("slow", "trap 'echo tidied; exit 0' TERM; touch $S/up; while :; do sleep 0.01; done", &[]),
        ("bad", "until test -e $S/up; do sleep 0.01; done; exit 7", &[]),
    ];
    let key = set(&mut rig, members, 0);
    let mut pods = rig.containers(key, &["main", "slow", "bad"]);
    // One whose image takes its time begins when all is over.
    let late = pods.remove(0);
    let done = all(pods);
    let report = rig.report(key);
    assert_eq!(
        failed(&report),
        (FailureClass::User, Reason::ExitCode, "container bad: exit code 7")
    );
    assert_eq!((report.exit_code, report.result), (Some(7), None));
    assert_eq!(done[1].code, Some(7), "{done:?}");
    let told = done.iter().filter(|done| done.message == "reported").count();
    assert_eq!(told, 1, "{done:?}");
    let done = late.start().wait();
    assert_eq!((done.code, &*done.stdout), (Some(88), ""), "the attempt is over: {done:?}");
    assert_eq!(rig.lines(key, Stream::Stdout), ["tidied"]);
}

#[test]
fn a_member_that_waits_for_one_that_fails_does_not_run() {
    let mut rig = Rig::new();
    let key = set(&mut rig, &[("main", "echo ran", &[1]), ("bad", "exit 7", &[])], 0);
    let done = all(rig.containers(key, &["main", "bad"]));
    assert_eq!((done[0].code, &*done[0].stdout), (Some(126), ""), "{done:?}");
    assert_eq!(failed(&rig.report(key)).2, "container bad: exit code 7");
}

#[test]
fn a_member_is_tried_again_as_often_as_allowed() {
    let mut rig = Rig::new();
    let line = "echo x >> $S/tries; test $(wc -l < $S/tries) = 3";
    let members: &[(&str, &str, &[u32])] =
        &[("flaky", line, &[]), ("main", "wc -l < $S/tries", &[0])];
    let key = set(&mut rig, members, 2);
    all(rig.containers(key, &["flaky", "main"]));
    let report = rig.report(key);
    assert_eq!((report.failure, report.result.as_deref()), (None, Some("3")));
    let key = set(&mut rig, members, 1);
    all(rig.containers(key, &["flaky", "main"]));
    assert_eq!(failed(&rig.report(key)).2, "container flaky: exit code 1");
}

#[test]
fn many_that_end_together_tell_one_end() {
    let mut rig = Rig::new();
    let names: Vec<String> = (0..8).map(|at| format!("m{at}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let members: Vec<_> =
        names.iter().map(|name| (*name, "echo $FLOWFORGE_CONTAINER_ID", &[][..])).collect();
    for _ in 0..5 {
        let key = set(&mut rig, &members, 0);
        let done = all(rig.containers(key, &names));
        let told = done.iter().filter(|done| done.message == "reported").count();
        assert_eq!(told, 1, "{done:?}");
        let report = rig.report(key);
        assert_eq!((report.failure, report.result, report.exit_code), (None, None, None));
        let mut lines = rig.lines(key, Stream::Stdout);
        lines.sort();
        let wanted: Vec<_> = names.iter().map(|name| format!("{}/{name}", key.id())).collect();
        assert_eq!(lines, wanted);
    }
}

#[test]
fn a_pod_that_is_told_to_end_ends_as_a_whole() {
    let mut rig = Rig::new();
    let line = "echo up; exec sleep 1000";
    let key = set(&mut rig, &[("main", line, &[]), ("b", line, &[]), ("c", "echo ran", &[1])], 9);
    let pods = rig.containers(key, &["main", "b", "c"]);
    let running: Vec<_> = pods.into_iter().map(Pod::start).collect();
    until("two run", || rig.lines(key, Stream::Stdout).len() == 2);
    for one in &running {
        one.signal("TERM");
    }
    let done: Vec<Done> = running.into_iter().map(crate::rig::Running::wait).collect();
    let (class, reason, _) = failed(&rig.report(key));
    assert_eq!((class, reason), (FailureClass::Lost, Reason::Lost));
    assert_eq!(rig.lines(key, Stream::Stdout), ["up", "up"], "{done:?}");
}

#[test]
fn who_dies_without_a_word_stops_the_others_and_nobody_speaks_for_it() {
    let mut rig = Rig::new();
    let line = "echo $$ > $S/pid; echo up; exec sleep 1000";
    let members: &[(&str, &str, &[u32])] =
        &[("main", "echo up; exec sleep 1000", &[]), ("dies", line, &[]), ("waits", ":", &[1])];
    let key = set(&mut rig, members, 0);
    let pods = rig.containers(key, &["main", "waits", "dies"]);
    let mut running: Vec<_> = pods.into_iter().map(Pod::start).collect();
    until("two run", || rig.lines(key, Stream::Stdout).len() == 2);
    let dies = running.pop().unwrap();
    dies.signal("KILL");
    dies.wait();
    let done: Vec<Done> = running.into_iter().map(crate::rig::Running::wait).collect();
    assert_eq!(ends(&done), [(Some(143), "stopped"), (Some(126), "stopped")], "{done:?}");
    assert_eq!(rig.facts(key).1.len(), 0, "its container's status says how it ended");
    // In a pod it would have died with its container.
    let pid = std::fs::read_to_string(rig.path("pid")).unwrap();
    let killed = std::process::Command::new("kill").args(["-9", pid.trim()]).status().unwrap();
    assert!(killed.success());
}
