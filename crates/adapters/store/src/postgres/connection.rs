//! One connection: how it is made, what it is checked for, and how statements go over it.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use flowforge_ports::store::StoreError;
use futures_util::TryStreamExt;
use tokio::task::AbortHandle;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Error, Row, SimpleQueryMessage, SimpleQueryRow, Statement};

use super::bind::Bound;
use super::config::PostgresConfig;
use super::error::connecting;

/// The oldest server whose behaviour is tested here.
const OLDEST: u32 = 150_000;
/// No statement takes longer, in milliseconds; the largest commit takes a tenth of a second.
const STATEMENT_MS: u32 = 30_000;
/// A transaction whose client is silent for so long is ended by the server. Short for those that
/// write: what they hold stops others, a take-over among them.
const WRITER_IDLE_MS: u32 = 2_000;
const READER_IDLE_MS: u32 = 10_000;

/// A client that vanished in the middle of a message holds its locks until the server finds out: no
/// timeout above runs while a message is read. In seconds; without a meaning on a Unix socket.
const KEEPALIVES: [(&str, &str); 3] =
    [("tcp_keepalives_idle", "5"), ("tcp_keepalives_interval", "5"), ("tcp_keepalives_count", "2")];

/// What the planner of a writer must not do.
const NOT_BY_KEY: [&str; 6] = [
    "enable_seqscan",
    "enable_indexscan",
    "enable_indexonlyscan",
    "enable_hashjoin",
    "enable_mergejoin",
    "enable_memoize",
];

/// What a connection is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Transactions that write.
    Write,
    /// Transactions that only read.
    Read,
}

impl Role {
    /// Settings of the session, or of each transaction behind a pooler.
    ///
    /// Rows are found by their keys, in the order of the arrays, whatever the statistics say: a
    /// plan that is made while a table is empty would scan it, or all of an index, and is kept while
    /// the table grows. Bitmaps are left, which there are only of keys that are given.
    fn settings(self) -> Vec<(&'static str, String)> {
        let mut settings = vec![("statement_timeout", STATEMENT_MS.to_string())];
        let idle = match self {
            Self::Write => WRITER_IDLE_MS,
            Self::Read => READER_IDLE_MS,
        };
        settings.push(("idle_in_transaction_session_timeout", idle.to_string()));
        settings.push(("jit", "off".to_owned()));
        settings.extend(KEEPALIVES.map(|(name, value)| (name, value.to_owned())));
        if self == Self::Write {
            settings.push(("plan_cache_mode", "force_generic_plan".to_owned()));
            settings.extend(NOT_BY_KEY.map(|method| (method, "off".to_owned())));
        }
        settings
    }
}

/// Where connections lead to.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) config: PostgresConfig,
    #[cfg(feature = "tls")]
    connector: super::tls::Connector,
    /// A pooler was found in between.
    pooled: AtomicBool,
}

impl Target {
    /// # Errors
    /// `Refused` if the certificates to trust cannot be read.
    pub(super) fn new(config: PostgresConfig) -> Result<Self, StoreError> {
        Ok(Self {
            #[cfg(feature = "tls")]
            connector: super::tls::Connector::new(&config)?,
            config,
            pooled: AtomicBool::new(false),
        })
    }

    /// Opens a connection and looks whether this program can use the server.
    ///
    /// # Errors
    /// `Unavailable`, saying why, for people.
    pub(super) async fn open(&self, role: Role) -> Result<Connection, StoreError> {
        if !self.pooled.load(Ordering::Relaxed) {
            match self.open_direct(role).await? {
                Some(connection) => return Ok(connection),
                None => {
                    tracing::info!(place = %self.config.place(), "a connection pooler is in between");
                    self.pooled.store(true, Ordering::Relaxed);
                }
            }
        }
        let (client, driver) =
            self.connect(&self.config.driver).await.map_err(|error| self.said(&error))?;
        self.examine(&client).await?;
        let lines: Vec<String> = role
            .settings()
            .iter()
            .map(|(name, value)| format!("SET LOCAL {name} = {value}"))
            .collect();
        Ok(Connection::new(client, driver, Some(lines.join("; "))))
    }

    /// A connection whose session is ours; none if a pooler is in between, which refuses settings
    /// of a session, or swallows them.
    async fn open_direct(&self, role: Role) -> Result<Option<Connection>, StoreError> {
        let mut config = self.config.driver.clone();
        let own: Vec<String> =
            role.settings().iter().map(|(name, value)| format!("-c {name}={value}")).collect();
        let given = config.get_options().unwrap_or_default().to_owned();
        config.options(format!("{given} {}", own.join(" ")));
        let (client, driver) = match self.connect(&config).await {
            Err(error) if refuses_settings(&error) => return Ok(None),
            other => other.map_err(|error| self.said(&error))?,
        };
        let timeout = self.examine(&client).await?;
        if timeout != STATEMENT_MS {
            driver.abort();
            return Ok(None);
        }
        Ok(Some(Connection::new(client, driver, None)))
    }

