//! An action that runs, or is tried, with the credential opened for each request. One that is refused at the first request
//! did nothing: where there is another access by then, it runs again.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};

use futures::FutureExt as _;
use resto_core::{Api, Began, Code, Connected, Draft, Result, Risk, clean_json};
use resto_vault::{Begun, Connection, Intent, Sealed};
use serde_json::Value;
use uuid::Uuid;

use crate::approve::Purse;
use crate::around::{Around, Line, Opening, Seen};
use crate::call::{fault, intent};
use crate::catalog::Entry;
use crate::files::Holder;
use crate::host::{Caller, Host, provider_of, told};
use crate::learning::Learnt;
use crate::maintain::is_renewed;

/// The status of a provider that does not know the credential, and did nothing.
const UNAUTHORIZED: u16 = 401;

/// An action that runs, or is tried.
pub(crate) struct Acting<'a> {
    pub caller: &'a Caller,
    pub entry: Entry<'a>,
    pub op_id: Option<Uuid>,
    pub seen: Arc<Mutex<Seen>>,
    pub purse: Arc<Purse>,
    /// When it began, where it is only found out what came of it.
    pub reconciles: Option<Began>,
}

/// What an action came to.
struct Acted {
    result: Result<Value>,
    /// The first change that a trial did not send.
    draft: Option<Draft>,
    /// Whether no request went before the last one that could have done something.
    is_first: bool,
}

impl Acted {
    /// Whether its first request was refused for the credential, so that nothing was done.
    fn was_not_let_in(&self) -> bool {
        self.is_first
            && self.result.as_ref().is_err_and(|error| {
                error.code() == Code::AuthExpired
                    && error.details().http_status == Some(UNAUTHORIZED)
            })
    }
}

impl Host {
    /// Runs an action with its credential; tells the first change that a trial did not send.
    pub(crate) async fn act(
        self: &Arc<Self>,
        acting: Acting<'_>,
        connection: Connection,
        sealed: Sealed,
        arguments: Value,
        line: Line,
    ) -> (Result<Value>, Option<Draft>) {
        let line = Arc::new(line);
        // Others have no second credential.
        let kept = is_renewed(&connection, acting.caller.scope.now()).then(|| arguments.clone());
        let mut acted = self.act_once(&acting, &connection, sealed, arguments, &line).await;
        if let Some(arguments) = kept
            && acted.was_not_let_in()
            && let Some(again) =
                Box::pin(self.act_again(&acting, &connection, arguments, &line)).await
        {
            acted = again;
        }
        (acted.result, acted.draft)
    }

    /// Runs an action that was not let in once more, with the credential that there is now; `None` where there is no other.
    async fn act_again(
        self: &Arc<Self>,
        acting: &Acting<'_>,
        refused: &Connection,
        arguments: Value,
        line: &Arc<Line>,
    ) -> Option<Acted> {
        let (caller, entry) = (acting.caller, &acting.entry);
        let scope = &caller.scope;
        if !self.has_another(scope, entry.integration(), refused).await {
            return None;
        }
        // It spends anew what it spends.
        if let (Risk::Spend, Some(op_id), None) =
            (entry.action.risk, acting.op_id, acting.reconciles)
            && let Err(error) = scope.unspend(op_id).await
        {
            return Some(Acted { result: Err(told(error)), draft: None, is_first: false });
        }
        let action = format!("{}.again", entry.action.tool);
        let intent =
            Intent { action: &action, unsafe_: false, ..intent(caller, entry, &arguments) };
        let begun = match scope.begin(intent).await {
            Ok(begun) => begun,
            Err(error) => {
                return Some(Acted { result: Err(told(error)), draft: None, is_first: false });
            }
        };
        let Begun { ticket, connection, .. } = begun;
        let acted = match connection {
            Some((connection, sealed)) => {
                self.act_once(acting, &connection, sealed, arguments.clone(), line).await
            }
            None => Acted { result: Err(fault()), draft: None, is_first: false },
        };
        let done = if acted.draft.is_some() { &Ok(Value::Null) } else { &acted.result };
        self.finish(caller, ticket, done, Learnt::default()).await;
        Some(acted)
    }

    async fn act_once(
        self: &Arc<Self>,
        acting: &Acting<'_>,
        connection: &Connection,
        sealed: Sealed,
        arguments: Value,
        line: &Arc<Line>,
    ) -> Acted {
        let acted = self.try_act(acting, connection, sealed, arguments, line).await;
        let acted = acted.unwrap_or_else(|error| Acted {
            result: Err(error),
            draft: None,
            is_first: false,
        });
        if acted.result.is_ok() || acted.draft.is_some() {
            let integration = acting.entry.integration();
            self.has_worked(&acting.caller.scope, integration, connection);
        }
        acted
    }

