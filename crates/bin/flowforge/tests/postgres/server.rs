//! The program as a process.

use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::place::Place;

/// `flowforge all`; killed if it is dropped before it has ended.
pub(crate) struct Server {
    pub(crate) child: Child,
    address: String,
    token: String,
    log: PathBuf,
}

impl Server {
    pub(crate) fn start(place: &Place, name: &str, environment: &[(&str, &str)]) -> Self {
        Self::of("all", place, name, environment)
    }

    /// A role that answers requests.
    pub(crate) fn of(role: &str, place: &Place, name: &str, environment: &[(&str, &str)]) -> Self {
        let answers = ["--listen", "127.0.0.1:0"];
        let mut server = Self::spawn(role, place, name, (environment, &answers));
        let home = place.path(name);
        let endpoint = loop {
            let text = std::fs::read_to_string(home.join("endpoint.json")).unwrap_or_default();
            match serde_json::from_str::<Value>(&text) {
                Ok(endpoint) => break endpoint,
                Err(_) => server.lives(),
            }
        };
        let word = |name: &str| endpoint[name].as_str().unwrap().to_owned();
        word("url").strip_prefix("http://").unwrap().clone_into(&mut server.address);
        server.token = word("token");
        server
    }

    /// A role that answers nobody.
    pub(crate) fn spawn(
        role: &str,
        place: &Place,
        name: &str,
        (environment, arguments): (&[(&str, &str)], &[&str]),
    ) -> Self {
        let home = place.path(name);
        std::fs::create_dir_all(&home).unwrap();
        let log = home.join("log");
        let child = place
            .flowforge(&[role])
            .args(arguments)
            .arg("--data-dir")
            .arg(&home)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(File::create(home.join("out")).unwrap())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        Self { child, address: String::new(), token: String::new(), log }
    }

    pub(crate) fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn lives(&mut self) {
        assert_eq!(self.child.try_wait().unwrap(), None, "{}", self.said());
        std::thread::sleep(Duration::from_millis(20));
    }

    pub(crate) fn request(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
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
        let body = answer.split_once("\r\n\r\n").unwrap().1;
        (status, serde_json::from_str(body).unwrap_or_default())
    }

    /// Submits one task; the id of the workflow.
    pub(crate) fn submit(&self, script: &str) -> String {
        self.submit_to("default", script)
    }

    pub(crate) fn submit_to(&self, project: &str, script: &str) -> String {
        let container = json!({"image": "none", "command": ["sh", "-c", script]});
        let document = json!({
            "version": "1.0", "entrypoint": "main",
            "templates": {"main": {"container": container}}
        });
        let body = json!({"project_id": project, "dag_spec": document}).to_string();
        let (status, body) = self.request("POST", "/api/v1/workflows", &body);
        assert!(matches!(status, 200..300), "{body}");
        body["id"].as_str().unwrap().to_owned()
    }

    /// Waits until `done` says so of what the server answers.
    pub(crate) fn wait(&mut self, path: &str, done: impl Fn(u16, &Value) -> bool) {
        loop {
            let (status, body) = self.request("GET", path, "");
            if done(status, &body) {
                return;
            }
            self.lives();
        }
    }

    pub(crate) fn succeeded(&mut self, id: &str) {
        self.wait(&format!("/api/v1/workflows/{id}"), |_, body| {
            assert_ne!(body["status"], "FAILED", "{body}");
            body["status"] == "SUCCEEDED"
        });
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    pub(crate) fn stop(mut self) {
        self.signal(rustix::process::Signal::TERM);
        assert_eq!(self.child.wait().unwrap().code(), Some(0), "{}", self.said());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
