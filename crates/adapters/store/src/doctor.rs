//! The invariants that the rows alone can break, each as a query.
//!
//! Reads only, beside a running server or without one. Work grows with the database: the history
//! is read once, and SQLite checks every page and index of the file. SQLite gives one snapshot for
//! all; on PostgreSQL, where an old snapshot keeps dead rows from being removed, each page of
//! workflows has one of its own.

mod queries;
mod roles;

use std::path::Path;

use flowforge_ports::store::StoreError;
use rusqlite::{Connection, Transaction};
use uuid::Uuid;

use crate::sqlite::{from_sqlite, open_for_doctor};
use crate::{PostgresStore, SqliteStore};

/// Rows shown of what one query finds; there may be more.
pub const ROWS_SHOWN: usize = 20;

/// One invariant and what breaks it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Its stable name: `INV-2` and the like as ARCHITECTURE.md numbers them, or a word.
    pub id: &'static str,
    /// What it says.
    pub title: &'static str,
    /// Nothing breaks it.
    pub ok: bool,
    /// What breaks it, one line each, at most [`ROWS_SHOWN`] of a kind.
    pub detail: Vec<String>,
}

/// One invariant and the queries that look for what breaks it. Each query gives the workflow's id
/// (or null) and a text.
struct Check {
    id: &'static str,
    title: &'static str,
    queries: &'static [&'static str],
    /// Others in place of these on PostgreSQL, whose SQL or tables differ there.
    postgres: Option<&'static [&'static str]>,
    reach: Reach,
}

/// How much PostgreSQL has to look at together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// One workflow at a time: asked of pages of them.
    Workflows,
    /// The small tables, all at once.
    Whole,
    /// The same, of what is wrong only if it lasts: asked again a few seconds later.
    Lasting,
}

/// Queries and how much they look at together.
pub(crate) type Questions = (Reach, &'static [&'static str]);

impl SqliteStore {
    /// Examines the database at `path`.
    ///
    /// # Errors
    /// `FutureSchema`; `Unavailable`, saying why, if it cannot be read at all. What is wrong
    /// inside it is a finding, not an error.
    pub fn doctor(path: &Path) -> Result<Vec<Finding>, StoreError> {
        let mut conn = open_for_doctor(path)?;
        examine(&mut conn)
    }
}

impl PostgresStore {
    /// Examines the database: the same invariants under the same names, and those of the tables
    /// that roles share.
    ///
    /// # Errors
    /// `FutureSchema`; `Unavailable`, saying why, if it cannot be read at all. What is wrong
    /// inside it is a finding, not an error.
    pub async fn doctor(&self) -> Result<Vec<Finding>, StoreError> {
        self.doctor_by(crate::postgres::PAGE).await
    }

    /// Looks at so many workflows at a time.
    pub(crate) async fn doctor_by(&self, page: u32) -> Result<Vec<Finding>, StoreError> {
        self.must_be_migrated().await?;
        let checks = || queries::CHECKS.iter().chain(roles::CHECKS);
        let questions =
            checks().map(|check| (check.reach, check.postgres.unwrap_or(check.queries))).collect();
        let found = self.examine(questions, page).await?;
        let finding = |(check, detail): (&Check, Vec<String>)| Finding {
            id: check.id,
            title: check.title,
            ok: detail.is_empty(),
            detail,
        };
        Ok(checks().zip(found).map(finding).collect())
    }
}

fn examine(conn: &mut Connection) -> Result<Vec<Finding>, StoreError> {
    let tx = conn.transaction().map_err(from_sqlite)?;
    let mut findings = Vec::with_capacity(queries::CHECKS.len());
    for check in queries::CHECKS {
        let mut detail = Vec::new();
        for sql in check.queries {
            // A page that cannot be read must not hide what the other queries find.
            match broken(&tx, sql) {
                Ok(rows) => detail.extend(rows),
                Err(error) => detail.push(format!("this cannot be examined: {error}")),
            }
        }
        let ok = detail.is_empty();
        findings.push(Finding { id: check.id, title: check.title, ok, detail });
    }
    Ok(findings)
}

fn broken(tx: &Transaction<'_>, sql: &str) -> rusqlite::Result<Vec<String>> {
    let mut select = tx.prepare(sql)?;
    let mut rows = select.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        if found.len() == ROWS_SHOWN {
            found.push("there are more".to_owned());
            break;
        }
        let text: String = row.get(1)?;
        found.push(match row.get::<_, Option<Vec<u8>>>(0)? {
            None => text,
            Some(id) => match Uuid::from_slice(&id) {
                Ok(id) => format!("workflow {id}: {text}"),
                Err(_) => format!("a workflow whose id has {} bytes: {text}", id.len()),
            },
        });
    }
    Ok(found)
}

#[cfg(test)]
pub(crate) mod tests;
