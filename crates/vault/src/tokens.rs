//! Access tokens of our own. The database holds keyed hashes only: a dump of it lets nobody in.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use secrecy::SecretString;
use subtle::ConstantTimeEq;
use time::OffsetDateTime;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::{
    AlertKind, Error, Principal, PrincipalId, Result, Tenant, TenantScope, Vault, database::on,
    envelope, keyring::hex, timestamp::from_millis, vault::check_name,
};

/// Who called, as the token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The tenant that the token belongs to.
    pub tenant: Tenant,
    /// The principal that the token belongs to.
    pub principal: Principal,
    /// The token's name.
    pub token: String,
    /// What the token may do, as it was given at its creation.
    pub scopes: String,
}

/// What is known of a token; its text is known to its holder only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessToken {
    /// The token's name, unique in the tenant.
    pub name: String,
    /// The subject of the principal that it stands for.
    pub subject: String,
    /// What it may do, as it was given at its creation.
    pub scopes: String,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// When it was last used, to the minute.
    pub last_used_at: Option<OffsetDateTime>,
    /// When it stops working.
    pub expires_at: Option<OffsetDateTime>,
}

const PREFIX: &str = "resto_";
/// `last_used_at` is written at most this often, so that reading calls do not wait for the disk.
pub(crate) const LAST_USED_EVERY_MS: i64 = 60_000;

type TokenRow = (String, String, String, i64, Option<i64>, Option<i64>);
/// A token with its tenant and its principal, as they stand in the database.
#[derive(sqlx::FromRow)]
struct CallerRow {
    hash: Vec<u8>,
    tenant_id: Uuid,
    external_id: String,
    name: String,
    created_at: i64,
    principal_id: Uuid,
    issuer: String,
    subject: String,
    token: String,
    scopes: String,
    bounds: Vec<u8>,
    expires_at: Option<i64>,
    last_used_at: Option<i64>,
    now_ms: i64,
}

/// A token that was looked up, for all who came with it meanwhile.
#[derive(Clone)]
pub(crate) struct FoundToken {
    caller: Caller,
    /// Whether it may do what it was made for: nobody has changed that in the database.
    is_whole: bool,
    /// The time, where it is to be noted as that of its last use.
    used_at: Option<i64>,
    /// The first who sees it writes what is to be written about it.
    is_seen: Arc<AtomicBool>,
}

/// What a token's keyed hash is held together with.
fn bounds(
    hash: &[u8],
    principal: Uuid,
    name: &str,
    scopes: &str,
    expires_at: Option<i64>,
) -> Vec<u8> {
    let mut bounds = [hash, principal.as_bytes()].concat();
    bounds.extend(expires_at.unwrap_or(i64::MAX).to_be_bytes());
    // Neither holds a line break.
    bounds.extend(format!("{name}\n{scopes}").into_bytes());
    bounds
}

impl AccessToken {
    fn from_row(row: TokenRow) -> Self {
        let (name, subject, scopes, created_at, last_used_at, expires_at) = row;
        Self {
            name,
            subject,
            scopes,
            created_at: from_millis(created_at),
            last_used_at: last_used_at.map(from_millis),
            expires_at: expires_at.map(from_millis),
        }
    }
}

