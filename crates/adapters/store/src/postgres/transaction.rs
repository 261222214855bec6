//! Transactions: the only way to the database.
//!
//! The trap: a future may be dropped at any `await`, and what it had begun stays open on the
//! connection, so that the next borrower works inside a stranger's transaction. Here every
//! transaction, from lending the connection to giving it back, is a task of the store's own
//! runtime, which nobody cancels: a caller that is dropped only stops waiting for the answer. A
//! connection is given back after `COMMIT` or `ROLLBACK` has answered, and closed otherwise.
//!
//! Statements are sent without waiting for the answers of those before; answers come in the same
//! order. One that fails makes the server refuse all later ones, up to the rollback. Where every reason not to
//! write is such a failure, `COMMIT` goes with them: [`Tx::commit`].

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use flowforge_ports::store::StoreError;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_postgres::{Error, Row};

use super::PostgresStore;
use super::bind::Bound;
use super::connection::{Answer, Connection, Reply};
use super::error::from_postgres;
use super::pool::Pool;

/// No transaction takes longer, on any clock: twice what the server allows a single statement.
const DEADLINE: Duration = Duration::from_secs(60);

/// What a transaction does.
pub(super) type Work<'c, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'c>>;

/// How a transaction sees the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// May write; each statement sees what was committed before it.
    Write,
    /// Only reads, all of it from one snapshot.
    Snapshot,
    /// Only reads; each statement sees what was committed before it.
    Fresh,
}

impl Mode {
    fn begin(self) -> &'static str {
        match self {
            Self::Write => "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE",
            Self::Snapshot => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
            Self::Fresh => "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY",
        }
    }
}

impl PostgresStore {
    /// One transaction that writes. An error rolls everything back; `Unavailable` may come from the
    /// `COMMIT` itself, and then it is unknown what was done.
    pub(super) async fn write<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(Tx<'c>) -> Work<'c, T> + Send + 'static,
    {
        self.run(Arc::clone(&self.shared.writers), Mode::Write, work).await
    }

    /// One transaction that reads, on a connection that finds all rows by their keys.
    pub(super) async fn find<T, F>(&self, mode: Mode, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(Tx<'c>) -> Work<'c, T> + Send + 'static,
    {
        self.run(Arc::clone(&self.shared.writers), mode, work).await
    }

    /// One transaction that reads.
    pub(super) async fn read<T, F>(&self, mode: Mode, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(Tx<'c>) -> Work<'c, T> + Send + 'static,
    {
        self.run(Arc::clone(&self.shared.readers), mode, work).await
    }

    async fn run<T, F>(&self, pool: Arc<Pool>, mode: Mode, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(Tx<'c>) -> Work<'c, T> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        self.shared.spawn(async move {
            // Nobody may be waiting any more: the transaction is carried through all the same.
            match timeout(DEADLINE, transact(pool, mode, work, answer)).await {
                Ok(()) => {}
                Err(_) => tracing::warn!("a transaction took too long and was cut off"),
            }
        });
        let lost = || StoreError::Unavailable("the transaction did not come to its end".to_owned());
        answered.await.unwrap_or_else(|_| Err(lost()))
    }
}

async fn transact<T, F>(
    pool: Arc<Pool>,
    mode: Mode,
    work: F,
    answer: oneshot::Sender<Result<T, StoreError>>,
) where
    T: Send + 'static,
    F: for<'c> FnOnce(Tx<'c>) -> Work<'c, T> + Send + 'static,
{
    let lent = match pool.lend().await {
        Ok(lent) => lent,
        Err(error) => return drop(answer.send(Err(error))),
    };
    let over = match lent.connection() {
        Ok(connection) => within(connection, mode, work, answer).await,
        Err(error) => return drop(answer.send(Err(error))),
    };
    if over {
        lent.give_back();
    }
}

/// Whether the transaction is over, and the connection as good as new.
async fn within<T, F>(
    connection: &Connection,
    mode: Mode,
    work: F,
    answer: oneshot::Sender<Result<T, StoreError>>,
) -> bool
where
    T: Send + 'static,
    F: for<'c> FnOnce(Tx<'c>) -> Work<'c, T> + Send + 'static,
{
    connection.unread.store(0, Ordering::Relaxed);
    connection.committed.store(false, Ordering::Relaxed);
    let done = work(Tx::begin(connection, mode)).await;
    // An answer that nobody looked at may be an error, and `COMMIT` would quietly roll back.
    let unread = connection.unread.load(Ordering::Relaxed);
    let done = done.and_then(|value| match unread {
        0 => Ok(value),
        _ => Err(StoreError::Corrupt(format!("{unread} answers were not looked at"))),
    });
    match (mode, done) {
        (Mode::Write, Ok(value)) if connection.committed.load(Ordering::Relaxed) => {
            drop(answer.send(Ok(value)));
            true
        }
        (Mode::Write, Ok(value)) => {
            let committed = connection.client.batch_execute("COMMIT").await;
            let over = committed.is_ok();
            drop(answer.send(committed.map(|()| value).map_err(from_postgres)));
            over
        }
        (Mode::Write, Err(error)) => {
            let over = connection.client.batch_execute("ROLLBACK").await.is_ok();
            drop(answer.send(Err(error)));
            over
        }
        (Mode::Snapshot | Mode::Fresh, done) => {
            // Whoever asked need not wait for the end of a transaction that changes nothing.
            drop(answer.send(done));
            connection.client.batch_execute("ROLLBACK").await.is_ok()
        }
    }
}

/// `BEGIN` or `COMMIT` on its way.
type Under<'c> = Pin<Box<dyn Future<Output = Result<(), Error>> + Send + 'c>>;

/// A transaction that has begun.
pub(super) struct Tx<'c> {
    connection: &'c Connection,
    /// `BEGIN`, and what it said.
    begun: Option<Under<'c>>,
    sent: VecDeque<Sent<'c>>,
}

/// A `COMMIT` that was sent.
#[must_use = "whether it was done is not known yet"]
pub(super) struct Committing<'c> {
    connection: &'c Connection,
    answer: Under<'c>,
}

impl Committing<'_> {
    /// Waits until it is done. All other answers have to be looked at before: after one that was an error this
    /// was a rollback.
    pub(super) async fn done(self) -> Result<(), StoreError> {
        self.answer.await.map_err(from_postgres)?;
        self.connection.committed.store(true, Ordering::Relaxed);
        Ok(())
    }
}

enum Sent<'c> {
    Waiting(Reply<'c>),
    Answered(Result<Answer, Error>),
}

impl<'c> Tx<'c> {
    fn begin(connection: &'c Connection, mode: Mode) -> Self {
        let begin = match &connection.settings {
            None => mode.begin().to_owned(),
            Some(settings) => format!("{}; {settings}", mode.begin()),
        };
        let mut begun: Under<'c> =
            Box::pin(async move { connection.client.batch_execute(&begin).await });
        // The first poll sends; the answer is looked at with the first of the statements.
        let sent = begun.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        let begun = if sent.is_pending() { Some(begun) } else { None };
        Self { connection, begun, sent: VecDeque::new() }
    }

