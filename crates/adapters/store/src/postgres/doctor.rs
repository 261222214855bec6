//! Asks the doctor's questions.

use std::collections::BTreeSet;
use std::time::Duration;

use flowforge_ports::store::StoreError;
use tokio_postgres::SimpleQueryMessage;
use uuid::Uuid;

use super::PostgresStore;
use super::connection::Connection;
use super::error::from_postgres;
use crate::doctor::{Questions, ROWS_SHOWN, Reach};

/// As long as it takes.
const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; \
     SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0";

/// Workflows that share a snapshot.
pub(crate) const PAGE: u32 = 1000;

/// What is wrong only if it lasts has to last this long: controllers look for news every second.
const LASTING: Duration = Duration::from_secs(4);

/// Tables below a workflow. A query about a page sees these rows of theirs and no others.
const TABLES: [&str; 12] = [
    "gate",
    "document",
    "intent",
    "task",
    "event",
    "runnable",
    "attempt",
    "attempt_member",
    "timer",
    "lock",
    "work_order",
    "news",
];

impl PostgresStore {
    /// What each group of queries finds, at most [`ROWS_SHOWN`] lines of a kind.
    pub(crate) async fn examine(
        &self,
        checks: Vec<Questions>,
        page: u32,
    ) -> Result<Vec<Vec<String>>, StoreError> {
        self.look(move |connection| {
            Box::pin(async move {
                let mut found: Vec<Found> = checks.iter().map(Found::of).collect();
                pages(connection, (&checks, page), &mut found).await?;
                for ((reach, queries), found) in checks.iter().zip(&mut found) {
                    match reach {
                        Reach::Workflows => {}
                        Reach::Whole => found.add(&whole(connection, queries).await?),
                        Reach::Lasting => found.add(&lasting(connection, queries).await?),
                    }
                }
                Ok(found.into_iter().map(Found::lines).collect())
            })
        })
        .await
    }
}

/// What the queries of one check found, each apart.
struct Found(Vec<Vec<String>>);

impl Found {
    fn of((_, queries): &Questions) -> Self {
        Self(queries.iter().map(|_| Vec::new()).collect())
    }

    fn add(&mut self, more: &[Vec<String>]) {
        for (lines, more) in self.0.iter_mut().zip(more) {
            let room = (ROWS_SHOWN + 1).saturating_sub(lines.len());
            lines.extend(more.iter().take(room).cloned());
        }
    }

    fn lines(self) -> Vec<String> {
        let bounded = |mut lines: Vec<String>| {
            if lines.len() > ROWS_SHOWN {
                lines.truncate(ROWS_SHOWN);
                lines.push("there are more".to_owned());
            }
            lines
        };
        self.0.into_iter().flat_map(bounded).collect()
    }
}

/// Asks of all workflows, and of ids between them, page by page: each has a snapshot of its own, so
/// that none is held for long.
async fn pages(
    connection: &Connection,
    (checks, page): (&[Questions], u32),
    found: &mut [Found],
) -> Result<(), StoreError> {
    let mut after = Uuid::nil();
    let mut first = true;
    loop {
        batch(connection, BEGIN).await?;
        let last = format!(
            "SELECT max(id::text) FROM (SELECT id FROM workflow WHERE id > '{after}' \
             ORDER BY id LIMIT {page}) p HAVING count(*) = {page}"
        );
        let last = rows(connection, &last).await?.into_iter().next();
        let last = last.and_then(|(id, _)| id?.parse::<Uuid>().ok());
        let range = Range { after: (!first).then_some(after), last };
        for ((reach, queries), found) in checks.iter().zip(&mut *found) {
            if *reach == Reach::Workflows {
                found.add(&ask(connection, queries, &range.prelude()).await?);
            }
        }
        batch(connection, "ROLLBACK").await?;
        match last {
            Some(last) => (after, first) = (last, false),
            None => return Ok(()),
        }
    }
}

