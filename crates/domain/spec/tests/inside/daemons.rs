//! Daemons and their probes.

use flowforge_model::daemon::{Check, Probe};
use flowforge_model::text::Text;
use flowforge_model::time::Millis;

use crate::{codes, manifest, ok, problems, template, warnings};

fn probe(probe: &str) -> Probe<Text, Text> {
    let body = format!("daemon: true\ncontainer: {{image: i, readinessProbe: {{{probe}}}}}");
    template(&body).daemon.expect("a daemon").probe.expect("a probe")
}

#[test]
fn a_daemon_is_a_container_or_script_that_says_so() {
    assert!(template("daemon: true\ncontainer: {image: i}").daemon.is_some());
    assert!(template("daemon: true\nscript: {image: i, source: x}").daemon.is_some());
    assert!(template("daemon: false\ncontainer: {image: i}").daemon.is_none());
    assert!(template("daemon: false\nsuspend: {}").daemon.is_none());
}

#[test]
fn a_probe_has_kubernetes_numbers() {
    let asked = probe("tcpSocket: {port: 80}");
    assert_eq!(asked.check, Check::Tcp { host: None, port: Text::plain("80") });
    assert_eq!(asked.initial_delay, Millis(0));
    assert_eq!((asked.period, asked.timeout), (Millis(10_000), Millis(1000)));
    assert_eq!((asked.successes, asked.failures), (1, 3));
    let asked = probe(
        "httpGet: {path: /p, port: '81', scheme: HTTPS, httpHeaders: [{name: A, value: b}]}, initialDelaySeconds: 2, periodSeconds: 3, timeoutSeconds: 4, successThreshold: 5, failureThreshold: 6",
    );
    let check = Check::Http {
        host: None,
        port: Text::plain("81"),
        path: Text::plain("/p"),
        secure: true,
        headers: vec![("A".to_owned(), Text::plain("b"))],
    };
    assert_eq!((asked.check, asked.initial_delay), (check, Millis(2000)));
    assert_eq!((asked.period, asked.timeout), (Millis(3000), Millis(4000)));
    assert_eq!((asked.successes, asked.failures), (5, 6));
    let check = probe("exec: {command: [pg_isready]}").check;
    assert_eq!(check, Check::Exec(vec![Text::plain("pg_isready")]));
}

#[test]
fn what_cannot_serve_or_be_asked_is_refused() {
    let asked =
        |probe: &str| format!("daemon: true\ncontainer: {{image: i, readinessProbe: {probe}}}");
    let rows = [
        ("daemon: true\nsuspend: {}".to_owned(), "conflict"),
        ("daemon: true\nhttp: {url: 'http://a.example/'}".to_owned(), "conflict"),
        (
            "daemon: true\ncontainerSet: {containers: [{name: main, image: i}]}".to_owned(),
            "conflict",
        ),
        ("daemon: true\ncontainer: {image: i}\ngang: {replicas: 2}".to_owned(), "conflict"),
        (
            "daemon: true\ncontainer: {image: i}\nmemoize: {key: k, cache: {configMap: {name: c}}}"
                .to_owned(),
            "conflict",
        ),
        (asked("{}"), "conflict"),
        (asked("{tcpSocket: {port: 1}, exec: {command: [a]}}"), "conflict"),
        (asked("{grpc: {port: 1}}"), "unsupported"),
        (asked("{tcpSocket: {}}"), "missing_field"),
        (asked("{tcpSocket: {port: web}}"), "out_of_range"),
        (asked("{tcpSocket: {port: 65536}}"), "out_of_range"),
        (asked("{tcpSocket: {port: 1}, periodSeconds: 0}"), "out_of_range"),
        (asked("{httpGet: {port: 1, scheme: FTP}}"), "bad_value"),
        (asked("{httpGet: {port: 1, patch: /}}"), "unknown_field"),
    ];
    for (body, code) in rows {
        assert!(codes(&manifest(&body)).contains(&code), "{body}");
    }
}

#[test]
fn a_probe_that_nobody_waits_for_is_warned_of() {
    let body = "container: {image: i, readinessProbe: {tcpSocket: {port: 1}}}";
    let said = warnings(&manifest(body));
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].starts_with("no_effect "), "{said:?}");
    let body = format!("daemon: true\n{body}");
    assert_eq!(warnings(&manifest(&body)), [""; 0]);
}

/// A dag with a task `x` of template `s` and one after it that is given `value`.
fn dag(daemon: bool, more: &str, value: &str) -> String {
    format!(
        "apiVersion: argoproj.io/v1alpha1
kind: Workflow
spec:
  entrypoint: main
  templates:
  - name: main
    dag:
      tasks:
      - {{name: x, template: s{more}}}
      - {{name: y, template: t, depends: x, arguments: {{parameters: [{{name: a, value: '{value}'}}]}}}}
  - {{name: s, daemon: {daemon}, container: {{image: i}}}}
  - {{name: t, inputs: {{parameters: [{{name: a}}]}}, container: {{image: i}}}}
"
    )
}

#[test]
fn only_a_daemon_has_an_address() {
    let ip = "http://{{tasks.x.ip}}:80/";
    ok(&dag(true, "", ip));
    let said = problems(&dag(false, "", ip));
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("only a daemon has an address"), "{said:?}");
}

#[test]
fn a_daemon_is_not_repeated() {
    for looped in [", withItems: [1, 2]", ", withSequence: {count: 2}", ", withParam: '[1]'"] {
        assert_eq!(codes(&dag(true, looped, "z")), ["conflict"], "{looped}");
        ok(&dag(false, looped, "z"));
    }
}
