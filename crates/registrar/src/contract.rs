//! What every registrar does, whichever company it is. A tenant's connection says which one.

use resto_core::{Api, BoxFuture, Code, Error, Money, Page, PageRequest, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cloudflare::Cloudflare;
use crate::namecom::NameCom;
use crate::names::DomainName;
use crate::porkbun::Porkbun;
use crate::zone::{DnsRecord, Live, Rules};

/// What a registrar answers.
pub(crate) type Answer<'a, T> = BoxFuture<'a, Result<T>>;

/// A registrar. Each call may fail with what the provider reports.
pub(crate) trait Registrar: Sync {
    /// What does not change from call to call.
    fn terms(&self) -> &'static Terms;

    /// Ideas for names, from words; perhaps outdated.
    fn suggest<'a>(&'a self, api: &'a Api, ideas: &'a Ideas) -> Answer<'a, Vec<Offer>>;

    /// Whether these names can be bought, as the registry says now.
    fn check<'a>(&'a self, api: &'a Api, domains: &'a [DomainName]) -> Answer<'a, Vec<Offer>>;

    /// What it costs now to buy or renew a domain; refuses premium names.
    fn price<'a>(&'a self, api: &'a Api, what: &'a Wanted) -> Answer<'a, Price>;

    /// Buys a domain for this price at most.
    fn buy<'a>(&'a self, api: &'a Api, purchase: &'a Purchase) -> Answer<'a, Placed>;

    /// Renews a domain for this price at most.
    fn renew<'a>(&'a self, api: &'a Api, purchase: &'a Purchase) -> Answer<'a, Placed>;

    /// How far an order is, only by reading; `None` where the provider knows nothing of it.
    fn follow<'a>(
        &'a self,
        api: &'a Api,
        purchase: &'a Purchase,
        order: Option<&'a str>,
    ) -> Answer<'a, Option<Placed>>;

    /// The account's domains.
    fn domains<'a>(&'a self, api: &'a Api, page: &'a PageRequest) -> Answer<'a, Page<Domain>>;

    /// One of the account's domains.
    fn domain<'a>(&'a self, api: &'a Api, domain: &'a DomainName) -> Answer<'a, Domain>;

    /// What the next renewal of a domain of the account costs today; `None` where the registrar does not tell.
    fn renewal_price<'a>(
        &'a self,
        api: &'a Api,
        domain: &'a DomainName,
    ) -> Answer<'a, Option<Money>>;

    /// Lets a domain be renewed by itself, or not.
    fn set_auto_renew<'a>(
        &'a self,
        api: &'a Api,
        domain: &'a DomainName,
        on: bool,
    ) -> Answer<'a, ()>;

    /// Hides the owner's address from the public register, or shows it.
    fn set_privacy<'a>(&'a self, api: &'a Api, domain: &'a DomainName, on: bool) -> Answer<'a, ()>;

    /// Says which name servers answer for a domain.
    fn set_nameservers<'a>(
        &'a self,
        api: &'a Api,
        domain: &'a DomainName,
        names: &'a [String],
    ) -> Answer<'a, ()>;

    /// All records of a domain's zone.
    fn zone<'a>(&'a self, api: &'a Api, domain: &'a DomainName) -> Answer<'a, Vec<Live>>;

    /// Adds a record.
    fn create_record<'a>(
        &'a self,
        api: &'a Api,
        domain: &'a DomainName,
        record: &'a DnsRecord,
    ) -> Answer<'a, ()>;

    /// Makes a record another one of the same name and kind.
    fn replace_record<'a>(
        &'a self,
        api: &'a Api,
        domain: &'a DomainName,
        id: &'a str,
        record: &'a DnsRecord,
    ) -> Answer<'a, ()>;

    /// Removes a record.
    fn delete_record<'a>(
        &'a self,
        api: &'a Api,
        domain: &'a DomainName,
        id: &'a str,
    ) -> Answer<'a, ()>;
}

/// The registrar that the connection is with.
///
/// # Errors
/// The provider is none of ours.
pub(crate) fn registrar(api: &Api) -> Result<&'static dyn Registrar> {
    match api.provider().id {
        "cloudflare" => Ok(&Cloudflare),
        "porkbun" => Ok(&Porkbun),
        "namecom" => Ok(&NameCom),
        other => Err(unknown(other)),
    }
}

/// A provider that is none of ours.
pub(crate) fn unknown(provider: &str) -> Error {
    Error::new(Code::Internal, format!("There is no registrar `{provider}`."))
}

