//! Root keys in the database: the sentinels that tell a wrong key, which roots are in use, and moving from one to another.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    Cipher, Error, Keyring, Result, Vault, crash_point,
    database::{Database, Tx, on},
    envelope::{self, Context},
    keyring::hex,
    keys,
};

/// How many tenant keys move in one transaction: few enough that other writers hardly wait, many enough that flushing
/// the disk costs little.
const BATCH: i64 = 500;

/// A root key that the ring holds or the database needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootKeyInfo {
    /// The root key's id, 32 hexadecimal digits.
    pub root_id: String,
    /// What the ring says of it.
    pub role: RootRole,
    /// How many tenant keys it wraps.
    pub tenant_keys: u64,
    /// Whether something in the database still needs it. One that is accepted and not needed may go.
    pub needed: bool,
}

/// What the ring says of a root key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RootRole {
    /// It wraps.
    Current,
    /// It only unwraps.
    Accepted,
    /// It is not in the ring.
    Missing,
}

/// How far [`Vault::rewrap_keys`] came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rewrap {
    /// Tenant keys that the current root key wraps now, and another did before.
    pub rewrapped: u64,
    /// Tenant keys that did not open, because they were changed outside the vault. They stay as they are, lost.
    pub lost: u64,
}

/// `root_id`, `wrapped_by`, `sentinel`.
type SentinelRow = (Vec<u8>, Vec<u8>, Vec<u8>);

/// `tenant_id`, `kek_id`, `root_id`, `wrapped`.
type KeyRow = (Uuid, Vec<u8>, Vec<u8>, Vec<u8>);

fn sentinel_context(root_id: &str) -> Context<'_> {
    Context { purpose: "sentinel", tenant: Uuid::nil(), name: root_id, version: 0 }
}

/// Compares the ring with the sentinels, adds the one of a new current root key, and gives back the ring with what the
/// database remembers of former root keys.
pub(crate) async fn admit(
    database: &Database,
    mut keyring: Keyring,
    cipher: Cipher,
) -> Result<Keyring> {
    let current = keyring.raw_id();
    let mut tx = database.read(None).await?;
    let mut rows = sentinels(&mut tx).await?;
    drop(tx);
    let known = |rows: &[SentinelRow]| rows.iter().any(|(id, ..)| id.as_slice() == current);
    // A new root key gets its sentinel only where an accepted one proves that the database is ours.
    if !known(&rows) && (rows.is_empty() || open_all(&mut keyring, &rows)) {
        let name = hex(&current);
        let sealed = envelope::seal(
            keyring.wrapping_key(),
            cipher,
            sentinel_context(&name),
            keyring.sentinel(),
        )?;
        let mut tx = database.write_shared().await?;
        // Two programs may meet a new database with two keys: the first one's row stands.
        let first = rows.is_empty();
        on!(&mut tx, c => sqlx::query(
            "INSERT INTO installation (root_id, wrapped_by, sentinel)
             SELECT $1, $1, $2 WHERE NOT $3 OR NOT EXISTS (SELECT 1 FROM installation) ON CONFLICT DO NOTHING",
        ).bind(current.as_slice()).bind(&sealed).bind(first).execute(c).await.map(drop))?;
        rows = sentinels(&mut tx).await?;
        tx.commit().await?;
    }
    let wrong = || Error::WrongKey { key_id: keyring.id() };
    if !known(&rows) {
        return Err(wrong());
    }
    if !open_all(&mut keyring, &rows) {
        return Err(Error::WrongKey { key_id: keyring.id() });
    }
    let mut tx = database.read(None).await?;
    let mut missing: Vec<String> = usage(&mut tx)
        .await?
        .into_iter()
        .map(|(id, _)| id)
        .chain(rows.into_iter().map(|(_, wrapped_by, _)| wrapped_by))
        .filter(|id| !keyring.holds(id))
        .map(|id| hex(&id))
        .collect();
    missing.sort();
    missing.dedup();
    if missing.is_empty() { Ok(keyring) } else { Err(Error::MissingRootKeys { key_ids: missing }) }
}

