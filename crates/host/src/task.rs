//! A call that lasts: it is kept for its caller, who asks for it later, whichever process is asked and whatever became of
//! the one that ran it.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use resto_core::Result;
use resto_vault::{Job, Next, TenantScope};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;
use uuid::Uuid;

use crate::around::Line;
use crate::call::fault;
use crate::host::{Caller, Host, told};
use crate::maintain::{HOLD, Kind};

/// The collection of tasks.
const TASK: &str = "task";

/// How long a task is kept, from when it was made on. What still runs then is given up.
pub(crate) const LIFE: Duration = Duration::from_hours(1);

/// Tasks of a tenant. A call above that is waited for.
const MOST: u64 = 200;

/// How often the process that runs a task looks whether somebody wants it cancelled, or has answered.
const LOOK: Duration = Duration::from_millis(500);

/// A call that lasts, as its caller asks for it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Task {
    pub tool: String,
    /// Its operation, where it is one that must not happen twice and has begun.
    pub op_id: Option<Uuid>,
    /// RFC 3339.
    pub created_at: String,
    pub changed_at: String,
    pub step: Option<Step>,
    pub state: State,
    /// What its person has answered.
    answers: BTreeMap<String, Value>,
    is_cancelled: bool,
}

/// How far a call is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Step {
    pub done: u64,
    pub total: Option<u64>,
    pub message: String,
}

/// How it stands with a task. Requests, results and errors are the protocol's.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    Working,
    /// These have to be answered before it goes on.
    Asking(BTreeMap<String, Value>),
    Done(Value),
    Failed(Value),
    Cancelled,
}

impl State {
    fn fault() -> Self {
        // The protocol's word for a fault of the server.
        Self::Failed(json!({"code": -32603, "message": fault().message()}))
    }

    fn is_final(&self) -> bool {
        matches!(self, Self::Done(_) | Self::Failed(_) | Self::Cancelled)
    }
}

/// What the process that runs a call shares with it.
#[derive(Clone, Default)]
pub(crate) struct Pulse {
    /// Cancelled when the caller gives up.
    pub cancelled: CancellationToken,
    /// How far it is, until that is written down.
    step: Arc<Mutex<Option<Step>>>,
    op_id: Arc<OnceLock<Uuid>>,
}

impl Pulse {
    /// Connects a call with it, besides what it is connected with.
    pub fn feel(&self, line: Line) -> Line {
        let (step, progress) = (Arc::clone(&self.step), line.progress);
        Line {
            cancelled: self.cancelled.clone(),
            begun: Arc::clone(&self.op_id),
            progress: Box::new(move |done, total, message| {
                let next = Step { done, total, message: message.to_owned() };
                *step.lock().unwrap_or_else(PoisonError::into_inner) = Some(next);
                progress(done, total, message);
            }),
            ..line
        }
    }
}

/// A task that this process runs.
#[derive(Clone)]
pub(crate) struct Doing {
    pub id: Uuid,
    scope: TenantScope,
    place: String,
    job: Job,
    pub pulse: Pulse,
}

/// Where the tasks of a caller are kept: a principal's, by one of its access tokens where it comes with one of ours, as
/// with sessions. Another's cannot even be asked for.
fn place(caller: &Caller, id: Uuid) -> String {
    let token = caller.token.as_deref().map(|token| format!("/{token}")).unwrap_or_default();
    format!("{}/{id}{token}", caller.principal.id)
}

fn now() -> String {
    OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default()
}

