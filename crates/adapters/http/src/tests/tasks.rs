//! HTTP tasks, from the order to the facts.

use std::sync::atomic::AtomicU32;
use std::sync::mpsc::{Receiver, channel};

use flowforge_model::artifact::{Given, SecretKey};
use flowforge_model::attempt::{
    AttemptKey, Fact, FactKind, FailureClass, Report, Request, Work, WorkOrder,
};
use flowforge_model::id::{EntityId, NodeIx, WorkflowId};
use flowforge_model::resources::Resources;
use flowforge_model::status::Reason;
use flowforge_model::time::Millis;
use flowforge_ports::clock::SystemClock;
use flowforge_ports::logs::{LogCursor, LogQuery, LogStore};
use flowforge_ports::runner::Runner;

use super::*;
use crate::{Allow, Client, HttpRunner, HttpSetup};

struct Desk {
    runner: HttpRunner,
    facts: Receiver<Fact>,
    logs: Arc<flowforge_logstore::MemoryLogs>,
}

impl Desk {
    fn new(allow: &str) -> Self {
        let (sender, facts) = channel();
        let logs = Arc::new(flowforge_logstore::MemoryLogs::default());
        let runner = HttpRunner::new(HttpSetup {
            client: Client::new(Allow::parse(allow).unwrap()),
            secrets: Arc::new(OneSecret),
            facts: Arc::new(move |fact| sender.send(fact).unwrap()),
            logs: Arc::<flowforge_logstore::MemoryLogs>::clone(&logs),
            clock: Arc::new(SystemClock),
        });
        Self { runner, facts, logs }
    }

    /// The facts of one attempt, the first of them checked.
    fn report(&self, request: Request) -> Report {
        self.runner.start(Arc::new(order(request, None)));
        self.finished()
    }

    fn finished(&self) -> Report {
        assert!(matches!(self.facts.recv().unwrap().kind, FactKind::Started(_)));
        match self.facts.recv().unwrap().kind {
            FactKind::Finished(report) => *report,
            other => panic!("{other:?}"),
        }
    }

    fn log(&self) -> String {
        let page = self.logs.read(workflow(), &LogQuery::default(), LogCursor(0), 1000).unwrap();
        page.lines.into_iter().map(|(_, line)| line.text + "\n").collect()
    }
}

fn workflow() -> WorkflowId {
    WorkflowId(uuid::Uuid::from_u128(7))
}

fn order(request: Request, deadline: Option<Millis>) -> WorkOrder {
    static NUMBER: AtomicU32 = AtomicU32::new(1);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let key = AttemptKey { workflow: workflow(), node: NodeIx(1), number };
    WorkOrder {
        key,
        attempt: key.id(),
        task: key.workflow.task(key.node),
        project: EntityId::DEFAULT_PROJECT,
        workflow_name: "w".to_owned(),
        task_name: "ask".to_owned(),
        template: "ask".to_owned(),
        work: Work::Request(Box::new(request)),
        resources: Resources::default(),
        volumes: Vec::new(),
        artifacts_in: Vec::new(),
        artifacts_out: Vec::new(),
        outputs: Vec::new(),
        deadline,
        daemon: None,
        pod: None,
        pod_patches: Vec::new(),
        pod_metadata: None,
    }
}

fn get(url: String) -> Request {
    Request {
        method: "GET".to_owned(),
        url,
        headers: Vec::new(),
        body: String::new(),
        timeout: Millis::from_secs(20),
        success: None,
        insecure: false,
    }
}

fn failure(report: &Report) -> (FailureClass, Reason, &str) {
    let failure = report.failure.as_ref().unwrap();
    (failure.class, failure.reason, &failure.message)
}

#[test]
fn an_answer_becomes_the_result_and_no_secret_is_written_down() {
    let server = Server::new(|_| reply("200 OK", "", "hello"));
    let secret = SecretKey { name: "api".to_owned(), key: "token".to_owned(), optional: false };
    let desk = Desk::new("loopback");
    let report = desk.report(Request {
        method: "POST".to_owned(),
        body: "question".to_owned(),
        headers: vec![
            ("X-Key".to_owned(), Given::Secret(secret)),
            ("X-Id".to_owned(), Given::Text("7".to_owned())),
        ],
        ..get(server.url("/x?y=1"))
    });
    assert_eq!(report.failure, None);
    assert_eq!(report.result.as_deref(), Some("hello"));
    let [came] = &server.requests()[..] else { panic!() };
    assert!(came.head.starts_with("POST /x?y=1 HTTP/1.1\r\n"), "{}", came.head);
    assert_eq!(came.body, "question");
    assert_eq!(came.header("x-key").as_deref(), Some("hunter2"));
    assert_eq!(came.header("x-id").as_deref(), Some("7"));
    let log = desk.log();
    assert!(
        log.starts_with(&format!("POST {}\nanswer 200, 5 bytes\nsucceeded", server.url("/x?y=1")))
    );
    assert!(!log.contains("hunter2"), "{log}");
    assert!(!format!("{:?}", desk.runner).contains("hunter2"));
}

