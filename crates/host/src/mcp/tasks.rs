//! Calls that last are tasks of the protocol, where the client can have them: it goes on with something else, and asks
//! later.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use resto_core::{Answer, Code, Error, Result, Risk};
use resto_vault::{Job, Next, ResultStatus};
use rmcp::model::{
    CallToolResult, CreateTaskResult, DetailedTask, ElicitRequest, ElicitRequestParams,
    ElicitResult, ErrorData, GetTaskResult, InputRequest, InputRequests, TaskPayload, TaskStatus,
};
use rmcp::service::{RequestContext, RoleServer};
use serde::Serialize;
use serde_json::{Map, Value};
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinHandle};
use tracing::Instrument as _;
use uuid::Uuid;

use super::approving::{APPROVAL_KEY, asks_by_form, form};
use super::entering::{asks_by_page, page};
use super::questions::{Posed, in_turn, read};
use super::{Mcp, PAGE_KEY, caught, failure, internal, is_modern, line, success};
use crate::approve::told_again;
use crate::around::Line;
use crate::call::{Called, Failed, fault};
use crate::host::{Caller, Host, told};
use crate::task::{Doing, LIFE, Pulse, State, Task, settle};

/// How long a call is waited for before it is a task.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often a client should ask for a task.
const POLL_MS: u64 = 1000;

/// What came of waiting for a call.
pub(super) enum Waited {
    Called(std::result::Result<Called, Failed>),
    /// It goes on as a task.
    Lasts(CreateTaskResult),
    /// It asks something: the id of the task in which it waits for the answer, of which the client does not know.
    Asks(String),
}

/// A call that runs.
struct Running {
    call: JoinHandle<std::result::Result<Called, Failed>>,
    /// What it asks the caller's person.
    asked: mpsc::Receiver<Box<Posed>>,
}

/// Whether the client can go on with something else. One of an older generation could say so, and could not read a task.
pub(super) fn can_have_tasks(context: &RequestContext<RoleServer>) -> bool {
    is_modern(context) && context.client_capabilities().is_some_and(|can| can.supports_tasks())
}

impl Mcp {
    /// Calls a tool and waits for it.
    pub(super) async fn wait(
        &self,
        caller: &Caller,
        tool: &str,
        arguments: &Value,
        context: &RequestContext<RoleServer>,
    ) -> Waited {
        if !is_modern(context) {
            let called = self.host.call(caller, tool, arguments.clone(), line(context));
            return Waited::Called(caught(called).await);
        }
        let mut has_tasks = can_have_tasks(context);
        let pulse = Pulse::default();
        // Whoever drops this gives the call up, as one does whose client goes away.
        let guard = pulse.cancelled.clone().drop_guard();
        let mut running = self.start(caller, tool, arguments, &pulse, context);
        loop {
            let posed = tokio::select! {
                called = &mut running.call => return Waited::Called(ran(called)),
                () = context.ct.cancelled() => break,
                () = tokio::time::sleep(PATIENCE), if has_tasks => None,
                Some(posed) = running.asked.recv() => Some(posed),
            };
            let kept = self.host.keep_task(caller, tool, &pulse).await;
            let kept = kept.unwrap_or_else(|error| {
                tracing::warn!(%error, "no task could be made of a call that lasts");
                None
            });
            // Whoever asked and cannot be kept is told so.
            let Some((doing, task)) = kept else {
                has_tasks = false;
                continue;
            };
            guard.disarm();
            let (id, is_asked) = (doing.id.to_string(), posed.is_some());
            let created = CreateTaskResult::new(base(&id, &task));
            let rest = Rest {
                mcp: self.clone(),
                caller: caller.clone(),
                tool: tool.to_owned(),
                arguments: arguments.clone(),
                context: context.clone(),
            };
            let going = doing.clone();
            self.host.run_task(doing, async move { rest.go_on(&going, running, posed).await });
            if is_asked && !can_have_tasks(context) {
                return Waited::Asks(id);
            }
            return Waited::Lasts(created);
        }
        pulse.cancelled.cancel();
        Waited::Called(ran(running.call.await))
    }

    /// Calls a tool in a task of its own.
    fn start(
        &self,
        caller: &Caller,
        tool: &str,
        arguments: &Value,
        pulse: &Pulse,
        context: &RequestContext<RoleServer>,
    ) -> Running {
        let (ask, asked) = in_turn(context);
        let line = Line { ask, ..pulse.feel(line(context)) };
        let (host, caller) = (Arc::clone(&self.host), caller.clone());
        let (tool, arguments) = (tool.to_owned(), arguments.clone());
        let call = async move { caught(host.call(&caller, &tool, arguments, line)).await };
        Running { call: self.host.tasks.spawn(call.in_current_span()), asked }
    }

