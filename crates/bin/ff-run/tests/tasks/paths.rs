//! Absolute paths: each task has its own.

use flowforge_model::attempt::Work;
use flowforge_model::status::Reason;
use flowforge_ports::runner::Runner;
use flowforge_process::end_survivors;

use crate::rig::*;

#[test]
fn siblings_that_write_the_same_paths_read_only_their_own() {
    let mut rig = Rig::new(8);
    // What is made beside them at the root and in /mnt is their own too.
    let aside = "mkdir -p /mnt/aside /aside && cp \"$0\" /mnt/aside/x && cp /mnt/aside/x /aside/x";
    let paths = ["/tmp/out", "/result.txt", "/output/deep/out", "/mnt/out", "/tmp/a/b/c"];
    let mut expected = Vec::new();
    for n in 0..10 {
        for path in paths {
            let line = format!(
                "echo {n}{path} > {path}; set -e; {}; sleep 0.02; cat /aside/x > {path}",
                aside.replace("\"$0\"", path)
            );
            let order = rig.writes(&line, path);
            expected.push((order.key, format!("{n}{path}")));
            rig.start(&order);
        }
    }
    let mut found = Vec::new();
    for _ in &expected {
        let (key, report) = rig.finished();
        found.push((key, value(&report).to_owned()));
    }
    found.sort();
    assert_eq!(found, expected);
    for path in ["/result.txt", "/output", "/mnt/out", "/mnt/aside", "/aside"] {
        assert!(!std::path::Path::new(path).exists(), "{path}");
    }
}

#[test]
fn a_task_begins_with_nothing_that_another_left() {
    let mut rig = Rig::new(1);
    let line = "ls -A /tmp; echo x > /result.txt; mkdir -p /ours/deep; echo x > /tmp/out; umask 0; \
                touch /tmp/.hidden; chmod 555 /ours /tmp";
    for _ in 0..3 {
        let order =
            rig.writes(&format!("test ! -e /result.txt && test ! -e /ours && {line}"), "/tmp/out");
        let report = rig.run(&order);
        assert_eq!(value(&report), "x");
        // Only the way to the attempt's own directory.
        let below = rig.dir.path().strip_prefix("/tmp").ok();
        let way = below.and_then(|path| path.iter().next()).map(|part| part.to_str().unwrap());
        assert_eq!(report.result.as_deref(), way);
    }
    let mut left = rig.left();
    left.sort();
    assert_eq!(left, ["0", "stage-0"]);
    rig.runner.shut_down();
    assert_eq!(rig.left(), [""; 0]);
}

#[test]
fn a_declared_output_is_not_there_before_it_is_written() {
    let mut rig = Rig::new(1);
    let order = rig.writes("cat /etc/hostname", "/etc/hostname");
    let report = rig.run(&order);
    assert_eq!(failed(&report).0, Reason::ExitCode, "{report:?}");
    let order = rig.writes("echo mine > /etc/hostname; cat /etc/passwd | head -1", "/etc/hostname");
    let report = rig.run(&order);
    assert_eq!(value(&report), "mine");
    assert!(report.result.unwrap().starts_with("root:"));
    assert_ne!(std::fs::read_to_string("/etc/hostname").unwrap_or_default(), "mine\n");
}

#[test]
fn relative_and_absolute_outputs_go_together() {
    let mut rig = Rig::new(1);
    let mut order = rig.writes("echo a > /tmp/out; echo b > here; pwd", "/tmp/out");
    order.outputs.push(output("other", "here"));
    let report = rig.run(&order);
    assert_eq!(report.failure, None);
    let values: Vec<&str> = report.outputs.iter().map(|(_, value)| value.as_str()).collect();
    assert_eq!(values, ["a", "b"]);
    let directory = rig.dir.path().join("work").join("0");
    assert_eq!(report.result, Some(directory.display().to_string()));
}

#[test]
fn a_working_directory_that_is_not_there_is_made() {
    let mut rig = Rig::new(1);
    for (dir, out) in
        [("/ours/deep", "out"), ("/mnt/ours", "/mnt/ours/out"), ("/tmp/ff-none", "out")]
    {
        let mut order = rig.writes("pwd; pwd > out", out);
        main_of(&mut order).working_dir = Some(dir.to_owned());
        let report = rig.run(&order);
        assert_eq!(value(&report), dir);
        assert!(!std::path::Path::new(dir).exists(), "{dir}");
    }
}

#[test]
fn what_a_task_writes_elsewhere_is_written() {
    let mut rig = Rig::new(1);
    let place = tempfile::tempdir_in("/var/tmp").unwrap();
    let path = place.path().display();
    let order = rig.writes(&format!("echo kept > {path}/file; echo x > /tmp/out"), "/tmp/out");
    assert_eq!(value(&rig.run(&order)), "x");
    assert_eq!(std::fs::read_to_string(place.path().join("file")).unwrap(), "kept\n");
}

