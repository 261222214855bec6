//! What a process is started with.

use flowforge_model::attempt::{Object, Work};
use flowforge_model::object::Action;

use super::*;

#[test]
fn a_started_fact_comes_before_the_finished_one() {
    let mut rig = Rig::new(1);
    let order = rig.order(&["true"]);
    rig.start(&order);
    let started = rig.fact();
    let FactKind::Started(at) = started.kind else { panic!("{started:?}") };
    let finished = rig.fact();
    let FactKind::Finished(report) = finished.kind else { panic!("{finished:?}") };
    assert_eq!((started.key, finished.key), (order.key, order.key));
    assert_eq!(report.started_at, Some(at));
    assert_eq!((report.exit_code, report.failure), (Some(0), None));
    assert_eq!((report.result, report.outputs), (None, Vec::new()));
}

#[test]
fn the_environment_is_ours_and_the_users_and_nothing_else() {
    let mut rig = Rig::new(1);
    let mut order = rig.order(&["env"]);
    main_of(&mut order).env = vec![
        ("GREETING".to_owned(), text("a b=c")),
        ("FLOWFORGE_TASK_ID".to_owned(), text("forged")),
    ];
    rig.run(&order);
    let mut lines = rig.texts(Stream::Stdout);
    lines.sort();
    let directory = rig.dir.path().join("work").join("0");
    let id = rig.dir.path().display();
    let (attempt, task) = (order.attempt, order.task);
    assert_eq!(
        lines,
        [
            "ARGO_CONTAINER_NAME=main".to_owned(),
            format!("ARGO_NODE_ID={task}"),
            format!("ARGO_POD_NAME={attempt}"),
            "ARGO_WORKFLOW_NAME=w".to_owned(),
            format!("ARGO_WORKFLOW_UID={}", order.key.workflow),
            "FLOWFORGE_API_ENDPOINT=http://127.0.0.1:1".to_owned(),
            format!("FLOWFORGE_ATTEMPT_ID={attempt}"),
            "FLOWFORGE_AUTH_TOKEN=".to_owned(),
            format!("FLOWFORGE_DATA_DIR_ID={id}"),
            "FLOWFORGE_INSTANCE_ID=01890a5d-ac96-774b-bcce-b302099a8058".to_owned(),
            "FLOWFORGE_LOG_ENDPOINT=http://127.0.0.1:2".to_owned(),
            "FLOWFORGE_PROJECT_ID=default".to_owned(),
            "FLOWFORGE_REDIS_ENDPOINT=".to_owned(),
            format!("FLOWFORGE_TASK_ID={task}"),
            "FLOWFORGE_TENANT_ID=acme".to_owned(),
            format!("FLOWFORGE_WORKFLOW_ID={}", order.key.workflow),
            "GREETING=a b=c".to_owned(),
            "PATH=/usr/bin:/bin".to_owned(),
            format!("TMPDIR={}", directory.display()),
        ]
    );
}

#[test]
fn a_script_is_the_last_argument_and_begins_in_the_attempts_directory() {
    let mut rig = Rig::new(1);
    let mut order = rig.order(&["sh"]);
    main_of(&mut order).args = vec!["-e".to_owned()];
    main_of(&mut order).script = Some("pwd; test -x \"$0\"; false; echo unreached".to_owned());
    let report = rig.run(&order);
    assert_eq!(report.exit_code, Some(1));
    let directory = rig.dir.path().join("work").join("0");
    assert_eq!(report.result, Some(directory.display().to_string()));
}

#[test]
fn a_directory_is_used_again_only_if_it_was_left_as_it_was_made() {
    let mut rig = Rig::new(1);
    let mut place = |line: &str| {
        let report = rig.sh(&format!("pwd; {line}"));
        report.result.and_then(|path| path.rsplit('/').next().map(str::to_owned))
    };
    let mut places = Vec::new();
    for line in ["true", "touch left", "true", "mkdir -p left/over", "true", "chmod 755 .", "true"]
    {
        places.extend(place(line));
    }
    // A fresh one after each attempt that left something, the same one after the others.
    assert_eq!(places, ["0", "0", "1", "1", "2", "2", "3"]);
    assert_eq!(std::fs::read_dir(rig.dir.path().join("work")).unwrap().count(), 1);
}