/// Whether the database has a sentinel.
pub(crate) async fn is_sealed(database: &Database) -> Result<bool> {
    Ok(!sentinels(&mut database.read(None).await?).await?.is_empty())
}

/// Opens the sentinels that the ring can open, at least one; `false` when one of them is not what it must be.
fn open_all(keyring: &mut Keyring, rows: &[SentinelRow]) -> bool {
    let mut opened = 0;
    for (root_id, wrapped_by, sealed) in rows {
        if !keyring.holds(wrapped_by) {
            continue;
        }
        let name = hex(root_id);
        let sentinel = keyring
            .unwrapping_key(sealed)
            .and_then(|key| envelope::open(key, sentinel_context(&name), sealed));
        match sentinel {
            Ok(sentinel) if keyring.admit(root_id, &sentinel) => opened += 1,
            _ => return false,
        }
    }
    opened > 0
}

async fn sentinels(tx: &mut Tx) -> Result<Vec<SentinelRow>> {
    Ok(on!(tx, c => sqlx::query_as(
        "SELECT root_id, wrapped_by, sentinel FROM installation ORDER BY root_id",
    ).fetch_all(c).await)?)
}

/// How many tenant keys each root key wraps.
async fn usage(tx: &mut Tx) -> Result<Vec<(Vec<u8>, i64)>> {
    let text = tx.text(
        "SELECT root_id, count(*) FROM tenant_keys WHERE wrapped IS NOT NULL GROUP BY root_id",
        "SELECT * FROM root_keys_in_use()",
    );
    Ok(on!(tx, c => sqlx::query_as(text).fetch_all(c).await)?)
}

