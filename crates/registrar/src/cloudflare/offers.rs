//! What Cloudflare sells, and for how much.

use resto_core::{Api, Code, Error, Money, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Enveloped, account, dashboard};
use crate::contract::{Ideas, Offer, Operation, Price, Wanted, person_must};
use crate::names::DomainName;

#[derive(Deserialize)]
struct Found {
    domains: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    name: String,
    registrable: bool,
    #[serde(default)]
    pricing: Option<Pricing>,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    tier: Option<String>,
}

#[derive(Deserialize)]
struct Pricing {
    currency: String,
    registration_cost: String,
    renewal_cost: String,
}

impl Listed {
    fn offer(self) -> Result<Offer> {
        let amount = |pick: fn(&Pricing) -> &str| {
            self.pricing.as_ref().map(|all| Money::parse(pick(all), &all.currency)).transpose()
        };
        let (price, renewal_price) =
            (amount(|all| &all.registration_cost)?, amount(|all| &all.renewal_cost)?);
        let premium = self.tier.as_deref() == Some("premium")
            || self.reason.as_deref() == Some("domain_premium");
        Ok(Offer {
            available: Some(self.registrable),
            premium,
            price,
            renewal_price,
            reason: self.reason.map(|reason| explained(&reason)),
            ..Offer::unknown(DomainName::new(&self.name)?)
        })
    }
}

fn explained(reason: &str) -> String {
    match reason {
        "domain_unavailable" => "Somebody has it, or the registry keeps it.",
        "domain_premium" => "The registry wants a special price, for which it is not sold here.",
        "extension_not_supported_via_api" => {
            "This ending is sold only in Cloudflare's dashboard, by a person."
        }
        "extension_not_supported" => "Cloudflare does not sell this ending.",
        "extension_disallows_registration" => "Its registry accepts no new names at present.",
        other => other,
    }
    .to_owned()
}

pub(super) async fn check(api: &Api, domains: &[DomainName]) -> Result<Vec<Offer>> {
    let found: Enveloped<Found> = api
        .post("/accounts/{}/registrar/domain-check", &[&account(api)?])
        .json(&json!({"domains": domains}))
        .reads()
        .send()
        .await?;
    found.result.domains.into_iter().map(Listed::offer).collect()
}

/// A name that can be bought now, or why it cannot.
pub(super) async fn buyable(api: &Api, domain: &DomainName) -> Result<(Money, Money)> {
    let offers = check(api, std::slice::from_ref(domain)).await?;
    let offer = offers.into_iter().find(|offer| offer.domain == *domain);
    let Some(Offer { available: Some(true), premium: false, price, renewal_price, .. }) = offer
    else {
        let reason = offer.and_then(|offer| offer.reason).unwrap_or_default();
        return Err(Error::new(
            Code::Conflict,
            format!("Cloudflare cannot sell {domain}. {reason} Choose another name."),
        ));
    };
    price.zip(renewal_price).ok_or_else(|| {
        Error::new(
            Code::ProviderDown,
            format!("Cloudflare told no price for {domain}. Try again later."),
        )
    })
}

/// What a period costs: the first year, then renewals.
pub(super) fn total(years: u8, first: &Money, later: &Money) -> Result<Money> {
    later.times(u64::from(years.saturating_sub(1))).and_then(|rest| first.plus(&rest)).ok_or_else(
        || Error::new(Code::ProviderDown, "Cloudflare told prices that cannot be added up."),
    )
}

/// The least years of an ending, if it can be bought without further details of the buyer.
async fn least_years(api: &Api, domain: &DomainName) -> Result<u8> {
    let account = account(api)?;
    let extension: Option<Enveloped<Value>> = api
        .get("/accounts/{}/registrar/extensions/{}", &[&account, &domain.ending()])
        .send_optional()
        .await?;
    let schema = extension.map(|found| found.result).unwrap_or_default();
    let required = schema.pointer("/registration_schema/required").and_then(Value::as_array);
    let more = required
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .any(|field| matches!(field, "contact_extensions" | "acknowledgements"));
    if more {
        return Err(person_must(
            &format!(
                "The registry of .{} wants details of the buyer that a person gives in Cloudflare's dashboard.",
                domain.ending()
            ),
            &dashboard(account),
        ));
    }
    let least =
        schema.pointer("/registration_schema/properties/years/minimum").and_then(Value::as_u64);
    Ok(least.and_then(|years| u8::try_from(years).ok()).unwrap_or(1))
}

pub(super) async fn suggest(api: &Api, ideas: &Ideas) -> Result<Vec<Offer>> {
    let mut request = api
        .get("/accounts/{}/registrar/domain-search", &[&account(api)?])
        .query("q", &ideas.words)
        .query("limit", ideas.limit);
    for ending in &ideas.endings {
        request = request.query("extensions", ending);
    }
    let found: Enveloped<Found> = request.send().await?;
    found.result.domains.into_iter().take(ideas.limit).map(Listed::offer).collect()
}

pub(super) async fn price(api: &Api, what: &Wanted) -> Result<Price> {
    if what.operation == Operation::Renew {
        return Err(person_must(
            "Cloudflare renews domains only by itself. Switch on auto-renewal, or a person renews it in the dashboard.",
            &dashboard(account(api)?),
        ));
    }
    let (first, later) = buyable(api, &what.domain).await?;
    let least = least_years(api, &what.domain).await?;
    let years = what.years.unwrap_or(least);
    if years < least {
        return Err(Error::invalid(
            "years",
            format!("invalid input: .{} is sold for {least} years at least.", what.domain.ending()),
        ));
    }
    Ok(Price {
        years,
        total: total(years, &first, &later)?,
        renewal: later.times(u64::from(years)),
        expires_on: None,
        notes: vec!["Its DNS stays at Cloudflare.".to_owned()],
    })
}
