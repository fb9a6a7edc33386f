//! What the audit writer knows of tenants from its last transactions, so that most calls need no look-up. On SQLite nobody else
//! has written since; on PostgreSQL it is held against what is when it is written. Credentials are in it as they are stored,
//! sealed, and not for long.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use uuid::Uuid;

use crate::{
    TenantId,
    append::is_stale,
    chain::{Chain, Head},
    connections::Place,
    database::TRUSTED,
    lookup::{Found, Question, Stand, Stored},
    timestamp::Timestamp,
};

/// For so long something is known at the most while there is always something to write; the writer forgets all of it when
/// there was nothing for a second.
const KNOWN: Duration = Duration::from_secs(30);
/// So many tenants, and connections, at the most.
const MOST: usize = 1024;

/// What is known since a while.
#[derive(Default)]
pub(crate) struct Known {
    since: Option<Instant>,
    /// The turn of SQLite's writer in which it was known, and the version of the database.
    stand: Option<(u64, i64)>,
    /// A time of the database, and when it was told.
    clock: Option<(i64, Instant)>,
    /// The ends of trails.
    heads: HashMap<TenantId, Head>,
    connections: HashMap<Place, Stored>,
    /// The intents that were written meanwhile and have no result.
    open: HashSet<Uuid>,
}

impl Known {
    pub(crate) fn is_empty(&self) -> bool {
        self.since.is_none()
    }

    /// Forgets what is old, or too much.
    pub(crate) fn renew(&mut self) {
        let is_old = self.since.is_some_and(|since| since.elapsed() >= KNOWN);
        let most = self.heads.len().max(self.connections.len()).max(self.open.len());
        if is_old || most > MOST {
            *self = Self::default();
        }
    }

    /// Forgets all of it where anybody else has written to SQLite since: of this process in a turn between, or of another one.
    pub(crate) fn forget_unless_alone(&mut self, turn: u64, stand: Stand) {
        let stays = |(known, version)| turn - known <= 1 && version == stand.version;
        if !self.stand.is_some_and(stays) {
            *self = Self::default();
        }
        self.stand = Some((turn, stand.version));
        self.told(stand.now_ms);
    }

    /// Whether the answer to a question is known.
    pub(crate) fn knows(&self, question: &Question<'_>) -> bool {
        self.of(question).is_some()
    }

    /// The answer to a question, where it is known.
    pub(crate) fn answer(&self, question: &Question<'_>) -> Option<Found> {
        let (head, now_ms, connection) = self.of(question)?;
        let head = Head { now_ms, ..head.clone() };
        let (is_open, connection) = (question.intent.is_some(), connection.cloned());
        Some(Found { is_open, connection, ..Found::at(question.n, head) })
    }

    /// The end of the trail, the time, and the connection, if one is asked for.
    fn of(&self, question: &Question<'_>) -> Option<(&Head, i64, Option<&Stored>)> {
        if question.op.is_some() || question.result.is_some() {
            return None;
        }
        // A connection that nobody used for longer may have broken: a look-up that fails can be repeated.
        let (now_ms, told) = self.clock.filter(|(_, told)| told.elapsed() < TRUSTED)?;
        let now_ms = now_ms + i64::try_from(told.elapsed().as_millis()).ok()?;
        let head = self.heads.get(&question.tenant)?;
        if question.intent.is_some_and(|intent| !self.open.contains(&intent.into_uuid())) {
            return None;
        }
        let connection = match question.integration {
            Some(id) => Some(self.connections.get(&(question.tenant, id.to_owned()))?),
            None => None,
        };
        Some((head, now_ms, connection))
    }

    /// Learns from the answer to a question.
    pub(crate) fn learn(&mut self, question: &Question<'_>, found: &Found) {
        self.ends_at(question.tenant, found.head.clone());
        self.told(found.head.now_ms);
        if let (Some(integration), Some(stored)) = (question.integration, &found.connection) {
            self.connections.insert((question.tenant, integration.to_owned()), stored.clone());
        }
    }

    /// These trails were extended.
    pub(crate) fn end(&mut self, chains: HashMap<TenantId, Chain>) {
        for (tenant, chain) in chains {
            self.ends_at(tenant, chain.head);
        }
    }

    fn ends_at(&mut self, tenant: TenantId, head: Head) {
        self.since.get_or_insert_with(Instant::now);
        self.heads.insert(tenant, head);
    }

    /// It is this time by the database's clock.
    pub(crate) fn told(&mut self, now_ms: i64) {
        self.clock = Some((now_ms, Instant::now()));
    }

    /// The intent of an action was written.
    pub(crate) fn begun(&mut self, intent: Uuid) {
        self.open.insert(intent);
    }

    /// The result of an action was written.
    pub(crate) fn ended(&mut self, intent: Uuid) {
        self.open.remove(&intent);
    }

    /// The columns of a connection agree with what is sealed.
    pub(crate) fn checked(&mut self, tenant: TenantId, integration: &str) {
        if let Some(stored) = self.connections.get_mut(&(tenant, integration.to_owned())) {
            stored.is_checked = true;
        }
    }

    /// The row of a connection was changed.
    pub(crate) fn changed(&mut self, tenant: TenantId, integration: &str) {
        self.connections.remove(&(tenant, integration.to_owned()));
    }

    /// Whether the use of this generation by an action that began then need not be noted: one that is as late is.
    pub(crate) fn is_use_noted(
        &self,
        (tenant, integration, generation): (TenantId, &str, i64),
        at: Timestamp,
    ) -> bool {
        let known = self.connections.get(&(tenant, integration.to_owned()));
        let row = known.map(|known| &known.row).filter(|row| row.generation == generation);
        row.and_then(|row| row.last_used_at).is_some_and(|last| !is_stale(last, at))
    }

    /// Another writer was faster, or a call of the tenant was refused.
    pub(crate) fn forget(&mut self, tenant: TenantId) {
        self.heads.remove(&tenant);
        self.connections.retain(|(of, _), _| *of != tenant);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_as_long_as_nobody_else_has_written() {
        let stand = |version| Stand { version, now_ms: 0 };
        for (turn, version, stays) in [(7, 1, true), (8, 1, true), (9, 1, false), (7, 2, false)] {
            let mut known = Known::default();
            known.forget_unless_alone(7, stand(1));
            known.begun(Uuid::nil());
            known.forget_unless_alone(turn, stand(version));
            assert_eq!(known.open.len(), usize::from(stays), "{turn} {version}");
        }
    }
}
