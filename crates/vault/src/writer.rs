//! The audit writer: a task that makes the intents and results of all concurrent calls durable together.
//! It is started by the first call and again by the next one after its end, whatever ended it.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::{
    select,
    sync::mpsc::{self, Receiver, Sender},
    task::{JoinHandle, yield_now},
    time::{self, sleep, timeout},
};
use uuid::Uuid;

use crate::{
    Anchor, Anchors, Error, Result, ResultStatus, TenantId, TenantScope, Ticket, Vault,
    anchoring::Anchoring,
    batch::{self, Answer, Call, Care, End, Finished, Work, Written},
    connections::Place,
    database::{Held, TRUSTED},
    known::Known,
};

/// How many calls may wait; more of them wait outside, until their time is over.
const QUEUE: usize = 1024;
/// How many calls share a transaction.
const BATCH: usize = 128;
/// How long a transaction may take before its connection is given up.
const STUCK: Duration = Duration::from_secs(2);
/// In so little time a connection is found to be broken.
const PROMPTLY: Duration = Duration::from_millis(500);
/// Between two attempts to write results.
const PAUSE: Duration = Duration::from_millis(50);
/// How long a result is worth trying: without it, the action ends as unknown.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// The way to the task.
#[derive(Default)]
pub(crate) struct Writer {
    state: Mutex<State>,
}

/// What is given to the task.
pub(crate) enum Given {
    Call(Call),
    /// Another part of this process extended a trail, from this entry on.
    Extended {
        anchors: Arc<dyn Anchors>,
        from: i64,
        last: Anchor,
    },
}

#[derive(Default)]
struct State {
    queue: Option<Sender<Given>>,
    task: Option<JoinHandle<()>>,
    closed: bool,
}

impl Writer {
    /// The queue of the running task.
    pub(crate) fn queue(&self) -> Result<Sender<Given>> {
        let mut state = self.state();
        if state.closed {
            return Err(Error::Database {
                message: "the vault is closed".into(),
                retryable: false,
            });
        }
        if let Some(queue) = state.queue.as_ref().filter(|queue| !queue.is_closed()) {
            return Ok(queue.clone());
        }
        let (queue, calls) = mpsc::channel(QUEUE);
        state.task = Some(tokio::spawn(run(calls)));
        state.queue = Some(queue.clone());
        Ok(queue)
    }

