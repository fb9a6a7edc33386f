//! Porkbun: sells against prepaid credit, for the registry's own period, at a price that the order
//! has to name to the cent. <https://porkbun.com/api/json/v3/documentation>

mod dns;
mod envelope;
mod orders;
#[cfg(test)]
mod tests;

use resto_core::{Api, Code, Error, Money, Page, PageRequest, Result};
use serde::Deserialize;
use serde_json::{Value, json};

pub(crate) use self::envelope::meaning;
use self::envelope::{Answered, Flag};
use crate::contract::{
    Answer, Domain, Ideas, Offer, Placed, Price, Purchase, Registrar, Terms, Wanted, date,
    person_must,
};
use crate::ideas;
use crate::names::DomainName;
use crate::zone::{DnsRecord, Live, Rules};

pub(crate) struct Porkbun;

/// Where a person manages the account's domains.
const DOMAINS_PAGE: &str = "https://porkbun.com/account/domainsSpeedy";

const TERMS: Terms = Terms {
    agreements: &[(
        "Porkbun Domain Name Registration Agreement",
        "https://porkbun.com/legal/agreement/domain_name_registration_agreement",
    )],
    payment: "Taken from the prepaid credit of the Porkbun account.",
    // Porkbun allows about one check in ten seconds.
    checks: 3,
    dns: Rules {
        flattens: false,
        kinds: &["A", "AAAA", "ALIAS", "CNAME", "MX", "NS", "SRV", "TXT", "CAA"],
        min_ttl: 600,
        default_ttl: Some(600),
    },
};

#[derive(Deserialize)]
struct Checked {
    response: CheckedName,
}

#[derive(Deserialize)]
struct CheckedName {
    avail: Flag,
    #[serde(default)]
    premium: Flag,
    #[serde(default)]
    price: Option<String>,
    #[serde(default, rename = "firstYearPromo")]
    promo: Flag,
    #[serde(default)]
    additional: Additional,
}

#[derive(Default, Deserialize)]
struct Additional {
    #[serde(default)]
    renewal: Option<Renewal>,
}

#[derive(Deserialize)]
struct Renewal {
    price: String,
}

async fn check_one(api: &Api, domain: &DomainName) -> Result<Offer> {
    let checked: Checked = api
        .post("/domain/checkDomain/{}", &[&domain.as_str()])
        .json(&json!({}))
        .reads()
        .answered()
        .await?;
    let name = checked.response;
    let reason = match (name.avail.0, name.premium.0, name.promo.0) {
        (false, ..) => Some("Somebody has it, or the registry keeps it."),
        (_, true, _) => Some("The registry wants a special price, for which it is not sold here."),
        (.., true) => Some("The first period is on offer; renewals cost more."),
        _ => None,
    };
    let amount = |text: Option<&str>| text.map(|text| Money::parse(text, "USD")).transpose();
    Ok(Offer {
        available: Some(name.avail.0),
        premium: name.premium.0,
        price: amount(name.price.as_deref())?,
        renewal_price: amount(name.additional.renewal.as_ref().map(|one| one.price.as_str()))?,
        reason: reason.map(str::to_owned),
        ..Offer::unknown(domain.clone())
    })
}

#[derive(Deserialize)]
struct Listed {
    domain: String,
    #[serde(default)]
    status: Option<String>,
    #[serde(default, rename = "createDate")]
    create_date: Option<String>,
    #[serde(default, rename = "expireDate")]
    expire_date: Option<String>,
    #[serde(default, rename = "autoRenew")]
    auto_renew: Option<Flag>,
    #[serde(default, rename = "whoisPrivacy")]
    privacy: Option<Flag>,
    #[serde(default, rename = "securityLock")]
    locked: Option<Flag>,
}

impl Listed {
    fn domain(self) -> Domain {
        Domain {
            unicode: DomainName::new(&self.domain).ok().and_then(|name| name.unicode()),
            name: self.domain,
            status: self.status.map(|status| status.to_lowercase()),
            created_on: self.create_date.as_deref().and_then(date),
            expires_on: self.expire_date.as_deref().and_then(date),
            auto_renew: self.auto_renew.map(|flag| flag.0),
            privacy: self.privacy.map(|flag| flag.0),
            locked: self.locked.map(|flag| flag.0),
            nameservers: None,
        }
    }
}

async fn get(api: &Api, domain: &DomainName) -> Result<Domain> {
    #[derive(Deserialize)]
    struct Got {
        domain: Listed,
    }
    let got: Got = api.get("/domain/get/{}", &[&domain.as_str()]).answered().await?;
    Ok(got.domain.domain())
}

/// Says whether a domain is renewed by itself.
async fn renewal(api: &Api, domain: &DomainName, on: bool) -> Result<()> {
    // The outcome of each domain is told apart from that of the request.
    let answer: Value = api
        .post("/domain/updateAutoRenew/{}", &[&domain.as_str()])
        .once()
        .json(&json!({"status": if on { "on" } else { "off" }}))
        .answered()
        .await?;
    let result = answer.pointer("/results").and_then(|all| all.get(domain.as_str()));
    let told = |field: &str| result.and_then(|one| one.get(field)?.as_str());
    match told("status") {
        None | Some("SUCCESS") => Ok(()),
        Some(_) => Err(Error::new(
            Code::Conflict,
            format!(
                "Porkbun did not change the renewal of {domain}: {}. Look at {DOMAINS_PAGE}.",
                told("message").unwrap_or("it says no more")
            ),
        )),
    }
}

/// The prices of endings, for which no credential is needed.
async fn endings(api: &Api) -> Result<Value> {
    #[derive(Deserialize)]
    struct Prices {
        pricing: Value,
    }
    let prices: Prices = api.get("/pricing/get", &[]).answered().await?;
    Ok(prices.pricing)
}

