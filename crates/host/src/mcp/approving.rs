//! Asking a person for an approval in a form of the client, in both generations of the protocol.

use std::time::Duration;

use resto_core::Error;
use rmcp::model::{
    ElicitRequest, ElicitRequestParams, ElicitResult, ElicitationAction, ErrorData, InputRequest,
    InputRequiredResult, InputResponses,
};
use rmcp::service::{RequestContext, RoleServer};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Mcp, internal, is_modern};
use crate::approve::{Answer, Wanted};
use crate::host::Caller;

/// The one thing that an approval asks for.
pub(super) const APPROVAL_KEY: &str = "approval";

/// The field of the form in which a person types a name, or says yes.
const NAME: &str = "name";
const APPROVE: &str = "approve";

/// How long a person has for a form.
const DECIDING: Duration = Duration::from_mins(4);

impl Mcp {
    /// Asks. A client of the newest generation brings the answer with a call of its own: that is the request. One of the
    /// older ones is waited for, and the answer is noted. One that shows no forms is not asked.
    pub(super) async fn ask_person(
        &self,
        caller: &Caller,
        tool: &str,
        wanted: &Wanted,
        context: &RequestContext<RoleServer>,
    ) -> Result<Option<InputRequiredResult>, Error> {
        if !asks_by_form(context) {
            return Ok(None);
        }
        let Some(form) = form(wanted) else { return Ok(None) };
        if is_modern(context) {
            let request = InputRequest::Elicitation(ElicitRequest::new(form));
            let requests = [(APPROVAL_KEY.to_owned(), request)].into();
            let state = self.host.approval_state(caller, tool, wanted).await?;
            // EXPOSE: a handle; the client brings it back.
            let state = state.expose_secret().to_owned();
            return Ok(Some(InputRequiredResult::new(Some(requests), Some(state))));
        }
        let asked = context.peer.create_elicitation_with_timeout(form, Some(DECIDING)).await;
        // A client that promised and does not: the person gets the link at least.
        let Ok(result) = asked else { return Ok(None) };
        self.decide(caller, (&wanted.print, wanted.op_id), &result).await?;
        Ok(None)
    }

    /// Notes the answer that a client brought back; the inner error is the agent's to read.
    pub(super) async fn brought(
        &self,
        caller: &Caller,
        tool: &str,
        state: &str,
        responses: Option<InputResponses>,
    ) -> Result<Result<(), Error>, ErrorData> {
        let brought = self.host.approval_brought(caller, tool, state).await;
        let Some((print, op_id)) = brought.map_err(|error| internal(&error))? else {
            return Err(ErrorData::invalid_params(
                "the request state is not of this call, or was used before; call again without it",
                None,
            ));
        };
        let response = responses.and_then(|mut all| all.remove(APPROVAL_KEY));
        let result = response.and_then(|one| serde_json::from_value::<ElicitResult>(one).ok());
        let Some(result) = result else { return Ok(Ok(())) };
        Ok(self.decide(caller, (&print, op_id), &result).await)
    }

    /// Notes what a person answered in a form.
    pub(super) async fn decide(
        &self,
        caller: &Caller,
        asked: (&str, Uuid),
        result: &ElicitResult,
    ) -> Result<(), Error> {
        let field = |name: &str| result.content.as_ref().and_then(|content| content.get(name));
        let name = field(NAME).and_then(Value::as_str);
        let yes = field(APPROVE).and_then(Value::as_bool).unwrap_or(name.is_some());
        let answer = match result.action {
            ElicitationAction::Accept if yes => Answer::Approve(name),
            // Closed without an answer: it can still be approved on the page.
            ElicitationAction::Cancel => return Ok(()),
            _ => Answer::Decline,
        };
        let mut person = caller.clone();
        person.actor = format!("{}, in a form", caller.actor);
        self.host.decide_approval(&person, asked, answer).await.map(drop)
    }
}

/// Whether the client can show its person a form; one that says nothing of modes can.
pub(super) fn asks_by_form(context: &RequestContext<RoleServer>) -> bool {
    let can = context.client_capabilities().and_then(|client| client.elicitation);
    can.is_some_and(|modes| modes.form.is_some() || modes.url.is_none())
}

/// What the person fills in.
pub(super) fn form(wanted: &Wanted) -> Option<ElicitRequestParams> {
    let schema = match &wanted.typed {
        Some(name) => json!({
            "type": "object",
            "properties": {NAME: {"type": "string", "title": format!("Type {name} to approve")}},
            "required": [NAME],
        }),
        None => json!({
            "type": "object",
            "properties": {APPROVE: {"type": "boolean", "title": "Approve", "default": false}},
            "required": [APPROVE],
        }),
    };
    Some(ElicitRequestParams::FormElicitationParams {
        meta: None,
        message: format!("Do you approve this? {}", wanted.what),
        requested_schema: serde_json::from_value(schema).ok()?,
    })
}
