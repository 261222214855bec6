//! What a task in a pod sees, and what is known of it afterwards.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use flowforge_model::attempt::{FailureClass, OutputFile, Process, Work};
use flowforge_model::status::Reason;
use flowforge_ports::logs::Stream;

use crate::rig::{Rig, sh, until};

fn output(name: &str, path: String) -> OutputFile {
    OutputFile { name: name.to_owned(), path, default: None }
}

#[test]
fn a_task_gives_its_outputs_its_result_and_its_lines() {
    let mut rig = Rig::new();
    let place = rig.path("value").display().to_string();
    let key = rig.attempt_of(|order| {
        let script = "echo one; echo hidden >&2; echo $(NAME); printf 'four\\n' > $(PLACE); \
                      echo here > rel; printf 'a\\nlast'";
        let process = Process { variables: true, ..sh(script) };
        order.work = Work::one(process);
        order.outputs = vec![output("four", place.clone()), output("rel", "rel".to_owned())];
    });
    let done = rig.pod(key).env("NAME", "Oslo").env("PLACE", &place).start().wait();
    assert_eq!((done.code, &*done.message), (Some(0), "reported"), "{done:?}");
    let report = rig.report(key);
    assert_eq!(report.failure, None);
    assert_eq!(report.exit_code, Some(0));
    let outputs = [("four", "four"), ("rel", "here")];
    assert_eq!(report.outputs, outputs.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert_eq!(report.result.as_deref(), Some("one\nOslo\na\nlast"));
    assert!(report.started_at.is_some_and(|at| at <= report.finished_at));
    assert_eq!(rig.lines(key, Stream::Stdout), ["one", "Oslo", "a", "last"]);
    assert_eq!(rig.lines(key, Stream::Stderr), ["hidden"]);
    assert_eq!((&*done.stdout, &*done.stderr), ("one\nOslo\na\nlast", "hidden\n"));
    assert_eq!(rig.told.load(Ordering::SeqCst), 2, "controllers are told of the begin and the end");
}

#[test]
fn a_task_sees_its_containers_environment_and_a_token_of_its_own() {
    let mut rig = Rig::new();
    let key = rig.attempt(sh("env | sort; pwd"));
    let pod =
        rig.pod(key).env("FLOWFORGE_TASK_ID", "t").env("SECRET", "s").env("FLOWFORGE_GRACE", "9");
    let dir = pod.dir.canonicalize().unwrap();
    let done = pod.start().wait();
    let names: Vec<&str> =
        done.stdout.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    let expected = [
        "FLOWFORGE_API_ENDPOINT",
        "FLOWFORGE_ATTEMPT",
        "FLOWFORGE_ATTEMPT_ID",
        "FLOWFORGE_AUTH_TOKEN",
        "FLOWFORGE_TASK_ID",
        "PATH",
        "PWD",
        "SECRET",
    ];
    let names: Vec<&str> =
        names.into_iter().filter(|name| !matches!(*name, "_" | "SHLVL")).collect();
    assert_eq!(names, expected);
    assert_eq!(done.stdout.lines().last(), dir.to_str());
    let token = done.stdout.lines().find_map(|line| line.strip_prefix("FLOWFORGE_AUTH_TOKEN="));
    let body = serde_json::to_value(crate::rig::empty_report()).unwrap();
    let (status, answer) = rig.ask(key, "result", token.unwrap(), &body);
    assert_eq!((status, &answer["outcome"]), (200, &"late".into()), "its own was first");
}

#[test]
fn a_script_a_working_directory_and_an_entrypoint_are_what_the_order_says() {
    let mut rig = Rig::new();
    let scripted = rig.attempt(Process {
        command: vec!["sh".to_owned()],
        script: Some("echo \"$0\"; pwd\n".to_owned()),
        working_dir: Some("made/here".to_owned()),
        ..sh("")
    });
    let pod = rig.pod(scripted);
    let dir = pod.dir.canonicalize().unwrap();
    let done = pod.start().wait();
    let lines: Vec<&str> = done.stdout.lines().collect();
    assert!(lines[0].starts_with(rig.dir.path().to_str().unwrap()), "{done:?}");
    assert_eq!(lines[1], dir.join("made/here").to_str().unwrap());
    let mode = std::fs::metadata(lines[0]).unwrap().permissions().mode();
    assert_eq!(mode & 0o100, 0o100, "it can be executed");
    let bare = Process { command: Vec::new(), args: vec!["b c".to_owned()], ..sh("") };
    let key = rig.attempt(bare.clone());
    let done = rig.pod(key).env("FLOWFORGE_ENTRYPOINT", r#"["echo","a"]"#).start().wait();
    assert_eq!((&*done.stdout, done.code), ("a b c\n", Some(0)), "{done:?}");
    let key = rig.attempt(bare);
    let done = rig.run(key);
    assert_eq!((done.code, &*done.message), (Some(126), "reported"));
    let failure = rig.report(key).failure.unwrap();
    assert_eq!(failure.reason, Reason::NotPossible);
    assert!(failure.message.contains("busybox"), "{}", failure.message);
}

#[test]
fn the_exit_code_is_the_tasks_own() {
    let mut rig = Rig::new();
    let cases = [
        ("exit 3", Some(3), FailureClass::User, "exit code 3: why"),
        ("kill -9 $$", Some(137), FailureClass::Transient, "killed by signal 9 (SIGKILL): why"),
        ("exit 143", Some(143), FailureClass::Transient, "exit code 143: why"),
        ("exit 88", Some(88), FailureClass::User, "exit code 88: why"),
    ];
    for (script, code, class, message) in cases {
        let key = rig.attempt(sh(&format!("echo why >&2; {script}")));
        let done = rig.run(key);
        assert_eq!((done.code, &*done.message), (code, "reported"), "{script}: {done:?}");
        let report = rig.report(key);
        assert_eq!(report.exit_code, code);
        let failure = report.failure.unwrap();
        assert_eq!((failure.class, &*failure.message), (class, message), "{script}");
    }
    let key = rig.attempt(Process { command: vec!["no-such-program".to_owned()], ..sh("") });
    let done = rig.run(key);
    assert_eq!(done.code, Some(127), "{done:?}");
    assert_eq!(rig.report(key).failure.unwrap().reason, Reason::CommandNotFound);
}

#[test]
fn a_declared_output_that_is_missing_fails_the_task_and_not_the_container() {
    let mut rig = Rig::new();
    let place = rig.path("none").display().to_string();
    let key = rig.attempt_of(|order| order.outputs = vec![output("none", place.clone())]);
    let done = rig.run(key);
    assert_eq!((done.code, &*done.message), (Some(0), "reported"), "{done:?}");
    let report = rig.report(key);
    assert_eq!(report.failure.unwrap().reason, Reason::OutputMissing);
    // What a task that failed has left is there for who goes on in spite of that.
    let (there, none) = (rig.path("there").display().to_string(), place);
    let key = rig.attempt_of(|order| {
        order.work = Work::one(sh(&format!("echo x > {there}; exit 1")));
        order.outputs = vec![output("none", none), output("there", there)];
    });
    rig.run(key);
    let report = rig.report(key);
    assert_eq!(report.failure.unwrap().reason, Reason::ExitCode);
    assert_eq!(report.outputs, [("there".to_owned(), "x".to_owned())]);
}

#[test]
fn orphans_do_not_stay_as_zombies_and_end_with_the_task() {
    let mut rig = Rig::new();
    let (made, go, left) = (rig.path("made"), rig.path("go"), rig.path("left"));
    let script = format!(
        "setsid sh -c 'echo $$ > {left}; exec sleep 1000' & \
         for i in 1 2 3 4 5 6 7 8; do sh -c 'sh -c \"exit 0\" & exit 0'; done; \
         touch {made}; while [ ! -e {go} ]; do sleep 0.01; done",
        left = left.display(),
        made = made.display(),
        go = go.display()
    );
    let key = rig.attempt(sh(&script));
    let pod = rig.pod(key).start();
    let there = |path: &std::path::Path| std::fs::read_to_string(path).is_ok_and(|t| !t.is_empty());
    until("orphans were made", || made.exists() && there(&left));
    let pid = pod.child.id();
    let children = || {
        let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        text.split_whitespace().count()
    };
    until("only the task is left", || children() == 1);
    std::fs::write(&go, "").unwrap();
    let done = pod.wait();
    assert_eq!((done.code, &*done.message), (Some(0), "reported"), "{done:?}");
    let left = std::fs::read_to_string(&left).unwrap();
    let command = std::fs::read_to_string(format!("/proc/{}/cmdline", left.trim()));
    assert!(!command.is_ok_and(|command| command.contains("1000")), "{left} is there still");
}

#[test]
fn a_flood_of_lines_arrives_whole_and_in_order() {
    const LINES: usize = 200_000;
    let mut rig = Rig::new();
    let key = rig.attempt(sh(&format!("seq 1 {LINES}")));
    let begin = Instant::now();
    let done = rig.run(key);
    let took = begin.elapsed();
    assert_eq!((done.code, &*done.message), (Some(0), "reported"));
    let lines = rig.lines(key, Stream::Stdout);
    assert_eq!(lines.len(), LINES);
    assert!(lines.iter().zip(1..).all(|(line, n)| *line == format!("{n}")));
    assert_eq!(rig.lines(key, Stream::System), [""; 0]);
    assert!(rig.report(key).result.unwrap().ends_with("\n200000"));
    // Unoptimised, beside other builds. Shows with `--nocapture`.
    assert!(took < Duration::from_secs(30), "{took:?}");
    eprintln!("{LINES} lines in {took:?}");
}

#[test]
fn what_a_pod_cannot_do_is_named() {
    use flowforge_model::attempt::{Main, Member, Program, Request};
    use flowforge_model::time::Millis;
    let mut rig = Rig::new();
    let member = Member { process: sh("true"), after: Vec::new() };
    let set = Main::Set { members: vec![member], retries: 0, wait: Millis(0) };
    let init = Process { name: "prepare".to_owned(), ..sh("true") };
    let request = Request {
        method: "GET".to_owned(),
        url: "http://a".to_owned(),
        headers: Vec::new(),
        body: String::new(),
        timeout: Millis(1),
        success: None,
        insecure: false,
    };
    let run = |init, main| Work::Run(Box::new(Program { init, main, sidecars: Vec::new() }));
    let cases = [
        (run(Vec::new(), set), "container set"),
        (run(vec![init], Main::One(sh("true"))), "prepare"),
        (Work::Request(Box::new(request)), "HTTP request"),
    ];
    for (work, named) in cases {
        let key = rig.attempt_of(|order| order.work = work);
        let done = rig.run(key);
        assert_eq!((done.code, &*done.message), (Some(126), "reported"), "{done:?}");
        let failure = rig.report(key).failure.unwrap();
        assert_eq!(failure.reason, Reason::NotPossible);
        assert!(failure.message.contains(named), "{}", failure.message);
    }
}
