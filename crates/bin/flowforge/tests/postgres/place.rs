//! A database of its own, and what is started beside it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The output of a program that has to succeed.
pub(crate) fn output(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{command:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

/// Exit code and standard error.
pub(crate) fn failure(command: &mut Command) -> (Option<i32>, String) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// A database of its own, and a directory.
pub(crate) struct Place {
    pub(crate) name: String,
    pub(crate) dir: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new(name: &str) -> Self {
        let name = format!("ff_{name}_{}", std::process::id());
        let place = Self { name, dir: tempfile::tempdir().unwrap() };
        place.create();
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn url(&self) -> String {
        url(&self.name)
    }

    pub(crate) fn create(&self) {
        sql("postgres", &format!("CREATE DATABASE {}", self.name));
    }

    pub(crate) fn drop(&self) {
        sql("postgres", &format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name));
    }

    pub(crate) fn sql(&self, text: &str) -> String {
        sql(&self.name, text)
    }

    /// Until a query answers so.
    pub(crate) fn wait(&self, query: &str, answer: &str) {
        while self.sql(query).trim() != answer {
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    }

    /// `flowforge` with this database and nothing of this machine's configuration.
    pub(crate) fn flowforge(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_flowforge"));
        command
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("FLOWFORGE_DATABASE_URL", self.url())
            .env("FLOWFORGE_ROLE_LEASE_SECONDS", "2")
            .current_dir(self.dir.path());
        command
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        Place::drop(self);
    }
}

pub(crate) fn url(database: &str) -> String {
    let server = std::env::var_os("FLOWFORGE_TEST_POSTGRES")
        .expect("cargo xtask test --tier postgres says where a server is");
    let server = server.into_string().unwrap();
    let (place, query) = server.split_once('?').unwrap_or((&server, ""));
    let (host, _) = place.rsplit_once('/').unwrap();
    format!("{host}/{database}?{query}")
}

pub(crate) fn sql(database: &str, text: &str) -> String {
    output(Command::new("psql").args([
        "-qtAX",
        "-v",
        "ON_ERROR_STOP=1",
        "-c",
        text,
        &url(database),
    ]))
}

/// A Redis on a socket, which ends with this.
pub(crate) struct Redis(Child);

impl Redis {
    pub(crate) fn start(socket: &Path) -> Self {
        let child = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"])
            .arg(socket)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let redis = Self(child);
        while std::os::unix::net::UnixStream::connect(socket).is_err() {
            std::thread::yield_now();
        }
        redis
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}
