//! Connections: one tenant's account at an integration, its credential sealed.

use std::time::Duration;

use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    AlertKind, AuthType, Credential, Error, Result, Sealed, Status, TenantId, TenantScope, Vault,
    alerts::say,
    crash_point,
    database::{Tx, on},
    lookup::Stored,
    reveal,
    timestamp::{Timestamp, from_millis},
    vault::check_name,
};

/// What [`TenantScope::connect`] stores.
#[derive(Debug)]
pub struct NewConnection {
    /// The integration, at most 50 characters.
    pub integration_id: String,
    /// What is sealed; the row's columns are taken from it.
    pub credential: Credential,
    /// When the access token or key stops working.
    pub expires_at: Option<OffsetDateTime>,
    /// When only a person can renew it.
    pub reauthorize_by: Option<OffsetDateTime>,
    /// What is to be done about it later: the kind of each job, and in how long.
    pub jobs: Vec<(&'static str, Duration)>,
    /// Whether it may take the place of another account's, which people are then alerted to.
    pub replaces_account: bool,
}

/// What [`TenantScope::connect`] stored, and what was there before.
#[derive(Debug, Clone, PartialEq)]
pub struct Connected {
    /// The connection.
    pub connection: Connection,
    /// The one whose place it took; none too where its row held what no version of this program wrote.
    pub before: Option<Connection>,
}

impl Connected {
    /// Whether it took the place of another account's.
    #[must_use]
    pub fn is_another_account(&self) -> bool {
        self.before.as_ref().is_some_and(|before| !before.is_account_of(&self.connection))
    }
}

/// A connection, without its secret.
#[derive(Debug, Clone, PartialEq)]
pub struct Connection {
    /// The row's id; a reconnect keeps it.
    pub id: Uuid,
    /// The integration.
    pub integration_id: String,
    /// How the account was connected.
    pub auth_type: AuthType,
    /// Which of the integration's providers is in use.
    pub provider: String,
    /// The host that the credential may be sent to.
    pub host: String,
    /// The account's id at the provider.
    pub account_id: String,
    /// The account's name for people.
    pub account_name: String,
    /// `live` or `test`, where the provider knows such modes.
    pub mode: Option<String>,
    /// Whether it may be used.
    pub status: Status,
    /// What the credential may do, as far as is known; the shape is the host's.
    pub permissions: Value,
    /// What the provider last said about its rate limits; the shape is the host's.
    pub rate_limits: Option<Value>,
    /// Counts the credentials that this connection has had, from 1.
    pub generation: i64,
    /// When a person last connected it.
    pub connected_at: OffsetDateTime,
    /// When the last finished action began.
    pub last_used_at: Option<OffsetDateTime>,
    /// When the access token or key stops working.
    pub expires_at: Option<OffsetDateTime>,
    /// When only a person can renew it.
    pub reauthorize_by: Option<OffsetDateTime>,
    /// When the present credential took the place of another of the same consent.
    pub renewed_at: Option<OffsetDateTime>,
    /// Whether what it took the place of is kept, because the present one has not worked yet.
    pub keeps_former: bool,
}

/// A row with its credential.
#[derive(Clone, sqlx::FromRow)]
pub(crate) struct Row {
    pub(crate) id: Uuid,
    integration_id: String,
    auth_type: String,
    provider: String,
    host: String,
    account_id: String,
    account_name: String,
    mode: Option<String>,
    status: String,
    permissions_granted: Value,
    rate_limits: Option<Value>,
    pub(crate) generation: i64,
    connected_at: Timestamp,
    pub(crate) last_used_at: Option<Timestamp>,
    expires_at: Option<Timestamp>,
    reauthorize_by: Option<Timestamp>,
    renewed_at: Option<Timestamp>,
    former_until: Option<i64>,
    pub(crate) encrypted_credentials: Vec<u8>,
}

macro_rules! select {
    ($from:literal) => {
        concat!(
            "SELECT tenant_id, id, integration_id, auth_type, provider, host, account_id, account_name, mode, status,
             permissions_granted, rate_limits, generation, connected_at, last_used_at, expires_at, reauthorize_by,
             renewed_at, former_until, encrypted_credentials FROM ",
            $from
        )
    };
}

mod lately;
mod places;

pub(crate) use lately::Lately;
pub(crate) use places::Place;

impl Connection {
    /// Whether both open one account. What runs in a test mode is not what runs for real.
    #[must_use]
    pub fn is_account_of(&self, other: &Self) -> bool {
        self.provider == other.provider
            && self.account_id == other.account_id
            && self.mode == other.mode
    }

