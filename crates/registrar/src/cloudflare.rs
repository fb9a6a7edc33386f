//! Cloudflare Registrar: sells at cost to the account's card, renews only by itself, and keeps the
//! DNS of its domains. <https://developers.cloudflare.com/registrar/registrar-api/>

mod dns;
mod orders;

use resto_core::{Api, Code, Error, Page, PageRequest, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::contract::{
    Answer, Domain, Ideas, Offer, Operation, Placed, Price, Purchase, Registrar, Terms, Wanted,
    date, person_must,
};
use crate::money::Money;
use crate::names::DomainName;
use crate::zone::{DnsRecord, Live, Rules};

pub(crate) struct Cloudflare;

/// What Cloudflare wraps each answer in.
#[derive(Deserialize)]
struct Enveloped<T> {
    result: T,
}

const TERMS: Terms = Terms {
    agreements: &[(
        "Cloudflare Domain Registration Agreement",
        "https://www.cloudflare.com/domain-registration-agreement/",
    )],
    payment: "Charged to the default payment method of the Cloudflare account.",
    checks: 20,
    dns: Rules {
        flattens: true,
        kinds: &["A", "AAAA", "CNAME", "MX", "NS", "SRV", "TXT", "CAA"],
        min_ttl: 60,
        default_ttl: None,
    },
};

/// The account that the connection is for, as `identify` learnt it.
fn account(api: &Api) -> Result<&str> {
    api.account().map(|account| account.id.as_str()).ok_or_else(|| {
        Error::new(
            Code::Internal,
            "The connection does not say which Cloudflare account it is for.",
        )
    })
}

/// The page on which a person manages the account's domains.
fn dashboard(account: &str) -> String {
    format!("https://dash.cloudflare.com/{account}/domains/registrations")
}

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

#[derive(Deserialize)]
struct Registration {
    domain_name: String,
    #[serde(default)]
    status: Option<String>,
    #[serde(default)]
    created_at: Option<String>,
    #[serde(default)]
    expires_at: Option<String>,
    #[serde(default)]
    auto_renew: Option<bool>,
    #[serde(default)]
    privacy_mode: Option<String>,
    #[serde(default)]
    locked: Option<bool>,
}

impl Registration {
    fn domain(self) -> Domain {
        Domain {
            unicode: DomainName::new(&self.domain_name).ok().and_then(|name| name.unicode()),
            domain: self.domain_name,
            status: self.status,
            created_on: self.created_at.as_deref().and_then(date),
            expires_on: self.expires_at.as_deref().and_then(date),
            auto_renew: self.auto_renew,
            privacy: self.privacy_mode.map(|mode| mode != "off"),
            locked: self.locked,
            nameservers: None,
        }
    }
}

async fn check(api: &Api, domains: &[DomainName]) -> Result<Vec<Offer>> {
    let found: Enveloped<Found> = api
        .post("/accounts/{}/registrar/domain-check", &[&account(api)?])
        .json(&json!({"domains": domains}))
        .reads()
        .send()
        .await?;
    found.result.domains.into_iter().map(Listed::offer).collect()
}

/// A name that can be bought now, or why it cannot.
async fn buyable(api: &Api, domain: &DomainName) -> Result<(Money, Money)> {
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
fn total(years: u8, first: &Money, later: &Money) -> Result<Money> {
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

impl Registrar for Cloudflare {
    fn terms(&self) -> &'static Terms {
        &TERMS
    }

    fn suggest<'a>(&'a self, api: &'a Api, ideas: &'a Ideas) -> Answer<'a, Vec<Offer>> {
        Box::pin(async move {
            let mut request = api
                .get("/accounts/{}/registrar/domain-search", &[&account(api)?])
                .query("q", &ideas.words)
                .query("limit", ideas.limit);
            for ending in &ideas.endings {
                request = request.query("extensions", ending);
            }
            let found: Enveloped<Found> = request.send().await?;
            found.result.domains.into_iter().take(ideas.limit).map(Listed::offer).collect()
        })
    }

    fn check<'a>(&'a self, api: &'a Api, domains: &'a [DomainName]) -> Answer<'a, Vec<Offer>> {
        Box::pin(check(api, domains))
    }

    fn price<'a>(&'a self, api: &'a Api, what: &'a Wanted) -> Answer<'a, Price> {
        Box::pin(async move {
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
                    format!(
                        "invalid input: .{} is sold for {least} years at least.",
                        what.domain.ending()
                    ),
                ));
            }
            Ok(Price {
                years,
                total: total(years, &first, &later)?,
                renewal: later.times(u64::from(years)),
                expires_on: None,
                notes: vec!["Its DNS stays at Cloudflare.".to_owned()],
            })
        })
    }

    fn buy<'a>(&'a self, api: &'a Api, purchase: &'a Purchase) -> Answer<'a, Placed> {
        Box::pin(orders::buy(api, purchase))
    }

    fn renew<'a>(&'a self, api: &'a Api, _purchase: &'a Purchase) -> Answer<'a, Placed> {
        Box::pin(async move {
            Err(person_must("Cloudflare renews domains only by itself.", &dashboard(account(api)?)))
        })
    }

    fn follow<'a>(
        &'a self,
        api: &'a Api,
        purchase: &'a Purchase,
        _order: Option<&'a str>,
    ) -> Answer<'a, Option<Placed>> {
        Box::pin(orders::follow(api, purchase))
    }

    fn domains<'a>(&'a self, api: &'a Api, page: &'a PageRequest) -> Answer<'a, Page<Domain>> {
        Box::pin(async move {
            let listed: Page<Registration> = api
                .get("/accounts/{}/registrar/registrations", &[&account(api)?])
                .page(page)
                .list_in("result")
                .await?;
            Ok(listed.map(Registration::domain))
        })
    }

    fn domain<'a>(&'a self, api: &'a Api, domain: &'a DomainName) -> Answer<'a, Domain> {
        Box::pin(async move {
            let found: Enveloped<Registration> = api
                .get("/accounts/{}/registrar/registrations/{}", &[&account(api)?, &domain.as_str()])
                .send()
                .await?;
            // A token for the registrar alone does not see zones.
            let nameservers = dns::zone(api, domain).await.ok().map(|zone| zone.name_servers);
            Ok(Domain { nameservers, ..found.result.domain() })
        })
    }

    fn set_auto_renew<'a>(
        &'a self,
        api: &'a Api,
        domain: &'a DomainName,
        on: bool,
    ) -> Answer<'a, ()> {
        Box::pin(async move {
            api.patch(
                "/accounts/{}/registrar/registrations/{}",
                &[&account(api)?, &domain.as_str()],
            )
            .json(&json!({"auto_renew": on}))
            .send_empty()
            .await
        })
    }

    fn set_privacy<'a>(&'a self, api: &'a Api, domain: &'a DomainName, on: bool) -> Answer<'a, ()> {
        Box::pin(async move {
            // https://developers.cloudflare.com/api/resources/registrar/subresources/domains/methods/update/
            api.put("/accounts/{}/registrar/domains/{}", &[&account(api)?, &domain.as_str()])
                .json(&json!({"privacy": on}))
                .send_empty()
                .await
        })
    }

    fn set_nameservers<'a>(
        &'a self,
        api: &'a Api,
        domain: &'a DomainName,
        _names: &'a [String],
    ) -> Answer<'a, ()> {
        Box::pin(async move {
            Err(person_must(
                &format!(
                    "{domain} is registered at Cloudflare, whose domains stay on its own name servers. To use others, a person moves it to another registrar."
                ),
                &dashboard(account(api)?),
            ))
        })
    }

    fn zone<'a>(&'a self, api: &'a Api, domain: &'a DomainName) -> Answer<'a, Vec<Live>> {
        Box::pin(dns::records(api, domain))
    }

    fn create_record<'a>(
        &'a self,
        api: &'a Api,
        domain: &'a DomainName,
        record: &'a DnsRecord,
    ) -> Answer<'a, ()> {
        Box::pin(async move {
            let zone = dns::zone(api, domain).await?;
            // https://developers.cloudflare.com/api/resources/dns/subresources/records/methods/create/
            api.post("/zones/{}/dns_records", &[&zone.id])
                .json(&dns::body(domain, record))
                .send_empty()
                .await
        })
    }

    fn replace_record<'a>(
        &'a self,
        api: &'a Api,
        domain: &'a DomainName,
        id: &'a str,
        record: &'a DnsRecord,
    ) -> Answer<'a, ()> {
        Box::pin(async move {
            let zone = dns::zone(api, domain).await?;
            api.patch("/zones/{}/dns_records/{}", &[&zone.id, &id])
                .json(&dns::body(domain, record))
                .send_empty()
                .await
        })
    }

    fn delete_record<'a>(
        &'a self,
        api: &'a Api,
        domain: &'a DomainName,
        id: &'a str,
    ) -> Answer<'a, ()> {
        Box::pin(async move {
            let zone = dns::zone(api, domain).await?;
            api.delete("/zones/{}/dns_records/{}", &[&zone.id, &id]).send_empty().await
        })
    }
}