impl Vault {
    /// Finds whose token this is; `None` for an unknown, expired or revoked one.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn authenticate(&self, token: &str) -> Result<Option<Caller>> {
        if !token.starts_with(PREFIX) {
            return Ok(None);
        }
        // A token made before the root key was exchanged is known by the hash of that time.
        for hash in self.inner.keyring.token_macs(token)? {
            // Boxed: only one of many looks.
            let look = |hashes| Box::pin(self.find_tokens(hashes));
            if let Some(found) = self.inner.callers.get(hash, look).await?
                && let Some(caller) = self.admit(&hash, found).await?
            {
                return Ok(Some(caller));
            }
        }
        Ok(None)
    }

    /// Whose tokens have these hashes, in one round trip.
    async fn find_tokens(&self, hashes: Vec<[u8; 32]>) -> Result<HashMap<[u8; 32], FoundToken>> {
        let asked: Vec<_> = hashes.iter().map(|hash| hex(hash)).collect();
        let asked = serde_json::to_string(&asked).map_err(|_| Error::CannotOpen)?;
        // The index compares keyed hashes: what its timing tells is worth nothing without the key.
        let mut tx = self.inner.database.look().await?;
        let text = tx.text(
            "SELECT a.hash, t.id AS tenant_id, t.external_id, t.name, t.created_at, p.id AS principal_id, p.issuer,
                 p.subject, a.name AS token, a.scopes, a.bounds, a.expires_at, a.last_used_at, c.now_ms
             FROM (SELECT unhex(value) AS wanted FROM json_each($1))
             CROSS JOIN access_tokens a
             JOIN tenants t ON t.id = a.tenant_id
             JOIN principals p ON p.tenant_id = a.tenant_id AND p.id = a.principal_id
             CROSS JOIN clock c
             WHERE a.hash = wanted AND (a.expires_at IS NULL OR a.expires_at > c.now_ms)",
            "SELECT * FROM find_access_tokens($1)",
        );
        let rows: Vec<CallerRow> =
            on!(&mut tx, c => sqlx::query_as(text).bind(&asked).fetch_all(c).await)?;
        drop(tx);
        let mut found = HashMap::with_capacity(rows.len());
        for row in rows {
            self.inner.clock.set(row.now_ms);
            if let Ok(hash) = <[u8; 32]>::try_from(&*row.hash) {
                found.insert(hash, self.found(row)?);
            }
        }
        Ok(found)
    }

    fn found(&self, row: CallerRow) -> Result<FoundToken> {
        let held = bounds(&row.hash, row.principal_id, &row.token, &row.scopes, row.expires_at);
        let known = self.inner.keyring.token_bounds(row.tenant_id, &held)?;
        let is_due = row.last_used_at.is_none_or(|used| used + LAST_USED_EVERY_MS <= row.now_ms);
        let tenant = (row.tenant_id, row.external_id, row.name, row.created_at);
        Ok(FoundToken {
            is_whole: known.iter().any(|known| known.ct_eq(&row.bounds).into()),
            used_at: is_due.then_some(row.now_ms),
            is_seen: Arc::default(),
            caller: Caller {
                tenant: Tenant::from_row(tenant),
                principal: Principal {
                    id: PrincipalId(row.principal_id),
                    issuer: row.issuer,
                    subject: row.subject,
                },
                token: row.token,
                scopes: row.scopes,
            },
        })
    }

    /// Lets the holder of a token in; nobody where somebody has changed in the database what it may do.
    async fn admit(&self, hash: &[u8; 32], found: FoundToken) -> Result<Option<Caller>> {
        let FoundToken { caller, is_whole, used_at, is_seen } = found;
        let is_first = !is_seen.swap(true, Ordering::Relaxed);
        let scope = self.scope(caller.tenant.id);
        if !is_whole {
            if is_first {
                scope.raise(AlertKind::Tampered, &format!("access token {}", caller.token)).await;
            }
            return Ok(None);
        }
        if let Some(used_at) = used_at.filter(|_| is_first) {
            let mut tx = scope.write().await?;
            on!(&mut tx, c => sqlx::query(
                "UPDATE access_tokens SET last_used_at = $3 WHERE tenant_id = $1 AND hash = $2",
            ).bind(scope.tenant.0).bind(&hash[..]).bind(used_at).execute(c).await.map(drop))?;
            tx.commit().await?;
        }
        Ok(Some(caller))
    }
}

