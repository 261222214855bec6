//! The real program: how it starts, what it refuses, how it ends.

#[cfg(test)]
mod server {
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::TcpStream;
    use std::path::Path;
    use std::process::{Child, ChildStdin, Command, Output, Stdio};

    /// `flowforge` without anything of this machine's configuration.
    pub(crate) fn flowforge(arguments: &[&str], data: &Path) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_flowforge"));
        command
            .args(arguments)
            .arg("--data-dir")
            .arg(data)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .current_dir(data);
        command
    }

    pub(crate) fn doctor(data: &Path) -> Command {
        flowforge(&["doctor"], data)
    }

    /// `flowforge dev`.
    pub(crate) fn dev(data: &Path, arguments: &[&str]) -> Command {
        let mut command = flowforge(&["dev"], data);
        command.args(arguments);
        command
    }

    pub(crate) fn output(command: &mut Command) -> (Option<i32>, String, String) {
        let Output { status, stdout, stderr } = command.stdin(Stdio::null()).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (status.code(), text(stdout), text(stderr))
    }

    /// A server that is ready; killed if it is dropped before it has ended.
    pub(crate) struct Server {
        child: Child,
        pub(crate) stdin: Option<ChildStdin>,
        pub(crate) banner: String,
        address: String,
        token: String,
    }

    impl Server {
        pub(crate) fn start(data: &Path, arguments: &[&str]) -> Self {
            let mut child = dev(data, &["--listen", "127.0.0.1:0"])
                .args(arguments)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let mut banner = String::new();
            let mut lines = BufReader::new(child.stdout.take().unwrap());
            while !banner.contains("ffctl") {
                let read = lines.read_line(&mut banner).unwrap();
                assert!(read > 0, "it ended after {banner:?}");
            }
            let text = std::fs::read_to_string(data.join("endpoint.json")).unwrap();
            let endpoint: serde_json::Value = serde_json::from_str(&text).unwrap();
            let url = endpoint["url"].as_str().unwrap();
            Self {
                stdin: child.stdin.take(),
                child,
                banner,
                address: url.strip_prefix("http://").unwrap().to_owned(),
                token: endpoint["token"].as_str().unwrap().to_owned(),
            }
        }

        /// Sends a request and reads the whole answer.
        pub(crate) fn request(&self, method: &str, path: &str, body: &str) -> (u16, String) {
            let mut stream = TcpStream::connect(&self.address).unwrap();
            write!(
                stream,
                "{method} {path} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\n\
                 content-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                self.address,
                self.token,
                body.len()
            )
            .unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            let status = answer.get(9..12).unwrap().parse().unwrap();
            let body = answer.split_once("\r\n\r\n").unwrap().1.to_owned();
            (status, body)
        }

        /// Reads a stream until a line holds `wanted`.
        pub(crate) fn follow(&self, path: &str, wanted: &str) {
            let mut stream = TcpStream::connect(&self.address).unwrap();
            let (host, token) = (&self.address, &self.token);
            write!(
                stream,
                "GET {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\n\
                 accept: text/event-stream\r\n\r\n"
            )
            .unwrap();
            let mut lines = BufReader::new(stream).lines();
            assert!(lines.any(|line| line.unwrap().contains(wanted)), "{path} ended");
        }

        /// Ends it without giving it a chance.
        pub(crate) fn kill(mut self) {
            self.child.kill().unwrap();
            self.child.wait().unwrap();
        }

        pub(crate) fn signal(&self, signal: rustix::process::Signal) {
            let pid = rustix::process::Pid::from_child(&self.child);
            rustix::process::kill_process(pid, signal).unwrap();
        }

        /// Waits for its end.
        pub(crate) fn ended(&mut self) -> Option<i32> {
            self.child.wait().unwrap().code()
        }
    }

    impl Drop for Server {
        fn drop(&mut self) {
            self.child.kill().ok();
            self.child.wait().ok();
        }
    }
}

use std::io::{Read, Write};
use std::net::TcpStream;

use rustix::process::Signal;
use server::{Server, dev, doctor, output};

