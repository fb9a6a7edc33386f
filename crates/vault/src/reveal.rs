//! The only place where a credential becomes bytes and bytes become a credential.
//! What gives authority is compared with the row's columns: a change of either is a failure to open.

use std::{collections::BTreeMap, fmt};

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;
use zeroize::Zeroizing;

use crate::{
    AlertKind, Connection, Error, Result, TenantId, Vault, keys::Sealer, timestamp::Timestamp,
};

/// The purpose in the sealed context.
pub(crate) const PURPOSE: &str = "credential";

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

    pub(crate) fn parse(text: &str) -> Result<Self> {
        [Self::ApiKey, Self::OAuth2]
            .into_iter()
            .find(|known| known.as_str() == text)
            .ok_or(Error::CannotOpen)
    }
}

impl fmt::Display for AuthType {
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

/// A sealed credential with what is needed to open it, for one action.
pub struct Sealed {
    pub(crate) vault: Vault,
    pub(crate) tenant: TenantId,
    /// None: it was destroyed. Such a credential does not open any more, and can only be deleted.
    pub(crate) key: Option<Sealer>,
    pub(crate) blob: Vec<u8>,
    pub(crate) connection: Connection,
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealed")
            .field("integration_id", &self.connection.integration_id)
            .finish_non_exhaustive()
    }
}

impl Sealed {
    /// Opens the credential. It does not wait for anything, so that no plaintext lives across an await.
    ///
    /// # Errors
    /// [`Error::CannotOpen`], also when a column of the row disagrees with what was sealed.
    pub fn open(&self) -> Result<Credential> {
        let key = self.key.as_ref().ok_or(Error::CannotOpen);
        let opened = key.and_then(|key| open(key, &self.connection, &self.blob));
        if opened.is_err() {
            // Written when the action is finished: nothing can be awaited here.
            let subject = format!("{PURPOSE} {}", self.connection.integration_id);
            self.vault.note(AlertKind::Tampered, self.tenant, &subject);
        }
        opened
    }
}

/// What is sealed, with borrowed texts for writing and owned ones for reading.
#[derive(Serialize, Deserialize)]
struct Payload<Text: Ord, Json, Secret> {
    auth_type: Text,
    provider: Text,
    host: Text,
    account_id: Text,
    account_name: Text,
    mode: Option<Text>,
    permissions: Json,
    /// Microseconds since 1970.
    expires_at: Option<i64>,
    /// Microseconds since 1970.
    reauthorize_by: Option<i64>,
    secrets: BTreeMap<Text, Secret>,
}

/// Seals a credential for one generation of one connection.
pub(crate) fn seal(
    key: &Sealer,
    credential: &Credential,
    (expires_at, reauthorize_by): (Option<OffsetDateTime>, Option<OffsetDateTime>),
    (integration_id, generation): (&str, i64),
) -> Result<Vec<u8>> {
    let payload = Payload {
        auth_type: credential.auth_type.as_str(),
        provider: &credential.provider,
        host: &credential.host,
        account_id: &credential.account_id,
        account_name: &credential.account_name,
        mode: credential.mode.as_deref(),
        permissions: &credential.permissions,
        expires_at: micros(expires_at),
        reauthorize_by: micros(reauthorize_by),
        secrets: credential
            .secrets
            .iter()
            // EXPOSE: to be sealed.
            .map(|(role, secret)| (role.as_str(), secret.expose_secret()))
            .collect(),
    };
    // Measured first, because a buffer that grows leaves copies of the secrets behind.
    let mut length = Length(0);
    serde_json::to_writer(&mut length, &payload).map_err(|_| Error::CannotOpen)?;
    let mut plaintext = Zeroizing::new(Vec::with_capacity(length.0));
    serde_json::to_writer(&mut *plaintext, &payload).map_err(|_| Error::CannotOpen)?;
    key.seal(PURPOSE, integration_id, generation, &plaintext)
}

/// Opens a credential and compares it with the row's columns.
pub(crate) fn open(key: &Sealer, row: &Connection, blob: &[u8]) -> Result<Credential> {
    let (credential, times) = read(key, (&row.integration_id, row.generation), blob)?;
    let agrees = credential.is_of(row)
        && credential.permissions == row.permissions
        && times == (micros(row.expires_at), micros(row.reauthorize_by));
    if agrees { Ok(credential) } else { Err(Error::CannotOpen) }
}

/// When a credential ends, and when only a person can renew it, in microseconds since 1970.
type Ends = (Option<i64>, Option<i64>);

/// Opens a credential, and tells its ends.
pub(crate) fn read(
    key: &Sealer,
    (integration_id, generation): (&str, i64),
    blob: &[u8],
) -> Result<(Credential, Ends)> {
    let plaintext = key.open(PURPOSE, integration_id, generation, blob)?;
    let payload: Payload<String, Value, SecretString> =
        serde_json::from_slice(&plaintext).map_err(|_| Error::CannotOpen)?;
    let credential = Credential {
        auth_type: AuthType::parse(&payload.auth_type)?,
        provider: payload.provider,
        host: payload.host,
        account_id: payload.account_id,
        account_name: payload.account_name,
        mode: payload.mode,
        permissions: payload.permissions,
        secrets: payload.secrets,
    };
    Ok((credential, (payload.expires_at, payload.reauthorize_by)))
}

impl Credential {
    /// Whether it is for the account of this row, and goes where the row says.
    pub(crate) fn is_of(&self, row: &Connection) -> bool {
        self.auth_type == row.auth_type
            && self.provider == row.provider
            && self.host == row.host
            && self.account_id == row.account_id
            && self.account_name == row.account_name
            && self.mode == row.mode
    }
}

fn micros(time: Option<OffsetDateTime>) -> Option<i64> {
    time.map(|time| Timestamp::new(time).micros())
}

/// Counts what would be written.
struct Length(usize);

impl std::io::Write for Length {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