    async fn connect(
        &self,
        config: &tokio_postgres::Config,
    ) -> Result<(Client, AbortHandle), Error> {
        #[cfg(feature = "tls")]
        let tls = self.connector.clone();
        #[cfg(not(feature = "tls"))]
        let tls = tokio_postgres::NoTls;
        let (client, connection) = config.connect(tls).await?;
        let driver = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to the database ended");
            }
        });
        Ok((client, driver.abort_handle()))
    }

    /// The statement timeout in force, in milliseconds.
    async fn examine(&self, client: &Client) -> Result<u32, StoreError> {
        let sql = "SELECT current_setting('server_version_num'), \
                   pg_is_in_recovery()::text, current_setting('transaction_read_only'), \
                   (SELECT setting FROM pg_settings WHERE name = 'statement_timeout'), \
                   current_setting('server_version')";
        let answer = client.simple_query(sql).await.map_err(|error| self.said(&error))?;
        let row = answer.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        let column =
            |at: usize| row.and_then(|row: &SimpleQueryRow| row.get(at)).unwrap_or_default();
        let number = |at: usize| column(at).parse::<u32>().unwrap_or(0);
        let refuse = |why: String| {
            Err(StoreError::Unavailable(format!("PostgreSQL at {}: {why}", self.config.place())))
        };
        if number(0) < OLDEST {
            return refuse(format!(
                "it is version {}, {} or later is needed",
                column(4),
                OLDEST / 10_000
            ));
        }
        if column(1) == "true" {
            return refuse("it is a replica, which cannot be written: name the primary".to_owned());
        }
        if column(2) == "on" {
            return refuse("it is read-only (default_transaction_read_only is on)".to_owned());
        }
        Ok(number(3))
    }

    fn said(&self, error: &Error) -> StoreError {
        connecting(error, &self.config.place(), self.config.user())
    }
}

/// The words of `PgBouncer` for a setting that it cannot keep for a session.
fn refuses_settings(error: &Error) -> bool {
    error.as_db_error().is_some_and(|said| said.message().contains("unsupported startup parameter"))
}

/// What a statement gave.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) rows: Vec<Row>,
    pub(super) affected: u64,
}

/// An answer on its way. The statement is sent when this is first polled.
pub(super) type Reply<'c> = Pin<Box<dyn Future<Output = Result<Answer, Error>> + Send + 'c>>;

/// One connection.
pub(super) struct Connection {
    pub(super) client: Client,
    driver: AbortHandle,
    /// Behind a pooler every transaction may have another session: its settings come with each
    /// `BEGIN`, and no statement is kept prepared.
    pub(super) settings: Option<String>,
    statements: Mutex<HashMap<&'static str, Statement>>,
    /// Statements sent whose answers nobody has looked at.
    pub(super) unread: AtomicUsize,
    /// The transaction has committed itself.
    pub(super) committed: AtomicBool,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("pooled", &self.settings.is_some())
            .finish_non_exhaustive()
    }
}

impl Connection {
    fn new(client: Client, driver: AbortHandle, settings: Option<String>) -> Self {
        let statements = Mutex::new(HashMap::new());
        let (unread, committed) = (AtomicUsize::new(0), AtomicBool::new(false));
        Self { client, driver, settings, statements, unread, committed }
    }

    /// Closes the socket, whatever is under way on it.
    pub(super) fn cut(&self) {
        self.driver.abort();
    }

    /// A statement ready to be sent: prepared once per connection, or not at all behind a pooler.
    pub(super) async fn request<'c>(
        &'c self,
        sql: &'static str,
        binds: Vec<Bound<'c>>,
    ) -> Result<Reply<'c>, Error> {
        let statement = match self.settings {
            Some(_) => None,
            None => Some(self.prepared(sql, &binds).await?),
        };
        Ok(Box::pin(async move {
            let rows = match &statement {
                Some(statement) => {
                    let values = binds.iter().map(|bound| &*bound.value as &(dyn ToSql + Sync));
                    self.client.query_raw(statement, values).await?
                }
                None => {
                    let typed = binds
                        .iter()
                        .map(|bound| (&*bound.value as &(dyn ToSql + Sync), bound.of.clone()));
                    self.client.query_typed_raw(sql, typed).await?
                }
            };
            drop(binds);
            let mut stream = std::pin::pin!(rows);
            let mut rows = Vec::new();
            while let Some(row) = stream.try_next().await? {
                rows.push(row);
            }
            Ok(Answer { rows, affected: stream.rows_affected().unwrap_or(0) })
        }))
    }

    /// A statement can be sent without preparing it first.
    pub(super) fn prepares_nothing_for(&self, sql: &'static str) -> bool {
        let statements = self.statements.lock().unwrap_or_else(PoisonError::into_inner);
        self.settings.is_some() || statements.contains_key(sql)
    }

    async fn prepared(&self, sql: &'static str, binds: &[Bound<'_>]) -> Result<Statement, Error> {
        let known = {
            let statements = self.statements.lock().unwrap_or_else(PoisonError::into_inner);
            statements.get(sql).cloned()
        };
        if let Some(statement) = known {
            return Ok(statement);
        }
        let types: Vec<_> = binds.iter().map(|bound| bound.of.clone()).collect();
        let statement = self.client.prepare_typed(sql, &types).await?;
        let mut statements = self.statements.lock().unwrap_or_else(PoisonError::into_inner);
        statements.insert(sql, statement.clone());
        Ok(statement)
    }
}