    pub(crate) fn from_row(row: Row) -> Result<Self> {
        Ok(Self {
            id: row.id,
            integration_id: row.integration_id,
            auth_type: AuthType::parse(&row.auth_type)?,
            provider: row.provider,
            host: row.host,
            account_id: row.account_id,
            account_name: row.account_name,
            mode: row.mode,
            status: Status::parse(&row.status)?,
            permissions: row.permissions_granted,
            rate_limits: row.rate_limits,
            generation: row.generation,
            connected_at: row.connected_at.0,
            last_used_at: row.last_used_at.map(|time| time.0),
            expires_at: row.expires_at.map(|time| time.0),
            reauthorize_by: row.reauthorize_by.map(|time| time.0),
            renewed_at: row.renewed_at.map(|time| time.0),
            keeps_former: row.former_until.is_some(),
        })
    }
}

impl Vault {
    /// Which connections of any tenant, by OAuth and not being revoked, open this account of a provider: the tenant of
    /// each, and its integration.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn consents_of_account(
        &self,
        provider: &str,
        account_id: &str,
    ) -> Result<Vec<(TenantScope, String)>> {
        let mut tx = self.inner.database.read(None).await?;
        let text = tx.text(
            "SELECT tenant_id, integration_id FROM integration_credentials WHERE provider = $1 AND account_id = $2
             AND auth_type = 'oauth2' AND status <> 'revocation_pending' ORDER BY tenant_id, integration_id",
            "SELECT * FROM consents_of_account($1, $2)",
        );
        let rows: Vec<(Uuid, String)> = on!(&mut tx, c => sqlx::query_as(text)
            .bind(provider).bind(account_id).fetch_all(c).await)?;
        Ok(rows.into_iter().map(|(tenant, id)| (self.scope(TenantId(tenant)), id)).collect())
    }
}

