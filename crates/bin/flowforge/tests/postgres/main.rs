//! The real program on a real PostgreSQL: `cargo xtask test --tier postgres` says where one is.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on fails; clippy exempts test functions but not what they call"
)]

mod fleets;
mod place;
mod server;

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
