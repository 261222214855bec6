//! What PostgreSQL says, in the words of the port and of people.

use std::error::Error as _;

use flowforge_ports::store::StoreError;
use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

/// A fence divides by the number of rows that let it pass. A broken constraint or a value that does not fit is a conflict: nothing was written, and the
/// same again will not be either. Of anything else (connection lost, timeout, deadlock, disk full)
/// it is unknown what was done, or it may be tried again.
#[expect(clippy::needless_pass_by_value, reason = "it is made for map_err")]
pub(super) fn from_postgres(error: Error) -> StoreError {
    let Some(said) = error.as_db_error() else {
        return match error.is_closed() {
            true => StoreError::Unavailable("the connection was closed".to_owned()),
            false => StoreError::Unavailable(chain(&error)),
        };
    };
    let code = said.code();
    let text = match said.constraint() {
        Some(constraint) => format!("{} ({constraint})", said.message()),
        None => said.message().to_owned(),
    };
    if *code == SqlState::DIVISION_BY_ZERO {
        // Nothing else of ours divides.
        return StoreError::Fenced;
    }
    match code.code().get(..2) {
        // Integrity constraint violation, cardinality violation, data exception.
        Some("23" | "21" | "22") => StoreError::Conflict(text),
        _ if *code == SqlState::DATA_CORRUPTED || *code == SqlState::INDEX_CORRUPTED => {
            StoreError::Corrupt(text)
        }
        _ => StoreError::Unavailable(format!("{text} ({}){}", code.code(), advice(code))),
    }
}

/// What to do about it, where the server's own words do not say so.
fn advice(code: &SqlState) -> &'static str {
    match code.code() {
        "53100" => {
            ": the disk of the database server is full; what is under way goes on once there is room"
        }
        "25006" => {
            ": this is a standby, or a database that is read-only; name the primary in database.url"
        }
        "42501" => ": grant the user of database.url what it needs, or let it own the tables",
        _ => "",
    }
}

/// An error with its causes, each said once.
fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let said = cause.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        source = cause.source();
    }
    text
}

/// Why a connection could not be made, and what to do about it.
pub(super) fn connecting(error: &Error, place: &str, user: &str) -> StoreError {
    let said = chain(error);
    let advice = match error.code() {
        Some(code) if *code == SqlState::INVALID_PASSWORD => {
            format!("the password of user {user:?} is wrong or missing")
        }
        Some(code) if *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
            format!("user {user:?} may not connect: {said}")
        }
        Some(code) if *code == SqlState::INVALID_CATALOG_NAME => {
            format!("{said}: create it first, with CREATE DATABASE")
        }
        Some(code) if *code == SqlState::TOO_MANY_CONNECTIONS => {
            format!("{said}: raise its max_connections, or lower the connections of this program")
        }
        Some(code) if *code == SqlState::CANNOT_CONNECT_NOW => {
            format!("{said}: it starts or stops just now")
        }
        Some(_) => said,
        None if said.contains("no password supplied") || said.contains("password missing") => {
            format!("user {user:?} needs a password")
        }
        None if said.contains("does not support TLS") => {
            "the server offers no TLS: enable ssl there, or say sslmode=disable".to_owned()
        }
        None => said,
    };
    StoreError::Unavailable(format!("PostgreSQL at {place}: {advice}"))
}
