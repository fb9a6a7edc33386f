//! Orders at Cloudflare: one workflow per domain, whose name is the natural key.

use resto_core::{Api, Code, Error, Result};
use serde::Deserialize;
use serde_json::json;

use super::offers::{buyable, total};
use super::{Enveloped, Registration, account, dashboard};
use crate::contract::{Operation, Placed, Purchase, State, date};

/// How far a registration is.
#[derive(Deserialize)]
struct Workflow {
    state: String,
    #[serde(default)]
    error: Option<Failed>,
    #[serde(default)]
    context: Context,
}

#[derive(Deserialize)]
struct Failed {
    message: String,
}

#[derive(Default, Deserialize)]
struct Context {
    #[serde(default)]
    registration: Option<Registration>,
}

impl Workflow {
    fn placed(self, account: &str) -> Placed {
        let (state, message) = match self.state.as_str() {
            "succeeded" => (State::Succeeded, None),
            "failed" => (State::Failed, None),
            "action_required" | "blocked" => (
                State::ActionRequired,
                Some(format!("A person looks after it: {}", dashboard(account))),
            ),
            _ => (State::Pending, None),
        };
        let expires_on =
            self.context.registration.and_then(|found| date(found.expires_at.as_deref()?));
        let message = self.error.map(|error| error.message).or(message);
        Placed { expires_on, message, ..Placed::new(state) }
    }
}

pub(super) async fn buy(api: &Api, purchase: &Purchase) -> Result<Placed> {
    let Purchase { domain, years, .. } = purchase;
    // Cloudflare takes no price with an order: it is asked again, right before.
    let (first, later) = buyable(api, domain).await?;
    let now = total(*years, &first, &later)?;
    if !now.within(&purchase.total) {
        return Err(Error::new(
            Code::Conflict,
            format!(
                "{domain} costs {now} now, more than the quoted {}. Nothing was bought. Ask for a new quote.",
                purchase.total
            ),
        ));
    }
    let account = account(api)?;
    let placed: Enveloped<Workflow> = api
        .post("/accounts/{}/registrar/registrations", &[&account])
        .json(&json!({
            "domain_name": domain,
            "years": years,
            "auto_renew": purchase.auto_renew,
            "privacy_mode": if purchase.privacy { "redaction" } else { "off" },
        }))
        .send()
        .await?;
    Ok(placed.result.placed(account))
}

pub(super) async fn follow(api: &Api, purchase: &Purchase) -> Result<Option<Placed>> {
    if purchase.operation == Operation::Renew {
        return Ok(None);
    }
    let (account, domain) = (account(api)?, purchase.domain.as_str());
    let workflow: Option<Enveloped<Workflow>> = api
        .get("/accounts/{}/registrar/registrations/{}/registration-status", &[&account, &domain])
        .send_optional()
        .await?;
    if let Some(found) = workflow {
        return Ok(Some(found.result.placed(account)));
    }
    let registration: Option<Enveloped<Registration>> = api
        .get("/accounts/{}/registrar/registrations/{}", &[&account, &domain])
        .send_optional()
        .await?;
    Ok(registration.map(|found| Placed {
        expires_on: found.result.expires_at.as_deref().and_then(date),
        ..Placed::new(State::Succeeded)
    }))
}