impl Host {
    /// Makes a task of a call that runs; `None` where the tenant has too many.
    ///
    /// # Errors
    /// The database cannot be used.
    pub(crate) async fn keep_task(
        &self,
        caller: &Caller,
        tool: &str,
        pulse: &Pulse,
    ) -> Result<Option<(Doing, Task)>> {
        let scope = &caller.scope;
        if scope.count_records(TASK).await.map_err(told)? >= MOST {
            return Ok(None);
        }
        let id = Uuid::new_v4();
        let place = place(caller, id);
        let task = Task {
            tool: tool.to_owned(),
            op_id: pulse.op_id.get().copied(),
            created_at: now(),
            changed_at: now(),
            step: None,
            state: State::Working,
            answers: BTreeMap::new(),
            is_cancelled: false,
        };
        let job = scope.claim_job(Kind::Task.word(), &place, HOLD).await.map_err(told)?;
        let Some(job) = job else { return Ok(None) };
        let stored = serde_json::to_value(&task).unwrap_or_default();
        scope.put_record(TASK, &place, &stored, Some(LIFE)).await.map_err(told)?;
        let (scope, pulse) = (scope.clone(), pulse.clone());
        Ok(Some((Doing { id, scope, place, job, pulse }, task)))
    }

    /// Runs it to its end, whether or not anybody asks for it.
    pub(crate) fn run_task(
        self: &Arc<Self>,
        doing: Doing,
        work: impl Future<Output = State> + Send + 'static,
    ) {
        let (scope, job) = (doing.scope.clone(), doing.job.clone());
        // Whoever asks would ask for ever for the answer of one that panicked.
        let work = AssertUnwindSafe(work).catch_unwind();
        let running = async move {
            let state = doing.watch(work).await.unwrap_or_else(|_| State::fault());
            doing.end(state).await;
            Ok(Next::Never)
        };
        let held = Arc::clone(self).hold(scope, job, running.in_current_span());
        // Tracked: a server that stops waits for it.
        self.tasks.spawn(held);
    }

    /// A task of this caller.
    ///
    /// # Errors
    /// The database cannot be used.
    pub(crate) async fn task(&self, caller: &Caller, id: &str) -> Result<Option<Task>> {
        let Ok(id) = Uuid::try_parse(id) else { return Ok(None) };
        let stored = caller.scope.record(TASK, &place(caller, id)).await.map_err(told)?;
        Ok(stored.and_then(|stored| serde_json::from_value(stored).ok()))
    }

    /// Asks for its cancellation; `false` where this caller has no such task.
    ///
    /// # Errors
    /// The database cannot be used.
    pub(crate) async fn cancel_task(&self, caller: &Caller, id: &str) -> Result<bool> {
        self.change_task(caller, id, |task| task.is_cancelled = true).await
    }

    /// Notes what its person answered, as far as it was asked; `false` where this caller has no such task.
    ///
    /// # Errors
    /// The database cannot be used.
    pub(crate) async fn answer_task(
        &self,
        caller: &Caller,
        id: &str,
        answers: BTreeMap<String, Value>,
    ) -> Result<bool> {
        let answer = |task: &mut Task| {
            let State::Asking(asked) = &mut task.state else { return };
            for (key, answer) in answers {
                if asked.remove(&key).is_some() {
                    task.answers.insert(key, answer);
                }
            }
        };
        self.change_task(caller, id, answer).await
    }

    async fn change_task(
        &self,
        caller: &Caller,
        id: &str,
        change: impl FnOnce(&mut Task) + Send,
    ) -> Result<bool> {
        let Ok(id) = Uuid::try_parse(id) else { return Ok(false) };
        Ok(changed(&caller.scope, &place(caller, id), change).await?.is_some())
    }
}

/// Changes a task that has not ended; `None` where there is none.
async fn changed(
    scope: &TenantScope,
    place: &str,
    change: impl FnOnce(&mut Task) + Send,
) -> Result<Option<bool>> {
    let written = scope.change_record(TASK, place, |value| {
        let task = serde_json::from_value::<Task>(value.take()).ok();
        let Some(mut task) = task.filter(|task| !task.state.is_final()) else { return false };
        change(&mut task);
        task.changed_at = now();
        *value = serde_json::to_value(&task).unwrap_or_default();
        true
    });
    written.await.map_err(told)
}

/// Ends the task of a process that died, unless it has ended; what it came to is `state`'s to say.
pub(crate) async fn settle<Settled>(
    scope: &TenantScope,
    place: &str,
    state: impl FnOnce(Task) -> Settled,
) -> Result<()>
where
    Settled: Future<Output = Result<State>> + Send,
{
    let stored = scope.record(TASK, place).await.map_err(told)?;
    let task = stored.and_then(|stored| serde_json::from_value::<Task>(stored).ok());
    let Some(task) = task.filter(|task| !task.state.is_final()) else { return Ok(()) };
    let state = state(task).await?;
    changed(scope, place, |task| task.state = state).await.map(drop)
}

