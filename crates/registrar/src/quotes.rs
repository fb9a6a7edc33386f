//! What a domain costs, held for five minutes: nothing is bought without it, and nothing for more.

use std::time::Duration;

use resto_core::{Action, Api, Code, Error, Money, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::contract::{Operation, Wanted, registrar};
use crate::kept::{self, Owner, mark};
use crate::names::DomainName;
use crate::permissions::DOMAINS_READ;

/// The collection of the tenant's quotes.
const QUOTES: &str = "registrar_quotes";
/// How long a quote holds.
const HOLDS: Duration = Duration::from_mins(5);

/// A contract that the buyer enters.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Agreement {
    /// Its name.
    title: &'static str,
    /// Where it can be read.
    url: &'static str,
}

/// What a domain costs now.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PriceQuote {
    /// Give it to `purchase_domain` or `renew_domain`; it says the name and the price, and serves once.
    quote_id: String,
    /// The domain.
    domain: DomainName,
    /// What is bought.
    operation: Operation,
    /// For how many years.
    years: u8,
    /// For all years together.
    total: Money,
    /// What renewing it for as long costs today.
    renewal_total: Option<Money>,
    /// How it is paid.
    payment: &'static str,
    /// What the buyer agrees to.
    agreements: Vec<Agreement>,
    /// What the buyer should know.
    notes: Vec<String>,
    /// Seconds for which the quote holds.
    expires_in_seconds: u64,
}

/// What is kept of a quote.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Kept {
    owner: Owner,
    pub operation: Operation,
    pub domain: DomainName,
    pub years: u8,
    pub total: Money,
    pub expires_on: Option<String>,
}

/// Tells what buying or renewing a domain costs, with its renewal price and terms. Holds for five minutes.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct QuoteDomain {
    /// Such as `example.com`.
    domain: DomainName,
    /// Default register.
    operation: Option<Operation>,
    /// Default the registrar's shortest.
    #[schemars(range(min = 1, max = 10))]
    years: Option<u8>,
}

impl Action for QuoteDomain {
    const NAME: &'static str = "quote_domain";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] = &[
        "price of a domain",
        "how much does it cost to register or renew",
        "offer for a domain",
        "Domain Preis",
        "prix du domaine",
        "precio",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = DOMAINS_READ;
    type Output = PriceQuote;

    async fn run(self, api: &Api) -> Result<PriceQuote> {
        let registrar = registrar(api)?;
        let wanted = Wanted {
            operation: self.operation.unwrap_or(Operation::Register),
            domain: self.domain,
            years: self.years,
        };
        let price = registrar.price(api, &wanted).await?;
        let Wanted { operation, domain, .. } = wanted;
        // A person who confirms a purchase types this: it says what for how much.
        let quote_id =
            format!("{domain}-{}{}-{}", price.total.decimal(), price.total.currency, mark(api));
        let kept = Kept {
            owner: Owner::of(api),
            operation,
            domain: domain.clone(),
            years: price.years,
            total: price.total.clone(),
            expires_on: price.expires_on,
        };
        kept::put(api, QUOTES, &quote_id, &kept, Some(HOLDS)).await?;
        let mut notes = price.notes;
        notes.push("Domains are not refunded.".to_owned());
        let terms = registrar.terms();
        Ok(PriceQuote {
            quote_id,
            domain,
            operation,
            years: price.years,
            total: price.total,
            renewal_total: price.renewal,
            payment: terms.payment,
            agreements: terms
                .agreements
                .iter()
                .map(|(title, url)| Agreement { title, url })
                .collect(),
            notes,
            expires_in_seconds: HOLDS.as_secs(),
        })
    }
}

fn gone(quote_id: &str) -> Error {
    Error::new(
        Code::Conflict,
        format!(
            "The quote `{quote_id}` has expired or was used. Nothing was bought. Ask for a new one with quote_domain."
        ),
    )
}

/// A quote for this operation, which stays.
///
/// # Errors
/// There is none any more, or it is for something else or another account.
pub(crate) async fn find(api: &Api, quote_id: &str, operation: Operation) -> Result<Kept> {
    let kept: Kept = kept::get(api, QUOTES, quote_id).await?.ok_or_else(|| gone(quote_id))?;
    if kept.operation != operation {
        return Err(Error::invalid(
            "quote_id",
            "invalid input: this quote is for something else: purchase_domain takes quotes to register, renew_domain quotes to renew. Nothing was bought.",
        ));
    }
    kept.owner.check(api, "quote")?;
    Ok(kept)
}

/// Takes a quote out, so that it serves once.
///
/// # Errors
/// So much may not be spent, or there is none any more.
pub(crate) async fn take(api: &Api, quote_id: &str, total: &Money) -> Result<()> {
    // First: what may not be spent leaves the quote as it is.
    api.spend(total).await?;
    let taken: Option<Kept> = kept::take(api, QUOTES, quote_id).await?;
    taken.map(drop).ok_or_else(|| gone(quote_id))
}