    /// Sends a statement, after those before it, without waiting for its answer.
    pub(super) async fn send(&mut self, sql: &'static str, binds: Vec<Bound<'c>>) {
        if !self.connection.prepares_nothing_for(sql) {
            self.settle().await;
        }
        let sent = match self.connection.request(sql, binds).await {
            Err(error) => Sent::Answered(Err(error)),
            Ok(mut reply) => match reply.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Pending => Sent::Waiting(reply),
                Poll::Ready(answer) => Sent::Answered(answer),
            },
        };
        self.connection.unread.fetch_add(1, Ordering::Relaxed);
        self.sent.push_back(sent);
    }

    /// Sends `COMMIT` behind all statements, without waiting for their answers. Only for those that fail where
    /// nothing may be written, as fences do.
    pub(super) fn commit(&self) -> Committing<'c> {
        let connection = self.connection;
        let mut commit = Box::pin(async move { connection.client.batch_execute("COMMIT").await });
        // The first poll sends.
        let answer: Under<'c> = match commit.as_mut().poll(&mut Context::from_waker(Waker::noop()))
        {
            Poll::Pending => commit,
            Poll::Ready(answer) => Box::pin(std::future::ready(answer)),
        };
        Committing { connection, answer }
    }

    /// Waits for all answers. Before a statement is prepared: that waits for an answer of its own,
    /// which comes behind those of the statements before it, and a long one is read by nobody else.
    async fn settle(&mut self) {
        for sent in &mut self.sent {
            if let Sent::Waiting(reply) = sent {
                *sent = Sent::Answered(reply.await);
            }
        }
    }

    /// The answer to the oldest statement that has none yet.
    pub(super) async fn answer(&mut self) -> Result<Answer, StoreError> {
        if let Some(begun) = self.begun.take() {
            begun.await.map_err(from_postgres)?;
        }
        let Some(sent) = self.sent.pop_front() else {
            return Err(StoreError::Corrupt("no statement was sent".to_owned()));
        };
        let answer = match sent {
            Sent::Waiting(reply) => reply.await,
            Sent::Answered(answer) => answer,
        };
        self.connection.unread.fetch_sub(1, Ordering::Relaxed);
        answer.map_err(from_postgres)
    }

    /// Sends a statement and waits for its rows.
    pub(super) async fn rows(
        &mut self,
        sql: &'static str,
        binds: Vec<Bound<'c>>,
    ) -> Result<Vec<Row>, StoreError> {
        self.send(sql, binds).await;
        Ok(self.answer().await?.rows)
    }

    /// Sends a statement and waits for the number of rows it wrote.
    pub(super) async fn execute(
        &mut self,
        sql: &'static str,
        binds: Vec<Bound<'c>>,
    ) -> Result<u64, StoreError> {
        self.send(sql, binds).await;
        Ok(self.answer().await?.affected)
    }
}
