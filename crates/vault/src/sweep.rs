//! What a stopped server left behind: intents without a result, and rows whose time is over.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use uuid::Uuid;

use crate::{
    AlertKind, Result, ResultStatus, TenantId, TenantScope, Ticket, Vault, actions::Described,
    alerts::say, append::Additions, chain::Entry, database::on, timestamp::Timestamp,
};

/// An intent without a result.
#[derive(sqlx::FromRow)]
struct Unfinished {
    intent_id: Uuid,
    integration_id: String,
    action: String,
    params_hash: Option<String>,
    executed_at: Timestamp,
    actor: String,
    op_id: Option<Uuid>,
    generation: Option<i64>,
}

/// The actions that this process has begun and not finished: however long they take, nobody calls them unfinished.
#[derive(Default)]
pub(crate) struct UnderWay(Mutex<HashMap<Uuid, (TenantId, Weak<Described>)>>);

impl UnderWay {
    pub(crate) fn began(&self, tenant: TenantId, ticket: &Ticket) {
        let action = Arc::downgrade(&ticket.action);
        self.lock().insert(ticket.intent_id(), (tenant, action));
    }

    pub(crate) fn ended(&self, intent: Uuid) {
        self.lock().remove(&intent);
    }

    /// How many there are; those whose results wait to be written are among them.
    pub(crate) fn count(&self) -> usize {
        self.lock().len()
    }

    /// The intents of each tenant. One whose ticket was dropped is finished by nobody, and forgotten.
    fn by_tenant(&self) -> HashMap<TenantId, Vec<Uuid>> {
        let mut actions = self.lock();
        actions.retain(|_, (_, action)| action.strong_count() > 0);
        let mut tenants: HashMap<TenantId, Vec<Uuid>> = HashMap::new();
        for (intent, (tenant, _)) in actions.iter() {
            tenants.entry(*tenant).or_default().push(*intent);
        }
        tenants
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, (TenantId, Weak<Described>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Vault {
    /// Closes what nobody will close: intents without a result, of which no process has said for `older_than` that they
    /// are under way, become `unknown`, and expired records, stored outcomes and replaced credentials are deleted. Returns the number
    /// of intents.
    /// It first says so of this process's own, so it is to be called several times within `older_than`.
    ///
    /// # Errors
    /// [`Error::Database`](crate::Error::Database), [`Error::CannotOpen`](crate::Error::CannotOpen): the first failure, after
    /// whatever could be done was done. One tenant's does not keep the others from it.
    pub async fn sweep_unfinished(&self, older_than: Duration) -> Result<u64> {
        self.raise_noted().await;
        if self.erasure_is_pending() {
            self.erase().await;
        }
        let mut failed = None;
        for (tenant, intents) in self.inner.under_way.by_tenant() {
            if let Err(error) = self.scope(tenant).renew(&intents).await {
                failed.get_or_insert(error);
            }
        }
        let age = i64::try_from(older_than.as_millis()).unwrap_or(i64::MAX);
        let mut tx = self.inner.database.read(None).await?;
        let now = tx.now_ms().await?;
        let cutoff = now.saturating_sub(age);
        let text = tx.text(
            "SELECT tenant_id FROM open_intents WHERE alive_at <= $1
             UNION SELECT tenant_id FROM integration_operations WHERE expires_at <= $2
             UNION SELECT tenant_id FROM records WHERE expires_at <= $2
             UNION SELECT tenant_id FROM integration_credentials WHERE former_until <= $2",
            "SELECT due_tenants($1, $2)",
        );
        let due: Vec<Uuid> = on!(&mut tx, c => {
            sqlx::query_scalar(text).bind(cutoff).bind(now).fetch_all(c).await
        })?;
        drop(tx);
        let mut closed = 0;
        for tenant in due {
            match self.scope(TenantId(tenant)).sweep(cutoff, now).await {
                Ok(count) => closed += count,
                Err(error) => drop(failed.get_or_insert(error)),
            }
        }
        self.raise_noted().await;
        failed.map_or(Ok(closed), Err)
    }
}

impl TenantScope {
    async fn renew(&self, intents: &[Uuid]) -> Result<()> {
        let mut tx = self.write().await?;
        for intent in intents {
            on!(&mut tx, c => sqlx::query(
                "UPDATE open_intents SET alive_at = (SELECT now_ms FROM clock) WHERE tenant_id = $1 AND intent_id = $2",
            ).bind(self.tenant.0).bind(intent).execute(c).await.map(drop))?;
        }
        tx.commit().await
    }

    /// Closes the tenant's intents that began at `cutoff` or before as unknown, and deletes what expired before `now`.
    pub(crate) async fn sweep(&self, cutoff: i64, now: i64) -> Result<u64> {
        let mut tx = self.write().await?;
        let mut chain = self.chain(self.head(&mut tx).await?)?;
        let open: Vec<Unfinished> = on!(&mut tx, c => sqlx::query_as(
                "SELECT o.intent_id, i.integration_id, i.action, i.params_hash, i.executed_at, i.actor, i.op_id, i.generation
                 FROM open_intents o JOIN integration_audit_log i ON i.tenant_id = o.tenant_id AND i.id = o.intent_id
                 WHERE o.tenant_id = $1 AND o.alive_at <= $2 ORDER BY i.seq",
            ).bind(self.tenant.0).bind(cutoff).fetch_all(c).await)?;
        let mut additions = Additions::default();
        let mut closed = Vec::new();
        for intent in open {
            let entry = Entry {
                id: Uuid::now_v7(),
                phase: "result",
                intent_id: Some(intent.intent_id),
                integration_id: &intent.integration_id,
                action: &intent.action,
                params_hash: intent.params_hash.as_deref().unwrap_or_default(),
                result_status: Some(ResultStatus::Unknown),
                executed_at: intent.executed_at,
                duration_ms: None,
                error_message: Some("interrupted: the server stopped before it knew the result"),
                actor: &intent.actor,
                op_id: intent.op_id,
                generation: intent.generation,
            };
            additions.entry(self.tenant, chain.link(&entry));
            if let Some(op_id) = intent.op_id {
                self.abandon_operation(&mut tx, op_id).await?;
            }
            closed.push(format!("{} {}", intent.action, intent.intent_id));
        }
        additions.write(&mut tx).await?;
        on!(&mut tx, c => sqlx::query("DELETE FROM open_intents WHERE tenant_id = $1 AND alive_at <= $2")
            .bind(self.tenant.0).bind(cutoff).execute(c).await.map(drop))?;
        self.delete_expired(&mut tx, now).await?;
        self.drop_former(&mut tx, now).await?;
        for action in &closed {
            self.write_alert(&mut tx, AlertKind::UnknownOutcome, action).await?;
            say(AlertKind::UnknownOutcome, self.tenant, action);
        }
        tx.commit().await?;
        if !closed.is_empty() {
            self.vault.anchor(chain.added()).await;
        }
        Ok(closed.len() as u64)
    }
}
