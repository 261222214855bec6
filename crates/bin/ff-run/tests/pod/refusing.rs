//! Who may not begin, and who may not speak.

use flowforge_model::attempt::AttemptKey;
use flowforge_model::id::{NodeIx, PodUid};
use flowforge_model::limits;
use flowforge_ports::logs::Stream;
use flowforge_ports::pods::Pods as _;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::rig::{Rig, empty_report, sh};
use crate::tokens::{self, claims, signed, token};

fn uid() -> PodUid {
    PodUid(Uuid::now_v7())
}

/// Begins an attempt as its pod does; gives the attempt's token.
fn begin(rig: &Rig, key: AttemptKey) -> String {
    let pod = uid();
    let (status, answer) = rig.ask(key, "start", &token(key, pod), &json!({"pod": pod}));
    assert_eq!(status, 200, "{answer}");
    answer["token"].as_str().unwrap().to_owned()
}

fn report() -> Value {
    serde_json::to_value(empty_report()).unwrap()
}

#[test]
fn a_second_pod_runs_nothing() {
    let mut rig = Rig::new();
    let key = rig.attempt(sh("echo ran"));
    assert_eq!(rig.run(key).code, Some(0));
    let open = rig.attempt(sh("echo ran"));
    begin(&rig, open);
    let (stopped, over) = (rig.attempt(sh("echo ran")), rig.attempt(sh("echo ran")));
    rig.stop(stopped);
    rig.end(over);
    let never = AttemptKey { node: NodeIx(999), ..key };
    let cases = [
        (key, "attempt_over"),
        (open, "attempt_taken"),
        (stopped, "attempt_stopped"),
        (over, "attempt_over"),
        (never, "attempt_over"),
    ];
    for (key, code) in cases {
        let done = rig.run(key);
        assert_eq!((done.code, done.message), (Some(88), format!("refused: {code}")));
        assert_eq!(done.stdout, "");
        assert!(done.stderr.contains(code), "{}", done.stderr);
    }
    assert_eq!(rig.lines(open, Stream::Stdout), [""; 0]);
}

#[test]
fn the_same_pod_may_ask_again() {
    let mut rig = Rig::new();
    let key = rig.attempt(sh("true"));
    let pod = uid();
    let ask = || rig.ask(key, "start", &token(key, pod), &json!({"pod": pod}));
    let first = ask();
    assert_eq!(first.0, 200, "{first:?}");
    assert_eq!(first, ask());
}

#[test]
fn only_the_attempts_own_pod_is_believed() {
    let mut rig = Rig::new();
    let key = rig.attempt(sh("true"));
    let other = rig.attempt(sh("true"));
    let pod = uid();
    let good = claims(key, pod);
    let with = |pointer: &str, value: Value| {
        let mut claims = good.clone();
        *claims.pointer_mut(pointer).unwrap() = value;
        signed(&claims, 0, "k0")
    };
    let without = |name: &str| {
        let mut claims = good.clone();
        claims.as_object_mut().unwrap().remove(name).unwrap();
        signed(&claims, 0, "k0")
    };
    let now = good["iat"].as_u64().unwrap();
    let name = "/kubernetes.io/pod/name";
    let whole = token(key, pod);
    let (head, _) = whole.rsplit_once('.').unwrap();
    let none = format!("eyJhbGciOiJub25lIn0.{}.", whole.split('.').nth(1).unwrap());
    let cases = [
        ("no token", String::new()),
        ("the token of /api", "the-token".to_owned()),
        ("another audience", with("/aud", json!(["https://kubernetes"]))),
        ("no audience", without("aud")),
        ("another issuer", with("/iss", "https://other".into())),
        ("no issuer", without("iss")),
        ("expired", with("/exp", json!(now - 120))),
        ("no end", without("exp")),
        ("not yet", with("/nbf", json!(now + 600))),
        ("another pod's name", with(name, "ff-a-b-0000000000000".into())),
        ("another attempt's pod", with(name, other.id().pod_name("a.b", None).into())),
        ("another pod", with("/kubernetes.io/pod/uid", uid().to_string().into())),
        ("another namespace", with("/kubernetes.io/namespace", "default".into())),
        ("no pod", without("kubernetes.io")),
        ("another key", signed(&good, 1, "k1")),
        ("another key under this name", signed(&good, 1, "k0")),
        ("no signature", format!("{head}.")),
        ("no algorithm", none),
    ];
    for (what, token) in cases {
        let (status, answer) = rig.ask(key, "start", &token, &json!({"pod": pod}));
        assert_eq!((status, &answer["code"]), (401, &"unauthorized".into()), "{what}: {answer}");
    }
    assert!(!rig.facts(key).0, "nobody has begun it");
    assert_eq!(rig.ask(key, "start", &whole, &json!({"pod": pod})).0, 200);
}

