//! Daemons: when they are ready, and that nothing is told of those that are not.

use flowforge_model::daemon::{Check, Daemon, Probe};

use super::*;

/// Serves its empty directory on a port of its own choice, which it prints, after it has answered
/// `$1` requests with 503.
const SERVER: &str = "
import http.server, sys
left = int(sys.argv[1])
class Server(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        global left
        ready = left == 0 and self.path == '/ping' and self.headers['X-Probe'] == 'yes'
        left = max(0, left - 1)
        self.send_response(200 if ready else 503)
        self.end_headers()
    def log_message(self, *words):
        print('asked', flush=True)
server = http.server.HTTPServer(('127.0.0.1', int(sys.argv[2])), Server)
server.serve_forever()
";

/// A port that nobody has, at the moment.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn serves(check: Check<String, u16>) -> Option<Box<Daemon<String, u16>>> {
    let probe = Probe {
        check,
        initial_delay: Millis(0),
        period: Millis(20),
        timeout: Millis(5000),
        successes: 2,
        failures: 3,
    };
    Some(Box::new(Daemon { probe: Some(probe) }))
}

fn http(port: u16) -> Check<String, u16> {
    let headers = vec![("X-Probe".to_owned(), "yes".to_owned())];
    Check::Http { host: None, port, path: "/ping".to_owned(), secure: false, headers }
}

impl Rig {
    fn server(&mut self, bad: u32, port: u16) -> WorkOrder {
        let (bad, port) = (bad.to_string(), port.to_string());
        self.order(&["python3", "-c", SERVER, &bad, &port])
    }

    fn is_ready(&self, order: &WorkOrder) {
        assert!(matches!(self.fact().kind, FactKind::Started(_)));
        let fact = self.fact();
        let FactKind::Ready { ip, .. } = fact.kind else { panic!("{fact:?}") };
        assert_eq!((fact.key, &*ip), (order.key, "127.0.0.1"));
    }
}

#[test]
fn a_server_is_ready_when_it_answers_well_and_runs_until_it_is_stopped() {
    let mut rig = Rig::new(1);
    let port = free_port();
    let order = WorkOrder { daemon: serves(http(port)), ..rig.server(3, port) };
    rig.start(&order);
    rig.is_ready(&order);
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    rig.runner.stop(order.attempt);
    assert_eq!(failed(&rig.finished()).0, FailureClass::Stopped);
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err(), "it is gone");
    assert_eq!(rig.texts(Stream::Stdout), ["asked"; 5], "three bad answers, then two good ones");
}

#[test]
fn a_port_that_takes_connections_is_enough_for_a_socket_probe() {
    let mut rig = Rig::new(1);
    let port = free_port();
    let check = Check::Tcp { host: None, port };
    let order = WorkOrder { daemon: serves(check), ..rig.server(1000, port) };
    rig.start(&order);
    rig.is_ready(&order);
    rig.runner.shut_down();
}

#[test]
fn a_daemon_without_a_probe_is_ready_when_it_runs() {
    let mut rig = Rig::new(1);
    let daemon = Some(Box::new(Daemon { probe: None }));
    let order = WorkOrder { daemon, ..rig.order(&["sleep", "1000"]) };
    rig.start(&order);
    rig.is_ready(&order);
    rig.runner.stop(order.attempt);
    assert_eq!(failed(&rig.finished()).0, FailureClass::Stopped);
}

#[test]
fn one_that_ends_before_it_is_ready_never_is() {
    let mut rig = Rig::new(1);
    let check = Check::Tcp { host: None, port: free_port() };
    let order = WorkOrder { daemon: serves(check), ..rig.order(&["sh", "-c", "exit 3"]) };
    rig.start(&order);
    assert!(matches!(rig.fact().kind, FactKind::Started(_)));
    let fact = rig.fact();
    let FactKind::Finished(report) = fact.kind else { panic!("{fact:?}") };
    assert_eq!(report.exit_code, Some(3));
}

#[test]
fn a_stop_does_not_wait_for_the_next_question() {
    let mut rig = Rig::new(1);
    let check = Check::Tcp { host: None, port: free_port() };
    let mut daemon = serves(check);
    daemon.as_mut().unwrap().probe.as_mut().unwrap().initial_delay = Millis(3_600_000);
    let order = WorkOrder { daemon, ..rig.order(&["sleep", "1000"]) };
    rig.start(&order);
    assert!(matches!(rig.fact().kind, FactKind::Started(_)));
    rig.runner.stop(order.attempt);
    assert_eq!(failed(&rig.finished()).0, FailureClass::Stopped);
}

#[test]
fn what_only_a_pod_can_be_asked_is_refused_by_name() {
    let mut rig = Rig::new(1);
    let exec = Check::Exec(vec!["true".to_owned()]);
    let secure = Check::Http {
        host: None,
        port: 443,
        path: "/".to_owned(),
        secure: true,
        headers: Vec::new(),
    };
    for check in [exec, secure] {
        let order = WorkOrder { daemon: serves(check), ..rig.order(&["true"]) };
        let report = rig.run(&order);
        assert_eq!(failed(&report).1, Reason::NotPossible);
    }
}