#[test]
fn numbers_and_health_are_answered_without_a_token_where_that_is_asked_for() {
    let data = tempfile::tempdir().unwrap();
    let config = data.path().join("settings.yaml");
    std::fs::write(&config, "server: {metrics_listen: '127.0.0.1:0'}\n").unwrap();
    let server = Server::start(data.path(), &["--config", config.to_str().unwrap()]);
    let said = server.banner.lines().next().unwrap();
    let place = said.strip_prefix("numbers are answered at http://").unwrap();
    let address = place.strip_suffix("/metrics").unwrap();
    let ask = |path: &str| {
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    let numbers = ask("/metrics");
    assert!(numbers.starts_with("HTTP/1.1 200 "), "{numbers}");
    assert!(numbers.contains("\nflowforge_scheduler_running_tasks 0\n"), "{numbers}");
    for path in ["/health", "/livez", "/readyz"] {
        assert!(ask(path).starts_with("HTTP/1.1 200 "), "{path}");
    }
    for path in ["/api/v1/workflows", "/docs", "/internal/v1/attempts/x"] {
        assert!(ask(path).starts_with("HTTP/1.1 404 "), "{path}");
    }
}

#[test]
fn it_says_when_it_is_ready_and_leaves_no_endpoint_behind() {
    let data = tempfile::tempdir().unwrap();
    let mut server = Server::start(data.path(), &[]);
    assert!(server.banner.starts_with("FlowForge is ready\n"), "{}", server.banner);
    assert!(!server.banner.contains('\x1b'), "a pipe gets no colours");
    assert_eq!(server.request("GET", "/health", "").0, 200);
    server.signal(Signal::TERM);
    assert_eq!(server.ended(), Some(0));
    assert!(!data.path().join("endpoint.json").exists());
}

#[test]
fn a_log_whose_workflow_is_gone_is_deleted() {
    let data = tempfile::tempdir().unwrap();
    let left = data.path().join("logs/01890a5d-ac96-774b-bcce-b302099a8057");
    std::fs::create_dir_all(&left).unwrap();
    std::fs::write(left.join("000001.seg"), "").unwrap();
    // The chores of a server are done when it has ended.
    let mut server = Server::start(data.path(), &[]);
    server.signal(Signal::TERM);
    assert_eq!(server.ended(), Some(0));
    assert!(!left.exists());
}

#[test]
fn it_ends_with_its_standard_input() {
    let data = tempfile::tempdir().unwrap();
    let mut server = Server::start(data.path(), &["--exit-on-stdin-close"]);
    drop(server.stdin.take());
    assert_eq!(server.ended(), Some(0));
}

#[test]
fn a_second_server_on_the_same_data_is_refused() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path(), &[]);
    let (code, _, error) = output(&mut dev(data.path(), &[]));
    assert_eq!(code, Some(1));
    assert!(error.contains("in use by another flowforge, process "), "{error}");
    drop(server);
    // A killed server leaves its endpoint and its lock file, and the next one takes over.
    let mut next = Server::start(data.path(), &[]);
    next.signal(Signal::INT);
    assert_eq!(next.ended(), Some(0));
}

#[test]
fn wrong_configuration_ends_with_code_2_and_names_its_source() {
    let data = tempfile::tempdir().unwrap();
    let cases: [(&[&str], &str); 4] = [
        (&["--listen", "0.0.0.0:0"], "error: --listen: server.bind: 0.0.0.0 can be reached"),
        (&["--concurrency", "0"], "error: --concurrency: executor.concurrency: \"0\" is not"),
        (&["--config", "none.yaml"], "error: none.yaml: no such file"),
        (&["--no-such-flag"], "error: unexpected argument '--no-such-flag'"),
    ];
    for (arguments, message) in cases {
        let (code, _, error) = output(&mut dev(data.path(), arguments));
        assert_eq!(code, Some(2), "{arguments:?}: {error}");
        assert!(error.starts_with(message), "{error}");
    }
}

#[test]
fn a_status_collector_wants_tasks_that_are_pods() {
    let data = tempfile::tempdir().unwrap();
    let collector = || server::flowforge(&["status-collector"], data.path());
    let (code, _, error) = output(&mut collector());
    assert_eq!(code, Some(1));
    assert!(error.contains("set kubernetes.tasks (FLOWFORGE_KUBERNETES_TASKS)"), "{error}");
    let (_, _, error) = output(collector().env("FLOWFORGE_KUBERNETES_TASKS", "kubernetes"));
    assert!(error.contains("`flowforge status-collector` needs Redis"), "{error}");
}

