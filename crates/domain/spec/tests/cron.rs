//! Schedule documents: what is read from them, and what is refused where.

use std::path::PathBuf;

use flowforge_cron::{CatchUp, Concurrency};
use flowforge_model::time::{Millis, Timestamp};
use flowforge_spec::{Options, cron};

const ARGO: &str = r#"apiVersion: argoproj.io/v1alpha1
kind: CronWorkflow
metadata:
  name: nightly
  namespace: reports
  labels: {team: data}
spec:
  schedules:
    - "0 2 * * 1-5"
    - "@every 90m"
  timezone: Europe/Berlin
  concurrencyPolicy: Forbid
  startingDeadlineSeconds: 60
  successfulJobsHistoryLimit: 4
  failedJobsHistoryLimit: 0
  when: "{{= cronworkflow.failed < 3 }}"
  stopStrategy:
    expression: "cronworkflow.succeeded >= 10"
  workflowMetadata:
    labels: {from: cron}
    annotations: {note: "kept, too"}
  workflowSpec:
    entrypoint: main
    templates:
      - name: main
        script:
          image: busybox
          command: [sh]
          source: |
            echo "one: two"
              # indented
            exit 0
"#;

const NATIVE: &str = r#"version: "1.0"
name: nightly
schedule:
  cron: "*/5 * * * *"
  concurrency: replace
  startingDeadline: 10m
  catchUp: all
  keep: {succeeded: 2, failed: 5}
  stopWhen: cronworkflow.failed >= 3
workflow:
  entrypoint: main
  priority: 5
  templates:
    main:
      container: {image: busybox, command: ["true"]}
"#;

#[test]
fn a_cron_workflow_is_read() {
    let read = cron(ARGO, &Options::default()).unwrap();
    assert_eq!(read.name, "nightly");
    assert_eq!(read.labels["team"], "data");
    let schedule = &read.schedule;
    assert_eq!(schedule.zone().name(), "Europe/Berlin");
    assert_eq!(schedule.concurrency, Concurrency::Forbid);
    assert_eq!(schedule.starting_deadline, Some(Millis::from_secs(60)));
    assert_eq!(schedule.catch_up, CatchUp::Last);
    assert_eq!((schedule.successful_history, schedule.failed_history), (4, 0));
    assert_eq!(schedule.definition().namespace, "reports");
    assert_eq!(schedule.definition().schedules, ["0 2 * * 1-5", "@every 90m"]);
    assert!(schedule.next_after(Timestamp(0), Timestamp(0)).is_some());
    assert_eq!(read.compiled.labels, [("from".to_owned(), "cron".to_owned())]);
}

#[test]
fn its_workflow_stands_alone() {
    let read = cron(ARGO, &Options::default()).unwrap();
    assert_eq!(
        read.workflow,
        r#"apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata:
  generateName: nightly-
  labels:
    from: cron
  annotations:
    note: "kept, too"
spec:
  entrypoint: main
  templates:
    - name: main
      script:
        image: busybox
        command:
          - sh
        source: |
          echo "one: two"
            # indented
          exit 0
"#
    );
    let alone = flowforge_spec::compile(&read.workflow, &Options::default()).unwrap();
    assert_eq!(alone.plan, read.compiled.plan);
    assert_eq!(alone.name.as_deref(), Some("nightly-"));
}

#[test]
fn a_native_schedule_is_read() {
    let read = cron(NATIVE, &Options::default()).unwrap();
    assert_eq!(read.schedule.concurrency, Concurrency::Replace);
    assert_eq!(read.schedule.starting_deadline, Some(Millis::from_secs(600)));
    assert_eq!(read.schedule.catch_up, CatchUp::All);
    assert_eq!((read.schedule.successful_history, read.schedule.failed_history), (2, 5));
    assert_eq!(read.compiled.priority, Some(5));
    let alone = flowforge_spec::compile(&read.workflow, &Options::default()).unwrap();
    assert_eq!(alone.name.as_deref(), Some("nightly"));
    assert_eq!(alone.plan, read.compiled.plan);
}

#[test]
fn json_is_read_as_well() {
    let text = r#"{"apiVersion": "argoproj.io/v1alpha1", "kind": "CronWorkflow",
        "metadata": {"name": "a"}, "status": {},
        "spec": {"schedule": "@daily", "suspend": true, "stopStrategy": {"condition": "false"},
        "workflowSpec": {"entrypoint": "m", "templates": [
            {"name": "m", "container": {"image": "x", "command": ["true"], "args": ["5", "é\n\u0001"]}}]}}}"#;
    let read = cron(text, &Options::default()).unwrap();
    assert!(read.schedule.suspend);
    assert_eq!(read.schedule.definition().stop.as_deref(), Some("false"));
    assert!(read.compiled.warnings.iter().any(|one| one.pointer == "/status"));
    let alone = flowforge_spec::compile(&read.workflow, &Options::default()).unwrap();
    assert_eq!(alone.plan, read.compiled.plan);
}

