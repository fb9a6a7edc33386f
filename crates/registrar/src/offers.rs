//! Names that can be bought: ideas, one name under several endings, and exact names.

use resto_core::{Action, Api, Error, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::contract::{Ideas, Offer, registrar};
use crate::names::DomainName;
use crate::permissions::DOMAINS_READ;

/// Endings that are tried where none are given.
const USUAL: &[&str] = &["com", "net", "org"];
/// The most names or endings in one call.
const MAX: usize = 20;

/// Names and what is known of them.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Offers {
    /// The names.
    pub offers: Vec<Offer>,
}

/// An ending without its dot, in the one form.
fn endings(given: &[String]) -> Result<Vec<String>> {
    if given.len() > MAX {
        return Err(Error::invalid(
            "endings",
            format!("invalid input: `endings` takes {MAX} at most."),
        ));
    }
    given
        .iter()
        .map(|ending| {
            let bare = ending.trim().trim_start_matches('.');
            DomainName::new(&format!("a.{bare}")).map(|name| name.ending().to_owned()).map_err(|_| {
                Error::invalid("endings", format!("invalid input: `{ending}` is no ending of domain names. Write it as `com`."))
            })
        })
        .collect()
}

/// Suggests domain names for a business, from words about it. They may be taken: check before buying.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct SuggestDomains {
    /// Name or words, such as `berlin coffee roaster`.
    words: String,
    /// Such as `shop`; default the usual ones.
    #[serde(default)]
    endings: Vec<String>,
    /// Default 20.
    #[schemars(range(min = 1, max = 50))]
    limit: Option<usize>,
}

impl Action for SuggestDomains {
    const NAME: &'static str = "suggest_domains";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] = &[
        "ideas for a domain name",
        "name for a new business",
        "brainstorm web addresses",
        "Domain Ideen",
        "idées de nom",
        "ideas de nombre",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = DOMAINS_READ;
    type Output = Offers;

    async fn run(self, api: &Api) -> Result<Offers> {
        let words = self.words.trim();
        if words.is_empty() || words.len() > 200 {
            return Err(Error::invalid(
                "words",
                "invalid input: `words` is empty or longer than 200 bytes.",
            ));
        }
        let ideas = Ideas {
            words: words.to_owned(),
            endings: endings(&self.endings)?,
            limit: self.limit.unwrap_or(20).clamp(1, 50),
        };
        Ok(Offers { offers: registrar(api)?.suggest(api, &ideas).await? })
    }
}

/// Tells under which endings a name can be bought, and for how much.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct SearchDomains {
    /// Without an ending, such as `acme`.
    name: String,
    /// Default `com`, `net`, `org`.
    #[serde(default)]
    endings: Vec<String>,
}

impl Action for SearchDomains {
    const NAME: &'static str = "search_domains";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] =
        &["which endings are free for a name", "TLDs of my brand", "domain endings"];
    const PERMISSIONS: &'static [&'static [&'static str]] = DOMAINS_READ;
    type Output = Offers;

    async fn run(self, api: &Api) -> Result<Offers> {
        let given = endings(&self.endings)?;
        let endings: Vec<&str> = if given.is_empty() {
            USUAL.to_vec()
        } else {
            given.iter().map(String::as_str).collect()
        };
        if self.name.contains('.') {
            return Err(Error::invalid(
                "name",
                "invalid input: `name` has no ending; endings go to `endings`. For whole names there is check_availability.",
            ));
        }
        let domains: Vec<DomainName> = endings
            .iter()
            .map(|ending| DomainName::new(&format!("{}.{ending}", self.name.trim())))
            .collect::<Result<_>>()?;
        check(api, &domains).await
    }
}

/// Checks whether domain names can be bought now, and for how much.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct CheckAvailability {
    /// Such as `example.com`.
    #[schemars(length(min = 1, max = 20))]
    domains: Vec<DomainName>,
}

impl Action for CheckAvailability {
    const NAME: &'static str = "check_availability";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] = &[
        "is a domain free",
        "is the name still available",
        "can I get this domain",
        "Domain frei",
        "domaine disponible",
        "dominio libre disponible",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = DOMAINS_READ;
    type Output = Offers;

    async fn run(self, api: &Api) -> Result<Offers> {
        check(api, &self.domains).await
    }
}

/// Asks the registry about names, in the order given. What the provider leaves out stays unknown.
async fn check(api: &Api, domains: &[DomainName]) -> Result<Offers> {
    let registrar = registrar(api)?;
    let most = registrar.terms().checks;
    if domains.is_empty() || domains.len() > most {
        return Err(Error::invalid(
            "domains",
            format!(
                "invalid input: {} checks 1 to {most} names at once. Ask for fewer.",
                api.provider().name
            ),
        ));
    }
    let mut found = registrar.check(api, domains).await?;
    let offers = domains
        .iter()
        .map(|domain| match found.iter().position(|offer| offer.domain == *domain) {
            Some(at) => found.swap_remove(at),
            None => Offer {
                reason: Some(format!("{} told nothing about it.", api.provider().name)),
                ..Offer::unknown(domain.clone())
            },
        })
        .collect();
    Ok(Offers { offers })
}