#[test]
fn of_which_account_a_pod_is_does_not_matter() {
    let mut rig = Rig::new();
    let key = rig.attempt(sh("true"));
    let uid = uid();
    let mut claims = claims(key, uid);
    claims["sub"] = "system:serviceaccount:team:robot".into();
    claims["kubernetes.io"]["serviceaccount"] = json!({"name": "robot", "uid": "1"});
    let done = rig.pod_with(key, uid, &signed(&claims, 0, "k0")).start().wait();
    assert_eq!((done.code, &*done.message), (Some(0), "reported"), "{done:?}");
}

#[test]
fn a_new_key_of_a_cluster_is_found() {
    let mut rig = Rig::new();
    let keys = [rig.attempt(sh("true")), rig.attempt(sh("true"))];
    begin(&rig, keys[0]);
    rig.block_on(rig.store.put_cluster(tokens::cluster(&[0, 1]))).unwrap();
    // The keys were read a moment ago, and are not read again within a second: pods ask again.
    let uid = uid();
    let done = rig.pod_with(keys[1], uid, &signed(&claims(keys[1], uid), 1, "k1")).start().wait();
    assert_eq!((done.code, &*done.message), (Some(0), "reported"), "{done:?}");
}

#[test]
fn a_pod_that_nobody_believes_gives_up() {
    let mut rig = Rig::new();
    let key = rig.attempt(sh("echo ran"));
    let uid = uid();
    let pod = rig.pod_with(key, uid, &signed(&claims(key, uid), 1, "k0"));
    let done = pod.env("FLOWFORGE_START_WAIT", "1").start().wait();
    assert_eq!((done.code, &*done.message), (Some(88), "refused: unauthorized"), "{done:?}");
    assert_eq!(done.stdout, "");
    let done = rig.pod(key).env("FLOWFORGE_ATTEMPT", "nonsense").start().wait();
    assert_eq!((done.code, &*done.message), (Some(88), "refused: bad_environment"), "{done:?}");
    assert!(done.stderr.contains("WORKFLOW/NODE/NUMBER"), "{done:?}");
}

#[test]
fn the_first_end_counts_and_a_late_one_is_of_no_use() {
    let mut rig = Rig::new();
    let key = rig.attempt(sh("true"));
    let token = begin(&rig, key);
    let ended = rig.attempt(sh("true"));
    let ended_token = begin(&rig, ended);
    let outcome = |key, token: &str, body: &Value| {
        let (status, answer) = rig.ask(key, "result", token, body);
        assert_eq!(status, 200, "{answer}");
        answer["outcome"].as_str().unwrap().to_owned()
    };
    assert_eq!(outcome(key, &token, &report()), "taken");
    let other = json!({"finished_at": 6, "exit_code": 1});
    assert_eq!(outcome(key, &token, &other), "late");
    assert_eq!(rig.report(key), empty_report());
    let (mine, yours) = (&token, &ended_token);
    for (key, token) in [(key, yours), (ended, mine), (ended, &String::new())] {
        for (what, body) in [("result", report()), ("logs", json!({}))] {
            let (status, answer) = rig.ask(key, what, token, &body);
            assert_eq!((status, &answer["code"]), (401, &"unauthorized".into()), "{answer}");
        }
    }
    rig.end(ended);
    assert_eq!(outcome(ended, &ended_token, &report()), "late");
}

