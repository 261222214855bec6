//! Databases of a server that somebody else runs: `cargo xtask test --tier postgres` starts one and
//! says in `FLOWFORGE_TEST_POSTGRES` where it is.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, Mutex};

use tokio::runtime::{Builder, Runtime};

use crate::conformance::fixture::now;
use crate::postgres::{PostgresConfig, PostgresStore};

/// Runs what tests ask of the server themselves.
static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap());

/// `CREATE DATABASE` from one template at a time: the server refuses a second one meanwhile.
static TEMPLATE: LazyLock<Mutex<String>> = LazyLock::new(|| {
    let name = format!("ff_template_{}", std::process::id());
    admin(&format!("CREATE DATABASE {name}"));
    drop(now(PostgresStore::open(config(&name))).unwrap());
    // Its connections close a moment after the store is dropped, and none may be left.
    admin(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false"));
    admin(&format!(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{name}'"
    ));
    Mutex::new(name)
});

/// The server's URL with another database.
pub(super) fn url(database: &str) -> String {
    let server = std::env::var_os("FLOWFORGE_TEST_POSTGRES")
        .expect("cargo xtask test --tier postgres says where a server is");
    let server = server.into_string().unwrap();
    let (place, query) = server.split_once('?').unwrap_or((&server, ""));
    let (host, _) = place.rsplit_once('/').unwrap();
    format!("{host}/{database}?{query}")
}

pub(super) fn config(database: &str) -> PostgresConfig {
    PostgresConfig::parse(&url(database)).unwrap().connections(4)
}

/// A statement of the server's owner.
pub(super) fn admin(sql: &str) {
    run("postgres", sql);
}

/// A statement outside of the store.
pub(super) fn run(database: &str, sql: &str) -> Vec<String> {
    let url = url(database);
    RUNTIME.block_on(async {
        let (client, connection) =
            tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
        let connection = tokio::spawn(connection);
        let answer = client.simple_query(sql).await.unwrap();
        drop(client);
        connection.await.unwrap().unwrap();
        let first = |message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        };
        answer.into_iter().filter_map(first).collect()
    })
}

/// A database of its own, which goes with this.
pub(crate) struct Fresh {
    pub(crate) name: String,
}

impl Fresh {
    pub(crate) fn store(&self) -> PostgresStore {
        now(PostgresStore::open_migrated(config(&self.name))).unwrap()
    }

    /// A database with the same rows. Nobody may be connected to this one.
    pub(crate) fn copy(&self) -> Self {
        let name = next();
        let of = &self.name;
        admin(&format!(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{of}'"
        ));
        admin(&format!("CREATE DATABASE {name} TEMPLATE {of}"));
        Self { name }
    }

    /// Statements outside of the store.
    pub(crate) fn run(&self, sql: &str) -> Vec<String> {
        run(&self.name, sql)
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        admin(&format!("DROP DATABASE {} WITH (FORCE)", self.name));
    }
}

/// A database without any tables.
pub(super) fn empty() -> Fresh {
    let name = next();
    admin(&format!("CREATE DATABASE {name}"));
    Fresh { name }
}

/// A database with the tables of the newest schema.
pub(crate) fn fresh() -> Fresh {
    let name = next();
    let template = TEMPLATE.lock().unwrap();
    admin(&format!("CREATE DATABASE {name} TEMPLATE {template}"));
    Fresh { name }
}

fn next() -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    format!("ff_{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed))
}
