//! Schedules.

use serde_json::{Value, json};

use super::{Fake, ID, Say, ffctl, problem};

const CRON: &str = "\
apiVersion: argoproj.io/v1alpha1
kind: CronWorkflow
metadata: {name: nightly}
spec:
  schedules: ['30 2 * * *']
  timezone: Europe/Berlin
  workflowSpec:
    entrypoint: main
    templates:
      - name: main
        container: {image: busybox, command: ['true']}
";

fn schedule(name: &str, status: &str) -> Value {
    json!({
        "id": ID, "name": name, "project_id": "p", "status": status, "cron": ["0 2 * * *"],
        "timezone": "UTC", "concurrency": "allow", "catch_up": "none", "active": 1,
        "succeeded": 2, "failed": 0, "created_at": "2026-01-31T12:00:00.000Z",
        "updated_at": "2026-01-31T12:00:00.000Z",
    })
}

fn file(text: &str) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cron.yaml");
    std::fs::write(&path, text).unwrap();
    let name = path.to_str().unwrap().to_owned();
    (dir, name)
}

#[test]
fn a_schedule_is_applied_from_its_file() {
    let (_dir, name) = file(CRON);
    let server = Fake::new([Say::Json(201, schedule("nightly", "ACTIVE"))]);
    let (exit, out, _) = ffctl(&server.url, &format!("cron apply {name} --project p"));
    assert_eq!((exit, &*out), (0, "nightly ACTIVE, nothing is due\n"));
    let asked = server.asked();
    assert!(asked[0].line.starts_with("POST /api/v1/schedules?project_id=p "), "{}", asked[0].line);
    assert_eq!(asked[0].body, CRON);
}

#[test]
fn schedules_are_listed_and_shown() {
    let mut shown = schedule("nightly", "ACTIVE");
    shown["problem"] = "2026-01-31T12:00:00.000Z: it was missed\u{1b}".into();
    shown["runs"] = json!([{
        "scheduled_at": "2026-01-30T02:00:00.000Z", "workflow_id": ID, "status": "SUCCEEDED",
        "finished_at": "2026-01-30T02:01:00.000Z",
    }]);
    let list = json!({"items": [schedule("nightly", "ACTIVE"), schedule("held", "SUSPENDED")]});
    let server = Fake::new([Say::Json(200, list), Say::Json(200, shown)]);
    let (exit, out, _) = ffctl(&server.url, "cron ls");
    assert_eq!(exit, 0);
    insta::assert_snapshot!(out, @r"
    NAME      STATUS      SCHEDULES   TIMEZONE   LAST   NEXT   ACTIVE
    nightly   ACTIVE      0 2 * * *   UTC        -      -      1
    held      SUSPENDED   0 2 * * *   UTC        -      -      1
    ");
    let (exit, out, _) = ffctl(&server.url, "cron get nightly");
    assert_eq!(exit, 0);
    insta::assert_snapshot!(out, @r"
    Name         nightly
    Status       ACTIVE
    Schedules    0 2 * * *
    Time zone    UTC
    Concurrency  allow
    Catch up     none
    Runs         2 succeeded, 0 failed, 1 active
    Problem      2026-01-31T12:00:00.000Z: it was missed\u{1b}

    RUN                                    SCHEDULED              STATUS      ENDED
    01890a5d-ac96-774b-bcce-b302099a8057   2026-01-30T02:00:00Z   SUCCEEDED   2026-01-30T02:01:00Z
    ");
}

#[test]
fn what_is_wrong_with_one_stops_no_other() {
    let server = Fake::new([problem(404, "not_found"), Say::Json(200, schedule("b", "SUSPENDED"))]);
    let (exit, out, err) = ffctl(&server.url, "cron suspend a b");
    assert_eq!((exit, &*out), (3, "b SUSPENDED, nothing is due\n"));
    assert!(!err.is_empty());
    let asked = server.asked();
    assert!(asked[1].line.starts_with("PUT /api/v1/schedules/b/suspend "), "{}", asked[1].line);
}

#[test]
fn the_next_times_of_a_file_are_shown_without_a_server() {
    let (_dir, name) = file(CRON);
    let line = format!("cron next {name} -n 3 --after 2026-03-27T12:00:00Z");
    let (exit, out, _) = ffctl("http://127.0.0.1:1", &line);
    assert_eq!(exit, 0);
    // On the 29th there is no half past two in Berlin.
    insta::assert_snapshot!(out, @r"
    2026-03-28T01:30:00Z  2026-03-28T02:30:00+01:00 Europe/Berlin
    2026-03-30T00:30:00Z  2026-03-30T02:30:00+02:00 Europe/Berlin
    2026-03-31T00:30:00Z  2026-03-31T02:30:00+02:00 Europe/Berlin
    ");
    let (_dir, name) = file(&CRON.replace("30 2", "0 30 2"));
    let (exit, _, err) = ffctl("http://127.0.0.1:1", &format!("cron next {name}"));
    assert_eq!(exit, 2);
    assert!(
        err.contains("cron.yaml:5:15: error: the schedule '0 30 2 * * *' has 6 fields"),
        "{err}"
    );
    let (_dir, name) = file(&CRON.replace("30 2 * * *", "0 0 30 2 *"));
    let (exit, out, err) = ffctl("http://127.0.0.1:1", &format!("cron next {name}"));
    assert_eq!((exit, &*out), (0, ""));
    assert!(err.contains("never due"), "{err}");
}

#[test]
fn a_file_of_a_schedule_is_linted_as_one() {
    let (_dir, name) = file(CRON);
    let (exit, out, _) = ffctl("http://127.0.0.1:1", &format!("lint {name}"));
    assert_eq!(exit, 0, "{out}");
    let (_dir, name) = file(&CRON.replace("entrypoint: main", "entrypoint: mian"));
    let (exit, out, _) = ffctl("http://127.0.0.1:1", &format!("lint {name}"));
    assert_eq!(exit, 2);
    assert!(out.contains("8:17: error: there is no template 'mian'"), "{out}");
}