impl Vault {
    /// The root keys of the ring and of the database: the current one, then the others by id.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn root_keys(&self) -> Result<Vec<RootKeyInfo>> {
        let keyring = &self.inner.keyring;
        let mut tx = self.inner.database.read(None).await?;
        let usage = usage(&mut tx).await?;
        let sentinels = sentinels(&mut tx).await?;
        let mut ids = vec![keyring.id()];
        let mut others = keyring.accepted_ids();
        others.extend(usage.iter().map(|(id, _)| hex(id)));
        others.extend(sentinels.iter().map(|(_, wrapped_by, _)| hex(wrapped_by)));
        others.sort();
        ids.extend(others.into_iter().filter(|id| *id != keyring.id()));
        ids.dedup();
        let accepted = keyring.accepted_ids();
        let info = |root_id: String| {
            let wraps = usage.iter().find(|(id, _)| hex(id) == root_id).map_or(0, |(_, n)| *n);
            let role = match &root_id {
                id if *id == keyring.id() => RootRole::Current,
                id if accepted.contains(id) => RootRole::Accepted,
                _ => RootRole::Missing,
            };
            let seals = sentinels.iter().any(|(_, wrapped_by, _)| hex(wrapped_by) == root_id);
            RootKeyInfo {
                needed: wraps > 0 || seals || role == RootRole::Current,
                tenant_keys: u64::try_from(wraps).unwrap_or_default(),
                role,
                root_id,
            }
        };
        Ok(ids.into_iter().map(info).collect())
    }

    /// Wraps every tenant key with the current root key, in small transactions, while others work; `each` is told after
    /// each of them. Stopped at any point, it goes on from there when it is called again.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Random`]; what was done until then stays done.
    pub async fn rewrap_keys(&self, mut each: impl FnMut(Rewrap) + Send) -> Result<Rewrap> {
        let mut done = Rewrap::default();
        let mut after = (Uuid::nil(), Vec::new());
        loop {
            let rows = self.keys_to_rewrap(&after).await?;
            let Some((tenant, key_id, ..)) = rows.last() else { break };
            after = (*tenant, key_id.clone());
            let mut moved = Vec::with_capacity(rows.len());
            for row in &rows {
                match self.rewrap(row) {
                    Ok(key) => moved.push(key),
                    Err(Error::CannotOpen) => {
                        done.lost += 1;
                        tracing::error!(tenant = %row.0, "a tenant key was changed outside the vault and is lost");
                    }
                    Err(other) => return Err(other),
                }
            }
            done.rewrapped += self.store_rewrapped(Value::Array(moved)).await?;
            crash_point("rewrap.some_wrapped");
            each(done);
        }
        crash_point("rewrap.all_wrapped");
        self.reseal_sentinels().await?;
        crash_point("rewrap.sentinels_sealed");
        self.erase().await;
        Ok(done)
    }

    async fn keys_to_rewrap(&self, after: &(Uuid, Vec<u8>)) -> Result<Vec<KeyRow>> {
        let current = self.inner.keyring.raw_id();
        let mut tx = self.inner.database.read(None).await?;
        let text = tx.text(
            "SELECT tenant_id, kek_id, root_id, wrapped FROM tenant_keys
             WHERE wrapped IS NOT NULL AND root_id <> $1 AND (tenant_id, kek_id) > ($2, $3)
             ORDER BY tenant_id, kek_id LIMIT $4",
            "SELECT * FROM tenant_keys_to_rewrap($1, $2, $3, $4)",
        );
        Ok(
            on!(&mut tx, c => sqlx::query_as(text).bind(current.as_slice()).bind(after.0).bind(&after.1)
            .bind(BATCH).fetch_all(c).await)?,
        )
    }

    fn rewrap(&self, (tenant, key_id, root_id, wrapped): &KeyRow) -> Result<Value> {
        let keyring = &self.inner.keyring;
        let bytes = keys::unwrap(keyring, *tenant, key_id, wrapped)?;
        let wrapped = keys::wrap(keyring, self.inner.cipher, *tenant, key_id, &bytes)?;
        Ok(json!({
            "tenant": hex(tenant.as_bytes()), "key": hex(key_id), "from": hex(root_id), "wrapped": hex(&wrapped),
        }))
    }

    /// Only where a row still is as it was read: it may have been destroyed or moved meanwhile.
    async fn store_rewrapped(&self, moved: Value) -> Result<u64> {
        let current = self.inner.keyring.raw_id();
        let mut tx = self.inner.database.write_shared().await?;
        let text = tx.text(
            "UPDATE tenant_keys SET root_id = $1, wrapped = unhex(j.value ->> 'wrapped') FROM json_each($2) j
             WHERE tenant_id = unhex(j.value ->> 'tenant') AND kek_id = unhex(j.value ->> 'key')
               AND root_id = unhex(j.value ->> 'from') AND wrapped IS NOT NULL
             RETURNING 1",
            "SELECT * FROM rewrap_tenant_keys($1, $2)",
        );
        let rows: Vec<i32> = on!(&mut tx, c => {
            sqlx::query_scalar(text).bind(current.as_slice()).bind(moved).fetch_all(c).await
        })?;
        tx.commit().await?;
        Ok(u64::try_from(rows.len()).unwrap_or(u64::MAX))
    }

    /// What is left of former root keys is kept under the current one.
    async fn reseal_sentinels(&self) -> Result<()> {
        let keyring = &self.inner.keyring;
        let current = keyring.raw_id();
        let mut tx = self.inner.database.write_shared().await?;
        for (root_id, wrapped_by, sealed) in sentinels(&mut tx).await? {
            if wrapped_by == current {
                continue;
            }
            let name = hex(&root_id);
            let sealed = {
                let key = keyring.unwrapping_key(&sealed)?;
                let sentinel = envelope::open(key, sentinel_context(&name), &sealed)?;
                let cipher = self.inner.cipher;
                envelope::seal(keyring.wrapping_key(), cipher, sentinel_context(&name), &sentinel)?
            };
            on!(&mut tx, c => sqlx::query(
                "UPDATE installation SET wrapped_by = $2, sentinel = $3 WHERE root_id = $1",
            ).bind(&root_id).bind(current.as_slice()).bind(&sealed).execute(c).await.map(drop))?;
        }
        tx.commit().await
    }
}
