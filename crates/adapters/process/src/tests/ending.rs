//! How attempts end.

use super::*;
use crate::end_survivors;

#[test]
fn an_exit_code_is_the_users_failure_with_the_last_words_of_stderr() {
    let mut rig = Rig::new(1);
    let report = rig.sh("echo first >&2; printf 'no \\033[31mluck\\n\\n' >&2; exit 3");
    assert_eq!(report.exit_code, Some(3));
    assert_eq!(
        failed(&report),
        (FailureClass::User, Reason::ExitCode, "exit code 3: no  [31mluck")
    );
}

#[test]
fn death_by_signal_n_is_exit_code_128_plus_n() {
    let mut rig = Rig::new(1);
    let report = rig.sh("kill -SEGV $$");
    assert_eq!(report.exit_code, Some(139));
    assert_eq!(
        failed(&report),
        (FailureClass::User, Reason::ExitCode, "killed by signal 11 (SIGSEGV)")
    );
    for (line, code) in [("kill -KILL $$", 137), ("exit 143", 143), ("exit 255", 255)] {
        let report = rig.sh(line);
        assert_eq!(report.exit_code, Some(code));
        assert_eq!(failed(&report).0, FailureClass::Transient, "{line}");
    }
}

#[test]
fn a_stopped_attempt_may_say_good_bye() {
    let mut rig = Rig::with(1, Millis(60_000));
    let order = rig.order(&[
        "sh",
        "-c",
        "trap 'echo bye; exit 7' TERM; echo up; while :; do sleep 0.01; done",
    ]);
    rig.start(&order);
    rig.hear("up");
    rig.runner.stop(order.attempt);
    let report = rig.finished();
    assert_eq!(failed(&report), (FailureClass::Stopped, Reason::Stopped, "stopped"));
    assert_eq!(report.exit_code, Some(7));
    assert_eq!(report.result.as_deref(), Some("up\nbye"));
}

#[test]
fn a_family_that_ignores_the_polite_signal_is_killed_after_the_grace_period() {
    let mut rig = Rig::new(1);
    let order = rig.order(&[
        "sh",
        "-c",
        "trap '' TERM; (trap '' TERM; sh -c 'echo $$; exec sleep 1000') & \
         sleep 1000 & echo $!; echo up; wait",
    ]);
    rig.start(&order);
    rig.hear("up");
    rig.runner.stop(order.attempt);
    let report = rig.finished();
    assert_eq!(failed(&report).0, FailureClass::Stopped);
    assert_eq!(report.exit_code, Some(137));
    let mut pids = rig.texts(Stream::Stdout);
    pids.retain(|text| text != "up");
    assert!(!pids.is_empty());
    for pid in pids {
        ends(&pid);
    }
}

#[test]
fn a_deadline_ends_the_attempt() {
    let mut rig = Rig::new(1);
    let mut order = rig.order(&["sleep", "1000"]);
    order.deadline = Some(Millis(50));
    let report = rig.run(&order);
    let (class, reason, _) = failed(&report);
    assert_eq!((class, reason), (FailureClass::User, Reason::Deadline));
    assert_eq!(report.exit_code, Some(143));
}

#[test]
fn a_stop_before_the_start_prevents_it() {
    let mut rig = Rig::new(1);
    let first = rig.order(&["sh", "-c", "echo up; exec sleep 1000"]);
    let second = rig.order(&["echo", "ran"]);
    rig.start(&first);
    rig.hear("up");
    rig.start(&second);
    rig.runner.stop(second.attempt);
    assert_eq!(rig.fact().key, first.key, "its start");
    let fact = rig.fact();
    assert_eq!(fact.key, second.key);
    let FactKind::Finished(report) = fact.kind else { panic!("{fact:?}") };
    assert_eq!(failed(&report).0, FailureClass::Stopped);
    assert_eq!(report.started_at, None);
    rig.runner.stop(first.attempt);
    rig.finished();
    rig.runner.stop(first.attempt);
    assert_eq!(rig.texts(Stream::Stdout), ["up"]);
    // A stop that came too late does not meet the next attempt.
    assert_eq!(rig.sh("true").failure, None);
}

#[test]
fn pipes_that_a_grandchild_holds_do_not_hold_the_attempt() {
    let mut rig = Rig::new(1);
    let report = rig.sh("sleep 1000 & echo $!");
    assert_eq!(report.failure, None);
    let pid = report.result.unwrap();
    ends(&pid);
}

#[test]
fn a_process_that_left_the_group_with_our_pipes_is_found_and_killed() {
    let mut rig = Rig::new(1);
    let report = rig.sh("setsid sh -c 'echo $$; echo up; while :; do echo flood; done' & \
                         until grep -q . /proc/self/stat; do :; done; sleep 0.2");
    assert_eq!(report.failure, None);
    let pid = rig.texts(Stream::Stdout).first().unwrap().clone();
    assert!(!lives(&pid));
}

/// It writes faster than it is read: there is always something left to read.
#[test]
fn a_flood_from_outside_the_group_does_not_hold_the_attempt() {
    let mut rig = Rig::new(1);
    let report = rig.sh("setsid timeout 5 yes & sleep 0.2");
    assert_eq!(report.failure, None);
    let took = report.finished_at.since(report.started_at.unwrap());
    assert!(took < Millis(4000), "{took:?}");
}

#[test]
fn shutting_down_ends_everything_and_reports_it_lost() {
    let mut rig = Rig::with(2, Millis(60_000));
    let running = rig.order(&["sh", "-c", "trap '' TERM; echo up; sleep 1000; echo on"]);
    rig.start(&running);
    rig.hear("up");
    let other = rig.order(&["sleep", "1000"]);
    let waiting = rig.order(&["sleep", "1000"]);
    rig.start(&other);
    rig.start(&waiting);
    rig.runner.shut_down();
    let late = rig.order(&["true"]);
    rig.start(&late);
    let mut ended = Vec::new();
    while let Ok(fact) = rig.facts.try_recv() {
        if let FactKind::Finished(report) = fact.kind {
            assert_eq!(failed(&report).0, FailureClass::Lost);
            ended.push(fact.key);
        }
    }
    ended.sort();
    assert_eq!(ended, [running.key, other.key, waiting.key, late.key]);
}

#[test]
fn survivors_of_a_dead_server_are_found_by_its_data_directory() {
    let dir = tempfile::tempdir().unwrap();
    let id = dir.path().display().to_string();
    let spawn = |id: &str| {
        std::process::Command::new("setsid")
            .args(["sh", "-c", "env -i sh -c 'echo $$; exec sleep 1000' & exec sleep 1000"])
            .env("FLOWFORGE_DATA_DIR_ID", id)
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap()
    };
    let (mut ours, mut others) = (spawn(&id), spawn(&format!("{id}/other")));
    let pids = [&mut ours, &mut others].map(|child| {
        let mut line = String::new();
        let mut reader = io::BufReader::new(child.stdout.as_mut().unwrap());
        io::BufRead::read_line(&mut reader, &mut line).unwrap();
        line
    });
    assert_eq!(end_survivors(""), 0);
    assert_eq!(end_survivors(&id), 1);
    assert!(!lives(&ours.id().to_string()));
    // Its group ends as well, marked or not.
    ends(&pids[0]);
    assert!(lives(&others.id().to_string()) && lives(&pids[1]));
    assert_eq!(end_survivors(&id), 0);
    assert_eq!(end_survivors(&format!("{id}/other")), 1);
    ours.wait().unwrap();
    others.wait().unwrap();
}
