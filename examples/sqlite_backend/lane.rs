//! [`Lane`]: connections to the file, and the transactions that wait their turn for one.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use portcullis_store::{StoreError, StoreErrorKind};
use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::failure::Failure;
use super::tables::SCHEMA;

/// Connections of one kind. They are opened when they are needed, and kept.
pub(super) struct Lane {
    path: PathBuf,
    behavior: TransactionBehavior,
    idle: Mutex<Vec<Connection>>,
    turns: Arc<Semaphore>,
    budget: Duration,
}

impl Lane {
    /// Reads do not wait for writes, nor for each other: that is what WAL is for.
    pub(super) fn reading(path: PathBuf, at_once: usize, budget: Duration) -> Self {
        Self::new(path, TransactionBehavior::Deferred, at_once, budget)
    }

    /// One at a time, in order of arrival. SQLite would let one write at a time anyway, but choose by chance whom.
    ///
    /// `IMMEDIATE` takes the lock first and reads then, so that nobody writes between what a transaction compares and
    /// what it writes.
    pub(super) fn writing(path: PathBuf, budget: Duration) -> Self {
        Self::new(path, TransactionBehavior::Immediate, 1, budget)
    }

    fn new(path: PathBuf, behavior: TransactionBehavior, at_once: usize, budget: Duration) -> Self {
        Self { path, behavior, idle: Mutex::default(), turns: Arc::new(Semaphore::new(at_once)), budget }
    }

    /// Runs one transaction, within the budget. Whoever drops the future leaves it to end by itself, whole.
    pub(super) async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        job: impl FnOnce(&Transaction<'_>) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        let lane = Arc::clone(self);
        let answer = async move {
            let turn = Arc::clone(&lane.turns).acquire_owned().await.map_err(unavailable)?;
            let job = move || {
                let answer = lane.transact(job);
                drop(turn);
                answer
            };
            spawn_blocking(job).await.map_err(unavailable)?.map_err(StoreError::from)
        };
        timeout(self.budget, answer).await.unwrap_or_else(|_| Err(StoreErrorKind::Timeout.into()))
    }

    fn transact<T>(&self, job: impl FnOnce(&Transaction<'_>) -> Result<T, Failure>) -> Result<T, Failure> {
        let kept = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut connection = kept.map_or_else(|| open(&self.path, self.budget), Ok)?;
        let answer = in_transaction(&mut connection, self.behavior, job);
        if !answer.as_ref().is_err_and(Failure::is_of_the_connection) {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        }
        answer
    }
}

/// A transaction that is dropped before its commit is rolled back.
fn in_transaction<T>(
    connection: &mut Connection,
    behavior: TransactionBehavior,
    job: impl FnOnce(&Transaction<'_>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let transaction = connection.transaction_with_behavior(behavior)?;
    let answer = job(&transaction)?;
    transaction.commit()?;
    Ok(answer)
}

fn open(path: &Path, budget: Duration) -> Result<Connection, Failure> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(budget)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    // Every commit reaches the disk. With less, a power cut could bring back a session that was signed out.
    connection.pragma_update(None, "synchronous", "full")?;
    connection.execute_batch(SCHEMA)?;
    Ok(connection)
}

fn unavailable(error: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::with_source(StoreErrorKind::Unavailable, error)
}