    /// A task as its client asks for it.
    pub(super) async fn task(
        &self,
        caller: &Caller,
        id: &str,
    ) -> std::result::Result<GetTaskResult, ErrorData> {
        let task = self.host.task(caller, id).await.map_err(|error| internal(&error))?;
        let task = task.ok_or_else(unknown)?;
        Ok(GetTaskResult::new(detailed(id, task)))
    }
}

/// A call that has become a task, as far as it can go on.
struct Rest {
    mcp: Mcp,
    caller: Caller,
    tool: String,
    arguments: Value,
    context: RequestContext<RoleServer>,
}

impl Rest {
    /// Waits for the call. What it wants of a person is asked for in the task, and then it is made again.
    async fn go_on(&self, doing: &Doing, running: Running, posed: Option<Box<Posed>>) -> State {
        let mut called = self.attend(doing, running, posed).await;
        if let Err(Failed::Approval(wanted)) = &called
            && asks_by_form(&self.context)
            && let Some(form) = form(wanted)
        {
            let decided = match ask(doing, APPROVAL_KEY, form).await {
                Ok(Some(result)) => {
                    self.mcp.decide(&self.caller, (&wanted.print, wanted.op_id), &result).await
                }
                Ok(None) => return State::Cancelled,
                Err(error) => Err(error),
            };
            called = self.again(doing, decided).await;
        }
        if let Err(Failed::Secret(lacking)) = &called
            && asks_by_page(&self.context)
        {
            let entered = match ask(doing, PAGE_KEY, page(lacking)).await {
                Ok(Some(result)) => {
                    self.mcp.opened(&self.caller, &lacking.name, Some(result.action)).await
                }
                Ok(None) => return State::Cancelled,
                Err(error) => Err(error),
            };
            called = self.again(doing, entered).await;
        }
        match called {
            Ok(called) => done(&success(called)),
            Err(Failed::UnknownTool) => failed(&fault()),
            Err(error) => match error.error() {
                error
                    if error.code() == Code::Cancelled && doing.pulse.cancelled.is_cancelled() =>
                {
                    State::Cancelled
                }
                error => done(&failure(&error)),
            },
        }
    }

    async fn again(&self, doing: &Doing, may: Result<()>) -> std::result::Result<Called, Failed> {
        may?;
        let (mcp, pulse) = (&self.mcp, &doing.pulse);
        let running = mcp.start(&self.caller, &self.tool, &self.arguments, pulse, &self.context);
        self.attend(doing, running, None).await
    }

    /// Waits for a call, and passes on what it asks.
    async fn attend(
        &self,
        doing: &Doing,
        mut running: Running,
        mut posed: Option<Box<Posed>>,
    ) -> std::result::Result<Called, Failed> {
        loop {
            if let Some(posed) = posed.take() {
                pass_on(doing, *posed).await;
            }
            posed = tokio::select! {
                called = &mut running.call => return ran(called),
                Some(posed) = running.asked.recv() => Some(posed),
            };
        }
    }
}

/// Asks the caller's person, as long as somebody waits for the answer.
async fn pass_on(doing: &Doing, Posed { form, mut answer }: Posed) {
    let key = Uuid::new_v4().to_string();
    let asked = tokio::select! {
        asked = ask(doing, &key, form) => asked,
        () = answer.closed() => {
            if let Err(error) = doing.go_on().await {
                tracing::warn!(%error, "a question that nobody waits for could not be taken back");
            }
            return;
        }
    };
    // Whoever asked may be gone by now.
    let _ = answer.send(asked.map(|result| result.map_or(Answer::Closed, read)));
}

