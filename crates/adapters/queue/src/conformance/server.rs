//! A server of our own: `redis-server` on a free port with a directory that goes with it.
//!
//! `cargo xtask test --tier redis` says in `FLOWFORGE_TEST_REDIS` which program, and in
//! `FLOWFORGE_TEST_REDIS_DIR` where the directories are to be.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::{DEADLINE, World};
use crate::{RedisConfig, RedisQueue};

pub(super) const PASSWORD: &str = "geheim";

pub(crate) struct Server {
    pub(super) port: u16,
    password: Option<&'static str>,
    arguments: Vec<String>,
    dir: TempDir,
    process: Mutex<Option<Child>>,
}

impl Server {
    pub(super) fn start(arguments: &[&str]) -> Self {
        Self::new(arguments, None)
    }

    pub(super) fn with_password() -> Self {
        Self::new(&["--requirepass", PASSWORD], Some(PASSWORD))
    }

    /// Another program may take a port between our look and the server's: then another one.
    fn new(arguments: &[&str], password: Option<&'static str>) -> Self {
        let base = std::env::var_os("FLOWFORGE_TEST_REDIS_DIR")
            .map_or_else(std::env::temp_dir, PathBuf::from);
        for _ in 0..20 {
            let dir = tempfile::tempdir_in(&base).unwrap();
            let arguments = arguments.iter().map(|&word| word.to_owned()).collect();
            let process = Mutex::new(None);
            let server = Self { port: free_port(), password, arguments, dir, process };
            if server.run() {
                return server;
            }
        }
        panic!("no redis-server would start");
    }

    /// True when it answers; false if it ended.
    pub(super) fn run(&self) -> bool {
        let program =
            std::env::var_os("FLOWFORGE_TEST_REDIS").expect("cargo xtask test --tier redis");
        let child = Command::new(program)
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no", "--set-proc-title", "no", "--dir"])
            .arg(self.dir.path())
            .arg("--pidfile")
            .arg(self.dir.path().join("pid"))
            .args(&self.arguments)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        *self.process() = Some(child);
        let until = Instant::now() + DEADLINE;
        while Instant::now() < until {
            if self.process().as_mut().unwrap().try_wait().unwrap().is_some() {
                return false;
            }
            if self.ask(&["PING"]).is_ok() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("redis-server does not answer");
    }

    fn process(&self) -> MutexGuard<'_, Option<Child>> {
        self.process.lock().unwrap()
    }

    /// Asks the server something aside of the queue.
    pub(super) fn ask(&self, words: &[&str]) -> redis::RedisResult<redis::Value> {
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        let mut url = format!("redis://127.0.0.1:{}", self.port);
        if let Some(password) = self.password {
            url = format!("redis://:{password}@127.0.0.1:{}", self.port);
        }
        let client = redis::Client::open(url)?;
        command.query(&mut client.get_connection_with_timeout(Duration::from_secs(1))?)
    }

    pub(super) fn told(&self, words: &[&str]) -> redis::Value {
        self.ask(words).unwrap()
    }

    pub(super) fn signal(&self, signal: &str) {
        let id = self.process().as_ref().unwrap().id();
        let done = Command::new("kill").args([signal, &id.to_string()]).status().unwrap();
        assert!(done.success());
    }

    pub(super) fn config(&self) -> RedisConfig {
        RedisConfig {
            addresses: vec![format!("127.0.0.1:{}", self.port)],
            password: self.password.map(str::to_owned),
            ..RedisConfig::default()
        }
    }

    /// Kills it at once and waits until it is gone.
    pub(super) fn end(&self) {
        if let Some(mut child) = self.process().take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

impl World for Server {
    type Queue = RedisQueue;

    fn client(&self) -> RedisQueue {
        RedisQueue::new(&self.config()).unwrap()
    }

    /// A server that is down has nothing to lose: it keeps nothing on the disk.
    fn lose_everything(&self) {
        if self.process().is_some() {
            self.told(&["FLUSHALL"]);
        }
    }

    fn kill(&self) {
        self.end();
    }

    fn start_again(&self) {
        assert!(self.run(), "the server ended at once");
    }
}

pub(super) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