/// What of a registrar does not change from call to call.
#[derive(Debug)]
pub(crate) struct Terms {
    /// What a buyer agrees to: title and page.
    pub agreements: &'static [(&'static str, &'static str)],
    /// How it is paid.
    pub payment: &'static str,
    /// The most names that one check takes.
    pub checks: usize,
    /// What its DNS can do.
    pub dns: Rules,
}

/// What names are looked for.
#[derive(Debug)]
pub(crate) struct Ideas {
    /// In the words of the business.
    pub words: String,
    /// Endings such as `com`; empty for any.
    pub endings: Vec<String>,
    /// The most that are wanted.
    pub limit: usize,
}

/// A name, whether it can be bought, and for how much.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Offer {
    /// The name.
    pub domain: DomainName,
    /// As people read it, where that differs.
    pub unicode: Option<String>,
    /// Whether it can be bought; absent where that was not asked.
    pub available: Option<bool>,
    /// Whether the registry wants a special price; such names are not bought here.
    pub premium: bool,
    /// The first period, usually a year.
    pub price: Option<Money>,
    /// Each later period.
    pub renewal_price: Option<Money>,
    /// Why it cannot be bought, or what is special.
    pub reason: Option<String>,
}

impl Offer {
    /// A name of which nothing is known yet.
    pub(crate) fn unknown(domain: DomainName) -> Self {
        let unicode = domain.unicode();
        Self {
            domain,
            unicode,
            available: None,
            premium: false,
            price: None,
            renewal_price: None,
            reason: None,
        }
    }
}

/// What is bought.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// A domain that nobody has.
    Register,
    /// More time for a domain of the account.
    Renew,
}

/// What a price is asked for.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub operation: Operation,
    pub domain: DomainName,
    /// `None` leaves the period to the registrar.
    pub years: Option<u8>,
}

/// What it costs.
#[derive(Debug)]
pub(crate) struct Price {
    pub years: u8,
    /// For all years together.
    pub total: Money,
    /// What renewing for as long costs today.
    pub renewal: Option<Money>,
    /// When a domain that is renewed ends now, as a date.
    pub expires_on: Option<String>,
    /// What the buyer should know.
    pub notes: Vec<String>,
}

/// What is bought for how much.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Purchase {
    pub operation: Operation,
    pub domain: DomainName,
    pub years: u8,
    /// The most that it may cost.
    pub total: Money,
    /// When a domain that is renewed ended before, as a date.
    pub expires_on: Option<String>,
    pub auto_renew: bool,
    pub privacy: bool,
}

/// How far an order is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Being worked on.
    Pending,
    /// Waits for a person at the registrar.
    ActionRequired,
    /// Done.
    Succeeded,
    /// Not done, and it will not be.
    Failed,
    /// It may have been done; look again.
    Unknown,
}

/// What became of an order.
#[derive(Clone, Debug)]
pub(crate) struct Placed {
    pub state: State,
    /// The provider's own id of the order.
    pub order: Option<String>,
    /// What was charged, where the provider says so.
    pub paid: Option<Money>,
    /// When the domain ends, as a date.
    pub expires_on: Option<String>,
    /// The provider's words, or what to do.
    pub message: Option<String>,
}

impl Placed {
    pub(crate) fn new(state: State) -> Self {
        Self { state, order: None, paid: None, expires_on: None, message: None }
    }
}

/// A domain of the account.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Domain {
    /// Its name.
    pub name: String,
    /// As people read it, where that differs.
    pub unicode: Option<String>,
    /// In the registrar's word, such as `active`.
    pub status: Option<String>,
    /// When it was registered, as a date.
    pub created_on: Option<String>,
    /// When it ends unless it is renewed, as a date.
    pub expires_on: Option<String>,
    /// Whether it is renewed and charged by itself.
    pub auto_renew: Option<bool>,
    /// Whether the owner's address is hidden from the public register.
    pub privacy: Option<bool>,
    /// Whether it is protected from moving to another registrar.
    pub locked: Option<bool>,
    /// The name servers that answer for it; absent in lists.
    pub nameservers: Option<Vec<String>>,
}

/// The date of a time as providers write it.
pub(crate) fn date(time: &str) -> Option<String> {
    time.get(..10)
        .filter(|date| date.bytes().filter(|byte| *byte == b'-').count() == 2)
        .map(str::to_owned)
}

/// Something that only a person can do, on a page of the provider.
pub(crate) fn person_must(sentence: &str, url: &str) -> Error {
    Error::new(Code::ActionRequired, format!("{sentence} Nothing was changed.")).url(url)
}