impl Host {
    /// Says what became of a task whose process died. It is not run again.
    pub(crate) async fn settle_task(self: &Arc<Self>, caller: &Caller, job: &Job) -> Result<Next> {
        let settled = |task: Task| async move {
            let catalog = self.catalog_of(&caller.scope).await?;
            let entry = catalog.find(&task.tool);
            let reads = entry.is_some_and(|entry| entry.action.risk == Risk::Read);
            let stored = match task.op_id {
                Some(op_id) => caller.scope.outcome(op_id).await.map_err(told)?,
                None => None,
            };
            let origin = entry.map(|entry| entry.integration().id);
            let Some(stored) = stored else {
                let waited = matches!(task.state, State::Asking(_)) && task.op_id.is_none();
                let nothing = reads || waited;
                return Ok(failed(&interrupted(caller, &task.tool, nothing)));
            };
            if stored.status == ResultStatus::Unknown {
                return Ok(failed(&interrupted(caller, &task.tool, false)));
            }
            Ok(match told_again(stored) {
                Ok(output) => {
                    let files = Vec::new();
                    done(&success(Called { output, origin, is_repeated: false, files }))
                }
                Err(error) => done(&failure(&error)),
            })
        };
        settle(&caller.scope, &job.subject, settled).await?;
        Ok(Next::Never)
    }
}

fn interrupted(caller: &Caller, tool: &str, nothing: bool) -> Error {
    if nothing {
        let what = "The server stopped while this ran. Nothing was changed: make the call again.";
        return Error::new(Code::Internal, what);
    }
    Error::new(
        Code::UnknownOutcome,
        format!(
            "The server stopped while this ran: it may have happened, and it is not done again. Make the same call again: it is looked up. If it did not happen, a person repeats it: {} '<the same arguments>'.",
            caller.command(&format!("call {tool}"))
        ),
    )
}

/// Asks the caller's person for one thing; `None` where nobody wants the task any more.
async fn ask(doing: &Doing, key: &str, what: ElicitRequestParams) -> Result<Option<ElicitResult>> {
    let request = InputRequest::Elicitation(ElicitRequest::new(what));
    let request = serde_json::to_value(&request).unwrap_or_default();
    let answers = doing.ask([(key.to_owned(), request)].into()).await?;
    let Some(answer) = answers.and_then(|mut answers| answers.remove(key)) else {
        return Ok(None);
    };
    serde_json::from_value(answer).map(Some).map_err(|_| {
        Error::new(Code::InvalidInput, "The client's answer could not be read. Nothing was done.")
    })
}

/// What a call came to that could not go on.
fn ran(
    called: std::result::Result<std::result::Result<Called, Failed>, JoinError>,
) -> std::result::Result<Called, Failed> {
    called.unwrap_or_else(|_| Err(fault().into()))
}

/// Whether there is such a task, told as the protocol wants it.
pub(super) fn found(found: Result<bool>) -> std::result::Result<(), ErrorData> {
    let found = found.map_err(|error| internal(&error))?;
    found.then_some(()).ok_or_else(unknown)
}

pub(super) fn unknown() -> ErrorData {
    ErrorData::invalid_params("there is no such task (any more)", None)
}

pub(super) fn done(result: &CallToolResult) -> State {
    State::Done(plain(result))
}

fn failed(error: &Error) -> State {
    let details = serde_json::to_value(error.details()).unwrap_or_default();
    let error = ErrorData::internal_error(error.message().to_owned(), Some(details));
    State::Failed(plain(&error))
}

fn plain(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

pub(super) fn base(id: &str, task: &Task) -> rmcp::model::Task {
    let life = u64::try_from(LIFE.as_millis()).unwrap_or(u64::MAX);
    let (created, changed) = (task.created_at.as_str(), task.changed_at.as_str());
    let base = rmcp::model::Task::new(id, TaskStatus::Working, created, changed)
        .with_ttl_ms(life)
        .with_poll_interval_ms(POLL_MS);
    match &task.step {
        Some(step) => base.with_status_message(&step.message),
        None => base,
    }
}

fn detailed(id: &str, task: Task) -> DetailedTask {
    let base = base(id, &task);
    let object = |value: Value| match value {
        Value::Object(object) => object,
        _ => Map::new(),
    };
    let payload = match task.state {
        State::Asking(open) if !open.is_empty() => {
            TaskPayload::InputRequired { input_requests: requests(open) }
        }
        State::Working | State::Asking(_) => TaskPayload::Working,
        State::Done(result) => TaskPayload::Completed { result: object(result) },
        State::Failed(error) => TaskPayload::Failed { error: object(error) },
        State::Cancelled => TaskPayload::Cancelled,
    };
    DetailedTask::new(base, payload)
}

/// What a person is asked, as the protocol has it.
pub(super) fn requests(open: BTreeMap<String, Value>) -> InputRequests {
    let read = |(key, request)| Some((key, serde_json::from_value(request).ok()?));
    open.into_iter().filter_map(read).collect()
}
