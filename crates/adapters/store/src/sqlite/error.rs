//! What SQLite says, in the words of the port.

use flowforge_ports::store::StoreError;
use rusqlite::{Error, ErrorCode};

/// A broken constraint is a conflict, an unreadable value a corrupt row; of anything else (disk
/// full, read-only, I/O error, lock not granted in time) it is unknown what was done.
pub(crate) fn from_sqlite(error: Error) -> StoreError {
    match error {
        Error::QueryReturnedNoRows => StoreError::NotFound,
        Error::FromSqlConversionFailure(..)
        | Error::IntegralValueOutOfRange(..)
        | Error::InvalidColumnType(..)
        | Error::Utf8Error(..) => StoreError::Corrupt(error.to_string()),
        Error::ToSqlConversionFailure(_) => StoreError::Conflict(error.to_string()),
        Error::SqliteFailure(code, _) => match code.code {
            ErrorCode::ConstraintViolation => StoreError::Conflict(error.to_string()),
            ErrorCode::DatabaseCorrupt => StoreError::Corrupt(error.to_string()),
            _ => StoreError::Unavailable(error.to_string()),
        },
        other => StoreError::Unavailable(other.to_string()),
    }
}