/// Every fault, as `line:column pointer code: message`.
fn faults(source: &str) -> Vec<String> {
    let problems = cron(source, &Options::default()).err().unwrap_or_default().list;
    let shown = problems.iter().map(|one| {
        format!("{}:{} {} {}: {}", one.line, one.column, one.pointer, one.code, one.message)
    });
    shown.collect()
}

#[test]
fn everything_wrong_is_reported_where_it_stands() {
    let broken = ARGO
        .replace("\"0 2 * * 1-5\"", "\"0 0 2 * * 1-5\"")
        .replace("Europe/Berlin", "Mars/Olympus")
        .replace("Forbid", "Sometimes")
        .replace("{{= cronworkflow.failed < 3 }}", "{{workflow.name}} == x")
        .replace("entrypoint: main", "entrypoint: mian")
        .replace("from: cron", "\"f rom\": cron");
    assert_eq!(
        faults(&broken),
        [
            "9:7 /spec/schedules/0 bad_schedule: the schedule '0 0 2 * * 1-5' has 6 fields, but there are no seconds: write minute hour day month weekday, or @every 10s",
            "11:13 /spec/timezone unknown_timezone: the time zone 'Mars/Olympus' is not known; use an IANA name such as Europe/Berlin",
            "12:22 /spec/concurrencyPolicy bad_value: 'Sometimes' is no concurrencyPolicy",
            "16:9 /spec/when bad_condition: when: {{workflow.name}} is not known here; there are cronworkflow.name, namespace, labels.NAME, annotations.NAME, lastScheduledTime, failed and succeeded",
            "20:14 /spec/workflowMetadata/labels/f rom bad_name: 'f rom' is no name for a label",
            "23:17 /spec/workflowSpec/entrypoint unknown_template: there is no template 'mian'",
        ]
    );
    let broken = NATIVE.replace("catchUp: all", "catchUp: some").replace("[\"true\"]", "[1, {}]");
    let found = faults(&broken);
    assert_eq!(found[0], "7:12 /schedule/catchUp bad_value: 'some' is no catchUp");
    assert!(found[1].contains("/workflow/templates/main/container/command/1"), "{found:?}");
}

#[test]
fn hostile_schedules_are_refused() {
    let with = |schedule: &str| ARGO.replace("\"0 2 * * 1-5\"", &format!("{schedule:?}"));
    for bad in ["* * * * * *", &"1,".repeat(5000), "@every 0.1x", "60 * * * *", ", * * * *", ""] {
        assert_eq!(faults(&with(bad)).len(), 1, "{bad}");
    }
    assert!(cron(&with("0 0 30 2 *"), &Options::default()).is_ok());
    for (from, to) in [
        ("kind: CronWorkflow", "kind: Workflow"),
        ("name: nightly", "name: Night_ly"),
        ("workflowSpec:", "workflowSpecs:"),
        ("argoproj.io/v1alpha1", "argoproj.io/v2"),
        ("startingDeadlineSeconds: 60", "startingDeadlineSeconds: -1"),
    ] {
        assert!(!faults(&ARGO.replace(from, to)).is_empty(), "{to}");
    }
    assert!(!faults("[]").is_empty() && !faults("").is_empty() && !faults("a: b").is_empty());
    let none = ARGO.replace("    - \"0 2 * * 1-5\"\n    - \"@every 90m\"\n", "");
    assert_eq!(faults(&none), ["8:3 /spec bad_schedule: there must be at least one schedule"]);
}

/// Argo's own examples, where they lie beside the project.
#[test]
fn examples_of_argo_are_read() {
    let folder =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../../shared/corpus/argo/examples");
    let Ok(files) = std::fs::read_dir(&folder) else {
        println!("no examples of Argo at {}: nothing compared", folder.display());
        return;
    };
    let mut read = 0;
    for file in files.flatten().map(|file| file.path()) {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        if !text.contains("\nkind: CronWorkflow") || text.contains("\n---") {
            continue;
        }
        let shown = file.display();
        let found = match cron(&text, &Options::default()) {
            Ok(found) => found,
            Err(problems) => {
                let outside =
                    problems.list.iter().find(|p| !p.pointer.starts_with("/spec/workflowSpec"));
                assert_eq!(outside, None, "{shown}");
                println!("{shown}: {}", problems.list[0]);
                continue;
            }
        };
        let alone = flowforge_spec::compile(&found.workflow, &Options::default()).unwrap();
        assert_eq!(alone.plan, found.compiled.plan, "{shown}");
        read += 1;
    }
    println!("{read} CronWorkflows");
    assert!(read >= 1, "{read}");
}

#[test]
fn when_is_read_without_what() {
    let broken = ARGO.replace("entrypoint: main", "entrypoint: mian");
    assert_eq!(flowforge_spec::schedule(&broken).unwrap().definition().name, "nightly");
    assert!(flowforge_spec::schedule(&ARGO.replace("@every 90m", "@often")).is_err());
    assert!(flowforge_spec::is_schedule(&broken) && flowforge_spec::is_schedule(NATIVE));
    assert!(!flowforge_spec::is_schedule("version: '1.0'") && !flowforge_spec::is_schedule("["));
}
