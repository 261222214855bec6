//! Opening the file, and the readers.

use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use flowforge_ports::store::StoreError;
use rusqlite::{Connection, OpenFlags, Transaction};

use super::error::from_sqlite;
use super::migrations;

/// How long a lock held by another process is waited for.
const BUSY: Duration = Duration::from_secs(5);
/// Reader connections: more would only share two cores and their caches' memory.
const READERS: usize = 4;
/// Page cache of the writer in KiB: the hot pages of some 50,000 tasks.
const WRITER_CACHE_KIB: i64 = 8 * 1024;
/// Page cache of a reader in KiB; four of them stay small beside an idle server's 40 MiB.
const READER_CACHE_KIB: i64 = 1024;
/// Pages of write-ahead log (4 KiB each) at which a commit folds it into the file. Each fold
/// costs the commit that does it one more synchronisation: 16 MiB keeps them rare.
const CHECKPOINT_PAGES: i64 = 4096;
/// Bytes the log file is cut back to after a fold.
const LOG_BYTES_KEPT: i64 = 64 * 1024 * 1024;
/// Statements kept compiled per connection; there are about fifty.
const STATEMENTS: usize = 64;

/// The one connection that writes.
pub(super) fn open_writer(path: &Path) -> Result<Connection, StoreError> {
    if path.is_dir() {
        return Err(at(path, "it is a directory"));
    }
    create_private(path)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut conn = Connection::open_with_flags(path, flags).map_err(|error| at(path, error))?;
    conn.busy_timeout(BUSY).map_err(from_sqlite)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    migrations::check(&conn).map_err(|error| locate(path, error))?;
    tune_writer(&conn).map_err(|error| locate(path, error))?;
    migrations::migrate(&mut conn).map_err(|error| locate(path, error))?;
    Ok(conn)
}

/// Creates the file readable by its owner alone; SQLite gives the files beside it the same mode.
fn create_private(path: &Path) -> Result<(), StoreError> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(at(path, error)),
    }
}

fn tune_writer(conn: &Connection) -> Result<(), StoreError> {
    let mode: String = conn
        .pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))
        .map_err(from_sqlite)?;
    if mode != "wal" {
        return Err(StoreError::Unavailable(format!(
            "the file system does not allow a write-ahead log (journal mode {mode})"
        )));
    }
    for (name, value) in [
        // Every commit synchronises the log: what was acknowledged survives a power cut.
        ("synchronous", 2),
        ("foreign_keys", 0),
        ("cache_size", -WRITER_CACHE_KIB),
        ("wal_autocheckpoint", CHECKPOINT_PAGES),
        ("journal_size_limit", LOG_BYTES_KEPT),
        ("temp_store", 2),
    ] {
        set(conn, name, value)?;
    }
    Ok(())
}

/// Settings of a connection that only reads.
fn tune_reader(conn: &Connection) -> Result<(), StoreError> {
    conn.busy_timeout(BUSY).map_err(from_sqlite)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    set(conn, "query_only", 1)?;
    set(conn, "cache_size", -READER_CACHE_KIB)
}

/// Some of these answer with a row, which is not wanted.
fn set(conn: &Connection, name: &str, value: i64) -> Result<(), StoreError> {
    conn.pragma_update_and_check(None, name, value, |_| Ok(()))
        .or_else(|error| match error {
            rusqlite::Error::QueryReturnedNoRows => Ok(()),
            other => Err(other),
        })
        .map_err(from_sqlite)
}

/// Opens the file for reading only, whether or not a server has it open.
pub(crate) fn open_for_doctor(path: &Path) -> Result<Connection, StoreError> {
    if path.is_dir() {
        return Err(at(path, "it is a directory"));
    }
    let conn = match open_checked(path, OpenFlags::empty()) {
        // A log can be read only beside an index of it. Where that cannot be made (a read-only
        // disk) and there is no log, the file alone is the whole database.
        Err(StoreError::Unavailable(_)) if !has_log(path) && path.is_file() => {
            open_checked(&immutable(path), OpenFlags::SQLITE_OPEN_URI)
        }
        other => other,
    };
    conn.map_err(|error| locate(path, error))
}

fn open_checked(path: &Path, more: OpenFlags) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | more;
    let conn = Connection::open_with_flags(path, flags).map_err(from_sqlite)?;
    tune_reader(&conn)?;
    migrations::check(&conn)?;
    if migrations::pragma(&conn, "user_version")? < migrations::known() {
        return Err(StoreError::Unavailable(
            "its schema is older: start the server once".to_owned(),
        ));
    }
    Ok(conn)
}

fn has_log(path: &Path) -> bool {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    std::fs::metadata(log).is_ok_and(|log| log.len() > 0)
}

/// The name by which SQLite opens a file that nobody changes.
fn immutable(path: &Path) -> PathBuf {
    let escaped =
        path.to_string_lossy().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    PathBuf::from(format!("file:{escaped}?immutable=1"))
}

/// An error with the file it is about.
fn at(path: &Path, why: impl std::fmt::Display) -> StoreError {
    StoreError::Unavailable(format!("{}: {why}", path.display()))
}

/// Says which file; keeps the kind of error that callers tell apart.
fn locate(path: &Path, error: StoreError) -> StoreError {
    match error {
        StoreError::Unavailable(why) | StoreError::Corrupt(why) => at(path, why),
        other => other,
    }
}

/// Connections that read, opened when first needed. A read waits while all of them are in use.
#[derive(Debug)]
pub(super) struct Readers {
    path: PathBuf,
    pool: Mutex<Pool>,
    freed: Condvar,
}

#[derive(Debug, Default)]
struct Pool {
    idle: Vec<Connection>,
    /// Idle ones and those in use.
    open: usize,
}

impl Readers {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), pool: Mutex::new(Pool::default()), freed: Condvar::new() }
    }

    /// Runs `work` in a read transaction of its own.
    pub(super) fn with<T>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut lent = self.borrow()?;
        let Some(conn) = lent.conn.as_mut() else {
            return Err(StoreError::Unavailable("no reader".to_owned()));
        };
        let tx = conn.transaction().map_err(from_sqlite)?;
        work(&tx)
    }

    fn borrow(&self) -> Result<Lent<'_>, StoreError> {
        let mut pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
        let mut lent = Lent { readers: self, conn: None };
        loop {
            if let Some(conn) = pool.idle.pop() {
                lent.conn = Some(conn);
                return Ok(lent);
            }
            if pool.open < READERS {
                pool.open += 1;
                drop(pool);
                // From here on `lent` gives the place back, also when opening fails.
                lent.conn = Some(self.open()?);
                return Ok(lent);
            }
            pool = self.freed.wait(pool).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn open(&self) -> Result<Connection, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = Connection::open_with_flags(&self.path, flags)
            .map_err(|error| at(&self.path, error))?;
        tune_reader(&conn)?;
        Ok(conn)
    }
}

/// A place in the pool, given back when dropped.
struct Lent<'p> {
    readers: &'p Readers,
    conn: Option<Connection>,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let mut pool = self.readers.pool.lock().unwrap_or_else(PoisonError::into_inner);
        match self.conn.take() {
            Some(conn) => pool.idle.push(conn),
            None => pool.open = pool.open.saturating_sub(1),
        }
        drop(pool);
        self.readers.freed.notify_one();
    }
}