    /// Takes no more calls, and waits until those that wait are written.
    pub(crate) async fn close(&self) {
        let task = {
            let mut state = self.state();
            state.closed = true;
            state.queue = None;
            state.task.take()
        };
        if let Some(task) = task {
            // A task that panicked has nothing left to write.
            drop(task.await);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Vault {
    /// Has an anchor kept of entries that were written beside the writer: of the first one's place and the last one.
    pub(crate) async fn anchor(&self, (from, last): (i64, Anchor)) {
        if let (Some(anchors), Ok(queue)) = (self.anchors(), self.inner.writer.queue()) {
            // Where the task ends before, the next entries bring an anchor.
            drop(queue.send(Given::Extended { anchors, from, last }).await);
        }
    }
}

/// Ends when the last vault of this database is dropped or closed, and everything is written.
async fn run(mut queue: Receiver<Given>) {
    let mut task = Task::default();
    let mut calls = Vec::new();
    loop {
        if calls.is_empty() {
            if queue.is_empty() {
                task.held.rest();
            }
            select! {
                given = queue.recv() => match given {
                    Some(given) => calls.extend(task.take(given)),
                    None => break,
                },
                () = task.anchoring.ready() => {}
                () = sleep(TRUSTED), if !task.known.is_empty() => task.known = Known::default(),
            }
        } else {
            sleep(PAUSE).await;
        }
        task.gather(&mut queue, &mut calls).await;
        calls.retain(Call::is_wanted);
        calls = task.write(calls).await;
        if let Some(anchors) = &task.anchors {
            task.anchoring.keep_due(anchors, time::Instant::now()).await;
        }
    }
    if let Some(anchors) = &task.anchors {
        task.anchoring.keep_all(anchors).await;
    }
}

#[derive(Default)]
struct Task {
    held: Held,
    known: Known,
    anchoring: Anchoring,
    anchors: Option<Arc<dyn Anchors>>,
}

struct Failure {
    error: Error,
    /// Nothing was committed, over a connection that may have broken long before.
    stale: bool,
    may_be_one_calls_fault: bool,
}

impl Failure {
    /// Where the tenants are kept, only a writer could be faster that does not wait for its turn.
    fn overtaken() -> Self {
        let message = "another writer does not wait for its turn".into();
        let error = Error::Database { message, retryable: true };
        Self { error, stale: false, may_be_one_calls_fault: false }
    }
}

impl Task {
    /// Takes note of what is no call.
    fn take(&mut self, given: Given) -> Option<Call> {
        match given {
            Given::Call(call) => Some(call),
            Given::Extended { anchors, from, last } => {
                self.anchors = Some(anchors);
                self.anchoring.note(TenantId(last.tenant), from, last, time::Instant::now());
                None
            }
        }
    }

    /// Takes what waits, and what those who were just answered ask next.
    async fn gather(&mut self, queue: &mut Receiver<Given>, calls: &mut Vec<Call>) {
        loop {
            let before = calls.len();
            while calls.len() < BATCH
                && let Ok(given) = queue.try_recv()
            {
                calls.extend(self.take(given));
            }
            if calls.len() >= BATCH || Self::is_half(calls) {
                return;
            }
            yield_now().await;
            if calls.len() == before && queue.is_empty() {
                return;
            }
        }
    }

    /// Whether as many calls wait as actions are under way besides. PostgreSQL works elsewhere: one half of the calls goes on
    /// while the other half is written, and neither this process nor the database waits for the other.
    fn is_half(calls: &[Call]) -> bool {
        let Some(vault) = calls.first().map(|call| &call.scope.vault.inner) else {
            return false;
        };
        let ended = || calls.iter().filter(|call| matches!(call.work, Work::Finish { .. })).count();
        vault.database.is_postgres() && calls.len() + ended() >= vault.under_way.count()
    }

    /// Writes the calls and answers them; returns the results that are to be tried again.
    async fn write(&mut self, calls: Vec<Call>) -> Vec<Call> {
        let Some(first) = calls.first() else {
            return calls;
        };
        let vault = first.scope.vault.clone();
        let mut written = self.attempt(&vault, &calls, Care::Quick).await;
        if matches!(written, Err(Failure { stale: true, .. })) {
            written = self.attempt(&vault, &calls, Care::Quick).await;
        }
        if matches!(written, Ok(None)) {
            written = self.attempt(&vault, &calls, Care::Keeping).await;
        }
        let written = written.and_then(|answers| answers.ok_or_else(Failure::overtaken));
        let mut again = Vec::new();
        match written {
            Ok(answers) => {
                note_connections(&calls, &answers);
                for (call, answer) in calls.into_iter().zip(answers) {
                    again.extend(answered(call, answer));
                }
            }
            // One of them cannot be written: the others must not suffer from it.
            Err(failure) if failure.may_be_one_calls_fault && calls.len() > 1 => {
                for call in calls {
                    again.extend(Box::pin(self.write(vec![call])).await);
                }
            }
            Err(Failure { error, .. }) => {
                tracing::warn!(%error, calls = calls.len(), "the audit trail could not be written");
                for call in calls {
                    again.extend(answered(call, Err(error.clone())));
                }
            }
        }
        again
    }

    async fn attempt(
        &mut self,
        vault: &Vault,
        calls: &[Call],
        care: Care,
    ) -> std::result::Result<Option<Vec<Result<Answer>>>, Failure> {
        let (kept, began) = (self.held.is_kept(), Instant::now());
        let mut committing = false;
        let database = &vault.inner.database;
        self.known.renew();
        let own = (&mut self.held, &mut self.known, care);
        let written = batch::write(database, own, calls, &mut committing);
        let error = match timeout(STUCK, written).await {
            Ok(Ok(None)) => {
                for call in calls {
                    self.known.forget(call.scope.tenant());
                }
                return Ok(None);
            }
            Ok(Ok(Some(Written { answers, added }))) => {
                self.held.used();
                self.anchors = vault.anchors();
                if self.anchors.is_some() {
                    for (tenant, (from, last)) in added {
                        self.anchoring.note(tenant, from, last, time::Instant::now());
                    }
                }
                return Ok(Some(answers));
            }
            Ok(Err(error)) => error,
            Err(_) => too_slow(),
        };
        self.held.discard();
        self.known = Known::default();
        Err(Failure {
            // One that broke long before says so at once.
            stale: kept && !committing && error.is_retryable() && began.elapsed() < PROMPTLY,
            may_be_one_calls_fault: !committing && !error.is_retryable(),
            error,
        })
    }
}

/// Hands out an answer; returns what is to be written again, or because nobody took the answer.
fn answered(call: Call, answer: Result<Answer>) -> Option<Call> {
    let Call { scope, work } = call;
    match work {
        Work::Begin { reply, .. } => {
            let begun = answer.and_then(|answer| match answer {
                Answer::Begun(begun) => Ok(*begun),
                Answer::Done => Err(stopped()),
            });
            // The intent is durable, and whoever asked for it has gone: the action will not run.
            let Err(Ok(begun)) = reply.send(begun) else {
                return None;
            };
            Some(abandoned(scope, begun.ticket))
        }
        Work::Event { reply, .. } => {
            // The event is written, or told as not written; nothing depends on who hears it.
            drop(reply.send(answer.map(drop)));
            None
        }
        Work::Finish { finished, reply, .. } => match answer {
            Err(error) if error.is_retryable() && Instant::now() < finished.until => {
                Some(Call { scope, work: Work::Finish { finished, again: true, reply } })
            }
            answer => {
                if let Err(error) = &answer {
                    let intent = finished.ticket.intent_id();
                    tracing::error!(%error, %intent, "a result was not written; its intent ends as unknown");
                }
                if let Some(reply) = reply {
                    drop(reply.send(answer.map(drop)));
                }
                None
            }
        },
    }
}

/// Remembers the connections that intents were written upon, and forgets those that were changed or not found.
fn note_connections(calls: &[Call], answers: &[Result<Answer>]) {
    let place = |scope: &TenantScope, ticket: &Ticket| -> Place {
        (scope.tenant(), ticket.action.integration_id.clone())
    };
    let mut forgotten = Vec::new();
    for (Call { scope, work }, answer) in calls.iter().zip(answers) {
        match (work, answer) {
            (Work::Begin { .. }, Ok(Answer::Begun(begun))) => {
                if let Some((connection, _)) = &begun.connection {
                    scope.vault.inner.lately.note(place(scope, &begun.ticket), connection);
                }
            }
            (Work::Begin { ticket, .. }, Err(_)) => forgotten.push((scope, place(scope, ticket))),
            (Work::Finish { finished, .. }, _)
                if finished.permissions.is_some() || finished.rate_limits.is_some() =>
            {
                forgotten.push((scope, place(scope, &finished.ticket)));
            }
            _ => {}
        }
    }
    // An intent of the same transaction was written upon the row as it was before.
    for (scope, place) in forgotten {
        scope.vault.inner.lately.forget(&place);
    }
}

/// The end of an action that never began.
fn abandoned(scope: TenantScope, ticket: Ticket) -> Call {
    let finished = Finished {
        result_id: Uuid::now_v7(),
        status: ResultStatus::Error,
        error_message: Some("cancelled: the caller went away before the action began".into()),
        duration_ms: None,
        end: if ticket.owns_operation { End::Withdrawn } else { End::Nothing },
        permissions: None,
        rate_limits: None,
        until: Instant::now() + PATIENCE,
        ticket,
    };
    Call { scope, work: Work::Finish { finished: Arc::new(finished), again: false, reply: None } }
}

/// The writer ended before it answered.
pub(crate) fn stopped() -> Error {
    Error::Database { message: "the audit writer was interrupted".into(), retryable: true }
}

/// The database or the writer did not answer in time.
pub(crate) fn too_slow() -> Error {
    Error::Database {
        message: "it did not make the audit entry durable in time".into(),
        retryable: true,
    }
}

#[cfg(test)]
pub(crate) mod tests;
