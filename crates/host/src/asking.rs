//! An agent asks its person for something on a page of ours, and waits a little for it to be done.

use std::time::Duration;

use resto_core::{Integration, Result};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use crate::connect::Report;
use crate::host::{Caller, Host, told};
use crate::tools::State;

/// The kind of handle that a request's state is.
const ASKING: &str = "tool.asking";

/// How long a client may keep the state of a request.
const KEPT: Duration = Duration::from_hours(1);

/// How long an answer is held back for a person who has opened the page.
const PATIENCE: Duration = Duration::from_secs(20);

/// How often it is looked whether the person is done.
const LOOK: Duration = Duration::from_millis(250);

/// What a person is asked for.
#[derive(Clone, Copy)]
pub(crate) enum Wish {
    Connect,
    Disconnect,
}

/// A person was asked.
pub(crate) struct Asked {
    /// Why the page should be opened.
    pub message: String,
    /// It carries no secret, and opens for nobody else.
    pub url: Url,
    /// With what the answer comes back; it is used once, by the same caller for the same call.
    pub state: SecretString,
    /// The result for clients that cannot lead a person to a page.
    pub output: Value,
    /// What to wait for.
    pub waiting: Waiting,
}

/// What is remembered until the person is done.
#[derive(Serialize, Deserialize)]
pub(crate) struct Waiting {
    principal: String,
    tool: String,
    integration: String,
    /// When the account was connected that was there before; none if there was none.
    before: Option<String>,
}

impl Host {
    /// Asks the caller's person.
    ///
    /// # Errors
    /// The link cannot be stored.
    pub(crate) async fn ask(
        &self,
        caller: &Caller,
        tool: &str,
        integration: &'static Integration,
        wish: Wish,
        report: Option<Report>,
    ) -> Result<Asked> {
        let mut url = self.connect_link(caller, integration).await?;
        let name = integration.name;
        let message = match wish {
            Wish::Connect => format!(
                "Connect your {name} account. {} The page shows what will be granted; you sign in at {name} or enter a key there.",
                integration.purpose
            ),
            Wish::Disconnect => {
                url.set_fragment(Some("disconnect"));
                format!("Disconnect your {name} account. Agents can then no longer work with it.")
            }
        };
        let waiting = Waiting {
            principal: caller.principal.id.to_string(),
            tool: tool.to_owned(),
            integration: integration.id.to_owned(),
            before: stamp(report.as_ref()),
        };
        let stored = serde_json::to_value(&waiting).unwrap_or_default();
        let state = caller.scope.put_handle(ASKING, &stored, KEPT).await.map_err(told)?;
        let advice = format!(
            "The person has to do this on a page of this server: give them the link, then call check_connection when they say that they are done. It opens where `{}` runs, for the person who signs in with `{}`.",
            "resto serve",
            caller.command("sign-in"),
        );
        let output = State::of(integration, report, Some(url.to_string()), advice).into();
        Ok(Asked { message, url, state, output, waiting })
    }

    /// What a client waits for that comes back with this state; `None` for what is not the state of this
    /// call of this caller, or was used.
    ///
    /// # Errors
    /// The database cannot be used.
    pub(crate) async fn asked(
        &self,
        caller: &Caller,
        tool: &str,
        arguments: &Value,
        state: &str,
    ) -> Result<Option<Waiting>> {
        let state = SecretString::from(state);
        let stored = caller.scope.take_handle(ASKING, &state).await.map_err(told)?;
        let waiting = stored.and_then(|stored| serde_json::from_value::<Waiting>(stored).ok());
        let integration = arguments.get("integration").and_then(Value::as_str);
        Ok(waiting.filter(|waiting| {
            waiting.principal == caller.principal.id.to_string()
                && waiting.tool == tool
                && Some(waiting.integration.as_str()) == integration
        }))
    }

    /// Waits a little until the person is done, and tells how it stands then.
    ///
    /// # Errors
    /// The database cannot be read.
    pub(crate) async fn wait(&self, caller: &Caller, waiting: &Waiting) -> Result<Value> {
        let integration = self.integration(&waiting.integration)?;
        let until = tokio::time::Instant::now() + PATIENCE;
        loop {
            let report = self.connection(caller, integration).await?;
            let name = integration.name;
            if stamp(report.as_ref()) != waiting.before {
                let message = match &report {
                    Some(report) => format!("{name} is connected as {}.", report.account),
                    None => format!("{name} is disconnected."),
                };
                return Ok(State::of(integration, report, None, message).into());
            }
            if tokio::time::Instant::now() >= until {
                let message = "The person has opened the page and is not done yet. Call check_connection later; do not ask again at once.";
                return Ok(State::of(integration, report, None, message.to_owned()).into());
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

fn stamp(report: Option<&Report>) -> Option<String> {
    report.map(|report| report.connected_at.unix_timestamp_nanos().to_string())
}