impl TenantScope {
    /// Makes a token that may do what `scopes` say: `resto_` and 43 characters of base64url. Its text is returned once and
    /// not stored.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the name is taken or unfit, or the principal is not the tenant's.
    pub async fn create_token(
        &self,
        principal: PrincipalId,
        name: &str,
        scopes: &str,
        expires_in: Option<Duration>,
    ) -> Result<(AccessToken, SecretString)> {
        check_name("token's name", name, 100)?;
        check_name("token's scopes", scopes, 1000)?;
        let (token, hash) = {
            let bytes = Zeroizing::new(envelope::random::<32>()?);
            let mut token = Zeroizing::new(String::with_capacity(64));
            token.push_str(PREFIX);
            BASE64URL.encode_string(bytes.as_slice(), &mut token);
            let hash = self.keyring().token_macs(&token)?.swap_remove(0).to_vec();
            (SecretString::from(token.as_str()), hash)
        };
        let root_id = self.keyring().raw_id().to_vec();
        let mut tx = self.write().await?;
        let now: i64 =
            on!(&mut tx, c => sqlx::query_scalar("SELECT now_ms FROM clock").fetch_one(c).await)?;
        let expires_at = expires_in
            .map(|rest| now.saturating_add(i64::try_from(rest.as_millis()).unwrap_or(i64::MAX)));
        let held = bounds(&hash, principal.0, name, scopes, expires_at);
        let held = self.keyring().token_bounds(self.tenant.0, &held)?.swap_remove(0).to_vec();
        let row: Option<TokenRow> = on!(&mut tx, c => sqlx::query_as(
            "INSERT INTO access_tokens (hash, tenant_id, principal_id, name, root_id, scopes, bounds, created_at, expires_at)
             SELECT $1, p.tenant_id, p.id, $4, $5, $6, $7, $8, $9
             FROM principals p WHERE p.tenant_id = $2 AND p.id = $3
             ON CONFLICT (tenant_id, name) DO NOTHING
             RETURNING name, (SELECT subject FROM principals WHERE id = $3), scopes, created_at, last_used_at, expires_at",
        ).bind(&hash).bind(self.tenant.0).bind(principal.0).bind(name).bind(&root_id).bind(scopes).bind(&held)
         .bind(now).bind(expires_at).fetch_optional(c).await)?;
        let row = row.ok_or_else(|| Error::Invalid(format!(
            "The token {name} was not made: the name is taken, or the principal is not this tenant's. Choose another name."
        )))?;
        tx.commit().await?;
        Ok((AccessToken::from_row(row), token))
    }

    /// The tenant's tokens, by name.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn tokens(&self) -> Result<Vec<AccessToken>> {
        let mut tx = self.read().await?;
        let rows: Vec<TokenRow> = on!(&mut tx, c => sqlx::query_as(
            "SELECT a.name, p.subject, a.scopes, a.created_at, a.last_used_at, a.expires_at
             FROM access_tokens a JOIN principals p ON p.tenant_id = a.tenant_id AND p.id = a.principal_id
             WHERE a.tenant_id = $1 ORDER BY a.name",
        ).bind(self.tenant.0).fetch_all(c).await)?;
        Ok(rows.into_iter().map(AccessToken::from_row).collect())
    }

    /// Revokes a token at once; `false` when there is none of that name.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn revoke_token(&self, name: &str) -> Result<bool> {
        let mut tx = self.write().await?;
        let deleted = on!(&mut tx, c => sqlx::query(
            "DELETE FROM access_tokens WHERE tenant_id = $1 AND name = $2",
        ).bind(self.tenant.0).bind(name).execute(c).await.map(|done| done.rows_affected()))?;
        tx.commit().await?;
        Ok(deleted > 0)
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;
    use tokio::task::JoinSet;

    use super::*;
    use crate::{database::Database, writer::tests::tenant};

    /// Each of them would wait for the disk.
    #[tokio::test]
    async fn of_those_who_come_with_one_token_at_once_one_notes_its_use() {
        let (_dir, scope, _) = tenant().await;
        let principal = scope.principal("local", "owner").await.unwrap();
        let (_, token) = scope.create_token(principal.id, "laptop", "read", None).await.unwrap();
        let Database::Sqlite { turns, .. } = &scope.vault.inner.database else { panic!() };
        let before = turns.load(Ordering::Relaxed);
        let mut coming = JoinSet::new();
        for _ in 0..20 {
            let (vault, token) = (scope.vault.clone(), token.clone());
            coming.spawn(async move { vault.authenticate(token.expose_secret()).await.unwrap() });
        }
        assert!(coming.join_all().await.iter().all(Option::is_some));
        assert_eq!(turns.load(Ordering::Relaxed) - before, 1);
        assert!(scope.tokens().await.unwrap()[0].last_used_at.is_some());
    }
}
