//! Calls of actions: waited for, and made again once a person has done what they wanted first.

use rmcp::model::{CallToolResponse, ErrorData, ProtocolVersion};
use rmcp::service::{RequestContext, RoleServer};
use serde_json::Value;

use super::entering::Led;
use super::own::Answer;
use super::tasks::Waited;
use super::{Mcp, approving, caught, check_op_id, failure, internal, is_modern, line, success};
use crate::call::Failed;
use crate::host::Caller;

impl Mcp {
    pub(super) async fn call_action(
        &self,
        caller: &Caller,
        tool: &str,
        arguments: Value,
        answer: Answer,
        context: &RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        if let Err(refused) = check_op_id(context) {
            return Ok(failure(&refused).into());
        }
        if let Some(state) = &answer.state {
            let brought = (state.as_str(), answer.responses.as_ref());
            let call = (tool, &arguments);
            if let Some(result) = self.resumed(caller, call, brought, context).await? {
                return Ok(result);
            }
            let responses = answer.responses;
            let back = match self.came_back(caller, tool, state, responses.as_ref()).await? {
                Some(back) => back,
                None => self.brought(caller, tool, state, responses).await?,
            };
            if let Err(refused) = back {
                return Ok(failure(&refused).into());
            }
        }
        let mut called = match self.wait(caller, tool, &arguments, context).await {
            Waited::Called(called) => called,
            Waited::Lasts(task) => return Ok(task.into()),
            Waited::Asks(task) => {
                return self.follow(caller, (tool, &arguments), &task, context).await;
            }
        };
        if let Err(Failed::Approval(wanted)) = &called {
            match self.ask_person(caller, tool, wanted, context).await {
                Ok(Some(request)) => return Ok(request.into()),
                Ok(None) => {}
                Err(refused) => return Ok(failure(&refused).into()),
            }
            if !is_modern(context) && approving::asks_by_form(context) {
                let again = self.host.call(caller, tool, arguments.clone(), line(context));
                called = caught(again).await;
            }
        }
        if let Err(Failed::Secret(lacking)) = &called {
            match self.lead(caller, tool, lacking, context).await {
                Ok(Led::Request(request)) => return Ok(request.into()),
                Ok(Led::Entered) => {
                    let again = self.host.call(caller, tool, arguments, line(context));
                    called = caught(again).await;
                }
                Ok(Led::No) => {}
                Err(refused) => return Ok(failure(&refused).into()),
            }
        }
        match called {
            Ok(mut called) => {
                let version = context.protocol_version();
                if version.is_none_or(|version| version < ProtocolVersion::V_2025_06_18) {
                    // It knows no links.
                    called.files.clear();
                }
                Ok(success(called).into())
            }
            Err(failed @ (Failed::Tool(_) | Failed::Approval(_) | Failed::Secret(_))) => {
                Ok(failure(&failed.error()).into())
            }
            Err(Failed::UnknownTool) => {
                let catalog = self.host.catalog_of(&caller.scope).await;
                let unknown = catalog.map_err(|error| internal(&error))?.unknown(tool);
                let why = format!("{unknown} tools/list names them all.");
                Err(ErrorData::invalid_params(why, None))
            }
        }
    }
}
