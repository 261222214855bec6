//! Output files, honest and hostile.

use super::*;

fn collect(rig: &mut Rig, line: &str, path: &str) -> Report {
    let mut order = rig.order(&["sh", "-c", line]);
    order.outputs = vec![output("out", path)];
    rig.run(&order)
}

#[test]
fn files_become_values_without_their_last_newline() {
    let mut rig = Rig::new(1);
    let mut order =
        rig.order(&["sh", "-c", "printf 'a\\n\\n' > one; mkdir d; printf b > d/two; : > empty"]);
    order.outputs = vec![
        output("x", "one"),
        output("y", "./d/two"),
        output("z", "empty"),
        OutputFile { default: Some("fallback\n".to_owned()), ..output("w", "unwritten") },
    ];
    let report = rig.run(&order);
    let pairs = [("x", "a\n"), ("y", "b"), ("z", ""), ("w", "fallback\n")];
    let expected = pairs.map(|(n, v)| (n.to_owned(), v.to_owned()));
    assert_eq!((report.failure, report.outputs), (None, expected.to_vec()));
}

#[test]
fn outputs_are_relative_to_the_working_directory() {
    let mut rig = Rig::new(1);
    let mut order = rig.order(&["sh", "-c", "echo v > out"]);
    main_of(&mut order).working_dir = Some("sub".to_owned());
    order.outputs = vec![output("out", "out")];
    let report = rig.run(&order);
    assert_eq!(report.outputs, [("out".to_owned(), "v".to_owned())]);
}

#[test]
fn a_missing_output_fails_the_attempt() {
    let mut rig = Rig::new(1);
    let report = collect(&mut rig, "true", "out");
    assert_eq!(
        failed(&report),
        (FailureClass::Error, Reason::OutputMissing, "output out: out was not written")
    );
    assert_eq!((report.exit_code, report.outputs.len()), (Some(0), 0));
    let report = collect(&mut rig, "echo x > a", "a/b");
    assert_eq!(failed(&report).1, Reason::OutputMissing);
}

/// As in Argo: a test that fails leaves its report.
#[test]
fn what_a_failed_process_left_is_collected_and_its_failure_stays() {
    let mut rig = Rig::new(1);
    let report = collect(&mut rig, "echo x > out; echo said; exit 3", "out");
    assert_eq!(failed(&report).1, Reason::ExitCode);
    assert_eq!(report.outputs, [("out".to_owned(), "x".to_owned())]);
    assert_eq!(report.result.as_deref(), Some("said"));
    let report = collect(&mut rig, "mkfifo out; exit 3", "out");
    assert_eq!(failed(&report).1, Reason::ExitCode);
    assert_eq!(report.outputs, []);
}

#[test]
fn an_output_path_that_cannot_be_is_refused_before_the_process_starts() {
    let mut rig = Rig::new(1);
    for path in ["../x", "a/../../x", "", ".", "/", "/tmp/../x", "a\0b"] {
        let report = collect(&mut rig, "echo ran", path);
        assert_eq!(failed(&report).1, Reason::OutputInvalid, "{path}");
        assert_eq!(report.started_at, None);
    }
    assert_eq!(rig.texts(Stream::Stdout), [""; 0]);
}

#[test]
fn without_namespaces_a_task_with_paths_of_its_own_is_refused_by_name() {
    let mut rig = Rig::new(1);
    let report = collect(&mut rig, "echo ran", "/tmp/out");
    let (class, reason, message) = failed(&report);
    assert_eq!((class, reason), (FailureClass::Error, Reason::NotPossible));
    assert!(message.starts_with("/tmp/out must be this task's own"), "{message}");
    assert!(message.contains("executor.ff_run"), "{message}");
    assert_eq!(report.started_at, None);
    // The others run as before.
    assert_eq!(collect(&mut rig, "echo v > out", "out").failure, None);
}

#[test]
fn nothing_but_a_regular_file_inside_is_read() {
    let mut rig = Rig::new(1);
    for line in ["ln -s /etc/passwd out", "echo x > y; ln -s y out", "mkfifo out", "mkdir out"] {
        let report = collect(&mut rig, line, "out");
        let (class, reason, message) = failed(&report);
        assert_eq!(
            (class, reason),
            (FailureClass::Error, Reason::OutputInvalid),
            "{line}: {message}"
        );
    }
    let report = collect(&mut rig, "ln -s /etc d", "d/passwd");
    assert_eq!(failed(&report).1, Reason::OutputInvalid);
    // The directory is held from before the start: another one in its place is not read.
    let swap = "p=$PWD; mv $p $p.old; ln -s /etc $p";
    let report = collect(&mut rig, swap, "passwd");
    assert_eq!(failed(&report).1, Reason::OutputMissing);
}

#[test]
fn outputs_are_bounded_and_text() {
    let mut rig = Rig::new(1);
    let write = |bytes: usize| format!("head -c {bytes} /dev/zero > out");
    let report = collect(&mut rig, &write(1024 * 1024), "out");
    assert_eq!(report.outputs.first().unwrap().1.len(), 1024 * 1024);
    let report = collect(&mut rig, &write(1024 * 1024 + 1), "out");
    assert_eq!(failed(&report).1, Reason::OutputTooLarge);
    let report = collect(&mut rig, "printf '\\377' > out", "out");
    assert_eq!(failed(&report).1, Reason::OutputInvalid);
    let mut order = rig.order(&["sh", "-c", &write(1024 * 1024)]);
    order.outputs = (0..5).map(|n| output(&format!("o{n}"), "out")).collect();
    assert_eq!(failed(&rig.run(&order)).1, Reason::OutputTooLarge);
}
