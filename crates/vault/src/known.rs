//! What the audit writer knows of tenants from its last transactions on PostgreSQL, so that most calls need no look-up: it is
//! held against what is when it is written. Credentials are in it as they are stored, sealed, and not for long.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use crate::{
    TenantId,
    append::is_stale,
    chain::{Chain, Head},
    connections::Row,
    database::TRUSTED,
    keys::WrappedKey,
    lookup::{Found, Question, Version},
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
    /// A time of the database, and when it was told.
    clock: Option<(i64, Instant)>,
    /// The ends of trails.
    heads: HashMap<TenantId, Head>,
    connections: HashMap<(TenantId, String), Kept>,
}

/// A connection as it is stored, and the key that opens it, wrapped.
type Kept = (Row, Option<WrappedKey>, Version);

impl Known {
    pub(crate) fn is_empty(&self) -> bool {
        self.since.is_none()
    }

    /// Forgets what is old, or too much.
    pub(crate) fn renew(&mut self) {
        let is_old = self.since.is_some_and(|since| since.elapsed() >= KNOWN);
        if is_old || self.heads.len() > MOST || self.connections.len() > MOST {
            *self = Self::default();
        }
    }

    /// Whether the answer to a question is known.
    pub(crate) fn knows(&self, question: &Question<'_>) -> bool {
        self.of(question).is_some()
    }

    /// The answer to a question, where it is known.
    pub(crate) fn answer(&self, question: &Question<'_>) -> Option<Found> {
        let (head, now_ms, connection) = self.of(question)?;
        let head = Head { now_ms, ..head.clone() };
        let mut found = Found { is_open: question.intent.is_some(), ..Found::at(question.n, head) };
        if let Some((row, key, version)) = connection.cloned() {
            (found.connection, found.version) = (Some((row, key)), Some(version));
        }
        Some(found)
    }

    /// The end of the trail, the time, and the connection, if one is asked for.
    fn of(&self, question: &Question<'_>) -> Option<(&Head, i64, Option<&Kept>)> {
        if question.op.is_some() || question.result.is_some() {
            return None;
        }
        // A connection that nobody used for longer may have broken: a look-up that fails can be repeated.
        let (now_ms, told) = self.clock.filter(|(_, told)| told.elapsed() < TRUSTED)?;
        let now_ms = now_ms + i64::try_from(told.elapsed().as_millis()).ok()?;
        let head = self.heads.get(&question.tenant)?;
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
        let (Some(integration), Some((row, key)), Some(version)) =
            (question.integration, &found.connection, found.version)
        else {
            return;
        };
        let place = (question.tenant, integration.to_owned());
        self.connections.insert(place, (row.clone(), key.clone(), version));
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

    /// An action that began then has used a connection; with `news`, its row was changed for more than the time.
    pub(crate) fn used(&mut self, tenant: TenantId, integration: &str, at: Timestamp, news: bool) {
        let place = (tenant, integration.to_owned());
        let stays =
            |(row, ..): &Kept| row.last_used_at.is_some_and(|last| !is_stale(last, at)) && !news;
        if self.connections.get(&place).is_some_and(|known| !stays(known)) {
            self.connections.remove(&place);
        }
    }

    /// Another writer was faster.
    pub(crate) fn forget(&mut self, tenant: TenantId) {
        self.heads.remove(&tenant);
        self.connections.retain(|(of, _), _| *of != tenant);
    }
}
