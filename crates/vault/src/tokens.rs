//! Access tokens of our own. The database holds keyed hashes only: a dump of it lets nobody in.

use secrecy::SecretString;
use time::OffsetDateTime;

use crate::{Principal, PrincipalId, Result, Tenant, TenantScope, Vault, later};

/// Who called, as the token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The tenant that the token belongs to.
    pub tenant: Tenant,
    /// The principal that the token belongs to.
    pub principal: Principal,
}

/// What is known of a token; its text is known to its holder only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessToken {
    /// The token's name, unique in the tenant.
    pub name: String,
    /// The subject of the principal that it stands for.
    pub subject: String,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// When it was last used, to the minute.
    pub last_used_at: Option<OffsetDateTime>,
    /// When it stops working.
    pub expires_at: Option<OffsetDateTime>,
}

impl Vault {
    /// Finds whose token this is; `None` for an unknown, expired or revoked one.
    ///
    /// # Errors
    /// [`Error::Database`](crate::Error::Database).
    pub async fn authenticate(&self, token: &str) -> Result<Option<Caller>> {
        let _ = token;
        later()
    }
}

impl TenantScope {
    /// Makes a token: `resto_` and 43 characters of base64url. Its text is returned once and not stored.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) when the name is taken, or the principal is not the tenant's.
    pub async fn create_token(
        &self,
        principal: PrincipalId,
        name: &str,
        expires_at: Option<OffsetDateTime>,
    ) -> Result<(AccessToken, SecretString)> {
        let _ = (principal, name, expires_at);
        later()
    }

    /// The tenant's tokens, by name.
    ///
    /// # Errors
    /// [`Error::Database`](crate::Error::Database).
    pub async fn tokens(&self) -> Result<Vec<AccessToken>> {
        later()
    }

    /// Revokes a token at once; `false` when there is none of that name.
    ///
    /// # Errors
    /// [`Error::Database`](crate::Error::Database).
    pub async fn revoke_token(&self, name: &str) -> Result<bool> {
        let _ = name;
        later()
    }
}