#[test]
fn the_configuration_is_printed_without_its_secrets() {
    let data = tempfile::tempdir().unwrap();
    let mut command = dev(data.path(), &["--print-config", "--listen", "127.0.0.1:0"]);
    let (code, text, _) = output(command.env("FLOWFORGE_AUTH_TOKEN", "0123456789abcdef"));
    assert_eq!(code, Some(0));
    assert!(text.contains("http_port: 0  # --listen"), "{text}");
    assert!(text.contains("token: \"********\"  # FLOWFORGE_AUTH_TOKEN"), "{text}");
    assert!(!text.contains("0123456789abcdef"), "{text}");
}

/// The first task has succeeded, the second one is under way and would take for ever.
#[test]
fn a_killed_server_carries_on_where_it_was() {
    let data = tempfile::tempdir().unwrap();
    let flag = data.path().join("flag");
    let script = format!(
        "test -e {0} && exit 0; echo $$ > {0}.new; mv {0}.new {0}; echo under way; exec sleep 1000",
        flag.display()
    );
    let task = |name: &str, needs: &[&str], command: &[&str]| {
        serde_json::json!({
            "name": name,
            "dependencies": needs,
            "template": name,
            "command": command,
        })
    };
    let mut tasks =
        vec![task("first", &[], &["true"]), task("second", &["first"], &["sh", "-c", &script])];
    let mut templates = serde_json::Map::new();
    for task in &mut tasks {
        let command = task.as_object_mut().unwrap().remove("command").unwrap();
        let container = serde_json::json!({ "image": "none", "command": command });
        let name = task["name"].as_str().unwrap().to_owned();
        templates.insert(name, serde_json::json!({ "container": container }));
    }
    templates.insert("main".to_owned(), serde_json::json!({ "dag": { "tasks": tasks } }));
    let document =
        serde_json::json!({ "version": "1.0", "entrypoint": "main", "templates": templates });

    let server = Server::start(data.path(), &[]);
    let (status, body) = server.request("POST", "/api/v1/workflows", &document.to_string());
    assert!(matches!(status, 200..300), "{body}");
    let workflow: serde_json::Value = serde_json::from_str(&body).unwrap();
    let path = format!("/api/v1/workflows/{}", workflow["id"].as_str().unwrap());
    let events = format!("{path}/events");
    server.follow(&format!("{path}/logs"), r#""text":"under way""#);
    let (code, report, _) = output(&mut doctor(data.path()));
    assert_eq!(code, Some(0), "while it runs: {report}");
    server.kill();
    let orphan = std::fs::read_to_string(&flag).unwrap();

    let mut server = Server::start(data.path(), &[]);
    let left = std::fs::read(format!("/proc/{}/cmdline", orphan.trim())).unwrap_or_default();
    assert_eq!(left, b"", "the task of the killed server still runs");
    server.follow(&events, r#""status":"SUCCEEDED","generation""#);
    let (_, tasks) = server.request("GET", &format!("{path}/tasks"), "");
    let tasks: serde_json::Value = serde_json::from_str(&tasks).unwrap();
    let attempts = |place: usize| tasks["items"][place]["attempts"].as_array().unwrap().len();
    assert_eq!((attempts(0), attempts(1)), (1, 2), "{tasks}");
    server.signal(Signal::TERM);
    assert_eq!(server.ended(), Some(0));
    let (code, report, _) = output(&mut doctor(data.path()));
    assert_eq!(code, Some(0), "{report}");
}

/// The first time its members meet and stay; the second time they end.
#[test]
fn a_gang_is_counted_ended_and_begun_as_one() {
    let data = tempfile::tempdir().unwrap();
    let flag = data.path().join("flag").display().to_string();
    let script = format!(
        "me=$FLOWFORGE_GANG_INDEX; test -e {flag}.$me && echo $me of $FLOWFORGE_GANG_SIZE && exit 0; \
         echo $$ > {flag}.new.$me; mv {flag}.new.$me {flag}.$me; \
         until test -e {flag}.0 -a -e {flag}.1 -a -e {flag}.2; do sleep 0.01; done; \
         echo all are here; exec sleep 1000"
    );
    let container = serde_json::json!({ "image": "none", "command": ["sh", "-c", script] });
    let template = serde_json::json!({ "gang": { "replicas": 3 }, "container": container });
    let document = serde_json::json!({
        "version": "1.0", "entrypoint": "main", "templates": { "main": template },
    });
    let submit =
        |server: &Server| server.request("POST", "/api/v1/workflows", &document.to_string());
    let three = ["--concurrency", "3"];
    let server = Server::start(data.path(), &three);
    let (status, body) = submit(&server);
    assert!(matches!(status, 200..300), "{body}");
    let workflow: serde_json::Value = serde_json::from_str(&body).unwrap();
    let path = format!("/api/v1/workflows/{}", workflow["id"].as_str().unwrap());
    server.follow(&format!("{path}/logs"), "] all are here");
    server.kill();

    let server = Server::start(data.path(), &three);
    for member in 0..3 {
        let pid = std::fs::read_to_string(format!("{flag}.{member}")).unwrap();
        let left = std::fs::read(format!("/proc/{}/cmdline", pid.trim())).unwrap_or_default();
        assert_eq!(left, b"", "member {member} of the killed server still runs");
    }
    server.follow(&format!("{path}/events"), r#""status":"SUCCEEDED","generation""#);
    let (_, tasks) = server.request("GET", &format!("{path}/tasks"), "");
    let tasks: serde_json::Value = serde_json::from_str(&tasks).unwrap();
    let task = &tasks["items"][0];
    assert_eq!(task["attempts"].as_array().unwrap().len(), 2, "{tasks}");
    assert_eq!(task["outputs"]["result"], "0 of 3", "{tasks}");

    let quota = r#"{"max_concurrent_pods":2,"cpu_limit":null,"memory_limit":null}"#;
    let (status, body) = server.request("PUT", "/api/v1/tenants/default/quota", quota);
    assert!(matches!(status, 200..300), "{body}");
    let (status, body) = submit(&server);
    assert_eq!(status, 422, "{body}");
    assert!(body.contains("exceeds_quota") && body.contains("template `main`"), "{body}");

    let claim = serde_json::json!({
        "metadata": { "name": "scratch" },
        "spec": { "resources": { "requests": { "storage": "101Gi" } } },
    });
    let main = serde_json::json!({
        "name": "main",
        "container": { "image": "none", "command": ["true"] },
    });
    let manifest = serde_json::json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": { "name": "large" },
        "spec": { "entrypoint": "main", "volumeClaimTemplates": [claim], "templates": [main] },
    });
    let (status, body) = server.request("POST", "/api/v1/workflows", &manifest.to_string());
    assert_eq!(status, 422, "{body}");
    assert!(body.contains("storage 101 is more than the 100 that the quota of tenant"), "{body}");
}

/// What is known of an amount is more than there is; what is not known is nothing.
#[test]
fn what_a_patch_makes_too_large_is_refused_as_far_as_it_is_known() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path(), &[]);
    let quota = r#"{"memory_limit":"1Gi"}"#;
    let (status, body) = server.request("PUT", "/api/v1/tenants/default/quota", quota);
    assert!(matches!(status, 200..300), "{body}");
    for (memory, known) in [("2Gi", true), ("{{=asInt(retries) + 2}}Gi", false)] {
        let limits = serde_json::json!({ "limits": { "memory": memory } });
        let patch = serde_json::json!({ "containers": [{ "name": "main", "resources": limits }] });
        let document = serde_json::json!({
            "version": "1.0", "entrypoint": "main",
            "templates": { "main": {
                "podSpecPatch": patch.to_string(),
                "container": { "image": "none", "command": ["true"] },
            } },
        });
        let (status, body) = server.request("POST", "/api/v1/workflows", &document.to_string());
        assert_eq!(status == 422, known, "{body}");
        assert_eq!(body.contains("template `main` can never start"), known, "{body}");
    }
}

/// Places at which a server can be made to die are for tests: what is built without asking for them,
/// as a release is, does not even hold the name of the variable.
#[test]
fn no_failpoint_is_built_unless_asked_for() {
    let program = std::fs::read(env!("CARGO_BIN_EXE_flowforge")).unwrap();
    let name = concat!("FLOWFORGE_", "FAILPOINTS").as_bytes();
    let holds = program.windows(name.len()).any(|window| window == name);
    assert_eq!(holds, cfg!(feature = "failpoints"));
}
