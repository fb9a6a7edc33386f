//! Buying and renewing at Porkbun. A rehearsal tells the price; the order names it to the cent, and
//! is refused at any other.

use resto_core::{Api, Code, Error, Money, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use super::envelope::Answered;
use super::{check_one, get, renewal};
use crate::contract::{Operation, Placed, Price, Purchase, State, Wanted, date, person_must};
use crate::names::DomainName;

/// Also for rehearsals.
const RENEW: &str = "/domain/renew/{}";

/// What an order would do.
#[derive(Deserialize)]
struct Rehearsal {
    cost: u64,
    duration: u8,
    #[serde(default)]
    premium: bool,
    #[serde(default, rename = "sufficientFunds")]
    sufficient_funds: Option<bool>,
    #[serde(default, rename = "withinMonthlySpendLimit")]
    within_limit: Option<bool>,
}

#[derive(Deserialize)]
struct Done {
    #[serde(default)]
    cost: Option<u64>,
    #[serde(default, rename = "orderId")]
    order: Option<Value>,
    #[serde(default, rename = "expirationDate")]
    expires: Option<String>,
}

impl Done {
    fn placed(self) -> Placed {
        let order = self.order.map(|id| id.as_str().map_or_else(|| id.to_string(), str::to_owned));
        Placed {
            order,
            paid: self.cost.map(Money::cents),
            expires_on: self.expires.as_deref().and_then(date),
            ..Placed::new(State::Succeeded)
        }
    }
}

/// Whether Porkbun sells an ending to programs.
async fn requirements(api: &Api, domain: &DomainName) -> Result<()> {
    #[derive(Deserialize)]
    struct Requirements {
        #[serde(rename = "apiRegisterable")]
        registerable: bool,
        #[serde(default, rename = "registryRequirements")]
        more: Value,
    }
    let ending = domain.ending();
    let found: Requirements =
        api.get("/domain/getRegistrationRequirements/{}", &[&ending]).answered().await?;
    let nothing_more = match &found.more {
        Value::Null => true,
        Value::Object(fields) => fields.is_empty(),
        Value::Array(fields) => fields.is_empty(),
        _ => false,
    };
    if found.registerable && nothing_more {
        return Ok(());
    }
    Err(person_must(
        &format!(
            "Porkbun sells .{ending} on its website only, since the registry wants details of the buyer."
        ),
        &format!("https://porkbun.com/checkout/search?q={domain}"),
    ))
}

async fn rehearse(
    api: &Api,
    path: &'static str,
    domain: &DomainName,
    body: &Value,
) -> Result<Rehearsal> {
    api.post(path, &[&domain.as_str()]).json(body).reads().answered().await
}

/// What a renewal would cost that is ordered today.
pub(super) async fn renewal_price(api: &Api, domain: &DomainName) -> Result<Option<Money>> {
    match rehearse(api, RENEW, domain, &renewal_rehearsal()).await {
        Ok(rehearsal) => Ok(Some(Money::cents(rehearsal.cost))),
        // What cannot be renewed now, such as a domain that was just bought, has no price yet.
        Err(error) if error.code() == Code::Conflict => Ok(None),
        Err(error) => Err(error),
    }
}

fn renewal_rehearsal() -> Value {
    json!({"cost": 0, "dryRun": true})
}

pub(super) async fn price(api: &Api, what: &Wanted) -> Result<Price> {
    let Wanted { operation, domain, years } = what;
    let (path, body, later, expires_on) = match operation {
        Operation::Register => {
            let offer = check_one(api, domain).await?;
            if offer.available != Some(true) || offer.premium {
                return Err(Error::new(
                    Code::Conflict,
                    format!(
                        "Porkbun cannot sell {domain}. {} Choose another name.",
                        offer.reason.unwrap_or_default()
                    ),
                ));
            }
            requirements(api, domain).await?;
            let body =
                json!({"cost": 0, "dryRun": true, "agreeToTerms": "yes", "whoisPrivacy": true});
            ("/domain/create/{}", body, offer.renewal_price, None)
        }
        Operation::Renew => {
            let found = get(api, domain).await?;
            (RENEW, renewal_rehearsal(), None, found.expires_on)
        }
    };
    let rehearsal = rehearse(api, path, domain, &body).await?;
    if rehearsal.premium {
        return Err(Error::new(
            Code::Conflict,
            format!("Porkbun has {domain} at a special price only, for which it is not sold here."),
        ));
    }
    if years.is_some_and(|years| years != rehearsal.duration) {
        return Err(Error::invalid(
            "years",
            format!(
                "invalid input: Porkbun sells {domain} for {} years at a time. Leave `years` out.",
                rehearsal.duration
            ),
        ));
    }
    let total = Money::cents(rehearsal.cost);
    let renewal = match operation {
        // What Porkbun tells with a check is for a year.
        Operation::Register => later.and_then(|year| year.times(u64::from(rehearsal.duration))),
        Operation::Renew => Some(total.clone()),
    };
    let mut notes = Vec::new();
    if rehearsal.sufficient_funds == Some(false) {
        notes.push("The account lacks credit for it: a person adds some at https://porkbun.com/account first.".to_owned());
    }
    if rehearsal.within_limit == Some(false) {
        notes.push("It passes the key's monthly limit: a person raises it at https://porkbun.com/account/api first.".to_owned());
    }
    Ok(Price { years: rehearsal.duration, total, renewal, expires_on, notes })
}

pub(super) async fn buy(api: &Api, purchase: &Purchase) -> Result<Placed> {
    let done: Done = api
        .post("/domain/create/{}", &[&purchase.domain.as_str()])
        .json(&json!({
            "cost": purchase.total.minor,
            "agreeToTerms": "yes",
            "whoisPrivacy": purchase.privacy,
        }))
        .answered()
        .await?;
    let mut placed = done.placed();
    // An order takes no wish about renewal; new domains renew by the account's setting.
    if let Err(error) = renewal(api, &purchase.domain, purchase.auto_renew).await {
        placed.message =
            Some(format!("It is bought, but its auto-renewal could not be set: {error}"));
    }
    Ok(placed)
}

pub(super) async fn renew(api: &Api, purchase: &Purchase) -> Result<Placed> {
    let done: Done = api
        .post(RENEW, &[&purchase.domain.as_str()])
        .json(&json!({"cost": purchase.total.minor}))
        .answered()
        .await?;
    Ok(done.placed())
}

/// Porkbun cannot be asked about orders: the domain tells whether it is there, and until when.
pub(super) async fn follow(api: &Api, purchase: &Purchase) -> Result<Option<Placed>> {
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
