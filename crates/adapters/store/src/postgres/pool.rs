//! Connections to lend.
//!
//! A pool of our own, because what counts is one rule that the general ones leave to their users:
//! a connection comes back only from a transaction that is over. Whatever else happens to it (an
//! error of the connection, a panic, a timeout) it is closed, and the server rolls back.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use flowforge_ports::store::StoreError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::connection::{Connection, Role, Target};

/// How long a connection is waited for while all are in use.
const WAIT: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Pool {
    target: Arc<Target>,
    role: Role,
    most: u32,
    places: Arc<Semaphore>,
    idle: Mutex<Vec<Connection>>,
}

impl Pool {
    pub(super) fn new(target: &Arc<Target>, role: Role, most: u32) -> Self {
        let places = usize::try_from(most).unwrap_or(1);
        Self {
            target: Arc::clone(target),
            role,
            most,
            places: Arc::new(Semaphore::new(places)),
            idle: Mutex::new(Vec::new()),
        }
    }

    /// A connection outside of any transaction.
    ///
    /// # Errors
    /// `Unavailable` if there is none for 10 s, or none can be made.
    pub(super) async fn lend(self: Arc<Self>) -> Result<Lent, StoreError> {
        let place = timeout(WAIT, Arc::clone(&self.places).acquire_owned()).await;
        let Ok(Ok(place)) = place else {
            return Err(StoreError::Unavailable(format!(
                "all {} connections were in use for {} s",
                self.most,
                WAIT.as_secs()
            )));
        };
        let connection = loop {
            let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            match idle {
                Some(connection) if connection.client.is_closed() => {}
                Some(connection) => break connection,
                None => break self.target.open(self.role).await?,
            }
        };
        Ok(Lent { connection: Some(connection), pool: self, _place: place })
    }
}

/// A connection on loan. Dropped, it is closed; only [`Lent::give_back`] returns it.
#[derive(Debug)]
pub(super) struct Lent {
    connection: Option<Connection>,
    pool: Arc<Pool>,
    _place: OwnedSemaphorePermit,
}

impl Lent {
    pub(super) fn connection(&self) -> Result<&Connection, StoreError> {
        self.connection
            .as_ref()
            .ok_or_else(|| StoreError::Unavailable("no connection is lent".to_owned()))
    }

    /// Returns a connection whose transaction is over.
    pub(super) fn give_back(mut self) {
        if let Some(connection) = self.connection.take() {
            self.pool.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        }
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            connection.cut();
        }
    }
}
