//! The audit writer's connection, kept from one transaction to the next.

use std::sync::atomic::Ordering;

use sqlx::{Connection, Executor, Postgres, Sqlite, pool::PoolConnection};

use super::{Database, On, TxOn};
use crate::Result;

/// How many transactions the audit writer may run in a row while others wait for SQLite's one writer.
const TURN: u32 = 8;

/// Before the writer gives PostgreSQL up, it gives up itself and has written nothing: a server that is left alone with a
/// statement would commit it later, when its callers were told that it failed.
const IN_TIME: &str = "SET statement_timeout = '1500ms'";

/// A connection that one transaction after the other uses, without asking the pool each time.
#[derive(Default)]
pub(crate) enum Held {
    #[default]
    Nothing,
    /// With the number of its transactions, and which turn of the writer it is.
    Sqlite(PoolConnection<Sqlite>, u32, u64),
    Postgres(PoolConnection<Postgres>),
}

impl Held {
    /// Takes a connection, where it has none.
    pub(crate) async fn take(&mut self, database: &Database) -> Result<()> {
        if matches!(self, Self::Nothing) {
            *self = match database {
                Database::Sqlite { write, turns, .. } => {
                    let connection = write.acquire().await?;
                    Self::Sqlite(connection, 0, turns.load(Ordering::Relaxed))
                }
                Database::Postgres(pool) => {
                    let mut connection = pool.acquire().await?;
                    // Nobody else is held to that time.
                    connection.close_on_drop();
                    connection.execute(IN_TIME).await?;
                    Self::Postgres(connection)
                }
            };
        }
        Ok(())
    }

    /// A transaction of many tenants. On PostgreSQL it reaches their rows through functions only, and is one only where it
    /// keeps the tenants to itself: without that, two round trips less, and in the end nothing may be written.
    pub(crate) async fn write(&mut self, keeping: bool) -> Result<TxOn<'_>> {
        Ok(match self {
            Self::Nothing => return Err(sqlx::Error::PoolClosed.into()),
            Self::Sqlite(connection, ..) => TxOn::Sqlite(On::Held(&mut **connection)),
            Self::Postgres(connection) => TxOn::Postgres(if keeping {
                On::Own(connection.begin().await?)
            } else {
                On::Held(&mut **connection)
            }),
        })
    }

    /// Which turn of SQLite's one writer it is: one more than the last, where nobody else of this process had it between.
    pub(crate) fn turn(&self) -> Option<u64> {
        match self {
            Self::Sqlite(_, _, turn) => Some(*turn),
            Self::Nothing | Self::Postgres(_) => None,
        }
    }

    /// Whether the next transaction is over a connection that was used before, and may have broken since.
    pub(crate) fn is_kept(&self) -> bool {
        !matches!(self, Self::Nothing)
    }

    /// After a transaction: SQLite's one writer is everybody's, and is taken in turns.
    pub(crate) fn used(&mut self) {
        if let Self::Sqlite(_, used, _) = self {
            *used += 1;
            if *used >= TURN {
                *self = Self::Nothing;
            }
        }
    }

    /// While there is nothing to write.
    pub(crate) fn rest(&mut self) {
        if matches!(self, Self::Sqlite(..)) {
            *self = Self::Nothing;
        }
    }

    /// Gives the connection up, with whatever it was doing.
    pub(crate) fn discard(&mut self) {
        match std::mem::take(self) {
            Self::Nothing => {}
            Self::Sqlite(mut connection, ..) => connection.close_on_drop(),
            Self::Postgres(connection) => drop(connection),
        }
    }
}
