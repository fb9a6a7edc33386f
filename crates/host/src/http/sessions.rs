//! The sessions of clients whose revision of the protocol has them: each belongs to who opened it, there are not too
//! many, and none stays that nobody uses.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::Stream;
use futures::channel::mpsc::Sender;
use rmcp::model::{ClientJsonRpcMessage, ServerJsonRpcMessage};
use rmcp::transport::streamable_http_server::SessionId;
use rmcp::transport::streamable_http_server::session::local::{
    LocalSessionManager, LocalSessionManagerError, SessionError,
};
use rmcp::transport::streamable_http_server::session::{ServerSseMessage, SessionManager};

use crate::host::Caller;

/// Sessions of one principal. Some clients open one for each run and never end it, so that one more ends the one that
/// was unused for longest; whoever comes back to it is told to open another.
const OF_ONE: usize = 64;

/// Sessions of all.
const IN_ALL: usize = 4096;

/// How long a session stays that nobody uses.
const IDLE: Duration = Duration::from_mins(30);

tokio::task_local! {
    /// Who sent the request that this task serves.
    pub(super) static OWNER: Owner;
}

/// To whom a session belongs: a principal, by one of its access tokens where it comes with one of ours. What an external
/// identity provider gives changes while a session lasts.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Owner {
    principal: String,
    token: Option<String>,
}

impl From<&Caller> for Owner {
    fn from(caller: &Caller) -> Self {
        Self { principal: caller.principal.id.to_string(), token: caller.token.clone() }
    }
}

/// Where the messages of a client go.
pub(super) type Inbox = Sender<ClientJsonRpcMessage>;

struct Open {
    owner: Owner,
    used: Instant,
    /// None where rmcp keeps the session itself.
    inbox: Option<Inbox>,
}

/// The open sessions, by id.
pub(super) struct Sessions {
    kept: LocalSessionManager,
    open: Mutex<HashMap<SessionId, Open>>,
}

impl Sessions {
    pub fn new() -> Self {
        let mut kept = LocalSessionManager::default();
        kept.session_config.keep_alive = Some(IDLE);
        Self { kept, open: Mutex::default() }
    }

    /// Notes a session that was opened, and ends what is too many.
    pub async fn opened(&self, id: &SessionId, owner: Owner, inbox: Option<Inbox>) {
        let ended = {
            let mut open = self.open();
            open.insert(id.clone(), Open { owner: owner.clone(), used: Instant::now(), inbox });
            surplus(&mut open, &owner.principal, OF_ONE, IN_ALL)
        };
        for id in ended {
            // It may have ended by itself.
            let _ = self.kept.close_session(&id).await;
        }
    }

    /// Whether the session is this owner's, who uses it now.
    pub fn is_used_by(&self, id: &str, owner: &Owner) -> bool {
        self.used_by(id, owner, |_| ()).is_some()
    }

    /// Where messages to this owner's session go.
    pub fn inbox(&self, id: &str, owner: &Owner) -> Option<Inbox> {
        self.used_by(id, owner, |open| open.inbox.clone()).flatten()
    }

    fn used_by<T>(&self, id: &str, owner: &Owner, then: impl FnOnce(&Open) -> T) -> Option<T> {
        let mut open = self.open();
        let found = open.get_mut(id).filter(|found| found.owner == *owner)?;
        found.used = Instant::now();
        Some(then(found))
    }

    /// Forgets a session. One with an inbox ends with it.
    pub fn forget(&self, id: &str) {
        self.open().remove(id);
    }

    /// Ends when nobody has used the session for long, or it is gone.
    pub async fn unused(&self, id: &str) {
        loop {
            let used = self.open().get(id).map(|open| open.used.elapsed());
            let Some(left) = used.and_then(|used| IDLE.checked_sub(used)) else { return };
            tokio::time::sleep(left.max(Duration::from_secs(1))).await;
        }
    }

