//! The account's domains and their settings.

use resto_core::{Action, Api, Error, Money, Page, PageRequest, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::contract::{Domain, registrar};
use crate::names::{DomainName, host};
use crate::permissions::{DOMAINS_READ, DOMAINS_WRITE};

/// Lists the account's domains.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ListDomains {
    #[serde(flatten)]
    page: PageRequest,
}

impl Action for ListDomains {
    const NAME: &'static str = "list_domains";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] = &[
        "which domains do we own",
        "all my domains",
        "unsere Domains",
        "mes domaines",
        "mis dominios",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = DOMAINS_READ;
    type Output = Page<Domain>;

    async fn run(self, api: &Api) -> Result<Page<Domain>> {
        registrar(api)?.domains(api, &self.page).await
    }
}

/// Gets one of the account's domains: when it ends, whether it renews, its name servers.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct GetDomain {
    /// Such as `example.com`.
    domain: DomainName,
}

impl Action for GetDomain {
    const NAME: &'static str = "get_domain";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] =
        &["when does the domain expire", "domain details", "which name servers does it use"];
    const PERMISSIONS: &'static [&'static [&'static str]] = DOMAINS_READ;
    type Output = Domain;

    async fn run(self, api: &Api) -> Result<Domain> {
        registrar(api)?.domain(api, &self.domain).await
    }
}

/// A setting of a domain that was changed.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Setting {
    /// The domain.
    domain: DomainName,
    /// Whether it is on now.
    enabled: bool,
}

/// Lets a domain be renewed and charged by itself before it ends, or not any more.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct SetAutoRenew {
    /// Such as `example.com`.
    domain: DomainName,
    enabled: bool,
}

impl Action for SetAutoRenew {
    const NAME: &'static str = "set_auto_renew";
    // It commits the account to be charged.
    const RISK: Risk = Risk::Spend;
    const PHRASES: &'static [&'static str] = &[
        "renew a domain automatically",
        "turn off automatic renewal",
        "automatische Verlängerung",
        "domain renews by itself or not",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = DOMAINS_WRITE;
    type Output = Setting;

    async fn run(self, api: &Api) -> Result<Setting> {
        let registrar = registrar(api)?;
        let price = if self.enabled {
            registrar.renewal_price(api, &self.domain).await?
        } else {
            Some(Money::nothing())
        };
        if let Some(price) = price {
            api.spend(&price).await?;
        }
        registrar.set_auto_renew(api, &self.domain, self.enabled).await?;
        Ok(Setting { domain: self.domain, enabled: self.enabled })
    }
}

/// Hides the owner's name and address from the public register, or publishes them.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct SetPrivacy {
    /// Such as `example.com`.
    domain: DomainName,
    enabled: bool,
}

impl Action for SetPrivacy {
    const NAME: &'static str = "set_privacy";
    // What was published once is known.
    const RISK: Risk = Risk::Outward;
    const PHRASES: &'static [&'static str] =
        &["WHOIS privacy", "hide who owns the domain", "hide my address"];
    const PERMISSIONS: &'static [&'static [&'static str]] = DOMAINS_WRITE;
    type Output = Setting;

    async fn run(self, api: &Api) -> Result<Setting> {
        registrar(api)?.set_privacy(api, &self.domain, self.enabled).await?;
        Ok(Setting { domain: self.domain, enabled: self.enabled })
    }
}

/// Hands a domain's DNS to other name servers. Its records here have no effect any more then.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct SetNameservers {
    /// Such as `example.com`.
    domain: DomainName,
    /// Such as `ns1.example.net`; they know the domain already.
    #[schemars(length(min = 2, max = 12))]
    nameservers: Vec<String>,
}

/// Who answers for a domain.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Delegation {
    /// The domain.
    domain: DomainName,
    /// Its name servers now.
    nameservers: Vec<String>,
    /// Those it had, to go back to; absent where the registrar does not tell.
    before: Option<Vec<String>>,
}

impl Action for SetNameservers {
    const NAME: &'static str = "set_nameservers";
    const RISK: Risk = Risk::Outward;
    const PHRASES: &'static [&'static str] = &[
        "change name servers",
        "delegate DNS to another provider",
        "use Cloudflare or Vercel DNS",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = DOMAINS_WRITE;
    type Output = Delegation;

    async fn run(self, api: &Api) -> Result<Delegation> {
        let wrong = |text: &str| {
            Error::invalid(
                "nameservers",
                format!(
                    "invalid input: `{text}` is not the host name of a name server. Nothing was changed."
                ),
            )
        };
        let mut names: Vec<String> = Vec::new();
        for text in &self.nameservers {
            let name = DomainName::new(text)
                .ok()
                .and_then(|name| host(name.as_str()))
                .ok_or_else(|| wrong(text))?;
            if !names.contains(&name) {
                names.push(name);
            }
        }
        if !(2..=12).contains(&names.len()) {
            return Err(Error::invalid(
                "nameservers",
                "invalid input: a domain has 2 to 12 different name servers. Nothing was changed.",
            ));
        }
        let registrar = registrar(api)?;
        let before = registrar.domain(api, &self.domain).await?.nameservers;
        registrar.set_nameservers(api, &self.domain, &names).await?;
        Ok(Delegation { domain: self.domain, nameservers: names, before })
    }
}
