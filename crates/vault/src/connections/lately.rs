//! Connections as the last intents upon them found them, so that what looks first, and is held against the row when the next
//! intent is written, need not ask the database.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{Connection, Place};
use crate::TenantScope;

/// How long it may have been.
const LATELY: Duration = Duration::from_secs(1);
/// So many are known at the most.
const MOST: usize = 1024;

#[derive(Default)]
pub(crate) struct Lately {
    known: Mutex<HashMap<Place, (Instant, Arc<Connection>)>>,
}

impl Lately {
    pub(crate) fn note(&self, place: Place, connection: &Connection) {
        let connection = Arc::new(connection.clone());
        let mut known = self.known();
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(place, (Instant::now(), connection));
    }

    pub(crate) fn forget(&self, place: &Place) {
        self.known().remove(place);
    }

    fn get(&self, place: &Place) -> Option<Arc<Connection>> {
        let (at, connection) = self.known().get(place).cloned()?;
        (at.elapsed() < LATELY).then_some(connection)
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Place, (Instant, Arc<Connection>)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TenantScope {
    /// The connection as an action of this process found it when it began within the last second; none where none did. It
    /// may have changed since: [`TenantScope::begin`] hands out what it is.
    #[must_use]
    pub fn connection_lately(&self, integration_id: &str) -> Option<Arc<Connection>> {
        self.vault.inner.lately.get(&(self.tenant, integration_id.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use time::OffsetDateTime;
    use tokio::time::advance;
    use uuid::Uuid;

    use super::*;
    use crate::{AuthType, Status, TenantId};

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_known_for_a_second_or_until_it_is_forgotten() {
        let connection = Connection {
            id: Uuid::nil(),
            integration_id: "github".into(),
            auth_type: AuthType::ApiKey,
            provider: "github".into(),
            host: "api.github.com".into(),
            account_id: "1".into(),
            account_name: "octocat".into(),
            mode: None,
            status: Status::Active,
            permissions: Value::Null,
            rate_limits: None,
            generation: 1,
            connected_at: OffsetDateTime::UNIX_EPOCH,
            last_used_at: None,
            expires_at: None,
            reauthorize_by: None,
            renewed_at: None,
            keeps_former: false,
        };
        let lately = Lately::default();
        let [ours, theirs] =
            [1, 2].map(|n| (TenantId(Uuid::from_u128(n)), connection.integration_id.clone()));
        lately.note(ours.clone(), &connection);
        assert_eq!(lately.get(&ours).as_deref(), Some(&connection));
        assert_eq!(lately.get(&theirs), None);
        advance(LATELY).await;
        assert_eq!(lately.get(&ours), None);
        lately.note(ours.clone(), &connection);
        lately.forget(&ours);
        assert_eq!(lately.get(&ours), None);
    }
}
