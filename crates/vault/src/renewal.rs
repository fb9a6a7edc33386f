//! Renewing a credential: new tokens take the place of those that they were got with, once, and in one commit. What they
//! replace is kept until they have worked.

use std::time::Duration;

use time::OffsetDateTime;

use crate::{
    Connection, Credential, Error, Result, Sealed, TenantScope, crash_point,
    database::{Tx, on},
    keys::Sealer,
    reveal, rotation,
    timestamp::{Timestamp, from_micros, from_millis},
};

/// How long a credential is kept that was replaced by one that nobody used.
const KEPT: Duration = Duration::from_hours(24);

/// New tokens of a connection, sealed: all that they need is a database that stores them.
pub struct Renewal {
    pub(crate) key: Sealer,
    pub(crate) integration_id: String,
    /// Of the new credential.
    pub(crate) generation: i64,
    pub(crate) blob: Vec<u8>,
}

impl Sealed {
    /// Seals what takes the place of this credential: of the same account, with its ends.
    ///
    /// # Errors
    /// [`Error::CannotOpen`], [`Error::Random`].
    pub fn renew(
        self,
        credential: &Credential,
        expires_at: Option<OffsetDateTime>,
        reauthorize_by: Option<OffsetDateTime>,
    ) -> Result<Renewal> {
        let Self { key, connection, .. } = self;
        let key = key.ok_or(Error::CannotOpen)?;
        if !credential.is_of(&connection) {
            return Err(Error::Invalid("A renewed credential is for the same account.".into()));
        }
        let integration_id = connection.integration_id;
        let generation = connection.generation + 1;
        let times = (expires_at, reauthorize_by);
        let blob = reveal::seal(&key, credential, times, (&integration_id, generation))?;
        Ok(Renewal { key, integration_id, generation, blob })
    }
}