impl Registrar for Porkbun {
    fn terms(&self) -> &'static Terms {
        &TERMS
    }

    /// Porkbun has no search: names are made here, with the usual prices of their endings.
    fn suggest<'a>(&'a self, api: &'a Api, ideas: &'a Ideas) -> Answer<'a, Vec<Offer>> {
        Box::pin(async move {
            let prices = endings(api).await?;
            let price = |domain: &DomainName, what: &str| {
                let text = prices.get(domain.ending())?.get(what)?.as_str()?;
                Money::parse(text, "USD").ok()
            };
            let names = ideas::names(&ideas.words, &ideas.endings, ideas.limit);
            Ok(names
                .into_iter()
                .map(|domain| Offer {
                    price: price(&domain, "registration"),
                    renewal_price: price(&domain, "renewal"),
                    ..Offer::unknown(domain)
                })
                .filter(|offer| offer.price.is_some())
                .collect())
        })
    }

    fn check<'a>(&'a self, api: &'a Api, domains: &'a [DomainName]) -> Answer<'a, Vec<Offer>> {
        Box::pin(async move {
            let mut offers = Vec::new();
            for domain in domains {
                match check_one(api, domain).await {
                    Ok(offer) => offers.push(offer),
                    // What was found so far is worth more than an error.
                    Err(error) if error.code() == Code::RateLimited && !offers.is_empty() => {
                        offers.push(Offer {
                            reason: Some("Not asked: Porkbun allows about one check in ten seconds. Ask for it alone.".to_owned()),
                            ..Offer::unknown(domain.clone())
                        });
                    }
                    Err(error) => return Err(error),
                }
            }
            Ok(offers)
        })
    }

    fn price<'a>(&'a self, api: &'a Api, what: &'a Wanted) -> Answer<'a, Price> {
        Box::pin(orders::price(api, what))
    }

    fn buy<'a>(&'a self, api: &'a Api, purchase: &'a Purchase) -> Answer<'a, Placed> {
        Box::pin(orders::buy(api, purchase))
    }

    fn renew<'a>(&'a self, api: &'a Api, purchase: &'a Purchase) -> Answer<'a, Placed> {
        Box::pin(orders::renew(api, purchase))
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
            #[derive(Deserialize)]
            struct All {
                domains: Vec<Listed>,
            }
            let start: usize = match &page.cursor {
                None => 0,
                Some(cursor) => cursor.parse().map_err(|_| {
                    Error::invalid(
                        "cursor",
                        "invalid input: `cursor` is not a `next_cursor` of this list.",
                    )
                })?,
            };
            // Porkbun answers a thousand at once.
            let all: All = api.get("/domain/listAll", &[]).query("start", start).answered().await?;
            let size = usize::try_from(page.size(100)).unwrap_or(100);
            let more = all.domains.len() > size;
            Ok(Page {
                items: all.domains.into_iter().take(size).map(Listed::domain).collect(),
                next_cursor: more.then(|| (start + size).to_string()),
            })
        })
    }

    fn domain<'a>(&'a self, api: &'a Api, domain: &'a DomainName) -> Answer<'a, Domain> {
        Box::pin(async move {
            #[derive(Deserialize)]
            struct Names {
                ns: Vec<String>,
            }
            let found = get(api, domain).await?;
            let names: Names = api.get("/domain/getNs/{}", &[&domain.as_str()]).answered().await?;
            Ok(Domain { nameservers: Some(names.ns), ..found })
        })
    }

    fn renewal_price<'a>(
        &'a self,
        api: &'a Api,
        domain: &'a DomainName,
    ) -> Answer<'a, Option<Money>> {
        Box::pin(orders::renewal_price(api, domain))
    }

    fn set_auto_renew<'a>(
        &'a self,
        api: &'a Api,
        domain: &'a DomainName,
        on: bool,
    ) -> Answer<'a, ()> {
        Box::pin(renewal(api, domain, on))
    }

    fn set_privacy<'a>(
        &'a self,
        _api: &'a Api,
        domain: &'a DomainName,
        _on: bool,
    ) -> Answer<'a, ()> {
        Box::pin(async move {
            Err(person_must(
                &format!("Porkbun lets only a person change the privacy of {domain}, on its page."),
                DOMAINS_PAGE,
            ))
        })
    }

    fn set_nameservers<'a>(
        &'a self,
        api: &'a Api,
        domain: &'a DomainName,
        names: &'a [String],
    ) -> Answer<'a, ()> {
        Box::pin(async move {
            api.post("/domain/updateNs/{}", &[&domain.as_str()])
                .once()
                .json(&json!({"ns": names}))
                .answered::<Value>()
                .await
                .map(drop)
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
        Box::pin(dns::write(api.post("/dns/create/{}", &[&domain.as_str()]).once(), record))
    }

    fn replace_record<'a>(
        &'a self,
        api: &'a Api,
        domain: &'a DomainName,
        id: &'a str,
        record: &'a DnsRecord,
    ) -> Answer<'a, ()> {
        Box::pin(dns::write(api.post("/dns/edit/{}/{}", &[&domain.as_str(), &id]).once(), record))
    }

    fn delete_record<'a>(
        &'a self,
        api: &'a Api,
        domain: &'a DomainName,
        id: &'a str,
    ) -> Answer<'a, ()> {
        Box::pin(async move {
            api.post("/dns/delete/{}/{}", &[&domain.as_str(), &id])
                .once()
                .json(&json!({}))
                .answered::<Value>()
                .await
                .map(drop)
        })
    }
}
