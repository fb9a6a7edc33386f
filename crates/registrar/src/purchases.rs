//! Spending money: only against a fresh quote, never above its price, once, and looked up when the
//! answer is lost.

use resto_core::{Action, Api, Code, Error, Result, Risk};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::contract::{Operation, Purchase, State, registrar};
use crate::orders::{DomainOrder, Kept};
use crate::permissions::DOMAINS_WRITE;
use crate::{quotes, turns};

/// Buys a quoted domain. It charges the account and is not refunded; the same quote buys only once.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct PurchaseDomain {
    /// Of a quote to register, at most five minutes old.
    quote_id: String,
    /// Renewed and charged by itself; ask the buyer.
    auto_renew: bool,
    /// Hides the owner's address; default true.
    privacy: Option<bool>,
}

impl Action for PurchaseDomain {
    const NAME: &'static str = "purchase_domain";
    const RISK: Risk = Risk::Spend;
    const PHRASES: &'static [&'static str] = &[
        "buy a domain",
        "register a domain name",
        "get a web address",
        "Domain kaufen",
        "acheter un domaine",
        "comprar dominio",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = DOMAINS_WRITE;
    type Output = DomainOrder;

    async fn run(self, api: &Api) -> Result<DomainOrder> {
        let wishes = Wishes { auto_renew: self.auto_renew, privacy: self.privacy.unwrap_or(true) };
        spend(api, self.quote_id, Operation::Register, wishes).await
    }
}

/// Renews a domain as quoted. It charges the account and is not refunded; the same quote renews once.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct RenewDomain {
    /// Of a quote to renew, at most five minutes old.
    quote_id: String,
}

impl Action for RenewDomain {
    const NAME: &'static str = "renew_domain";
    const RISK: Risk = Risk::Spend;
    const PHRASES: &'static [&'static str] = &[
        "extend a domain",
        "keep the domain another year",
        "pay the renewal",
        "Domain verlängern",
        "renouveler le domaine",
        "renovar dominio",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = DOMAINS_WRITE;
    type Output = DomainOrder;

    async fn run(self, api: &Api) -> Result<DomainOrder> {
        // A renewal leaves both as they are.
        let wishes = Wishes { auto_renew: false, privacy: true };
        spend(api, self.quote_id, Operation::Renew, wishes).await
    }
}

/// What the buyer says beyond the quote.
struct Wishes {
    auto_renew: bool,
    privacy: bool,
}

async fn spend(
    api: &Api,
    quote_id: String,
    operation: Operation,
    wishes: Wishes,
) -> Result<DomainOrder> {
    // Asked again for what is under way or done: tell how far it is, and send nothing.
    if let Some(mut order) = Kept::find(api, &quote_id).await? {
        order.follow(api).await?;
        // A note of what `get_order` looks up again.
        let _ = order.keep(api, &quote_id).await;
        if order.state == State::Unknown {
            let error = Error::new(Code::UnknownOutcome, order.message.unwrap_or_default());
            return Err(in_doubt(error, &quote_id));
        }
        return Ok(order.told(quote_id));
    }
    let quote = quotes::find(api, &quote_id, operation).await?;
    let purchase = Purchase {
        operation,
        domain: quote.domain,
        years: quote.years,
        total: quote.total,
        expires_on: quote.expires_on,
        auto_renew: wishes.auto_renew,
        privacy: wishes.privacy,
    };
    let registrar = registrar(api)?;
    if operation == Operation::Renew
        && let Some(done) = registrar.follow(api, &purchase, None).await?
    {
        return Err(renewed_since(&purchase, done.expires_on.as_deref()));
    }
    quotes::take(api, &quote_id, &purchase.total).await?;
    turns::claim(api, &purchase, &quote_id).await?;
    let mut order = Kept::new(api, purchase);
    order.keep(api, &quote_id).await?;
    let placed = match operation {
        Operation::Register => registrar.buy(api, &order.purchase).await,
        Operation::Renew => registrar.renew(api, &order.purchase).await,
    };
    let error = match placed {
        Ok(placed) => {
            order.learn(placed);
            // It is done, whatever becomes of the note: `get_order` looks it up again.
            let _ = order.keep(api, &quote_id).await;
            return Ok(order.told(quote_id));
        }
        Err(error) => error,
    };
    // The first try of several may have worked, whatever the last one was told: look.
    let lost =
        matches!(error.code(), Code::UnknownOutcome | Code::ProviderDown | Code::RateLimited);
    let looked = order.follow(api).await.is_ok();
    let happened = match order.state {
        State::Unknown => false,
        State::Failed => lost,
        State::Pending | State::ActionRequired | State::Succeeded => true,
    };
    if looked && happened {
        let _ = order.keep(api, &quote_id).await;
        return Ok(order.told(quote_id));
    }
    order.state = if lost { State::Unknown } else { State::Failed };
    order.message = Some(error.message().to_owned());
    let _ = order.keep(api, &quote_id).await;
    if !lost {
        return Err(error);
    }
    Err(in_doubt(error, &quote_id))
}

fn in_doubt(mut error: Error, quote_id: &str) -> Error {
    let details = error.details_mut();
    details.message = format!(
        "{} It may have happened: ask get_order for `{quote_id}`, and do not buy it anew before.",
        details.message
    );
    error
}

fn renewed_since(purchase: &Purchase, ends: Option<&str>) -> Error {
    Error::new(
        Code::Conflict,
        format!(
            "{} ends on {} now, and on {} when this was quoted: it was renewed since. Nothing was sent. Ask for a new quote with quote_domain only if it is to be renewed once more.",
            purchase.domain,
            ends.unwrap_or("another date"),
            purchase.expires_on.as_deref().unwrap_or("another date"),
        ),
    )
}
