//! Calls of this server's own tools, some of which lead a person to a page of ours, in both generations of the protocol.

use resto_core::{Code, Error};
use rmcp::model::{
    CallToolResponse, CallToolResult, ElicitRequest, ElicitRequestParams, ElicitResult,
    ElicitationAction, ErrorData, InputRequest, InputRequiredResult, InputResponses,
};
use rmcp::service::{RequestContext, RoleServer};
use secrecy::ExposeSecret;
use serde_json::Value;
use uuid::Uuid;

use super::{Mcp, OPENING, PAGE_KEY, caught, failure, internal, is_modern};
use crate::asking::Waiting;
use crate::call::Failed;
use crate::host::Caller;
use crate::tools::{Done, OwnTool};

/// What a client came back with.
pub(super) struct Answer {
    pub state: Option<String>,
    pub responses: Option<InputResponses>,
}

impl Mcp {
    /// A tool of this server itself. Where a person has to do something on a page of ours, a client that can
    /// leads them there; the others get the link.
    pub(super) async fn call_own(
        &self,
        caller: &Caller,
        own: &OwnTool,
        arguments: &Value,
        answer: Answer,
        context: &RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        if let Some(state) = &answer.state {
            let asked = self.host.asked(caller, own.tool, arguments, state).await;
            let Some(waiting) = asked.map_err(|error| internal(&error))? else {
                return Err(ErrorData::invalid_params(
                    "the request state is not of this call, or was used before; call again without it",
                    None,
                ));
            };
            let response = answer.responses.and_then(|mut responses| responses.remove(PAGE_KEY));
            let action = response.and_then(|response| {
                serde_json::from_value::<ElicitResult>(response).ok().map(|result| result.action)
            });
            return Ok(self.answered(caller, &waiting, action).await.into());
        }
        let asked = match caught(self.host.run_own(caller, own, arguments)).await {
            Ok(Done::Output(output)) => return Ok(CallToolResult::structured(output).into()),
            Ok(Done::Ask(asked)) => asked,
            Err(failed @ (Failed::Tool(_) | Failed::Approval(_) | Failed::Secret(_))) => {
                return Ok(failure(&failed.error()).into());
            }
            Err(Failed::UnknownTool) => {
                return Err(ErrorData::internal_error("the tool is not there", None));
            }
        };
        let can = context.client_capabilities().and_then(|client| client.elicitation);
        if can.is_none_or(|modes| modes.url.is_none()) {
            return Ok(CallToolResult::structured(asked.output).into());
        }
        let page = ElicitRequestParams::UrlElicitationParams {
            meta: None,
            message: asked.message,
            url: asked.url.to_string(),
            elicitation_id: Uuid::new_v4().to_string(),
        };
        if is_modern(context) {
            let request = InputRequest::Elicitation(ElicitRequest::new(page));
            let requests = [(PAGE_KEY.to_owned(), request)].into();
            // EXPOSE: a handle; the client brings it back.
            let state = asked.state.expose_secret().to_owned();
            return Ok(InputRequiredResult::new(Some(requests), Some(state)).into());
        }
        match context.peer.create_elicitation_with_timeout(page, Some(OPENING)).await {
            Ok(result) => {
                Ok(self.answered(caller, &asked.waiting, Some(result.action)).await.into())
            }
            // A client that promised and does not: the person gets the link at least.
            Err(_) => Ok(CallToolResult::structured(asked.output).into()),
        }
    }

    /// The result once the person was shown the way. To accept means to have opened the page, no more.
    async fn answered(
        &self,
        caller: &Caller,
        waiting: &Waiting,
        action: Option<ElicitationAction>,
    ) -> CallToolResult {
        let result = match action {
            Some(ElicitationAction::Accept) => self.host.wait(caller, waiting).await,
            _ => Err(Error::new(
                Code::Denied,
                "The person did not want to open the page. Nothing was changed. Do not ask again unless they say so.",
            )),
        };
        result.map_or_else(|error| failure(&error), CallToolResult::structured)
    }
}
