//! Which services a business uses already, from what its domain shows to everybody in DNS. No page is fetched.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::join_all;
use resto_core::{Code, Error, Result, quote};
use resto_registrar::{DomainName, Resolvers, Said};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::rules::{Account, Rules, fits};

/// Finds which mail, name servers, web host and other services a business uses already, from the DNS of its domain. No
/// page is fetched. What it finds is for `existing_accounts` of `plan_integrations`.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct DetectIntegrations {
    /// Such as `example.com`.
    #[schemars(length(max = 300))]
    pub domain: String,
}

/// What the DNS of a domain shows.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Detected {
    /// The domain that was asked for.
    pub domain: String,
    /// Services that it uses.
    pub services: Vec<Service>,
    /// Their names, for `existing_accounts` of `plan_integrations`.
    pub existing_accounts: Vec<String>,
    /// Mail servers, name servers and hosts that nobody here knows.
    pub unknown: Vec<String>,
    /// What this means, and how far to trust it.
    pub explanation: String,
}

/// A service that a domain uses.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Service {
    pub name: String,
    /// What for: `mail`, `name servers`, `website`, `sending mail` or `proved ownership`.
    pub uses: Vec<&'static str>,
    /// The records that show it.
    pub evidence: Vec<String>,
    /// The service of this server that operates it, if one does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub integration: Option<String>,
}

/// How long all questions together are waited for.
const PATIENCE: Duration = Duration::from_secs(12);
/// The most records of one answer that are read.
const MAX_RECORDS: usize = 50;
/// The most servers of nobody known that are told.
const MAX_UNKNOWN: usize = 10;

const MAIL: &str = "mail";
const SERVERS: &str = "name servers";
const SITE: &str = "website";
const SENDING: &str = "sending mail";
const PROOF: &str = "proved ownership";

/// Asks the resolvers about a domain.
///
/// # Errors
/// It is not a domain of the public internet, or no resolver answers.
pub(crate) async fn detect(rules: &Rules, resolvers: &Resolvers, domain: &str) -> Result<Detected> {
    let domain = registrable(domain)?;
    let www = format!("www.{domain}");
    // Nothing that the caller put before the domain is asked for: a name server could read a message in it.
    let questions = [
        (&domain, "MX"),
        (&domain, "NS"),
        (&domain, "TXT"),
        (&domain, "A"),
        (&www, "CNAME"),
        (&www, "A"),
    ];
    let answers = join_all(questions.iter().map(|(name, kind)| resolvers.look_up(name, kind)));
    let answers = timeout(PATIENCE, answers).await.map_err(|_| silent(&domain))?;
    if answers.iter().all(|said| matches!(said, Said::Silent(_))) {
        return Err(silent(&domain));
    }
    let mut seen = Seen { rules, services: BTreeMap::new(), unknown: Vec::new() };
    let mut unanswered = Vec::new();
    for ((name, kind), said) in questions.iter().zip(answers) {
        match said {
            Said::Records(records, _) => {
                for record in records.iter().take(MAX_RECORDS) {
                    seen.record(&domain, name, kind, &record.text);
                }
            }
            Said::Nothing => {}
            Said::Silent(_) => unanswered.push(format!("{kind} of {name}")),
        }
    }
    Ok(seen.told(domain, &unanswered))
}

/// The domain that somebody registered, of a name below it.
fn registrable(text: &str) -> Result<String> {
    let name = String::from(DomainName::try_from(text.to_owned())?);
    let wrong = |why: &str| {
        Error::invalid(
            "domain",
            format!(
                "invalid input: `{}` is not a domain of a business: {why}. Write it as `example.com`. Nothing was asked.",
                quote(&name)
            ),
        )
    };
    let suffix = psl::suffix(name.as_bytes()).filter(psl::Suffix::is_known);
    if suffix.is_none() || ["arpa", "onion"].iter().any(|end| below(end, &name)) {
        return Err(wrong("its ending is none of the public internet"));
    }
    psl::domain_str(&name)
        .map(str::to_owned)
        .ok_or_else(|| wrong("everybody's domains end with it"))
}

fn silent(domain: &str) -> Error {
    Error::new(
        Code::ProviderDown,
        format!(
            "No DNS resolver answered for {domain}. Try again later; in a network that lets none out, name your own as `dns_servers` in the configuration."
        ),
    )
}

/// What was seen so far.
struct Seen<'a> {
    rules: &'a Rules,
    /// By the account's name.
    services: BTreeMap<&'a str, (&'a Account, Vec<&'static str>, Vec<String>)>,
    unknown: Vec<String>,
}