#[test]
fn an_image_alone_starts_its_own_program_which_ends_at_once() {
    let mut rig = Rig::new(1);
    for image in ["python:3.11", "docker.io/library/busybox@sha256:00"] {
        let mut order = rig.order(&[]);
        main_of(&mut order).image = image.to_owned();
        assert_eq!(rig.run(&order).failure, None, "{image}");
    }
    let mut order = rig.order(&[]);
    main_of(&mut order).args = vec!["echo".to_owned(), "hi".to_owned()];
    assert_eq!(rig.run(&order).result.as_deref(), Some("hi"));
    order = rig.order(&[]);
    main_of(&mut order).args = vec!["-c".to_owned(), "echo ho".to_owned()];
    assert_eq!(rig.run(&order).result.as_deref(), Some("ho"));
    order = rig.order(&[]);
    main_of(&mut order).image = "ghcr.io/acme/tool:1".to_owned();
    let report = rig.run(&order);
    let (class, reason, message) = failed(&report);
    assert_eq!((class, reason), (FailureClass::Error, Reason::CommandNotFound));
    assert!(message.contains("ghcr.io/acme/tool:1") && message.contains("set `command`"));
}

#[test]
fn an_image_that_is_configured_starts_what_it_is_told() {
    let mut rig = Rig::new(1);
    let mut order = rig.order(&[]);
    main_of(&mut order).image = "acme/shell".to_owned();
    main_of(&mut order).args = vec!["echo \"$@\"".to_owned(), "x".to_owned(), "hi".to_owned()];
    assert_eq!(rig.run(&order).result.as_deref(), Some("hi"));
}

#[test]
fn a_program_of_an_image_that_is_elsewhere_here_is_found_by_its_name() {
    let mut rig = Rig::new(1);
    for (image, program) in [("python:3", "/opt/none/bin/true"), ("busybox", "/nowhere/ash")] {
        let mut order = rig.order(&[program]);
        main_of(&mut order).image = image.to_owned();
        assert_eq!(rig.run(&order).failure, None, "{program}");
    }
    let mut order = rig.order(&["/opt/none/bin/true"]);
    main_of(&mut order).image = "ghcr.io/acme/tool".to_owned();
    assert_eq!(failed(&rig.run(&order)).1, Reason::CommandNotFound);
}

#[test]
fn the_shell_of_an_image_knows_what_that_of_busybox_knows() {
    let mut rig = Rig::new(1);
    let mut order = rig.order(&["sh", "-c", "echo $((RANDOM >= 0 && RANDOM + RANDOM > 0))"]);
    assert_eq!(rig.run(&order).result.as_deref(), Some("1"));
    order = rig.order(&["sh", "-c", "test -n \"$RANDOM\" && echo yes"]);
    assert_eq!(rig.run(&order).result.as_deref(), Some("yes"));
}

#[test]
fn a_program_that_is_not_there_says_where_it_was_looked_for() {
    let mut rig = Rig::new(1);
    let mut order = rig.order(&["no-such-program"]);
    main_of(&mut order).env = vec![("PATH".to_owned(), text("/opt/none:relative"))];
    let report = rig.run(&order);
    let (class, reason, message) = failed(&report);
    assert_eq!((class, reason), (FailureClass::Error, Reason::CommandNotFound));
    assert_eq!(message, "the program \"no-such-program\" is not in PATH (/opt/none:relative)");
    assert_eq!((report.started_at, report.exit_code), (None, None));
    for command in ["/no/such", "./missing", "/etc/passwd", "/etc"] {
        let order = rig.order(&[command]);
        let report = rig.run(&order);
        assert_eq!(failed(&report).1, Reason::CommandNotFound, "{command}");
    }
}

