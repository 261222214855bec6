//! Servers that are away for a while.

use std::net::TcpListener;

use flowforge_ports::logs::Stream;

use crate::rig::{Rig, sh, until};

#[test]
fn a_pod_waits_for_a_server_before_its_task_begins() {
    let mut rig = Rig::down_yet();
    let key = rig.attempt(sh("echo ran"));
    // Somebody is there who does not answer.
    let nobody = TcpListener::bind(rig.address).unwrap();
    let pod = rig.pod(key).start();
    drop(nobody.accept().unwrap());
    drop(nobody);
    rig.up();
    let done = pod.wait();
    assert_eq!((done.code, &*done.message), (Some(0), "reported"), "{done:?}");
    assert_eq!(rig.lines(key, Stream::Stdout), ["ran"]);
}

#[test]
fn a_pod_that_finds_no_server_runs_nothing() {
    let mut rig = Rig::down_yet();
    let key = rig.attempt(sh("echo ran"));
    let done = rig.pod(key).env("FLOWFORGE_START_WAIT", "1").start().wait();
    assert_eq!((done.code, &*done.message), (Some(88), "refused: server_away"), "{done:?}");
    assert_eq!(done.stdout, "");
    let pod = rig.pod(key).start();
    // It cannot be told otherwise: it has opened its own pipes by the time that it listens.
    until("it listens to signals", || listens(pod.child.id()));
    pod.signal("TERM");
    let done = pod.wait();
    assert_eq!((done.code, &*done.message), (Some(88), "refused: stopped"), "{done:?}");
    assert_eq!(done.stdout, "");
}

/// Whether a process catches SIGTERM.
fn listens(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
    u64::from_str_radix(caught.trim(), 16).unwrap() & (1 << 14) != 0
}

#[test]
fn what_a_task_prints_and_how_it_ends_waits_for_the_server() {
    let mut rig = Rig::new();
    let (go, over) = (rig.path("go"), rig.path("over"));
    let script = format!(
        "echo first; while [ ! -e {go} ]; do sleep 0.01; done; seq 1 3000; touch {over}; exit 4",
        go = go.display(),
        over = over.display()
    );
    let key = rig.attempt(sh(&script));
    let pod = rig.pod(key).start();
    until("the first line is there", || rig.lines(key, Stream::Stdout) == ["first"]);
    rig.down();
    std::fs::write(&go, "").unwrap();
    until("the task is over", || over.exists());
    rig.up();
    let done = pod.wait();
    assert_eq!((done.code, &*done.message), (Some(4), "reported"), "{done:?}");
    let lines = rig.lines(key, Stream::Stdout);
    let expected = ["first".to_owned()].into_iter().chain((1..=3000).map(|n| n.to_string()));
    assert!(lines.into_iter().eq(expected));
    assert_eq!(rig.lines(key, Stream::System), [""; 0]);
    assert_eq!(rig.report(key).exit_code, Some(4));
}

#[test]
fn what_has_no_room_while_the_server_is_away_is_counted() {
    const LINES: usize = 200_000;
    let mut rig = Rig::new();
    let (go, over) = (rig.path("go"), rig.path("over"));
    let script = format!(
        "echo first; while [ ! -e {go} ]; do sleep 0.01; done; \
         yes 0123456789012345678901234567890123456789 | head -n {LINES}; touch {over}",
        go = go.display(),
        over = over.display()
    );
    let key = rig.attempt(sh(&script));
    let pod = rig.pod(key).start();
    until("the first line is there", || rig.lines(key, Stream::Stdout) == ["first"]);
    rig.down();
    std::fs::write(&go, "").unwrap();
    until("the task is over", || over.exists());
    rig.up();
    let done = pod.wait();
    assert_eq!((done.code, &*done.message), (Some(0), "reported"));
    let kept = rig.lines(key, Stream::Stdout).len() - 1;
    let missing: usize = rig
        .lines(key, Stream::System)
        .iter()
        .map(|line| line.split_once(" lines are missing").unwrap().0.parse::<usize>().unwrap())
        .sum();
    assert!(kept > 10_000 && missing > 10_000, "{kept} kept, {missing} missing");
    assert_eq!(kept + missing, LINES);
}

#[test]
fn a_task_ends_with_its_own_code_though_nobody_takes_its_report() {
    let mut rig = Rig::new();
    let go = rig.path("go");
    let script =
        format!("echo first; while [ ! -e {} ]; do sleep 0.01; done; exit 5", go.display());
    let key = rig.attempt(sh(&script));
    let pod = rig.pod(key).env("FLOWFORGE_REPORT_WAIT", "1").start();
    until("the first line is there", || rig.lines(key, Stream::Stdout) == ["first"]);
    rig.down();
    std::fs::write(&go, "").unwrap();
    let done = pod.wait();
    assert_eq!(done.code, Some(5), "{done:?}");
    assert!(done.message.starts_with("unreported: server_away: "), "{done:?}");
    assert_eq!(rig.facts(key).1, []);
}
