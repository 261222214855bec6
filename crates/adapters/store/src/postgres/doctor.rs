//! Asks the doctor's questions.

use flowforge_ports::store::StoreError;
use tokio_postgres::SimpleQueryMessage;

use super::PostgresStore;
use super::connection::Connection;
use super::error::from_postgres;
use crate::doctor::ROWS_SHOWN;

/// One snapshot for all of them, and as long as it takes.
const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; \
     SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0";

impl PostgresStore {
    /// What each group of queries finds, at most [`ROWS_SHOWN`] lines of a kind.
    pub(crate) async fn examine(
        &self,
        checks: Vec<&'static [&'static str]>,
    ) -> Result<Vec<Vec<String>>, StoreError> {
        self.look(move |connection| {
            Box::pin(async move {
                batch(connection, BEGIN).await?;
                let mut found = Vec::with_capacity(checks.len());
                for queries in checks {
                    let mut detail = Vec::new();
                    for sql in queries {
                        detail.extend(broken(connection, sql).await?);
                    }
                    found.push(detail);
                }
                batch(connection, "ROLLBACK").await?;
                Ok(found)
            })
        })
        .await
    }
}

/// What one query finds. One that fails (a page that cannot be read) must not hide what the others
/// find, so that the transaction goes on from before it.
async fn broken(connection: &Connection, sql: &str) -> Result<Vec<String>, StoreError> {
    batch(connection, "SAVEPOINT question").await?;
    let limit = ROWS_SHOWN + 1;
    let sql =
        format!("SELECT q.workflow::text, q.what FROM ({sql}) AS q (workflow, what) LIMIT {limit}");
    let answer = match connection.client.simple_query(&sql).await {
        Ok(answer) => answer,
        Err(error) if error.is_closed() => return Err(from_postgres(error)),
        Err(error) => {
            let why = from_postgres(error);
            batch(connection, "ROLLBACK TO SAVEPOINT question").await?;
            return Ok(vec![format!("this cannot be examined: {why}")]);
        }
    };
    let mut lines: Vec<String> = answer
        .iter()
        .filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some((row.get(0), row.get(1).unwrap_or_default())),
            _ => None,
        })
        .map(|(workflow, text)| match workflow {
            Some(id) => format!("workflow {id}: {text}"),
            None => text.to_owned(),
        })
        .collect();
    if lines.len() > ROWS_SHOWN {
        lines.truncate(ROWS_SHOWN);
        lines.push("there are more".to_owned());
    }
    Ok(lines)
}

async fn batch(connection: &Connection, sql: &str) -> Result<(), StoreError> {
    connection.client.batch_execute(sql).await.map_err(from_postgres)
}