#[test]
fn an_output_is_never_read_through_a_link() {
    let mut rig = Rig::new(1);
    let cases = [
        ("ln -s /etc/passwd /tmp/out", "/tmp/out"),
        ("rmdir /tmp/d; ln -s /etc /tmp/d", "/tmp/d/passwd"),
        ("echo x > /tmp/y; ln -s y /tmp/out", "/tmp/out"),
        ("rm -rf /ours; ln -s /etc /ours", "/ours/passwd"),
        ("mkfifo /tmp/out", "/tmp/out"),
        ("mkdir /tmp/out", "/tmp/out"),
    ];
    for (line, path) in cases {
        let order = rig.writes(line, path);
        let report = rig.run(&order);
        assert_eq!(failed(&report).0, Reason::OutputInvalid, "{line}: {report:?}");
        assert_eq!(report.outputs, []);
    }
    let order = rig.writes("true", "/tmp/none");
    assert_eq!(
        failed(&rig.run(&order)),
        (Reason::OutputMissing, "output out: /tmp/none was not written")
    );
}

#[test]
fn links_of_the_machine_are_followed_before_the_task_starts() {
    let mut rig = Rig::new(1);
    // /var/run leads to /run, /bin to /usr/bin on most machines.
    for path in ["/var/run/ff-out", "/bin/ff-out"] {
        let order = rig.writes(&format!("echo x > {path}; sh -c true"), path);
        assert_eq!(value(&rig.run(&order)), "x", "{path}");
        assert!(!std::path::Path::new(path).exists(), "{path}");
    }
}

#[test]
fn a_program_is_looked_for_where_the_task_will_see_it() {
    let mut rig = Rig::new(1);
    let tools = tempfile::tempdir().unwrap();
    let tool = tools.path().join("ff-tool");
    std::fs::write(&tool, "#!/bin/sh\necho tool > /tmp/out\n").unwrap();
    std::fs::set_permissions(&tool, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut order = rig.writes("", "/tmp/out");
    let process = main_of(&mut order);
    process.command = vec!["ff-tool".to_owned()];
    let path = format!("{}:/usr/bin:/bin", tools.path().display());
    process.env = vec![("PATH".to_owned(), flowforge_model::artifact::Given::Text(path))];
    assert_eq!(value(&rig.run(&order)), "tool");
    main_of(&mut order).command = vec!["no-such-tool".to_owned()];
    let mut order = rig.order(order.work.clone());
    order.outputs = vec![output("out", "/tmp/out")];
    let report = rig.run(&order);
    let (reason, message) = failed(&report);
    assert_eq!(reason, Reason::CommandNotFound);
    assert!(message.starts_with("the program \"no-such-tool\" is not in PATH"), "{message}");
    assert_eq!(report.started_at, None);
}

#[test]
fn a_script_is_the_last_argument_of_a_task_with_its_own_paths_too() {
    let mut rig = Rig::new(1);
    let mut order = rig.writes("", "/tmp/out");
    let process = main_of(&mut order);
    process.command = vec!["sh".to_owned(), "-e".to_owned()];
    process.script = Some("test -x \"$0\"; echo \"$#\" > /tmp/out".to_owned());
    assert_eq!(value(&rig.run(&order)), "0");
}

#[test]
fn the_whole_group_of_a_task_is_killed() {
    let mut rig = Rig::new(1);
    let order = rig.writes(
        "trap '' TERM; (trap '' TERM; sh -c 'echo $$; exec sleep 1000') & echo $$; echo up; wait",
        "/tmp/out",
    );
    rig.start(&order);
    rig.hear("up");
    rig.runner.stop(order.attempt);
    let (_, report) = rig.finished();
    assert_eq!(failed(&report).0, Reason::Stopped);
    assert_eq!(report.exit_code, Some(137));
    let pids: Vec<String> = rig.texts().into_iter().filter(|text| text != "up").collect();
    assert!(!pids.is_empty());
    for pid in pids {
        ends(&pid);
    }
}

#[test]
fn a_task_bears_its_marks_and_no_second_process_stays() {
    let mut rig = Rig::new(1);
    let order =
        rig.writes("echo $$; ps -o ppid= -p $$ | tr -d ' '; echo up; exec sleep 1000", "/tmp/out");
    rig.start(&order);
    rig.hear("up");
    let texts = rig.texts();
    assert_eq!(texts[1], std::process::id().to_string(), "its parent is the server");
    // As after a server that was killed.
    assert_eq!(end_survivors(&rig.dir.path().display().to_string()), 1);
    let (_, report) = rig.finished();
    assert_eq!(report.exit_code, Some(137));
    ends(&texts[0]);
}

#[test]
fn a_process_that_left_the_group_is_found_in_its_own_root() {
    let mut rig = Rig::new(1);
    let order = rig.writes(
        "setsid sh -c 'echo $$; while :; do echo flood; done' & sleep 0.3; echo x > /tmp/out",
        "/tmp/out",
    );
    let report = rig.run(&order);
    assert_eq!(value(&report), "x");
    let pid = rig.texts().first().unwrap().clone();
    ends(&pid);
}

#[test]
fn a_helper_that_cannot_do_it_is_a_failure_that_names_it() {
    let mut rig = Rig::new(1);
    let mut order = rig.order(Work::one(sh("main", "true")));
    order.outputs = vec![output("out", "/tmp/out")];
    main_of(&mut order).command = vec!["echo".to_owned(), "a\0b".to_owned()];
    let report = rig.run(&order);
    assert_eq!(failed(&report), (Reason::SpawnFailed, "argument 1 holds a NUL byte"));
    let many = vec!["x".repeat(100_000); 100];
    let mut order = rig.writes("true", "/tmp/out");
    main_of(&mut order).command = [vec!["true".to_owned()], many].concat();
    assert_eq!(failed(&rig.run(&order)).0, Reason::ArgumentTooLong);
}