#[test]
fn a_file_that_is_no_program_is_not_found_either() {
    let mut rig = Rig::new(1);
    let tool = rig.dir.path().join("tool");
    std::fs::write(&tool, "neither ELF nor script").unwrap();
    std::fs::set_permissions(&tool, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let order = rig.order(&[tool.to_str().unwrap()]);
    assert_eq!(failed(&rig.run(&order)).1, Reason::CommandNotFound);
}

#[test]
fn an_argument_longer_than_linux_takes_is_refused_by_place() {
    let mut rig = Rig::new(1);
    let long = "x".repeat(128 * 1024);
    let order = rig.order(&["echo", &long]);
    let report = rig.run(&order);
    let (class, reason, message) = failed(&report);
    assert_eq!((class, reason), (FailureClass::Error, Reason::ArgumentTooLong));
    assert!(message.starts_with("argument 1 has 131072 bytes"), "{message}");
    let mut order = rig.order(&["true"]);
    main_of(&mut order).env = vec![("BIG".to_owned(), Given::Text(long))];
    let report = rig.run(&order);
    assert!(failed(&report).2.contains("variable BIG"));
    let mut order = rig.order(&["echo", &"x".repeat(128 * 1024 - 1)]);
    assert_eq!(rig.run(&order).failure, None);
    order = rig.order(&["echo", "a\0b"]);
    assert_eq!(failed(&rig.run(&order)).1, Reason::SpawnFailed);
    let many = vec!["x".repeat(100_000); 100];
    let words: Vec<&str> = ["true"].into_iter().chain(many.iter().map(String::as_str)).collect();
    order = rig.order(&words);
    assert_eq!(failed(&rig.run(&order)).1, Reason::ArgumentTooLong);
}

#[test]
fn a_working_directory_is_made_inside_or_must_be_there() {
    let mut rig = Rig::new(1);
    let mut order = rig.order(&["pwd"]);
    main_of(&mut order).working_dir = Some("a/b".to_owned());
    assert!(rig.run(&order).result.unwrap().ends_with("/a/b"));
    order = rig.order(&["pwd"]);
    main_of(&mut order).working_dir = Some("/usr".to_owned());
    assert_eq!(rig.run(&order).result.as_deref(), Some("/usr"));
    let bad = [
        // It could be made in a root of its own.
        ("/no/such/place", Reason::NotPossible),
        ("../up", Reason::SpawnFailed),
        ("/etc/passwd", Reason::SpawnFailed),
    ];
    for (bad, why) in bad {
        let mut order = rig.order(&["pwd"]);
        main_of(&mut order).working_dir = Some(bad.to_owned());
        let report = rig.run(&order);
        let (_, reason, message) = failed(&report);
        assert_eq!(reason, why);
        assert!(message.contains(bad), "{message}");
    }
}

#[test]
fn the_attempts_directory_is_gone_in_the_end() {
    let mut rig = Rig::new(2);
    rig.sh("mkdir -p deep/er && touch deep/er/file && echo x > \"$TMPDIR\"/y");
    rig.sh("true");
    let work = rig.dir.path().join("work");
    rig.runner.shut_down();
    assert_eq!(std::fs::read_dir(work).unwrap().count(), 0);
}

#[test]
fn two_hundred_attempts_run_at_a_time() {
    let mut rig = Rig::new(200);
    // Each writes its name; all wait until 200 names are there.
    let meet = rig.dir.path().join("meet");
    std::fs::create_dir(&meet).unwrap();
    let line = format!(
        "cd {}; touch $$; while [ $(ls | wc -l) -lt 200 ]; do sleep 0.2; done",
        meet.display()
    );
    for _ in 0..200 {
        let order = rig.order(&["sh", "-c", &line]);
        rig.start(&order);
    }
    for _ in 0..200 {
        assert_eq!(rig.finished().failure, None);
    }
}

#[test]
fn more_attempts_than_workers_wait_their_turn() {
    let mut rig = Rig::new(3);
    let orders: Vec<_> = (0..50).map(|_| rig.order(&["true"])).collect();
    for order in &orders {
        rig.start(order);
    }
    let mut keys: Vec<_> = Vec::new();
    while keys.len() < 50 {
        let fact = rig.fact();
        if let FactKind::Finished(report) = fact.kind {
            assert_eq!(report.failure, None);
            keys.push(fact.key);
        }
    }
    keys.sort();
    assert_eq!(keys, orders.iter().map(|o| o.key).collect::<Vec<_>>());
}

#[test]
fn an_object_of_a_cluster_is_refused_by_name() {
    let mut rig = Rig::new(1);
    let mut order = rig.order(&["true"]);
    order.work = Work::Object(Box::new(Object {
        action: Action::Get,
        manifest: None,
        target: None,
        success: None,
        failure: None,
        outputs: Vec::new(),
    }));
    let report = rig.run(&order);
    let (class, reason, message) = failed(&report);
    assert_eq!((class, reason), (FailureClass::Error, Reason::NoKubernetes));
    assert!(message.contains("kubernetes.tasks"), "{message}");
}