#[test]
fn a_status_or_a_condition_decides() {
    let server = Server::new(|came| match came.head.split(' ').nth(1).unwrap() {
        "/missing" => reply("404 Not Found", "", "nothing here"),
        _ => reply("201 Created", "X-Kind: a\r\nX-Kind: b\r\n", "{\"ok\": true}"),
    });
    let desk = Desk::new("loopback");
    for (path, condition, message) in [
        ("/", None, None),
        ("/missing", None, Some("the answer is 404: nothing here")),
        ("/missing", Some("response.statusCode == 404"), None),
        ("/", Some("response.statusCode == 201 && response.body contains \"true\""), None),
        ("/", Some("response.headers['X-Kind'][1] == 'b'"), None),
        ("/", Some("request.method == 'GET'"), None),
        (
            "/",
            Some("response.statusCode == 200"),
            Some("the answer, 201, does not meet successCondition: response.statusCode == 200"),
        ),
        ("/", Some("response.statusCode"), Some("successCondition is 201, neither true nor false")),
        ("/", Some("nonsense("), Some("successCondition cannot be evaluated: ")),
    ] {
        let request =
            Request { success: condition.map(ToOwned::to_owned), ..get(server.url(path)) };
        let report = desk.report(request);
        match message {
            None => assert_eq!(report.failure, None, "{condition:?}"),
            Some(message) => {
                let (class, reason, said) = failure(&report);
                assert_eq!((class, reason), (FailureClass::User, Reason::HttpFailed));
                assert!(said.starts_with(message), "{said}");
                assert_eq!(report.result, None);
            }
        }
    }
}

#[test]
fn who_is_not_on_the_list_is_not_asked() {
    let server = Server::new(|_| reply("200 OK", "", ""));
    let report = Desk::new("").report(get(server.url("/")));
    let (class, reason, message) = failure(&report);
    assert_eq!((class, reason), (FailureClass::Error, Reason::HttpFailed));
    assert_eq!(
        message,
        "127.0.0.1 (127.0.0.1) may not be asked: if this is meant, add it to http.allow in the \
         configuration of the server"
    );
    let report = Desk::new("public, private").report(get(server.url("/")));
    assert!(failure(&report).2.contains("http.allow"));
    assert!(server.requests().is_empty());
}

#[test]
fn no_answer_is_known_to_pass() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = nobody.local_addr().unwrap();
    drop(nobody);
    let desk = Desk::new("loopback");
    let report = desk.report(get(format!("http://{address}/")));
    assert_eq!(failure(&report).0, FailureClass::Transient, "{report:?}");
    let server = Server::new(|_| "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf".to_owned());
    let report = desk.report(get(server.url("/")));
    assert_eq!(failure(&report).0, FailureClass::Transient, "{report:?}");
    let server = Server::new(|_| "nonsense\r\n\r\n".to_owned());
    let report = desk.report(get(server.url("/")));
    assert_eq!(failure(&report).1, Reason::HttpFailed, "{report:?}");
    assert!(report.started_at.is_some());
}

#[test]
fn a_silent_server_is_not_waited_for() {
    let (end, held) = held();
    let server = Server::new(move |_| {
        held.recv().ok();
        String::new()
    });
    let desk = Desk::new("loopback");
    let short = Request { timeout: Millis(50), ..get(server.url("/")) };
    let report = desk.report(short);
    let expected = (FailureClass::Transient, Reason::HttpFailed, "no answer within 50ms");
    assert_eq!(failure(&report), expected);
    desk.runner.start(Arc::new(order(get(server.url("/")), Some(Millis(50)))));
    let report = desk.finished();
    assert_eq!(failure(&report).1, Reason::Deadline);
    drop(end);
}

#[test]
fn a_stop_ends_a_request_under_way() {
    let (end, held) = held();
    let (arrived, arrives) = channel();
    let server = Server::new(move |_| {
        arrived.send(()).unwrap();
        held.recv().ok();
        String::new()
    });
    let desk = Desk::new("loopback");
    let order = Arc::new(order(get(server.url("/")), None));
    desk.runner.start(Arc::clone(&order));
    arrives.recv().unwrap();
    desk.runner.stop(order.attempt);
    let report = desk.finished();
    assert_eq!(failure(&report), (FailureClass::Stopped, Reason::Stopped, "stopped"));
    // One that was started after its end was asked for is lost, not left out.
    desk.runner.shut_down();
    desk.runner.start(order);
    match desk.facts.recv().unwrap().kind {
        FactKind::Finished(report) => assert_eq!(failure(&report).0, FailureClass::Lost),
        other => panic!("{other:?}"),
    }
    drop(end);
}

#[test]
fn a_shut_down_leaves_nothing_under_way() {
    let (end, held) = held();
    let server = Server::new(move |_| {
        held.recv().ok();
        String::new()
    });
    let desk = Desk::new("loopback");
    desk.runner.start(Arc::new(order(get(server.url("/")), None)));
    desk.runner.shut_down();
    let report = desk.finished();
    assert_eq!(failure(&report), (FailureClass::Lost, Reason::Lost, "the server shut down"));
    drop(end);
}

#[test]
fn an_answer_has_a_limit_and_a_secret_must_be_there() {
    let server = Server::new(|_| reply("200 OK", "", &"x".repeat(1024 * 1024 + 1)));
    let desk = Desk::new("loopback");
    let report = desk.report(get(server.url("/")));
    assert_eq!(failure(&report).2, "the answer has more than 1048576 bytes");
    for (name, key, why) in [
        ("api", "other", "the secret api has no key other"),
        ("none", "token", "there is no secret none"),
    ] {
        let secret = SecretKey { name: name.to_owned(), key: key.to_owned(), optional: false };
        let headers = vec![("X".to_owned(), Given::Secret(secret))];
        let report = desk.report(Request { headers, ..get(server.url("/")) });
        assert_eq!(failure(&report), (FailureClass::Error, Reason::SecretMissing, why));
    }
}
