//! The real program on a real PostgreSQL: `cargo xtask test --tier postgres` says where one is.

#[cfg(test)]
mod place {
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
}

#[cfg(test)]
mod server {
    use std::fs::File;
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::path::PathBuf;
    use std::process::{Child, Stdio};
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::place::Place;

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
        pub(crate) fn of(
            role: &str,
            place: &Place,
            name: &str,
            environment: &[(&str, &str)],
        ) -> Self {
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
}

use std::process::Command;

use place::{Place, Redis, failure, output};
use rustix::process::Signal;
use server::Server;

/// Everything is as it should be, as the doctor sees it.
fn healthy(place: &Place) {
    let report = output(&mut place.flowforge(&["doctor"]));
    assert!(report.ends_with("everything is as it should be\n"), "{report}");
}

fn dump(place: &Place, file: &std::path::Path) {
    output(Command::new("pg_dump").args(["-Fc", "-f"]).arg(file).arg(place.url()));
}

fn restore(place: &Place, file: &std::path::Path) {
    place.drop();
    place.create();
    output(Command::new("pg_restore").args(["--exit-on-error", "-d"]).arg(place.url()).arg(file));
}

/// A backup is taken while a workflow runs; more is done; the server stands still, and the backup is
/// restored under it. What the backup knows goes on, and the server of before does nothing.
#[test]
#[ignore = "needs a PostgreSQL server: cargo xtask test --tier postgres"]
fn a_restored_backup_goes_on_and_the_servers_of_before_do_not() {
    let place = Place::new("restored");
    let socket = place.path("redis.sock");
    let _redis = Redis::start(&socket);
    let queue = format!("unix:{}", socket.display());
    let queue = [("FLOWFORGE_QUEUE_ADDRESSES", queue.as_str())];
    let mut before = Server::start(&place, "before", &queue);
    let done = before.submit("true");
    before.succeeded(&done);
    let (begun, go, ends) = (place.path("begun"), place.path("go"), place.path("ends"));
    let script = format!(
        "echo $$ > {}; until test -e {}; do sleep 0.05; done; echo done >> {}",
        begun.display(),
        go.display(),
        ends.display()
    );
    let under_way = before.submit(&script);
    before.wait("/health", |_, _| begun.exists());
    let file = place.path("dump");
    dump(&place, &file);
    let forgotten = before.submit("true");
    before.succeeded(&forgotten);
    let epochs = "SELECT max(epoch) FROM lease";
    let high: i64 = place.sql(epochs).trim().parse().unwrap();
    let number = "SELECT last_value FROM pg_sequences WHERE sequencename = 'intent_id_seq'";
    let last: i64 = place.sql(number).trim().parse().unwrap();

    before.signal(Signal::STOP);
    restore(&place, &file);
    let said = output(&mut place.flowforge(&["restored"]));
    assert!(said.contains("1 executors are dead, 1 attempts are lost"), "{said}");
    let raised: i64 = place.sql("SELECT min(epoch) FROM lease").trim().parse().unwrap();
    assert!(raised > high, "{raised} after {high}");
    let next: i64 = place.sql(number).trim().parse().unwrap();
    assert!(next > last, "{next} after {last}");
    healthy(&place);

    let mut after = Server::start(&place, "after", &queue);
    before.signal(Signal::CONT);
    // Its executor is dead, and a part that ends, ends all.
    let code = before.child.wait().unwrap().code();
    assert_eq!(code, Some(1), "{}", before.said());
    std::fs::write(&go, "").unwrap();
    after.succeeded(&under_way);
    let again = after.submit("true");
    after.succeeded(&again);
    let (status, _) = after.request("GET", &format!("/api/v1/workflows/{forgotten}"), "");
    assert_eq!(status, 404, "the backup does not know it");
    assert_eq!(
        after.request("GET", &format!("/api/v1/workflows/{done}"), "").1["status"],
        "SUCCEEDED"
    );
    let attempts = format!(
        "SELECT string_agg(coalesce(reason, 'none'), ' ' ORDER BY number) FROM attempt
         WHERE workflow = '{under_way}'"
    );
    assert_eq!(place.sql(&attempts).trim(), "lost none");
    healthy(&place);
    after.stop();
    healthy(&place);
}

/// Archived first, then deleted; what has a time to live of its own, or is not over, stays.
#[test]
#[ignore = "needs a PostgreSQL server: cargo xtask test --tier postgres"]
fn what_is_over_its_time_is_archived_and_deleted() {
    let place = Place::new("retention");
    let archive = place.path("archive");
    let mut first = Server::start(&place, "first", &[]);
    let over = first.submit("echo hello");
    first.succeeded(&over);
    first.stop();
    let exported = place.path("exported");
    let said =
        output(place.flowforge(&["archive", "export", "--project", "default"]).arg(&exported));
    assert!(said.starts_with("archived 1 workflows, "), "{said}");

    let settings = [
        ("FLOWFORGE_RETENTION_SUCCEEDED", "1ms"),
        ("FLOWFORGE_RETENTION_ARCHIVE", archive.to_str().unwrap()),
    ];
    let mut second = Server::start(&place, "second", &settings);
    second.wait(&format!("/api/v1/workflows/{over}"), |status, _| status == 404);
    let stays = second.submit("true");
    second.succeeded(&stays);
    second.stop();
    let files = |root: &std::path::Path| {
        let days = std::fs::read_dir(root).unwrap();
        days.flat_map(|day| std::fs::read_dir(day.unwrap().path()).unwrap())
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(files(&archive), [format!("{over}.jsonl.zst")]);
    assert_eq!(files(&exported), [format!("{over}.jsonl.zst")]);
    assert_eq!(place.sql("SELECT count(*) FROM workflow").trim(), "1");
    healthy(&place);
}

/// Rows of a later version beside this one: what it adds is no matter, what cannot be read concerns
/// its workflow alone.
#[test]
#[ignore = "needs a PostgreSQL server: cargo xtask test --tier postgres"]
fn rows_of_a_later_version_stop_nobody_else() {
    let place = Place::new("later");
    let environment = [("FLOWFORGE_EXECUTOR_CONCURRENCY", "1")];
    let mut server = Server::start(&place, "server", &environment);
    let (begun, go) = (place.path("begun"), place.path("go"));
    let wait =
        format!("touch {}; until test -e {}; do sleep 0.05; done", begun.display(), go.display());
    let first = server.submit(&wait);
    server.wait("/health", |_, _| begun.exists());
    // There is room for one: these have their work orders, and wait.
    let [adds, unread, told, asked] =
        ["adds", "unread", "told", "asked"].map(|_| server.submit("true"));
    let orders = format!("SELECT count(*) FROM work_order WHERE workflow <> '{first}'");
    while place.sql(&orders).trim() != "4" {
        std::thread::yield_now();
    }
    let orders = [
        format!(
            "UPDATE work_order SET body = replace(body, '{{\"Ok\":{{', '{{\"Ok\":{{\"later\":[1],') WHERE workflow = '{adds}'"
        ),
        format!("UPDATE work_order SET body = '{{\"Later\": 1}}' WHERE workflow = '{unread}'"),
        format!(
            "INSERT INTO news (workflow, node, number, finished, body) VALUES ('{told}', 0, 0, FALSE, '{{\"sung\": 1}}')"
        ),
        format!(
            "INSERT INTO intent (workflow, command, closes, asked_at) VALUES ('{asked}', '{{\"command\": \"dance\"}}', FALSE, 1)"
        ),
    ];
    place.sql(&orders.join("; "));
    assert_eq!(place.sql("SELECT count(*) FROM work_order WHERE body LIKE '%later%'").trim(), "1");
    for (id, word) in [(&told, "sung"), (&asked, "dance")] {
        server.wait(&format!("/api/v1/workflows/{id}"), |_, body| body["status"] == "FAILED");
        let row = place.sql(&format!("SELECT reason, message FROM workflow WHERE id = '{id}'"));
        assert!(row.starts_with("quarantined|") && row.contains(word), "{row}");
    }
    std::fs::write(&go, "").unwrap();
    for id in [&first, &adds, &unread] {
        server.succeeded(id);
    }
    let attempts = |id: &str| {
        let sql = "SELECT string_agg(coalesce(reason, 'none'), ' ' ORDER BY number) FROM attempt";
        place.sql(&format!("{sql} WHERE workflow = '{id}'")).trim().to_owned()
    };
    assert_eq!((attempts(&adds), attempts(&unread)), ("none".to_owned(), "lost none".to_owned()));
    // A call that the scheduler cannot read: it leads anew, from the rows.
    place.sql("UPDATE call_log SET last = last + 1");
    place.sql("INSERT INTO call SELECT shard, last, '[{\"hum\": 1}]' FROM call_log");
    let after = server.submit("true");
    server.succeeded(&after);
    server.stop();
    healthy(&place);
}

/// What cannot be used is refused at the start: what, why, and what to do; nothing is left running.
#[test]
#[ignore = "needs a PostgreSQL server: cargo xtask test --tier postgres"]
fn what_cannot_be_used_ends_the_program_with_a_reason() {
    let place = Place::new("refused");
    let home = place.path("home");
    let start = |place: &Place, url: &str| {
        let mut command = place.flowforge(&["all", "--listen", "127.0.0.1:0", "--data-dir"]);
        failure(command.arg(&home).env("FLOWFORGE_DATABASE_URL", url))
    };
    let url = place.url();
    for (url, code, says) in [
        ("mysql://u@h/d", 2, "database.url"),
        ("postgresql://u@127.0.0.1:1/d", 1, "refused"),
        (&place::url("ff_nowhere"), 1, "CREATE DATABASE"),
    ] {
        let (ended, error) = start(&place, url);
        assert_eq!(ended, Some(code), "{url}: {error}");
        assert!(error.contains(says), "{url}: {error}");
    }
    // An older schema: commands that change nothing say how to change it.
    output(&mut place.flowforge(&["migrate", "up"]));
    output(&mut place.flowforge(&["migrate", "down", "--to", "3", "--yes"]));
    for command in [&["doctor"][..], &["restored"], &["archive", "export", "x"]] {
        let (code, error) = failure(&mut place.flowforge(command));
        assert_eq!(code, Some(1), "{command:?}: {error}");
        assert!(error.contains("run `flowforge migrate up`"), "{command:?}: {error}");
    }
    output(&mut place.flowforge(&["migrate", "up"]));
    // A standby, or a database that is read-only.
    place.sql(&format!("ALTER DATABASE {} SET default_transaction_read_only = on", place.name));
    let (code, error) = start(&place, &url);
    assert_eq!(code, Some(1), "{error}");
    assert!(error.contains("read-only"), "{error}");
    place::sql("postgres", &format!("ALTER DATABASE {} RESET ALL", place.name));
    // A later schema, unless it only expands.
    place.sql("INSERT INTO flowforge_schema (version, name) VALUES (99, 'later')");
    let (code, error) = start(&place, &url);
    assert_eq!(code, Some(1), "{error}");
    assert!(error.contains("schema 99") && error.contains("newer flowforge"), "{error}");
    place.sql("UPDATE flowforge_schema SET oldest = 1 WHERE version = 99");
    Server::start(&place, "compatible", &[]).stop();
    // Settings that could never do anything.
    let (code, error) = failure(
        place
            .flowforge(&["dev", "--data-dir"])
            .arg(&home)
            .env("FLOWFORGE_RETENTION_FAILED", "1d")
            .env_remove("FLOWFORGE_DATABASE_URL"),
    );
    assert_eq!(code, Some(1), "{error}");
    assert!(error.contains("retention.* needs PostgreSQL"), "{error}");
}

/// Of an API server on its own, asking the scheduler that leads in another process: where there is no
/// room, and the numbers; and that nobody can be asked while nobody leads.
#[test]
#[ignore = "needs a PostgreSQL server: cargo xtask test --tier postgres"]
fn what_waits_is_explained_by_the_scheduler_that_leads() {
    let place = Place::new("explained");
    let (socket, token) = (place.path("redis.sock"), place.path("token"));
    let _redis = Redis::start(&socket);
    std::fs::write(&token, "a-token-of-some-length\n").unwrap();
    let queue = format!("unix:{}", socket.display());
    let environment = [
        ("FLOWFORGE_QUEUE_ADDRESSES", queue.as_str()),
        ("FLOWFORGE_SCHEDULER_TOKEN_FILE", token.to_str().unwrap()),
    ];
    let mut api = Server::of("api-server", &place, "api", &environment);
    let away = |status: u16, body: &serde_json::Value| {
        status == 503 && body["code"] == "scheduler_unavailable"
    };
    let (status, body) = api.request("GET", "/api/v1/usage", "");
    assert!(away(status, &body), "{status} {body}");
    let quota = r#"{"max_concurrent_pods": 1}"#;
    let (status, body) = api.request("PUT", "/api/v1/tenants/default/quota", quota);
    assert_eq!(status, 200, "{body}");

    let leads = Server::start(&place, "leads", &environment);
    let (begun, go) = (place.path("begun"), place.path("go"));
    let wait =
        format!("touch {}; until test -e {}; do sleep 0.05; done", begun.display(), go.display());
    let first = api.submit(&wait);
    api.wait("/health", |_, _| begun.exists());
    let second = api.submit("true");
    let path = format!("/api/v1/workflows/{second}/why");
    api.wait(&path, |_, body| body["groups"][0]["code"] == "PARENT_FULL");
    let (_, body) = api.request("GET", &path, "");
    let short = &body["groups"][0]["first"]["queue"]["short"];
    assert_eq!(
        (&short["at"]["level"], &short["at"]["path"]),
        (&"tenant".into(), &"default".into())
    );
    assert_eq!(short["dimension"], "pods");
    let numbers = ["used", "limit", "need"].map(|name| short[name].as_u64().unwrap());
    assert_eq!(numbers, [1, 1, 1]);
    let task = body["groups"][0]["first"]["task_id"].as_str().unwrap();
    let (status, why) = api.request("GET", &format!("/api/v1/tasks/{task}/why"), "");
    assert_eq!((status, &why["queue"]["short"]), (200, short), "{why}");
    let (_, usage) = api.request("GET", "/api/v1/tenants/default/usage", "");
    assert_eq!((&usage["waiting"], &usage["running"]), (&1.into(), &1.into()), "{usage}");
    let pods =
        usage["dimensions"].as_array().unwrap().iter().find(|one| one["dimension"] == "pods");
    assert_eq!((&pods.unwrap()["used"], &pods.unwrap()["limit"]), (&1.into(), &1.into()));

    std::fs::write(&go, "").unwrap();
    for id in [&first, &second] {
        api.succeeded(id);
    }
    leads.stop();
    api.wait("/api/v1/usage", away);
    let (_, ended) = api.request("GET", &format!("/api/v1/tasks/{task}/why"), "");
    assert_eq!(ended["code"], "ENDED", "rows say that without a scheduler");
    api.stop();
}

/// Waits until nothing more is admitted for a cluster: its leases are over, and the leader has looked since who lives. A
/// leader lives for two seconds from when it has looked.
fn nobody_lives(place: &Place, cluster: &str) {
    let of = format!("FROM member WHERE cluster = '{cluster}'");
    place.wait(&format!("SELECT count(*) {of} AND NOT buried"), "0");
    place.wait(
        &format!(
            "SELECT count(*) FROM member WHERE role = 'scheduler' \
             AND until > (SELECT max(until) {of}) + interval '2 seconds'"
        ),
        "1",
    );
}

/// Executors of two clusters beside one that says nothing. One of them is killed: what is to run there says so,
/// and what runs elsewhere goes on. It comes back.
#[test]
#[ignore = "needs a PostgreSQL server: cargo xtask test --tier postgres"]
fn a_cluster_that_is_down_degrades_its_own_tasks_only() {
    let place = Place::new("clusters");
    let (socket, token) = (place.path("redis.sock"), place.path("token"));
    let _redis = Redis::start(&socket);
    std::fs::write(&token, "a-token-of-some-length\n").unwrap();
    let queue = format!("unix:{}", socket.display());
    let environment = [
        ("FLOWFORGE_QUEUE_ADDRESSES", queue.as_str()),
        ("FLOWFORGE_SCHEDULER_TOKEN_FILE", token.to_str().unwrap()),
    ];
    let mut api = Server::start(&place, "all", &environment);
    let executor = |cluster: &str, name: &str| {
        let environment = [environment[0], environment[1], ("FLOWFORGE_ROLE_CLUSTER", cluster)];
        Server::spawn("executor", &place, name, (&environment, &["--concurrency", "2"]))
    };
    let east = executor("east", "east");
    let _west = executor("west", "west");
    for cluster in ["east", "west"] {
        let project = format!(r#"{{"name": "in-{cluster}", "cluster": "{cluster}"}}"#);
        let (status, body) = api.request("POST", "/api/v1/projects", &project);
        assert_eq!((status, &body["cluster"]), (201, &cluster.into()), "{body}");
    }
    let ran = |name: &str| place.path(name).join("ran");
    // The script sees the directory of its server: that says who ran it.
    let witness =
        |name: &str| format!("echo x >> {}; pwd >> {}", ran(name).display(), ran(name).display());
    for name in ["east", "west"] {
        let id = api.submit_to(&format!("in-{name}"), &witness(name));
        api.succeeded(&id);
        let said = std::fs::read_to_string(ran(name)).unwrap();
        assert!(said.contains(&format!("/{name}/")), "{said}");
    }
    let here = api.submit(&witness("all"));
    api.succeeded(&here);
    assert!(std::fs::read_to_string(ran("all")).unwrap().contains("/all/"));

    drop(east);
    nobody_lives(&place, "east");
    let waits = api.submit_to("in-east", "true");
    let path = format!("/api/v1/workflows/{waits}/why");
    api.wait(&path, |_, body| body["groups"][0]["code"] == "CLUSTER_DOWN");
    let (_, why) = api.request("GET", &path, "");
    let first = &why["groups"][0]["first"];
    assert_eq!(first["queue"]["cluster"], "east", "{why}");
    assert!(first["text"].as_str().unwrap().contains("No executor of cluster east"), "{why}");
    for project in ["in-west", "default"] {
        let id = api.submit_to(project, "true");
        api.succeeded(&id);
    }
    let (_, still) = api.request("GET", &path, "");
    assert_eq!(still["groups"][0]["code"], "CLUSTER_DOWN");

    let back = executor("east", "east-again");
    api.succeeded(&waits);
    drop(back);
    nobody_lives(&place, "east");
    let waits = api.submit_to("in-east", "true");
    let path = format!("/api/v1/workflows/{waits}/why");
    api.wait(&path, |_, body| body["groups"][0]["code"] == "CLUSTER_DOWN");
    // A project that goes elsewhere takes along what waits.
    let (status, body) = api.request("PATCH", "/api/v1/projects/in-east", r#"{"cluster": "west"}"#);
    assert_eq!((status, &body["cluster"]), (200, &"west".into()), "{body}");
    api.succeeded(&waits);
    let (status, body) = api.request("PATCH", "/api/v1/projects/in-east", r#"{"cluster": null}"#);
    assert_eq!((status, body.get("cluster")), (200, None), "{body}");
    let (status, body) =
        api.request("PATCH", "/api/v1/projects/in-east", r#"{"cluster": "East!"}"#);
    assert_eq!((status, &body["errors"][0]["pointer"]), (400, &"/cluster".into()), "{body}");
    let (status, body) = api.request("PATCH", "/api/v1/tenants/default", r#"{"cluster": "west"}"#);
    assert_eq!(status, 400, "{body}");
    api.stop();
}