impl TenantScope {
    /// Stores a connection: a new one, or in place of the one that is there (same id, next generation, active again).
    ///
    /// # Errors
    /// [`Error::Invalid`] for an integration id that is empty or over 50 characters, [`Error::UnknownTenant`],
    /// [`Error::AnotherAccount`] when it may not take the place of the account that is connected.
    pub async fn connect(&self, new: NewConnection) -> Result<Connected> {
        check_name("integration's id", &new.integration_id, 50)?;
        let NewConnection { integration_id, credential, expires_at, reauthorize_by, jobs, .. } =
            new;
        let mut tx = self.write().await?;
        let key = self.active_key(&mut tx).await?;
        let old = self.row(&mut tx, &integration_id).await?;
        let (id, generation) =
            old.as_ref().map_or_else(|| (Uuid::now_v7(), 1), |old| (old.id, old.generation + 1));
        let before = old.and_then(|old| Connection::from_row(old).ok());
        let blob = reveal::seal(
            &key,
            &credential,
            (expires_at, reauthorize_by),
            (&integration_id, generation),
        )?;
        let connected_at = Timestamp(from_millis(tx.now_ms().await?));
        on!(&mut tx, c => sqlx::query(
            "INSERT INTO integration_credentials (id, tenant_id, integration_id, auth_type, encrypted_credentials,
                permissions_granted, connected_at, expires_at, status, reauthorize_by, provider, host, account_id,
                account_name, mode, generation, key_id)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'active', $9, $10, $11, $12, $13, $14, $15, $16)
             ON CONFLICT (tenant_id, integration_id) DO UPDATE SET auth_type = excluded.auth_type,
                encrypted_credentials = excluded.encrypted_credentials, permissions_granted = excluded.permissions_granted,
                connected_at = excluded.connected_at, last_used_at = NULL, expires_at = excluded.expires_at,
                status = 'active', reauthorize_by = excluded.reauthorize_by, provider = excluded.provider,
                host = excluded.host, account_id = excluded.account_id, account_name = excluded.account_name,
                mode = excluded.mode, rate_limits = NULL, generation = excluded.generation, key_id = excluded.key_id,
                renewed_at = NULL, former = NULL, former_key_id = NULL, former_until = NULL",
        ).bind(id).bind(self.tenant.0).bind(&integration_id).bind(credential.auth_type.as_str()).bind(&blob)
         .bind(&credential.permissions).bind(connected_at).bind(expires_at.map(Timestamp::new))
         .bind(reauthorize_by.map(Timestamp::new)).bind(&credential.provider).bind(&credential.host)
         .bind(&credential.account_id).bind(&credential.account_name).bind(&credential.mode).bind(generation)
         .bind(key.key_id()).execute(c).await.map(drop))?;
        self.unschedule(&mut tx, &integration_id).await?;
        for (kind, in_) in jobs {
            self.schedule(&mut tx, kind, &integration_id, in_).await?;
        }
        let row = self.row(&mut tx, &integration_id).await?.ok_or(Error::UnknownTenant)?;
        let connected = Connected { connection: Connection::from_row(row)?, before };
        // Whoever connected meanwhile did not know of this one either.
        if connected.is_another_account() && !new.replaces_account {
            return Err(Error::AnotherAccount { integration_id });
        }
        if connected.is_another_account() {
            self.write_alert(&mut tx, AlertKind::AccountChanged, &integration_id).await?;
        }
        crash_point("connect.sealed");
        tx.commit().await?;
        crash_point("connect.committed");
        if connected.is_another_account() {
            say(AlertKind::AccountChanged, self.tenant, &integration_id);
        }
        if generation > 1 {
            self.vault.erase().await;
        }
        Ok(connected)
    }

    /// The connection to one integration.
    ///
    /// # Errors
    /// [`Error::CannotOpen`] when the row holds what no version of this program wrote, [`Error::Database`].
    pub async fn connection(&self, integration_id: &str) -> Result<Option<Connection>> {
        // Boxed: only one of many looks.
        let look = |places| Box::pin(self.vault.connections_at(places));
        let place = (self.tenant, integration_id.to_owned());
        let found = self.vault.inner.connections.get(place, look).await;
        self.alerting(found.and_then(Option::transpose), reveal::PURPOSE, integration_id).await
    }

    /// All connections, by integration.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn connections(&self) -> Result<Vec<Connection>> {
        let mut tx = self.vault.inner.database.look().await?;
        let text = tx.text(
            select!("integration_credentials WHERE tenant_id = $1 ORDER BY integration_id"),
            select!("connections_of($1, NULL)"),
        );
        let rows: Vec<Row> =
            on!(&mut tx, c => sqlx::query_as(text).bind(self.tenant.0).fetch_all(c).await)?;
        rows.into_iter().map(Connection::from_row).collect()
    }

    /// Deletes this generation of the connection and destroys the tenant key that sealed it (the tenant's other values
    /// are sealed anew), so that older backups of the rows cannot be opened either. `false` when there is none, or another
    /// one: it was renewed or connected again meanwhile.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn disconnect(&self, integration_id: &str, generation: i64) -> Result<bool> {
        let mut tx = self.write().await?;
        let deleted = on!(&mut tx, c => sqlx::query(
            "DELETE FROM integration_credentials WHERE tenant_id = $1 AND integration_id = $2 AND generation = $3",
        ).bind(self.tenant.0).bind(integration_id).bind(generation).execute(c).await.map(|done| done.rows_affected()))?;
        if deleted == 0 {
            return Ok(false);
        }
        self.unschedule(&mut tx, integration_id).await?;
        self.rotate_away(&mut tx).await?;
        crash_point("disconnect.deleted");
        tx.commit().await?;
        crash_point("disconnect.committed");
        self.vault.raise_noted().await;
        self.vault.erase().await;
        crash_point("disconnect.shredded");
        Ok(true)
    }

    /// The connection with its sealed credential, when it may be used and its columns agree with what was sealed, which may be
    /// known already. One that is taken apart may disagree: that must not keep it.
    pub(crate) fn usable(
        &self,
        integration_id: &str,
        found: Option<Stored>,
        in_any_status: bool,
    ) -> Result<(Connection, Sealed)> {
        let not_connected = || Error::NotConnected { integration_id: integration_id.to_owned() };
        let Stored { mut row, key, is_checked, .. } = found.ok_or_else(not_connected)?;
        let blob = std::mem::take(&mut row.encrypted_credentials);
        let connection = Connection::from_row(row)?;
        if connection.status != Status::Active && !in_any_status {
            return Err(Error::Inactive {
                integration_id: connection.integration_id,
                status: connection.status,
            });
        }
        self.vault.admit_opening(self.tenant)?;
        let key = key.map(|key| self.sealer(key));
        if !in_any_status && !is_checked {
            // Whoever asked relies on these columns before the credential is opened to sign: they are held against it now.
            // A key that is gone cannot open anything.
            drop(reveal::open(key.as_ref().ok_or(Error::CannotOpen)?, &connection, &blob)?);
        }
        let (vault, tenant) = (self.vault.clone(), self.tenant);
        let sealed = Sealed { vault, tenant, key, blob, connection: connection.clone() };
        Ok((connection, sealed))
    }

    /// Seals a credential anew with what was learnt of its permissions, which are part of what is sealed.
    /// `None`: they are what they were, or the credential was replaced meanwhile and they are about the old one.
    pub(crate) fn reseal(
        &self,
        (id, generation): (Uuid, i64),
        found: Option<Stored>,
        permissions: &Value,
    ) -> Result<Option<Vec<u8>>> {
        let Some(Stored { mut row, key, .. }) = found else {
            return Ok(None);
        };
        if row.id != id || row.generation != generation || row.permissions_granted == *permissions {
            return Ok(None);
        }
        let key = self.sealer(key.ok_or(Error::CannotOpen)?);
        let blob = std::mem::take(&mut row.encrypted_credentials);
        let connection = Connection::from_row(row)?;
        let mut credential = reveal::open(&key, &connection, &blob)?;
        credential.permissions = permissions.clone();
        let times = (connection.expires_at, connection.reauthorize_by);
        reveal::seal(&key, &credential, times, (&connection.integration_id, generation)).map(Some)
    }

    pub(crate) async fn rows(&self, tx: &mut Tx) -> Result<Vec<Row>> {
        Ok(on!(tx, c => sqlx::query_as(
            select!("integration_credentials WHERE tenant_id = $1 ORDER BY integration_id"),
        ).bind(self.tenant.0).fetch_all(c).await)?)
    }

    pub(crate) async fn row(&self, tx: &mut Tx, integration_id: &str) -> Result<Option<Row>> {
        Ok(on!(tx, c => sqlx::query_as(
            select!("integration_credentials WHERE tenant_id = $1 AND integration_id = $2"),
        ).bind(self.tenant.0).bind(integration_id).fetch_optional(c).await)?)
    }
}