/// Ids after one and up to another; unbounded where there is none.
struct Range {
    after: Option<Uuid>,
    last: Option<Uuid>,
}

impl Range {
    /// Puts the rows of a page in the place of the tables: a query that names a table means what is
    /// named so nearest to it.
    fn prelude(&self) -> String {
        let narrow = |table: &str, column: &str| {
            let after = self.after.map(|id| format!(" AND {column} > '{id}'")).unwrap_or_default();
            let last = self.last.map(|id| format!(" AND {column} <= '{id}'")).unwrap_or_default();
            format!("{table} AS NOT MATERIALIZED (SELECT * FROM {table} WHERE TRUE{after}{last})")
        };
        let mut all = vec![narrow("workflow", "id")];
        all.extend(TABLES.iter().map(|table| narrow(table, "workflow")));
        format!("WITH {} ", all.join(", "))
    }
}

async fn whole(
    connection: &Connection,
    queries: &[&'static str],
) -> Result<Vec<Vec<String>>, StoreError> {
    batch(connection, BEGIN).await?;
    let found = ask(connection, queries, "").await?;
    batch(connection, "ROLLBACK").await?;
    Ok(found)
}

/// What is found twice, some time apart.
async fn lasting(
    connection: &Connection,
    queries: &[&'static str],
) -> Result<Vec<Vec<String>>, StoreError> {
    let first = whole(connection, queries).await?;
    if first.iter().all(Vec::is_empty) {
        return Ok(first);
    }
    tokio::time::sleep(LASTING).await;
    let seen: BTreeSet<String> = first.into_iter().flatten().collect();
    let mut again = whole(connection, queries).await?;
    for lines in &mut again {
        lines.retain(|line| seen.contains(line));
    }
    Ok(again)
}

async fn ask(
    connection: &Connection,
    queries: &[&'static str],
    prelude: &str,
) -> Result<Vec<Vec<String>>, StoreError> {
    let mut found = Vec::with_capacity(queries.len());
    for sql in queries {
        found.push(broken(connection, sql, prelude).await?);
    }
    Ok(found)
}

/// What one query finds. One that fails (a page that cannot be read) must not hide what the others
/// find, so that the transaction goes on from before it.
async fn broken(
    connection: &Connection,
    sql: &str,
    prelude: &str,
) -> Result<Vec<String>, StoreError> {
    batch(connection, "SAVEPOINT question").await?;
    let limit = ROWS_SHOWN + 1;
    let sql = format!(
        "{prelude}SELECT q.workflow::text, q.what FROM ({sql}) AS q (workflow, what) LIMIT {limit}"
    );
    let answer = match rows(connection, &sql).await {
        Ok(answer) => answer,
        Err(error) if connection.client.is_closed() => return Err(error),
        Err(why) => {
            batch(connection, "ROLLBACK TO SAVEPOINT question").await?;
            return Ok(vec![format!("this cannot be examined: {why}")]);
        }
    };
    let line = |(workflow, text): (Option<String>, Option<String>)| {
        let text = text.unwrap_or_default();
        match workflow {
            Some(id) => format!("workflow {id}: {text}"),
            None => text,
        }
    };
    Ok(answer.into_iter().map(line).collect())
}

/// The first two columns of an answer.
async fn rows(
    connection: &Connection,
    sql: &str,
) -> Result<Vec<(Option<String>, Option<String>)>, StoreError> {
    let answer = connection.client.simple_query(sql).await.map_err(from_postgres)?;
    let columns = |message: &SimpleQueryMessage| match message {
        SimpleQueryMessage::Row(row) => {
            let column = |at: usize| row.try_get(at).ok().flatten().map(str::to_owned);
            Some((column(0), column(1)))
        }
        _ => None,
    };
    Ok(answer.iter().filter_map(columns).collect())
}

async fn batch(connection: &Connection, sql: &str) -> Result<(), StoreError> {
    connection.client.batch_execute(sql).await.map_err(from_postgres)
}
