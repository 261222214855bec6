//! Several processes in one attempt: before the main one, and beside each other.

use flowforge_model::artifact::{Given, SecretKey};
use flowforge_model::attempt::{
    FailureClass, Main, Member, Mount, Process, Program, Volume, VolumeSource, Work, WorkOrder,
};
use flowforge_model::status::Reason;
use flowforge_model::time::Millis;
use flowforge_ports::runner::Runner;

use crate::rig::*;

/// All see the volume `/share`.
fn sharing(mut process: Process) -> Process {
    let (volume, path) = ("v".to_owned(), "/share".to_owned());
    process.mounts = vec![Mount { volume, path, sub_path: None, read_only: false }];
    process
}

fn program(rig: &mut Rig, init: Vec<Process>, main: Main) -> WorkOrder {
    beside(rig, init, main, Vec::new())
}

fn beside(rig: &mut Rig, init: Vec<Process>, main: Main, sidecars: Vec<Process>) -> WorkOrder {
    let mut order = rig.order(Work::Run(Box::new(Program { init, main, sidecars })));
    order.volumes = vec![Volume { name: "v".to_owned(), source: VolumeSource::Empty }];
    order
}

/// A container set: name, command line, places of those before.
fn set(rig: &mut Rig, members: &[(&str, &str, &[u32])], retries: u32) -> WorkOrder {
    let member = |(name, line, after): &(&str, &str, &[u32])| Member {
        process: sharing(sh(name, line)),
        after: after.to_vec(),
    };
    let members = members.iter().map(member).collect();
    program(rig, Vec::new(), Main::Set { members, retries, wait: Millis(1) })
}

#[test]
fn init_processes_run_one_after_the_other_before_the_main_one() {
    let mut rig = Rig::new(1);
    let init = vec![
        sharing(sh("one", "echo 1 >> /share/log; echo x > /tmp/private")),
        sharing(sh("two", "test ! -e /tmp/private && echo 2 >> /share/log")),
    ];
    let main = Main::One(sharing(sh("main", "echo 3 >> /share/log; cat /share/log")));
    let order = program(&mut rig, init, main);
    let report = rig.run(&order);
    assert_eq!((report.failure, report.result.as_deref()), (None, Some("1\n2\n3")));
    assert_eq!(report.exit_code, Some(0));
}

#[test]
fn an_init_process_that_fails_ends_the_attempt_by_its_name() {
    let mut rig = Rig::new(1);
    let init = vec![sh("prepare", "echo no luck >&2; exit 3"), sh("later", "echo ran")];
    let order = program(&mut rig, init, Main::One(sh("main", "echo ran")));
    let report = rig.run(&order);
    assert_eq!(failed(&report), (Reason::ExitCode, "container prepare: exit code 3: no luck"));
    assert_eq!(report.failure.as_ref().unwrap().class, FailureClass::User);
    assert_eq!((report.exit_code, report.result), (Some(3), None));
    assert!(report.started_at.is_some());
    assert_eq!(rig.texts(), [""; 0]);
}

#[test]
fn sidecars_run_beside_the_main_process_and_are_ended_with_it() {
    let mut rig = Rig::new(1);
    let init = vec![sharing(sh("first", "echo 1 > /share/init"))];
    let sidecars = vec![
        sharing(sh(
            "server",
            "cat /share/init; trap 'echo told; exit 5' TERM; touch /share/up; sleep 1000 & wait",
        )),
        sharing(sh("brief", "exit 3")),
        Process { name: "absent".to_owned(), ..sh("absent", "") },
    ];
    let main = "until test -e /share/up; do sleep 0.02; done; echo main; echo m > /tmp/out";
    let main = Main::One(sharing(sh("main", main)));
    let mut order = beside(&mut rig, init, main, sidecars);
    if let Work::Run(program) = &mut order.work {
        program.sidecars[2].command = vec!["no-such-program".to_owned()];
    }
    order.outputs = vec![output("out", "/tmp/out")];
    let report = rig.run(&order);
    assert_eq!((&report.failure, report.exit_code), (&None, Some(0)));
    assert_eq!((value(&report), report.result.as_deref()), ("m", Some("main")));
    let mut texts = rig.texts();
    texts.sort();
    assert_eq!(texts, ["1", "main", "told"]);
    // Those that are told to end before they have ended by themselves say nothing.
    let own = |line: &String| {
        line.starts_with("a sidecar has ended: container absent: ")
            || line == "a sidecar has ended: container brief: exit code 3"
    };
    assert!(rig.said().iter().all(own), "{:?}", rig.said());
}

#[test]
fn a_failure_of_the_main_process_ends_sidecars_as_well_and_stays_what_it_is() {
    let mut rig = Rig::new(1);
    let sidecars = vec![sharing(sh("server", "touch /share/up; exec sleep 1000"))];
    let main = sharing(sh("main", "until test -e /share/up; do sleep 0.02; done; exit 4"));
    let order = beside(&mut rig, Vec::new(), Main::One(main), sidecars);
    let report = rig.run(&order);
    assert_eq!(failed(&report), (Reason::ExitCode, "exit code 4"));
    assert_eq!(report.exit_code, Some(4));
}

