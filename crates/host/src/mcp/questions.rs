//! What a running action asks its caller's person, in both generations of the protocol. An older client is asked in the
//! middle of the call; one of the newest is answered with the question, and finds the call waiting when it comes back.

use std::collections::BTreeMap;
use std::time::Duration;

use resto_core::{Answer, Code, Error, Question, Result, Way};
use rmcp::model::{
    CallToolResponse, CallToolResult, ElicitRequestParams, ElicitResult, ElicitationAction,
    ErrorData, InputRequiredResult, InputResponses,
};
use rmcp::service::{RequestContext, RoleServer};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use super::approving::asks_by_form;
use super::entering::asks_by_page;
use super::{Mcp, failure, internal, line, tasks};
use crate::around::Ask;
use crate::host::{Caller, told};
use crate::task::{State, Step};

/// The kind of handle that the state of a request is.
const STATE: &str = "question.state";

/// How long a client may keep it: longer than a question waits.
const KEPT: Duration = Duration::from_mins(10);

/// How often it is looked whether a call that waits goes on; another process may run it.
const LOOK: Duration = Duration::from_millis(250);

/// A question, and where the answer goes.
pub(super) struct Posed {
    pub form: ElicitRequestParams,
    pub answer: oneshot::Sender<Result<Answer>>,
}

/// The call that waits for an answer.
#[derive(Serialize, Deserialize)]
struct Waiting {
    principal: String,
    tool: String,
    /// Of tool and arguments.
    print: String,
    task: String,
}

/// Asks an older client while it waits for the call; `None` where it has nothing to ask with.
pub(super) fn at_once(context: &RequestContext<RoleServer>) -> Option<Ask> {
    let context = asks(context)?.clone();
    Some(Box::new(move |question| {
        let context = context.clone();
        Box::pin(async move {
            let form = shown(&question, &context)?;
            let asked = context.peer.create_elicitation(form).await;
            asked.map(read).map_err(|_| cannot("did not show it to its person"))
        })
    }))
}

/// Hands the questions of a call to whoever waits for it; no way to ask where the client has nothing to ask with. They are
/// boxed because a channel has room for dozens from its beginning.
pub(super) fn in_turn(
    context: &RequestContext<RoleServer>,
) -> (Option<Ask>, mpsc::Receiver<Box<Posed>>) {
    let (sender, receiver) = mpsc::channel(1);
    let Some(context) = asks(context).cloned() else { return (None, receiver) };
    let ask: Ask = Box::new(move |question| {
        let (sender, form) = (sender.clone(), shown(&question, &context));
        Box::pin(async move {
            let (answer, answered) = oneshot::channel();
            let gone = || cannot("cannot be asked now");
            let posed = Box::new(Posed { form: form?, answer });
            sender.send(posed).await.map_err(|_| gone())?;
            answered.await.map_err(|_| gone())?
        })
    });
    (Some(ask), receiver)
}

fn asks(context: &RequestContext<RoleServer>) -> Option<&RequestContext<RoleServer>> {
    Some(context).filter(|context| asks_by_form(context) || asks_by_page(context))
}

/// A question as the client shows it.
///
/// # Errors
/// It cannot.
fn shown(question: &Question, context: &RequestContext<RoleServer>) -> Result<ElicitRequestParams> {
    let (meta, message) = (None, question.message.clone());
    match &question.way {
        Way::Form(_) if !asks_by_form(context) => Err(cannot("has no form to show to its person")),
        Way::Page(_) if !asks_by_page(context) => Err(cannot("cannot lead its person to a page")),
        Way::Form(schema) => Ok(ElicitRequestParams::FormElicitationParams {
            meta,
            message,
            requested_schema: serde_json::from_value(schema.clone())
                .map_err(|_| cannot("knows no such form"))?,
        }),
        Way::Page(url) => Ok(ElicitRequestParams::UrlElicitationParams {
            meta,
            message,
            url: url.to_string(),
            elicitation_id: Uuid::new_v4().to_string(),
        }),
    }
}

fn cannot(what: &str) -> Error {
    Error::new(Code::ActionRequired, format!("The client that called {what}."))
}

/// What a person did, as the client tells it.
pub(super) fn read(result: ElicitResult) -> Answer {
    match result.action {
        ElicitationAction::Accept => Answer::Given(result.content.unwrap_or_default()),
        ElicitationAction::Decline => Answer::Declined,
        _ => Answer::Closed,
    }
}

