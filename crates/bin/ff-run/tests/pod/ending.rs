//! Pods that are told to end.

use flowforge_model::attempt::{FailureClass, Work};
use flowforge_model::status::Reason;
use flowforge_model::time::Millis;
use flowforge_ports::logs::Stream;

use crate::rig::{Rig, sh, until};

#[test]
fn a_task_that_is_asked_to_end_may_tidy_up() {
    let mut rig = Rig::new();
    for (signal, name) in [("TERM", "TERM"), ("INT", "INT")] {
        let script = format!(
            "trap 'echo tidied; exit 7' {name}; echo ready; while true; do sleep 0.01; done"
        );
        let key = rig.attempt(sh(&script));
        let pod = rig.pod(key).start();
        until("it is ready", || rig.lines(key, Stream::Stdout) == ["ready"]);
        pod.signal(signal);
        let done = pod.wait();
        assert_eq!((done.code, &*done.message), (Some(7), "reported"), "{done:?}");
        assert_eq!(rig.lines(key, Stream::Stdout), ["ready", "tidied"]);
        let report = rig.report(key);
        assert_eq!(report.exit_code, Some(7));
        assert_eq!(report.failure.unwrap().class, FailureClass::Lost);
    }
}

#[test]
fn a_task_that_does_not_listen_is_killed_after_its_grace() {
    let mut rig = Rig::new();
    let key = rig.attempt(sh("trap '' TERM; echo ready; while true; do sleep 0.01; done"));
    let pod = rig.pod(key).env("FLOWFORGE_GRACE", "1").start();
    until("it is ready", || rig.lines(key, Stream::Stdout) == ["ready"]);
    pod.signal("TERM");
    let done = pod.wait();
    assert_eq!((done.code, &*done.message), (Some(137), "reported"), "{done:?}");
    let failure = rig.report(key).failure.unwrap();
    assert_eq!((failure.class, failure.reason), (FailureClass::Lost, Reason::Lost));
}

#[test]
fn a_deadline_ends_a_task() {
    let mut rig = Rig::new();
    let key = rig.attempt_of(|order| {
        order.work = Work::one(sh("exec sleep 1000"));
        order.deadline = Some(Millis(200));
    });
    let done = rig.run(key);
    assert_eq!((done.code, &*done.message), (Some(143), "reported"), "{done:?}");
    assert_eq!(rig.report(key).failure.unwrap().reason, Reason::Deadline);
}
