//! Buying and renewing at name.com. Each order names its price, so that it is refused at another.

use resto_core::{Api, Code, Error, Money, Result};
use serde::Deserialize;
use serde_json::{Map, Number, Value, json};

use super::{Listed, check, dollars, get, not_sold};
use crate::contract::{Operation, Placed, Price, Purchase, State, Wanted, date, person_must};
use crate::names::DomainName;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Pricing {
    #[serde(default)]
    premium: bool,
    purchase_price: Option<Number>,
    renewal_price: Option<Number>,
}

/// The years that an ending is sold for, if it can be bought without further details of the buyer.
async fn allowed_years(api: &Api, domain: &DomainName) -> Result<Vec<u8>> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Requirements {
        #[serde(default)]
        requirements: Option<Fields>,
        #[serde(default)]
        tld_info: Option<Info>,
    }
    #[derive(Deserialize)]
    struct Fields {
        #[serde(default)]
        fields: Map<String, Value>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Info {
        #[serde(default)]
        allowed_registration_years: Vec<u8>,
    }
    let ending = domain.ending();
    let found: Option<Requirements> =
        api.get("/core/v1/domaininfo/requirements/{}", &[&ending]).send_optional().await?;
    let Some(found) = found else { return Ok(Vec::new()) };
    let fields = found.requirements.map(|one| one.fields).unwrap_or_default();
    let needs_more = fields.values().any(|field| {
        matches!(field.get("required"), Some(Value::Bool(true)))
            || field.get("required").and_then(Value::as_str) == Some("true")
    });
    if needs_more {
        return Err(person_must(
            &format!(
                "The registry of .{ending} wants details of the buyer that a person gives at name.com."
            ),
            &format!("https://www.name.com/domain/search/{domain}"),
        ));
    }
    Ok(found.tld_info.map(|info| info.allowed_registration_years).unwrap_or_default())
}

async fn pricing(api: &Api, domain: &DomainName, years: u8) -> Result<Pricing> {
    api.get("/core/v1/domains/{}:getPricing", &[&domain.as_str()])
        .query("years", years)
        .send()
        .await
}

/// Also of names at a special price, which are renewed for it.
pub(super) async fn renewal_price(api: &Api, domain: &DomainName) -> Result<Option<Money>> {
    dollars(pricing(api, domain, 1).await?.renewal_price.as_ref())
}

pub(super) async fn price(api: &Api, what: &Wanted) -> Result<Price> {
    let Wanted { operation, domain, years } = what;
    let mut expires_on = None;
    match operation {
        Operation::Register => {
            let offers = check(api, std::slice::from_ref(domain)).await?;
            let offer = offers.into_iter().find(|offer| offer.domain == *domain);
            if !offer.as_ref().is_some_and(|offer| offer.available == Some(true) && !offer.premium)
            {
                return Err(not_sold(domain, offer.and_then(|offer| offer.reason)));
            }
        }
        Operation::Renew => expires_on = get(api, domain).await?.expires_on,
    }
    let allowed = match operation {
        Operation::Register => allowed_years(api, domain).await?,
        Operation::Renew => Vec::new(),
    };
    let years = years.or(allowed.iter().min().copied()).unwrap_or(1);
    if !allowed.is_empty() && !allowed.contains(&years) {
        let list: Vec<String> = allowed.iter().map(u8::to_string).collect();
        return Err(Error::invalid(
            "years",
            format!("invalid input: .{} is sold for {} years.", domain.ending(), list.join(", ")),
        ));
    }
    let told = pricing(api, domain, years).await?;
    if told.premium {
        return Err(not_sold(domain, Some("The registry wants a special price.".to_owned())));
    }
    let renewal = dollars(told.renewal_price.as_ref())?;
    let total = match operation {
        Operation::Register => dollars(told.purchase_price.as_ref())?,
        Operation::Renew => renewal.clone(),
    };
    let total =
        total.ok_or_else(|| not_sold(domain, Some("It has no price at present.".to_owned())))?;
    Ok(Price { years, total, renewal, expires_on, notes: Vec::new() })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Done {
    #[serde(default)]
    domain: Option<Listed>,
    #[serde(default)]
    order: Option<u64>,
    #[serde(default)]
    total_paid: Option<Number>,
}

impl Done {
    fn placed(self, purchase: &Purchase) -> Placed {
        let paid = dollars(self.total_paid.as_ref()).ok().flatten();
        // The price is pinned before taxes.
        let message = paid.as_ref().filter(|paid| !paid.within(&purchase.total)).map(|paid| {
            format!(
                "name.com charged {paid}, more than the quoted {}; the rest is usually tax.",
                purchase.total
            )
        });
        Placed {
            order: self.order.map(|id| id.to_string()),
            paid,
            expires_on: self.domain.and_then(|domain| date(&domain.expire_date?)),
            message,
            ..Placed::new(State::Succeeded)
        }
    }
}

/// The price as a JSON number with the digits of the decimal text.
fn number(money: &Money) -> Result<Number> {
    serde_json::from_str(&money.decimal()).map_err(|error| {
        Error::new(Code::Internal, format!("the price cannot be written: {error}"))
    })
}

pub(super) async fn buy(api: &Api, purchase: &Purchase) -> Result<Placed> {
    // https://docs.name.com/api/v1/reference/domains/create-domain
    let done: Done = api
        .post("/core/v1/domains", &[])
        .json(&json!({
            "domain": {
                "domainName": purchase.domain,
                "privacyEnabled": purchase.privacy,
                "autorenewEnabled": purchase.auto_renew,
            },
            "years": purchase.years,
            "purchaseType": "registration",
            "purchasePrice": number(&purchase.total)?,
        }))
        .send()
        .await?;
    Ok(done.placed(purchase))
}

pub(super) async fn renew(api: &Api, purchase: &Purchase) -> Result<Placed> {
    let done: Done = api
        .post("/core/v1/domains/{}:renew", &[&purchase.domain.as_str()])
        .json(&json!({"years": purchase.years, "purchasePrice": number(&purchase.total)?}))
        .once()
        .send()
        .await?;
    Ok(done.placed(purchase))
}

pub(super) async fn follow(
    api: &Api,
    purchase: &Purchase,
    order: Option<&str>,
) -> Result<Option<Placed>> {
    #[derive(Deserialize)]
    struct Order {
        #[serde(default)]
        status: Option<String>,
    }
    if let Some(id) = order {
        let found: Order = api.get("/core/v1/orders/{}", &[&id]).send().await?;
        let state = match found.status.as_deref() {
            Some("success") => State::Succeeded,
            Some("failed") => State::Failed,
            _ => State::Pending,
        };
        return Ok(Some(Placed { order: Some(id.to_owned()), ..Placed::new(state) }));
    }
    let found = match get(api, &purchase.domain).await {
        Ok(found) => found,
        Err(error) if error.code() == Code::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let done = match purchase.operation {
        Operation::Register => true,
        Operation::Renew => found.expires_on > purchase.expires_on,
    };
    Ok(done.then(|| Placed { expires_on: found.expires_on, ..Placed::new(State::Succeeded) }))
}
