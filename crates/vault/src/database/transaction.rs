//! A transaction on either database, typed for whichever it is.

use std::ops::{Deref, DerefMut};

use sqlx::{Database, Executor, Postgres, Sqlite, Transaction, pool::PoolConnection};

use crate::Result;

/// A transaction, with its connection from the pool or on one that is held.
pub(crate) enum TxOn<'c> {
    Sqlite(On<'c, Sqlite>),
    Postgres(On<'c, Postgres>),
}

/// A transaction with a connection of its own.
pub(crate) type Tx = TxOn<'static>;

pub(crate) enum On<'c, DB: Database> {
    Own(Transaction<'c, DB>),
    /// SQLite: its first statement brings BEGIN with it and its last one COMMIT. PostgreSQL: no transaction, each statement is
    /// one by itself. Given up otherwise: whoever holds the connection discards it.
    Held(&'c mut DB::Connection),
    /// No transaction: each statement is one by itself.
    Alone(PoolConnection<DB>),
}

/// Evaluates one expression over the transaction's connection, typed for whichever database it is.
macro_rules! on {
    ($tx:expr, $connection:ident => $body:expr) => {
        match $tx {
            $crate::database::TxOn::Sqlite(tx) => {
                let $connection = &mut **tx;
                $body
            }
            $crate::database::TxOn::Postgres(tx) => {
                let $connection = &mut **tx;
                $body
            }
        }
    };
}
pub(crate) use on;

impl<DB: Database> Deref for On<'_, DB> {
    type Target = DB::Connection;

    fn deref(&self) -> &DB::Connection {
        match self {
            Self::Own(tx) => tx,
            Self::Held(connection) => connection,
            Self::Alone(connection) => connection,
        }
    }
}

impl<DB: Database> DerefMut for On<'_, DB> {
    fn deref_mut(&mut self) -> &mut DB::Connection {
        match self {
            Self::Own(tx) => tx,
            Self::Held(connection) => connection,
            Self::Alone(connection) => connection,
        }
    }
}

impl<DB: Database> On<'_, DB>
where
    for<'e> &'e mut DB::Connection: Executor<'e, Database = DB>,
{
    pub(crate) async fn commit(self) -> sqlx::Result<()> {
        match self {
            Self::Own(tx) => tx.commit().await,
            Self::Held(connection) => connection.execute("COMMIT").await.map(drop),
            Self::Alone(_) => Ok(()),
        }
    }

    async fn rollback(self) -> sqlx::Result<()> {
        match self {
            Self::Own(tx) => tx.rollback().await,
            Self::Held(connection) => connection.execute("ROLLBACK").await.map(drop),
            Self::Alone(_) => Ok(()),
        }
    }
}

impl TxOn<'_> {
    pub(crate) async fn commit(self) -> Result<()> {
        match self {
            Self::Sqlite(tx) => tx.commit().await?,
            Self::Postgres(tx) => tx.commit().await?,
        }
        Ok(())
    }

    /// Ends the transaction now. Dropped on a held connection, it would keep its locks until the next one.
    pub(crate) async fn rollback(self) -> Result<()> {
        match self {
            Self::Sqlite(tx) => tx.rollback().await?,
            Self::Postgres(On::Held(_)) => {}
            Self::Postgres(tx) => tx.rollback().await?,
        }
        Ok(())
    }

    /// Whether what is read stays true until the end: not so where each statement is a transaction by itself.
    pub(crate) fn is_transaction(&self) -> bool {
        matches!(self, Self::Sqlite(On::Own(_) | On::Held(_)) | Self::Postgres(On::Own(_)))
    }

    /// The database's clock, in milliseconds.
    pub(crate) async fn now_ms(&mut self) -> Result<i64> {
        Ok(on!(self, c => sqlx::query_scalar("SELECT now_ms FROM clock").fetch_one(c).await)?)
    }

    /// The text for this database, where row-level security needs another one than SQLite.
    pub(crate) fn text(&self, sqlite: &'static str, postgres: &'static str) -> &'static str {
        match self {
            Self::Sqlite(_) => sqlite,
            Self::Postgres(_) => postgres,
        }
    }
}