impl Mcp {
    /// Goes on with a call that waits for the answer that a client brings; `None` for a state that is of something else.
    pub(super) async fn resumed(
        &self,
        caller: &Caller,
        (tool, arguments): (&str, &Value),
        (state, responses): (&str, Option<&InputResponses>),
        context: &RequestContext<RoleServer>,
    ) -> std::result::Result<Option<CallToolResponse>, ErrorData> {
        let state = SecretString::from(state);
        let stored = caller.scope.take_handle(STATE, &state).await.map_err(told);
        let Some(stored) = stored.map_err(|error| internal(&error))? else { return Ok(None) };
        let waiting = serde_json::from_value::<Waiting>(stored).ok();
        let principal = caller.principal.id.to_string();
        let print = caller.scope.call_print(&principal, tool, arguments).map_err(told);
        let print = print.map_err(|error| internal(&error))?;
        let ours = waiting.filter(|waiting| {
            waiting.principal == principal
                && waiting.tool == tool
                && print.all().any(|print| *print == waiting.print)
        });
        let Some(Waiting { task, .. }) = ours else {
            return Err(ErrorData::invalid_params(
                "the request state is not of this call, or was used before; call again without it",
                None,
            ));
        };
        let answers = responses.cloned().unwrap_or_default();
        tasks::found(self.host.answer_task(caller, &task, answers).await)?;
        self.follow(caller, (tool, arguments), &task, context).await.map(Some)
    }

    /// Waits for the end of a call that a client of the newest generation without tasks waits for, or for its next question.
    pub(super) async fn follow(
        &self,
        caller: &Caller,
        call: (&str, &Value),
        task: &str,
        context: &RequestContext<RoleServer>,
    ) -> std::result::Result<CallToolResponse, ErrorData> {
        // The request that began the call has its answer: how far the call is, this one is told.
        let progress = line(context).progress;
        let mut last = None;
        loop {
            let found = self.host.task(caller, task).await.map_err(|error| internal(&error))?;
            let now = found.ok_or_else(tasks::unknown)?;
            // What it came to before is known to the request before.
            if last.is_some_and(|last| last != now.step)
                && let Some(Step { done, total, message }) = &now.step
            {
                progress(*done, *total, message);
            }
            last = Some(now.step);
            match now.state {
                State::Asking(open) if !open.is_empty() => {
                    let request = self.request(caller, call, task, open).await;
                    return request.map(Into::into).map_err(|error| internal(&error));
                }
                State::Working | State::Asking(_) => {}
                State::Done(result) => {
                    let result = serde_json::from_value::<CallToolResult>(result);
                    return result
                        .map(Into::into)
                        .map_err(|_| ErrorData::internal_error("the result is lost", None));
                }
                State::Failed(error) => {
                    let error = serde_json::from_value::<ErrorData>(error);
                    return Err(error.unwrap_or_else(|_| tasks::unknown()));
                }
                State::Cancelled => {
                    let error = Error::new(Code::Cancelled, "The caller cancelled the call.");
                    return Ok(failure(&error).into());
                }
            }
            let waited = context.ct.run_until_cancelled(tokio::time::sleep(LOOK)).await;
            if waited.is_none() {
                tasks::found(self.host.cancel_task(caller, task).await)?;
                return Err(tasks::unknown());
            }
        }
    }

    async fn request(
        &self,
        caller: &Caller,
        (tool, arguments): (&str, &Value),
        task: &str,
        open: BTreeMap<String, Value>,
    ) -> Result<InputRequiredResult> {
        let principal = caller.principal.id.to_string();
        let print = caller.scope.call_print(&principal, tool, arguments).map_err(told)?;
        let waiting = Waiting {
            principal,
            tool: tool.to_owned(),
            print: print.current().to_owned(),
            task: task.to_owned(),
        };
        let stored = serde_json::to_value(&waiting).unwrap_or_default();
        let state = caller.scope.put_handle(STATE, &stored, KEPT).await.map_err(told)?;
        // EXPOSE: a handle; the client brings it back.
        let state = state.expose_secret().to_owned();
        Ok(InputRequiredResult::new(Some(tasks::requests(open)), Some(state)))
    }
}
