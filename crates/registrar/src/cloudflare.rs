//! Cloudflare Registrar: sells at cost to the account's card, renews only by itself, and keeps the
//! DNS of its domains. <https://developers.cloudflare.com/registrar/registrar-api/>

mod dns;
mod offers;
mod orders;
#[cfg(test)]
#[expect(clippy::needless_pass_by_value, reason = "prepared answers read better as values")]
mod tests;

use resto_core::{Api, Code, Error, Money, Page, PageRequest, Result};
use serde::Deserialize;
use serde_json::json;

use crate::contract::{
    Answer, Domain, Ideas, Offer, Placed, Price, Purchase, Registrar, Terms, Wanted, date,
    person_must,
};
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
            name: self.domain_name,
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

impl Registrar for Cloudflare {
    fn terms(&self) -> &'static Terms {
        &TERMS
    }

    fn suggest<'a>(&'a self, api: &'a Api, ideas: &'a Ideas) -> Answer<'a, Vec<Offer>> {
        Box::pin(offers::suggest(api, ideas))
    }

    fn check<'a>(&'a self, api: &'a Api, domains: &'a [DomainName]) -> Answer<'a, Vec<Offer>> {
        Box::pin(offers::check(api, domains))
    }

    fn price<'a>(&'a self, api: &'a Api, what: &'a Wanted) -> Answer<'a, Price> {
        Box::pin(offers::price(api, what))
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

    /// Cloudflare tells prices only of names that can be bought.
    fn renewal_price<'a>(
        &'a self,
        _api: &'a Api,
        _domain: &'a DomainName,
    ) -> Answer<'a, Option<Money>> {
        Box::pin(async { Ok(None) })
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
                .fields(dns::body(domain, record))
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
                .fields(dns::body(domain, record))
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