impl Doing {
    /// Waits for the work, writes down how far it is, and tells it when nobody wants it any more.
    async fn watch<Out>(&self, work: impl Future<Output = Out>) -> Out {
        let mut work = std::pin::pin!(work);
        let mut known = None;
        loop {
            tokio::select! {
                done = &mut work => return done,
                () = tokio::time::sleep(LOOK) => {}
            }
            if let Err(error) = self.look(&mut known).await {
                tracing::warn!(%error, "a task could not be looked up");
            }
        }
    }

    async fn look(&self, known: &mut Option<Uuid>) -> Result<()> {
        let op_id = self.pulse.op_id.get().copied();
        if self.step().is_some() || op_id != *known {
            *known = op_id;
            changed(&self.scope, &self.place, |task| self.catch_up(task)).await?;
        }
        if self.read().await?.is_none_or(|task| task.is_cancelled) {
            self.pulse.cancelled.cancel();
        }
        Ok(())
    }

    /// Notes what is known of the call and not written down yet.
    fn catch_up(&self, task: &mut Task) {
        task.step = self.step().take().or(task.step.take());
        // What was asked in the middle of an operation has begun.
        task.op_id = self.pulse.op_id.get().copied().or(task.op_id);
    }

    fn step(&self) -> MutexGuard<'_, Option<Step>> {
        self.pulse.step.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn read(&self) -> Result<Option<Task>> {
        let stored = self.scope.record(TASK, &self.place).await.map_err(told)?;
        Ok(stored.and_then(|stored| serde_json::from_value(stored).ok()))
    }

    /// Asks the caller's person, and waits for all answers; `None` where nobody wants the task any more.
    ///
    /// # Errors
    /// The database cannot be used.
    pub async fn ask(
        &self,
        requests: BTreeMap<String, Value>,
    ) -> Result<Option<BTreeMap<String, Value>>> {
        let asked = |task: &mut Task| {
            task.state = State::Asking(requests);
            self.catch_up(task);
        };
        changed(&self.scope, &self.place, asked).await?;
        loop {
            let waited = self.pulse.cancelled.run_until_cancelled(tokio::time::sleep(LOOK)).await;
            let Some(task) = self.read().await?.filter(|_| waited.is_some()) else {
                return Ok(None);
            };
            if matches!(&task.state, State::Asking(open) if open.is_empty()) {
                self.go_on().await?;
                return Ok(Some(task.answers));
            }
        }
    }

    /// It asks nobody any more, and keeps no answer.
    ///
    /// # Errors
    /// The database cannot be used.
    pub async fn go_on(&self) -> Result<()> {
        let goes_on = |task: &mut Task| {
            task.state = State::Working;
            task.answers.clear();
        };
        changed(&self.scope, &self.place, goes_on).await.map(drop)
    }

    /// Writes down what it came to, whatever the database does meanwhile.
    async fn end(&self, state: State) {
        loop {
            let ended = state.clone();
            match changed(&self.scope, &self.place, |task| task.state = ended).await {
                Ok(_) => return,
                Err(error) => {
                    tracing::warn!(%error, "what a task came to could not be written down yet");
                    tokio::time::sleep(10 * LOOK).await;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::host::LOCAL_TENANT;

    #[tokio::test]
    async fn e5_a_tenant_has_no_more_tasks_than_it_may() {
        let folder = tempfile::tempdir().unwrap();
        let config = Config::of_a_test(folder.path());
        let host = Host::open(&config).await.unwrap();
        let caller = host.owner(LOCAL_TENANT, "test").await.unwrap();
        let pulse = Pulse::default();
        for _ in 0..MOST {
            assert!(host.keep_task(&caller, "test", &pulse).await.unwrap().is_some());
        }
        assert!(host.keep_task(&caller, "test", &pulse).await.unwrap().is_none());
    }
}