#[test]
fn a_report_gives_what_its_order_names_within_the_limits() {
    let mut rig = Rig::new();
    let key = rig.attempt_of(|order| {
        let output = json!({"name": "a", "path": "/a"});
        order.outputs = vec![serde_json::from_value(output).unwrap()];
    });
    let token = begin(&rig, key);
    let with = |name: &str, value: Value| {
        let mut report = report();
        report[name] = value;
        report
    };
    let long = "x".repeat(limits::OUTPUT_BYTES + 1);
    let failure = json!({"class": "user", "reason": "ExitCode", "message": "x".repeat(5000)});
    let cases = [
        with("outputs", json!([["b", ""]])),
        with("outputs", json!([["a", ""], ["a", ""]])),
        with("outputs", json!([["a", long]])),
        with("result", "x".repeat(limits::RESULT_BYTES + 1).into()),
        with("failure", failure),
        with("finished_at", "now".into()),
        json!([]),
    ];
    for body in cases {
        let (status, answer) = rig.ask(key, "result", &token, &body);
        assert_eq!((status, &answer["code"]), (400, &"invalid_request".into()), "{answer}");
    }
    let (status, _) = rig.send(key, "result", &token, b"{");
    assert_eq!(status, 400);
    assert_eq!(rig.facts(key).1, []);
    let fits = with("outputs", json!([["a", "x".repeat(limits::OUTPUT_BYTES)]]));
    assert_eq!(rig.ask(key, "result", &token, &fits).0, 200);
}

#[test]
fn lines_are_the_attempts_own_and_each_is_kept_once() {
    let mut rig = Rig::new();
    let (key, other) = (rig.attempt(sh("true")), rig.attempt(sh("true")));
    let token = begin(&rig, key);
    let line = |key: AttemptKey, text: &str| {
        json!({"at": 1, "node": key.node, "attempt": key.number, "stream": "stdout",
            "text": text, "cut": false})
    };
    let shipment =
        |seq: u64, lines: &[Value]| json!({"workflow": key.workflow, "seq": seq, "lines": lines});
    let lines = [line(key, "1"), line(key, "2"), line(key, "3")];
    for sent in [shipment(1, &lines[..2]), shipment(1, &lines), shipment(2, &lines[1..])] {
        let (status, answer) = rig.ask(key, "logs", &token, &sent);
        assert_eq!(status, 200, "{answer}");
    }
    assert_eq!(rig.lines(key, Stream::Stdout), ["1", "2", "3"]);
    let elsewhere = json!({"workflow": Uuid::now_v7(), "seq": 9, "lines": []});
    let next = AttemptKey { number: 2, ..key };
    let cases = [
        shipment(9, &[line(other, "x")]),
        shipment(9, &[line(next, "x")]),
        shipment(0, &lines),
        shipment(u64::MAX, &lines),
        shipment(9, &[line(key, &"x".repeat(limits::LOG_LINE_BYTES + 1))]),
        shipment(9, &vec![line(key, ""); 1001]),
        elsewhere,
    ];
    for body in cases {
        let (status, answer) = rig.ask(key, "logs", &token, &body);
        assert_eq!((status, &answer["code"]), (400, &"invalid_request".into()), "{answer}");
    }
    let (status, answer) = rig.send(key, "logs", &token, &vec![b' '; 1024 * 1024 + 1]);
    assert_eq!((status, &answer["code"]), (413, &"too_large".into()));
    assert_eq!(rig.lines(key, Stream::Stdout).len(), 3);
}