    async fn try_act(
        &self,
        acting: &Acting<'_>,
        connection: &Connection,
        sealed: Sealed,
        arguments: Value,
        line: &Arc<Line>,
    ) -> Result<Acted> {
        let integration = acting.entry.integration();
        let (provider, auth) =
            provider_of(integration, &connection.provider, connection.auth_type.as_str())?;
        let endpoints = self.endpoints(integration, provider)?;
        let credentials = Arc::new(Opening::new(sealed, &endpoints, integration));
        let action = acting.entry.action;
        let is_trial = acting.purse.is_trial();
        let (id, mode) = (connection.account_id.clone(), connection.mode.clone());
        let gate = self.gate(&acting.caller.scope, integration, provider);
        let around = Around {
            gate: Some(gate),
            line: Arc::clone(line),
            scope: acting.caller.scope.clone(),
            op_id: acting.op_id.unwrap_or_else(Uuid::now_v7),
            seen: Arc::clone(&acting.seen),
            purse: Arc::clone(&acting.purse),
            reconciles: acting.reconciles,
            command: acting.caller.command(&format!("call {}", action.tool)),
            account: Some(Connected { id, mode }),
            dns: self.dns.clone(),
            holder: Some(Holder {
                principal: acting.caller.principal.id,
                tool: action.tool.clone(),
                outsiders: (action.outsiders)(&arguments).into(),
            }),
        };
        let api = Api::new(
            self.http.clone(),
            provider,
            auth.scheme(),
            endpoints,
            credentials.clone(),
            Arc::new(around),
            action.risk,
        );
        let api = if is_trial { api.trying() } else { api };
        // A fault in one action harms only this call.
        let ran = AssertUnwindSafe(action.run(arguments, &api)).catch_unwind().await;
        // Cleaned first: what is taken out then could hide a credential from what looks for it.
        let ran = api.found_out(ran.unwrap_or_else(|_| Err(fault())));
        let cleaned = ran.map(|mut output| {
            clean_json(&mut output);
            output
        });
        let draft = api.draft().map(|draft| credentials.redact_draft(&draft)).transpose()?;
        let result = credentials.redact(cleaned);
        // The one call of a session with a remote server follows requests that only open it.
        let is_first = credentials.signed() == 1 || self.is_remote(integration.id);
        Ok(Acted { result, draft, is_first })
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use axum::{Json, Router};
    use futures::future::join_all;
    use resto_core::{Action, Secrets};
    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};
    use serde_json::json;

    use super::*;
    use crate::catalog::Catalog;
    use crate::config::{Config, Overrides};
    use crate::host::LOCAL_TENANT;
    use crate::policy::Calls;

    /// Breaks down.
    #[derive(Deserialize, JsonSchema)]
    struct BreakDown {}

    #[derive(Serialize, JsonSchema)]
    struct Nothing {}

    impl Action for BreakDown {
        const NAME: &'static str = "break_down";
        const RISK: Risk = Risk::Read;
        const PERMISSIONS: &'static [&'static [&'static str]] = &[&["metadata:read"]];
        type Output = Nothing;

        async fn run(self, _: &Api) -> Result<Nothing> {
            panic!("the canary of a fault")
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn g7_an_action_that_panics_harms_only_its_own_call() {
        let user = json!({"id": 1, "login": "octocat", "type": "User", "html_url": "u"});
        let github = Router::new().route("/user", get(async move || Json(user)));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = Some(format!("http://{}", listener.local_addr().unwrap()));
        tokio::spawn(async { axum::serve(listener, github).await });
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::of_a_test(folder.path());
        config.integrations.insert("github".into(), Overrides { base_url, ..Overrides::default() });
        let mut host = Host::open(&config).await.unwrap();
        let adapter = resto_github::adapter().action::<BreakDown>();
        host.catalog = Arc::new(Catalog::new(vec![adapter]));
        let host = Arc::new(host);
        let caller = host.owner(LOCAL_TENANT, "test").await.unwrap();
        let secrets = Secrets::from([("token".into(), "github_pat_of_a_test".into())]);
        let github = host.integration("github").unwrap();
        host.connect_key(&caller, github, None, secrets, false).await.unwrap();
        let calls = (0..60).map(|one| {
            let tool = if one % 2 == 0 { "github_break_down" } else { "github_get_account" };
            host.call(&caller, tool, json!({}), Line::new(Calls::Agent))
        });
        for (one, called) in join_all(calls).await.into_iter().enumerate() {
            match called {
                Ok(called) => assert!(one % 2 == 1 && called.output["login"] == "octocat"),
                Err(failed) => {
                    assert!(one % 2 == 0, "{failed:?}");
                    assert_eq!(failed.error().message(), fault().message());
                }
            }
        }
    }
}