#[test]
fn members_run_in_their_order_and_share_volumes_only() {
    let mut rig = Rig::new(1);
    let meet = |mine: &str, theirs: &str| {
        format!(
            "echo {mine} > /tmp/own; echo {mine} > /share/{mine}; cat /share/first >/dev/null; \
             until test -e /share/{theirs}; do sleep 0.02; done; cat /tmp/own"
        )
    };
    let (b, c) = (meet("b", "c"), meet("c", "b"));
    let mut order = set(
        &mut rig,
        &[
            (
                "main",
                "cat /share/b /share/c; test ! -e /tmp/own && echo 0; echo m > /tmp/out",
                &[1, 2],
            ),
            ("b", &b, &[3]),
            ("c", &c, &[3]),
            ("first", "sleep 0.05; echo f > /share/first; echo first", &[]),
        ],
        0,
    );
    order.outputs = vec![output("out", "/tmp/out")];
    let report = rig.run(&order);
    assert_eq!(value(&report), "m");
    assert_eq!(report.result.as_deref(), Some("b\nc\n0"));
    assert_eq!(report.exit_code, Some(0));
    let mut texts = rig.texts();
    texts.sort();
    assert_eq!(texts, ["0", "b", "b", "c", "c", "first"]);
}

#[test]
fn the_first_member_that_fails_stops_the_others() {
    let mut rig = Rig::new(1);
    let mut order = set(
        &mut rig,
        &[
            ("main", "echo ran", &[1, 2]),
            ("slow", "echo up > /share/up; exec sleep 1000", &[]),
            ("bad", "until test -e /share/up; do sleep 0.02; done; exit 7", &[]),
        ],
        0,
    );
    order.outputs = vec![output("out", "/tmp/out")];
    let report = rig.run(&order);
    assert_eq!(failed(&report), (Reason::ExitCode, "container bad: exit code 7"));
    assert_eq!((report.exit_code, report.result), (Some(7), None));
    assert_eq!(rig.texts(), [""; 0]);
}

#[test]
fn a_member_is_tried_again_as_often_as_allowed() {
    let mut rig = Rig::new(1);
    let line = "echo x >> /share/tries; test $(wc -l < /share/tries) = 3";
    let members: &[(&str, &str, &[u32])] =
        &[("flaky", line, &[]), ("main", "wc -l < /share/tries", &[0])];
    let order = set(&mut rig, members, 2);
    let report = rig.run(&order);
    assert_eq!((report.failure, report.result.as_deref()), (None, Some("3")));
    let order = set(&mut rig, members, 1);
    let report = rig.run(&order);
    assert_eq!(failed(&report), (Reason::ExitCode, "container flaky: exit code 1"));
}

#[test]
fn a_set_without_main_succeeds_and_has_no_result() {
    let mut rig = Rig::new(1);
    let order = set(&mut rig, &[("a", "echo a", &[]), ("b", "echo b", &[0])], 0);
    let report = rig.run(&order);
    assert_eq!((report.failure, report.result, report.exit_code), (None, None, None));
    assert_eq!(rig.texts(), ["a", "b"]);
}

#[test]
fn a_set_is_stopped_as_a_whole() {
    let mut rig = Rig::new(1);
    let line = "echo $$; echo up-$ARGO_CONTAINER_NAME; exec sleep 1000";
    let order = set(&mut rig, &[("main", line, &[]), ("b", line, &[]), ("c", "echo ran", &[1])], 9);
    rig.start(&order);
    rig.hear("up-main");
    rig.hear("up-b");
    rig.runner.stop(order.attempt);
    let (_, report) = rig.finished();
    assert_eq!(failed(&report), (Reason::Stopped, "stopped"));
    let texts = rig.texts();
    assert!(!texts.contains(&"ran".to_owned()));
    for pid in texts.iter().filter(|text| !text.starts_with("up")) {
        ends(pid);
    }
    // Nothing of that is asked of the next one.
    let order = set(&mut rig, &[("main", "echo fine", &[])], 0);
    assert_eq!(rig.run(&order).result.as_deref(), Some("fine"));
}

#[test]
fn the_deadline_is_that_of_the_whole_attempt() {
    let mut rig = Rig::new(1);
    let mut order =
        program(&mut rig, vec![sh("init", "sleep 0.3")], Main::One(sh("main", "exec sleep 1000")));
    order.deadline = Some(Millis(400));
    let report = rig.run(&order);
    assert_eq!(failed(&report).0, Reason::Deadline);
    let took = report.finished_at.since(report.started_at.unwrap());
    assert!(took < Millis(20_000), "{took:?}");
}

#[test]
fn a_secret_of_the_environment_is_read_or_missed_by_name() {
    let mut rig = Rig::new(1);
    let folder = rig.dir.path().join("secrets/db");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("password"), "hunter2").unwrap();
    for path in [folder.parent().unwrap(), &folder, &folder.join("password")] {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        std::fs::set_permissions(path, mode).unwrap();
    }
    let key = |name: &str, key: &str, optional| {
        Given::Secret(SecretKey { name: name.to_owned(), key: key.to_owned(), optional })
    };
    let mut order = rig.order(Work::one(sh("main", "echo ${#A} ${B-unset}")));
    main_of(&mut order).env = vec![
        ("A".to_owned(), key("db", "password", false)),
        ("B".to_owned(), key("none", "x", true)),
    ];
    assert_eq!(rig.run(&order).result.as_deref(), Some("7 unset"));
    for (name, wanted) in [("db", "user"), ("none", "x")] {
        let mut order = rig.order(Work::one(sh("main", "echo ran")));
        main_of(&mut order).env = vec![("A".to_owned(), key(name, wanted, false))];
        let report = rig.run(&order);
        let (reason, message) = failed(&report);
        assert_eq!(reason, Reason::SecretMissing);
        assert!(message.contains(&format!("{name}/{wanted}")), "{message}");
        assert!(!message.contains("hunter2"));
    }
}
