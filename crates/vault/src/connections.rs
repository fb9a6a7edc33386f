//! Connections: one tenant's account at an integration, its credential sealed.

use std::{collections::BTreeMap, fmt};

use secrecy::SecretString;
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{Result, TenantScope, later};

/// How the account was connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthType {
    /// A key that a person entered.
    ApiKey,
    /// OAuth 2.
    OAuth2,
}

impl AuthType {
    /// `api_key` or `oauth2`, as stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ApiKey => "api_key",
            Self::OAuth2 => "oauth2",
        }
    }
}

impl fmt::Display for AuthType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether a connection may be used. A disconnected one has no row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It may be used.
    Active,
    /// A person stopped it.
    Frozen,
    /// The provider no longer takes the credential.
    NeedsReauth,
    /// It is being disconnected, and the provider has not yet confirmed the revocation.
    RevocationPending,
}

impl Status {
    /// `active`, `frozen`, `needs_reauth` or `revocation_pending`, as stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Frozen => "frozen",
            Self::NeedsReauth => "needs_reauth",
            Self::RevocationPending => "revocation_pending",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The sealed payload. What gives authority lives in here; the columns of the row are a copy that must agree.
pub struct Credential {
    /// How the account was connected.
    pub auth_type: AuthType,
    /// Which of the integration's providers the credential is for.
    pub provider: String,
    /// The host that the credential may be sent to.
    pub host: String,
    /// The account's id at the provider.
    pub account_id: String,
    /// The account's name for people.
    pub account_name: String,
    /// `live` or `test`, where the provider knows such modes.
    pub mode: Option<String>,
    /// What the credential may do, as far as is known; the shape is the host's.
    pub permissions: Value,
    /// The secrets, by their role, such as `token` or `refresh_token`.
    pub secrets: BTreeMap<String, SecretString>,
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential")
            .field("auth_type", &self.auth_type)
            .field("provider", &self.provider)
            .field("account_id", &self.account_id)
            .finish_non_exhaustive()
    }
}

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
    /// When the present credential was stored.
    pub connected_at: OffsetDateTime,
    /// When an action last finished.
    pub last_used_at: Option<OffsetDateTime>,
    /// When the access token or key stops working.
    pub expires_at: Option<OffsetDateTime>,
    /// When only a person can renew it.
    pub reauthorize_by: Option<OffsetDateTime>,
}

/// A sealed credential with what is needed to open it, for one action.
pub struct Sealed(());

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sealed").finish_non_exhaustive()
    }
}

impl Sealed {
    /// Opens the credential. It does not wait for anything, so that no plaintext lives across an await.
    ///
    /// # Errors
    /// [`Error::CannotOpen`](crate::Error::CannotOpen), also when a column of the row disagrees with what was sealed.
    pub fn open(&self) -> Result<Credential> {
        later()
    }
}

impl TenantScope {
    /// Stores a connection: a new one, or in place of the one that is there (same id, next generation, active again).
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid), [`Error::UnknownTenant`](crate::Error::UnknownTenant).
    pub async fn connect(&self, new: NewConnection) -> Result<Connection> {
        let _ = new;
        later()
    }

    /// The connection to one integration.
    ///
    /// # Errors
    /// [`Error::Database`](crate::Error::Database).
    pub async fn connection(&self, integration_id: &str) -> Result<Option<Connection>> {
        let _ = integration_id;
        later()
    }

    /// All connections, by integration.
    ///
    /// # Errors
    /// [`Error::Database`](crate::Error::Database).
    pub async fn connections(&self) -> Result<Vec<Connection>> {
        later()
    }

    /// Allows or stops the use of a connection; `false` when there is none. An action that begins afterwards sees it.
    ///
    /// # Errors
    /// [`Error::Database`](crate::Error::Database).
    pub async fn set_status(&self, integration_id: &str, status: Status) -> Result<bool> {
        let _ = (integration_id, status);
        later()
    }

    /// Deletes the connection and destroys the tenant key that sealed it (the tenant's other values are sealed anew),
    /// so that older backups of the rows cannot be opened either. `false` when there is none.
    ///
    /// # Errors
    /// [`Error::Database`](crate::Error::Database).
    pub async fn disconnect(&self, integration_id: &str) -> Result<bool> {
        let _ = integration_id;
        later()
    }
}
