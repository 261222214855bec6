//! After an older state of the database was restored from a backup.
//!
//! Servers of before may still be there, and believe in epochs that the restored leases would reach
//! again; executors run attempts of which the database knows less than they do. So everything that
//! was held is held no more, and every number goes on far behind all that may have been given.

use flowforge_model::attempt::AttemptKey;
use flowforge_model::time::Timestamp;
use flowforge_ports::store::StoreError;

use super::PostgresStore;
use super::bind::binds;
use super::codec;
use super::load::read;
use super::roles::lose;
use super::transaction::Tx;

/// More than any epoch or number rises between a backup and its restoration: a lease that changes
/// hands every second does so for twelve days. It fits 2^43 times into what there is.
pub(crate) const JUMP: i64 = 1 << 20;

const LEASES: &str = "UPDATE lease SET epoch = epoch + $1";
const CONTROLLER: &str =
    "UPDATE controller SET epoch = epoch + $1, instance = NULL RETURNING epoch";
const LET_GO: &str = "UPDATE holding SET holder = NULL, until = NULL";
const FORGET: &str = "DELETE FROM member WHERE role <> 'executor'";
const BURY: &str = "UPDATE member SET buried = TRUE, until = now() WHERE role = 'executor'";

/// What dead executors run, and nobody has been told.
const RAN: &str = "SELECT a.workflow, a.node, a.number FROM attempt a \
     JOIN member m ON m.role = 'executor' AND m.instance = a.instance \
     WHERE a.ended_at IS NULL AND NOT EXISTS (SELECT 1 FROM news n WHERE n.workflow = a.workflow \
     AND n.node = a.node AND n.number = a.number AND n.finished) ORDER BY 1, 2, 3";

const NUMBERS: &str = "SELECT setval(pg_get_serial_sequence('intent', 'id'), \
     nextval(pg_get_serial_sequence('intent', 'id')) + $1), \
     setval(pg_get_serial_sequence('news', 'id'), \
     nextval(pg_get_serial_sequence('news', 'id')) + $1)";

/// What [`PostgresStore::restored`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restored {
    /// Executors that are dead now.
    pub executors: u64,
    /// Attempts that they ran, which are lost.
    pub attempts: u64,
}

impl PostgresStore {
    /// To be called once after a backup was restored, before any server is started: every epoch and
    /// every number jumps, leases are held by nobody, executors are dead and what they ran is lost.
    /// Doing it again changes nothing but the numbers.
    ///
    /// # Errors
    /// `Unavailable`; also if the schema is older than this program.
    pub async fn restored(&self, at: Timestamp) -> Result<Restored, StoreError> {
        self.must_be_migrated().await?;
        self.write(move |tx| Box::pin(restored(tx, at))).await
    }
}

async fn restored(mut tx: Tx<'_>, at: Timestamp) -> Result<Restored, StoreError> {
    // Waits for the writes under way, and fences all later ones.
    tx.execute(LEASES, binds![JUMP]).await?;
    tx.execute(CONTROLLER, binds![JUMP]).await?;
    tx.execute(LET_GO, binds![]).await?;
    tx.execute(FORGET, binds![]).await?;
    let executors = tx.execute(BURY, binds![]).await?;
    let ran = tx.rows(RAN, binds![]).await?;
    let ran: Vec<AttemptKey> = read(&ran, |row| {
        Ok(AttemptKey {
            workflow: codec::workflow_id(row, 0)?,
            node: codec::node(row, 1)?,
            number: codec::number(row, 2)?,
        })
    })?;
    lose(&mut tx, &ran, at).await?;
    tx.rows(NUMBERS, binds![JUMP]).await?;
    let attempts = u64::try_from(ran.len()).unwrap_or(u64::MAX);
    Ok(Restored { executors, attempts })
}
