//! name.com: sells against the account's card or credit; an order that names a price is refused at
//! any other. <https://docs.name.com>

mod dns;
mod orders;
#[cfg(test)]
#[expect(clippy::needless_pass_by_value, reason = "prepared answers read better as values")]
mod tests;

use resto_core::{Api, Code, Error, Money, Page, PageRequest, Result};
use serde::Deserialize;
use serde_json::{Number, Value, json};

use crate::contract::{
    Answer, Domain, Ideas, Offer, Placed, Price, Purchase, Registrar, Terms, Wanted, date,
};
use crate::names::DomainName;
use crate::zone::{DnsRecord, Live, Rules};

pub(crate) struct NameCom;

const TERMS: Terms = Terms {
    agreements: &[(
        "name.com Registration Agreement",
        "https://www.name.com/policies/registration-agreement",
    )],
    payment: "Charged to the credit or the payment method of the name.com account; taxes may come on top.",
    checks: 20,
    dns: Rules {
        flattens: false,
        kinds: &["A", "AAAA", "ALIAS", "CNAME", "MX", "NS", "SRV", "TXT"],
        min_ttl: 300,
        default_ttl: Some(3600),
    },
};

#[derive(Deserialize)]
struct Results {
    #[serde(default)]
    results: Vec<Found>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Found {
    domain_name: String,
    #[serde(default)]
    purchasable: bool,
    #[serde(default)]
    premium: bool,
    #[serde(default)]
    purchase_type: Option<String>,
    #[serde(default)]
    purchase_price: Option<Number>,
    #[serde(default)]
    renewal_price: Option<Number>,
    #[serde(default)]
    reason: Option<String>,
}

fn dollars(number: Option<&Number>) -> Result<Option<Money>> {
    number.map(|number| Money::number(number, "USD")).transpose()
}

impl Found {
    fn offer(self) -> Result<Offer> {
        // Names from auctions and previous owners are sold otherwise.
        let second_hand = self.purchase_type.as_deref().is_some_and(|kind| kind != "registration");
        let usual = match (self.purchasable, self.premium, second_hand) {
            (false, ..) => Some("Somebody has it, or the registry keeps it."),
            (_, _, true) => Some("It is sold by an owner, which is not bought here."),
            (_, true, _) => {
                Some("The registry wants a special price, for which it is not sold here.")
            }
            _ => None,
        };
        Ok(Offer {
            available: Some(self.purchasable && !second_hand),
            premium: self.premium,
            price: dollars(self.purchase_price.as_ref())?,
            renewal_price: dollars(self.renewal_price.as_ref())?,
            reason: self.reason.or(usual.map(str::to_owned)),
            ..Offer::unknown(DomainName::new(&self.domain_name)?)
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    domain_name: String,
    #[serde(default)]
    create_date: Option<String>,
    #[serde(default)]
    expire_date: Option<String>,
    #[serde(default)]
    autorenew_enabled: Option<bool>,
    #[serde(default)]
    privacy_enabled: Option<bool>,
    #[serde(default)]
    locked: Option<bool>,
    #[serde(default)]
    nameservers: Option<Vec<String>>,
}

impl Listed {
    fn domain(self) -> Domain {
        Domain {
            unicode: DomainName::new(&self.domain_name).ok().and_then(|name| name.unicode()),
            name: self.domain_name,
            status: None,
            created_on: self.create_date.as_deref().and_then(date),
            expires_on: self.expire_date.as_deref().and_then(date),
            auto_renew: self.autorenew_enabled,
            privacy: self.privacy_enabled,
            locked: self.locked,
            nameservers: self.nameservers,
        }
    }
}

async fn check(api: &Api, domains: &[DomainName]) -> Result<Vec<Offer>> {
    let found: Results = api
        .post("/core/v1/domains:checkAvailability", &[])
        .json(&json!({"domainNames": domains, "purchaseType": "registration"}))
        .reads()
        .send()
        .await?;
    found.results.into_iter().map(Found::offer).collect()
}

async fn get(api: &Api, domain: &DomainName) -> Result<Domain> {
    let found: Listed = api.get("/core/v1/domains/{}", &[&domain.as_str()]).send().await?;
    Ok(found.domain())
}

async fn update(api: &Api, domain: &DomainName, change: Value) -> Result<()> {
    // https://docs.name.com/api/v1/reference/domains/update-domain
    api.patch("/core/v1/domains/{}", &[&domain.as_str()]).json(&change).once().send_empty().await
}

impl Registrar for NameCom {
    fn terms(&self) -> &'static Terms {
        &TERMS
    }

    fn suggest<'a>(&'a self, api: &'a Api, ideas: &'a Ideas) -> Answer<'a, Vec<Offer>> {
        Box::pin(async move {
            let endings = (!ideas.endings.is_empty()).then_some(&ideas.endings);
            let found: Results = api
                .post("/core/v1/domains:search", &[])
                .fields(json!({
                    "keyword": ideas.words,
                    "tldFilter": endings,
                    "purchaseType": "registration",
                    "timeout": 5000,
                }))
                .reads()
                .send()
                .await?;
            found.results.into_iter().take(ideas.limit).map(Found::offer).collect()
        })
    }

    fn check<'a>(&'a self, api: &'a Api, domains: &'a [DomainName]) -> Answer<'a, Vec<Offer>> {
        Box::pin(check(api, domains))
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
        order: Option<&'a str>,
    ) -> Answer<'a, Option<Placed>> {
        Box::pin(orders::follow(api, purchase, order))
    }

    fn domains<'a>(&'a self, api: &'a Api, page: &'a PageRequest) -> Answer<'a, Page<Domain>> {
        Box::pin(async move {
            let listed: Page<Listed> =
                api.get("/core/v1/domains", &[]).page(page).list_in("domains").await?;
            Ok(listed.map(|found| Domain { nameservers: None, ..found.domain() }))
        })
    }

    fn domain<'a>(&'a self, api: &'a Api, domain: &'a DomainName) -> Answer<'a, Domain> {
        Box::pin(get(api, domain))
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
        Box::pin(update(api, domain, json!({"autorenewEnabled": on})))
    }

    fn set_privacy<'a>(&'a self, api: &'a Api, domain: &'a DomainName, on: bool) -> Answer<'a, ()> {
        Box::pin(update(api, domain, json!({"privacyEnabled": on})))
    }

    fn set_nameservers<'a>(
        &'a self,
        api: &'a Api,
        domain: &'a DomainName,
        names: &'a [String],
    ) -> Answer<'a, ()> {
        Box::pin(async move {
            api.post("/core/v1/domains/{}:setNameservers", &[&domain.as_str()])
                .json(&json!({"nameservers": names}))
                .once()
                .send_empty()
                .await
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
            api.post("/core/v1/domains/{}/records", &[&domain.as_str()])
                .fields(dns::body(record))
                .once()
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
            api.put("/core/v1/domains/{}/records/{}", &[&domain.as_str(), &id])
                .fields(dns::body(record))
                .once()
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
            api.delete("/core/v1/domains/{}/records/{}", &[&domain.as_str(), &id])
                .once()
                .send_empty()
                .await
        })
    }
}

/// A name that is not sold, and why.
fn not_sold(domain: &DomainName, reason: Option<String>) -> Error {
    Error::new(
        Code::Conflict,
        format!(
            "name.com cannot sell {domain}. {} Choose another name.",
            reason.unwrap_or_default()
        ),
    )
}
