//! Leading a person to the page on which they enter a value that an action wants, in both generations of the protocol.

use resto_core::{Code, Error};
use rmcp::model::{
    ElicitRequest, ElicitRequestParams, ElicitResult, ElicitationAction, ErrorData, InputRequest,
    InputRequiredResult, InputResponses,
};
use rmcp::service::{RequestContext, RoleServer};
use secrecy::ExposeSecret;
use uuid::Uuid;

use super::{Mcp, OPENING, PAGE_KEY, internal, is_modern};
use crate::entering::Lacking;
use crate::host::Caller;

/// What came of it.
pub(super) enum Led {
    /// A client of the newest generation comes back with a call of its own.
    Request(InputRequiredResult),
    /// The person entered it.
    Entered,
    /// The client cannot lead anybody to a page.
    No,
}

impl Mcp {
    /// Leads the person there.
    pub(super) async fn lead(
        &self,
        caller: &Caller,
        tool: &str,
        lacking: &Lacking,
        context: &RequestContext<RoleServer>,
    ) -> Result<Led, Error> {
        if !asks_by_page(context) {
            return Ok(Led::No);
        }
        let page = page(lacking);
        if is_modern(context) {
            let request = InputRequest::Elicitation(ElicitRequest::new(page));
            let requests = [(PAGE_KEY.to_owned(), request)].into();
            let state = self.host.value_state(caller, tool, lacking).await?;
            // EXPOSE: a handle; the client brings it back.
            let state = state.expose_secret().to_owned();
            return Ok(Led::Request(InputRequiredResult::new(Some(requests), Some(state))));
        }
        let asked = context.peer.create_elicitation_with_timeout(page, Some(OPENING)).await;
        // A client that promised and does not: the person gets the link at least.
        let Ok(result) = asked else { return Ok(Led::No) };
        self.opened(caller, &lacking.name, Some(result.action)).await?;
        Ok(Led::Entered)
    }

    /// Goes on when a client comes back; `None` for a state that is of something else. The inner error is the agent's to
    /// read.
    pub(super) async fn came_back(
        &self,
        caller: &Caller,
        tool: &str,
        state: &str,
        responses: Option<&InputResponses>,
    ) -> Result<Option<Result<(), Error>>, ErrorData> {
        let brought = self.host.value_brought(caller, tool, state).await;
        let Some(name) = brought.map_err(|error| internal(&error))? else { return Ok(None) };
        let response = responses.and_then(|all| all.get(PAGE_KEY).cloned());
        let result = response.and_then(|one| serde_json::from_value::<ElicitResult>(one).ok());
        Ok(Some(self.opened(caller, &name, result.map(|result| result.action)).await))
    }

    /// To accept means to have opened the page, no more.
    pub(super) async fn opened(
        &self,
        caller: &Caller,
        name: &str,
        action: Option<ElicitationAction>,
    ) -> Result<(), Error> {
        match action {
            Some(ElicitationAction::Accept) => self.host.wait_for_value(caller, name).await,
            _ => Err(Error::new(
                Code::Denied,
                "The person did not want to open the page. Nothing was done. Do not ask again unless they say so.",
            )),
        }
    }
}

/// Whether the client can lead its person to a page.
pub(super) fn asks_by_page(context: &RequestContext<RoleServer>) -> bool {
    let can = context.client_capabilities().and_then(|client| client.elicitation);
    can.is_some_and(|modes| modes.url.is_some())
}

/// The page on which the value is entered.
pub(super) fn page(lacking: &Lacking) -> ElicitRequestParams {
    ElicitRequestParams::UrlElicitationParams {
        meta: None,
        message: lacking.what.clone(),
        url: lacking.url.to_string(),
        elicitation_id: Uuid::new_v4().to_string(),
    }
}