impl Renewal {
    /// Stores the new credential, with what is to be done about it later: the kind of each job, and in how long. `false`
    /// when another one is in its place by now, or the connection is gone.
    ///
    /// # Errors
    /// [`Error::Database`]; [`Error::CannotOpen`] when the tenant's key was destroyed.
    pub async fn store(&self, jobs: &[(&'static str, Duration)]) -> Result<bool> {
        let scope = self.key.vault.scope(self.key.tenant);
        let mut tx = scope.write().await?;
        let (of, replaced) = (self.integration_id.as_str(), self.generation - 1);
        let former: Option<Option<i64>> = on!(&mut tx, c => sqlx::query_scalar(
            "SELECT former_until FROM integration_credentials
             WHERE tenant_id = $1 AND integration_id = $2 AND generation = $3",
        ).bind(scope.tenant.0).bind(of).bind(replaced).fetch_optional(c).await)?;
        let Some(former) = former else {
            return Ok(false);
        };
        let active = scope.active_key(&mut tx).await?;
        let (credential, (expires_at, reauthorize_by)) =
            reveal::read(&self.key, (of, self.generation), &self.blob)?;
        let moved = if active.key_id() == self.key.key_id() {
            None
        } else {
            // The tenant's key was exchanged since they were sealed.
            let version = self.generation;
            rotation::reseal(&self.key, &active, reveal::PURPOSE, of, version, &self.blob)?
        };
        let blob = moved.as_ref().unwrap_or(&self.blob);
        let now = tx.now_ms().await?;
        let time = |micros: i64| Timestamp(from_micros(micros));
        on!(&mut tx, c => sqlx::query(
            "UPDATE integration_credentials SET former = encrypted_credentials, former_key_id = key_id, former_until = $4,
                encrypted_credentials = $5, key_id = $6, permissions_granted = $7, expires_at = $8, reauthorize_by = $9,
                renewed_at = $10, generation = generation + 1
             WHERE tenant_id = $1 AND integration_id = $2 AND generation = $3",
        ).bind(scope.tenant.0).bind(of).bind(replaced).bind(now + millis(KEPT)).bind(blob).bind(active.key_id())
         .bind(&credential.permissions).bind(expires_at.map(time)).bind(reauthorize_by.map(time))
         .bind(Timestamp(from_millis(now))).execute(c).await.map(drop))?;
        for (kind, in_) in jobs {
            scope.schedule(&mut tx, kind, of, *in_).await?;
        }
        crash_point("refresh.written");
        tx.commit().await?;
        crash_point("refresh.committed");
        if former.is_some() {
            scope.vault.erase_later();
        }
        Ok(true)
    }
}

impl TenantScope {
    /// The credential that this one took the place of, while it is kept.
    ///
    /// # Errors
    /// [`Error::CannotOpen`], [`Error::Database`].
    pub async fn former(&self, connection: &Connection) -> Result<Option<Credential>> {
        let mut tx = self.read().await?;
        let kept: Option<(Vec<u8>, Vec<u8>)> = on!(&mut tx, c => sqlx::query_as(
            "SELECT former, former_key_id FROM integration_credentials
             WHERE tenant_id = $1 AND integration_id = $2 AND generation = $3 AND former IS NOT NULL",
        ).bind(self.tenant.0).bind(&connection.integration_id).bind(connection.generation).fetch_optional(c).await)?;
        let Some((blob, key_id)) = kept else {
            return Ok(None);
        };
        let key = self.key(&mut tx, &key_id).await?;
        drop(tx);
        let of = (connection.integration_id.as_str(), connection.generation - 1);
        let opened = reveal::read(&key, of, &blob).and_then(|(credential, _)| {
            if credential.is_of(connection) { Ok(credential) } else { Err(Error::CannotOpen) }
        });
        self.alerting(opened.map(Some), reveal::PURPOSE, of.0).await
    }

    /// Stores when a key stops working, as its provider tells now: it is part of what is sealed. In one step with it says
    /// what is to be done about that at once. `false`: it was known, or another credential is in its place by now.
    ///
    /// # Errors
    /// [`Error::CannotOpen`], [`Error::Database`].
    pub async fn learn_end(
        &self,
        (integration_id, generation): (&str, i64),
        expires_at: Option<OffsetDateTime>,
        kind: &str,
    ) -> Result<bool> {
        let mut tx = self.write().await?;
        let Some(mut row) = self.row(&mut tx, integration_id).await? else { return Ok(false) };
        let key_id: Vec<u8> = on!(&mut tx, c => sqlx::query_scalar(
            "SELECT key_id FROM integration_credentials WHERE tenant_id = $1 AND integration_id = $2",
        ).bind(self.tenant.0).bind(integration_id).fetch_one(c).await)?;
        let blob = std::mem::take(&mut row.encrypted_credentials);
        let connection = Connection::from_row(row)?;
        let end = expires_at.map(Timestamp::new);
        if connection.generation != generation || connection.expires_at == end.map(|end| end.0) {
            return Ok(false);
        }
        let key = self.stored_key(&mut tx, &key_id).await?;
        let credential = reveal::open(&key, &connection, &blob)?;
        let times = (expires_at, connection.reauthorize_by);
        let blob = reveal::seal(&key, &credential, times, (integration_id, generation))?;
        drop(credential);
        on!(&mut tx, c => sqlx::query(
            "UPDATE integration_credentials SET expires_at = $4, encrypted_credentials = $5
             WHERE tenant_id = $1 AND integration_id = $2 AND generation = $3",
        ).bind(self.tenant.0).bind(integration_id).bind(generation).bind(end).bind(&blob).execute(c).await.map(drop))?;
        self.schedule(&mut tx, kind, integration_id, Duration::ZERO).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Destroys what this generation of a connection took the place of: it has worked.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn forget_former(&self, integration_id: &str, generation: i64) -> Result<()> {
        let mut tx = self.write().await?;
        let forgotten = on!(&mut tx, c => sqlx::query(
            "UPDATE integration_credentials SET former = NULL, former_key_id = NULL, former_until = NULL
             WHERE tenant_id = $1 AND integration_id = $2 AND generation = $3 AND former IS NOT NULL",
        ).bind(self.tenant.0).bind(integration_id).bind(generation).execute(c).await.map(|done| done.rows_affected()))?;
        tx.commit().await?;
        if forgotten > 0 {
            self.vault.erase().await;
        }
        Ok(())
    }

    /// Destroys what is kept for longer than a new credential needs to show whether it works.
    pub(crate) async fn drop_former(&self, tx: &mut Tx, now: i64) -> Result<()> {
        let dropped = on!(tx, c => sqlx::query(
            "UPDATE integration_credentials SET former = NULL, former_key_id = NULL, former_until = NULL
             WHERE tenant_id = $1 AND former_until <= $2",
        ).bind(self.tenant.0).bind(now).execute(c).await.map(|done| done.rows_affected()))?;
        if dropped > 0 {
            self.vault.erase_later();
        }
        Ok(())
    }
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}