    fn open(&self) -> MutexGuard<'_, HashMap<SessionId, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes out those that are too many, unused for longest.
fn surplus(
    open: &mut HashMap<SessionId, Open>,
    principal: &str,
    of_one: usize,
    in_all: usize,
) -> Vec<SessionId> {
    let mut ended = Vec::new();
    let mut trim = |most: usize, counts: &dyn Fn(&Open) -> bool| {
        while open.values().filter(|one| counts(one)).count() > most {
            let counted = open.iter().filter(|(_, one)| counts(one));
            let Some(id) = counted.min_by_key(|(_, one)| one.used).map(|(id, _)| id.clone()) else {
                return;
            };
            open.remove(&id);
            ended.push(id);
        }
    };
    trim(of_one, &|one| one.owner.principal == principal);
    trim(in_all, &|_| true);
    ended
}

impl SessionManager for Sessions {
    type Error = LocalSessionManagerError;
    type Transport = <LocalSessionManager as SessionManager>::Transport;

    async fn create_session(&self) -> Result<(SessionId, Self::Transport), Self::Error> {
        let nobody = |_| LocalSessionManagerError::from(SessionError::SessionServiceTerminated);
        let owner = OWNER.try_get().map_err(nobody)?;
        let created = self.kept.create_session().await?;
        self.opened(&created.0, owner, None).await;
        Ok(created)
    }

    async fn initialize_session(
        &self,
        id: &SessionId,
        message: ClientJsonRpcMessage,
    ) -> Result<ServerJsonRpcMessage, Self::Error> {
        self.kept.initialize_session(id, message).await
    }

    /// Another's session is as good as none.
    async fn has_session(&self, id: &SessionId) -> Result<bool, Self::Error> {
        let own = OWNER.try_with(|owner| self.is_used_by(id, owner)).unwrap_or(false);
        Ok(own && self.kept.has_session(id).await?)
    }

    async fn close_session(&self, id: &SessionId) -> Result<(), Self::Error> {
        self.forget(id);
        self.kept.close_session(id).await
    }

    async fn create_stream(
        &self,
        id: &SessionId,
        message: ClientJsonRpcMessage,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, Self::Error> {
        self.kept.create_stream(id, message).await
    }

    async fn accept_message(
        &self,
        id: &SessionId,
        message: ClientJsonRpcMessage,
    ) -> Result<(), Self::Error> {
        self.kept.accept_message(id, message).await
    }

    async fn create_standalone_stream(
        &self,
        id: &SessionId,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, Self::Error> {
        self.kept.create_standalone_stream(id).await
    }

    async fn resume(
        &self,
        id: &SessionId,
        last_event_id: String,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, Self::Error> {
        self.kept.resume(id, last_event_id).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(of: &[u32]) -> HashMap<SessionId, Open> {
        let start = Instant::now();
        let one = |(at, number): (usize, &u32)| {
            let used = start + Duration::from_secs(at as u64);
            let owner = Owner { principal: number.to_string(), token: None };
            (SessionId::from(at.to_string()), Open { owner, used, inbox: None })
        };
        of.iter().enumerate().map(one).collect()
    }

    #[test]
    fn e5_the_session_unused_for_longest_makes_room() {
        let ended = |of: &[u32], of_one, in_all| {
            let ended = surplus(&mut open(of), "1", of_one, in_all);
            ended.iter().map(|id| id.parse().unwrap()).collect::<Vec<usize>>()
        };
        assert_eq!(ended(&[2, 1, 1], 2, 9), [0; 0]);
        assert_eq!(ended(&[2, 1, 2, 1, 1], 2, 9), [1]);
        assert_eq!(ended(&[2, 1, 1], 2, 2), [0]);
        assert_eq!(ended(&[2, 2, 2, 1], 2, 2), [0, 1]);
    }

    #[tokio::test]
    async fn e5_a_session_belongs_to_who_opened_it() {
        let sessions = Sessions::new();
        let owner = |number: u32, token: Option<&str>| Owner {
            principal: number.to_string(),
            token: token.map(str::to_owned),
        };
        let id = SessionId::from("one");
        sessions.opened(&id, owner(1, Some("agent")), None).await;
        assert!(sessions.is_used_by("one", &owner(1, Some("agent"))));
        for (id, foreign) in [
            ("one", owner(2, Some("agent"))),
            ("one", owner(1, Some("other"))),
            ("one", owner(1, None)),
            ("two", owner(1, Some("agent"))),
        ] {
            assert!(!sessions.is_used_by(id, &foreign));
        }
        sessions.forget("one");
        sessions.unused("one").await;
        assert!(!sessions.is_used_by("one", &owner(1, Some("agent"))));
    }
}