impl<'a> Seen<'a> {
    /// Looks at one record.
    fn record(&mut self, domain: &str, name: &str, kind: &str, content: &str) {
        let host = content.trim_end_matches('.').to_lowercase();
        match kind {
            "MX" => self.server(domain, MAIL, &format!("MX of {name}"), &host, |one| &one.mx),
            "NS" => self.server(domain, SERVERS, &format!("NS of {name}"), &host, |one| &one.ns),
            "CNAME" => {
                self.server(domain, SITE, &format!("CNAME of {name}"), &host, |one| &one.site);
            }
            // Most addresses are nobody's that one could name.
            "A" => self.add(SITE, &format!("A of {name}"), &host, |one| {
                one.site.iter().any(|pattern| fits(pattern, &host))
            }),
            _ => self.text(content),
        }
    }

    /// A record that names a server.
    fn server(
        &mut self,
        domain: &str,
        uses: &'static str,
        record: &str,
        host: &str,
        ends: impl Fn(&Account) -> &Vec<String>,
    ) {
        let known = self.services.len() + self.evidence();
        self.add(uses, record, host, |one| ends(one).iter().any(|end| below(end, host)));
        let is_news = self.services.len() + self.evidence() == known;
        // A null MX says that there is no mail.
        if is_news && !host.is_empty() && !below(domain, host) && self.unknown.len() < MAX_UNKNOWN {
            let told = format!("{uses}: {}", short(host));
            if !self.unknown.contains(&told) {
                self.unknown.push(told);
            }
        }
    }

    /// A TXT record: rules of who may send mail, and proofs of ownership.
    fn text(&mut self, content: &str) {
        let lower = content.to_lowercase();
        if lower.starts_with("v=spf1") {
            for host in lower.split_whitespace().filter_map(|term| term.strip_prefix("include:")) {
                self.add(SENDING, "SPF includes", host, |one| {
                    one.spf.iter().any(|end| below(end, host))
                });
            }
            return;
        }
        self.add(PROOF, "TXT", content, |one| {
            one.txt.iter().any(|start| content.starts_with(start))
        });
    }

    fn add(
        &mut self,
        uses: &'static str,
        record: &str,
        content: &str,
        is_it: impl Fn(&Account) -> bool,
    ) {
        let rules: &'a Rules = self.rules;
        for account in rules.accounts.iter().filter(|account| is_it(account)) {
            let (_, all, evidence) = self
                .services
                .entry(account.name.as_str())
                .or_insert_with(|| (account, Vec::new(), Vec::new()));
            if !all.contains(&uses) {
                all.push(uses);
            }
            // What follows the `=` of a proof concerns nobody.
            let shown = if uses == PROOF {
                let start = account.txt.iter().find(|start| content.starts_with(start.as_str()));
                start.cloned().unwrap_or_default()
            } else {
                short(content)
            };
            evidence.push(format!("{record}: {shown}"));
            evidence.dedup();
        }
    }

    fn evidence(&self) -> usize {
        self.services.values().map(|(_, _, evidence)| evidence.len()).sum()
    }

    fn told(self, domain: String, unanswered: &[String]) -> Detected {
        let Self { services, unknown, .. } = self;
        // A service that only sends mail for the domain, or proved that it is its, is used all the same.
        let existing_accounts = services
            .values()
            .filter(|(account, _, _)| !account.words.is_empty())
            .map(|(account, _, _)| account.name.clone())
            .collect();
        let services: Vec<Service> = services
            .into_values()
            .map(|(account, uses, evidence)| Service {
                name: account.name.clone(),
                uses,
                evidence,
                integration: account.integration.clone(),
            })
            .collect();
        let mut explanation = if services.is_empty() && unknown.is_empty() && unanswered.is_empty()
        {
            format!(
                "DNS shows nothing of {domain}: it is not registered, or has no records. Check its spelling."
            )
        } else if services.is_empty() {
            "DNS shows no service that is known here. Ask the person what the business uses."
                .to_owned()
        } else {
            "This is what DNS shows to everybody: name servers tell who runs the DNS, which is often but not always where the domain is registered. Code, payments and analytics hardly show there: ask the person.".to_owned()
        };
        if !unanswered.is_empty() {
            explanation = format!("{explanation} Not answered: {}.", unanswered.join(", "));
        }
        Detected { domain, services, existing_accounts, unknown, explanation }
    }
}

/// Whether a host name is this one or below it. `*` at the end of the first label of `end` stands for the rest of that
/// label, and whatever follows.
fn below(end: &str, host: &str) -> bool {
    if let Some(start) = end.strip_suffix('*') {
        return host.split('.').any(|label| label.starts_with(start));
    }
    host == end || host.strip_suffix(end).is_some_and(|rest| rest.ends_with('.'))
}

/// Words of somebody's DNS as part of ours.
fn short(words: &str) -> String {
    quote(words).chars().take(100).collect()
}
