//! What a domain's registrar must hold so that the domain leads to a project.

use resto_core::{Action, Api, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domains::{DomainIn, ProjectDomain};
use crate::permissions::DOMAIN_AND_PROJECT_READ;

/// A DNS record that the registrar, or whoever serves the domain's DNS, must hold.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct NeededRecord {
    /// `A`, `CNAME`, `TXT`, ...
    #[serde(rename = "type")]
    record_type: String,
    /// Name below the registered domain; `@` is that domain itself.
    name: String,
    /// What it holds.
    value: String,
}

/// How a domain is set up.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DomainConfiguration {
    /// Its name.
    domain: String,
    /// The registered domain, at which the records are set.
    apex: String,
    /// Whether it leads to Vercel, with a certificate. If so, only unmet records matter.
    configured: bool,
    /// How it leads there: `A`, `CNAME`, `http`, `dns-01`; absent: it does not.
    configured_by: Option<String>,
    /// Whether it is shown to be yours.
    verified: bool,
    /// The records that must be there.
    records: Vec<NeededRecord>,
    /// Whether, instead of an A or CNAME record, the registrar must name Vercel's name servers,
    /// `ns1.vercel-dns.com` and `ns2.vercel-dns.com`, as a wildcard needs.
    needs_name_servers: bool,
}

/// Tells whether a project's domain is set up, and the DNS records that its registrar must hold.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct GetDomainConfiguration {
    #[serde(flatten)]
    of: DomainIn,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    #[serde(default)]
    configured_by: Option<String>,
    misconfigured: bool,
    #[serde(default, rename = "recommendedIPv4")]
    addresses: Vec<Ranked<Vec<String>>>,
    #[serde(default, rename = "recommendedCNAME")]
    names: Vec<Ranked<String>>,
}

#[derive(Deserialize)]
struct Ranked<T> {
    rank: u32,
    value: T,
}

impl Action for GetDomainConfiguration {
    const NAME: &'static str = "get_domain_configuration";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] = &[
        "which DNS records does Vercel need",
        "is my custom domain configured correctly",
        "why does my domain not lead to the site",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = DOMAIN_AND_PROJECT_READ;
    type Output = DomainConfiguration;

    async fn run(self, api: &Api) -> Result<DomainConfiguration> {
        let domain = self.of.find(api).await?;
        let DomainIn { at, domain: name } = &self.of;
        // https://vercel.com/docs/rest-api/domains/get-a-domain-s-configuration
        let answer: Answer = at
            .scope
            .on(api, api.get("/v6/domains/{}/config", &[name]))
            .query("projectIdOrName", &at.project)
            .send()
            .await?;
        Ok(DomainConfiguration {
            records: records(&domain, &answer),
            needs_name_servers: is_wildcard(&domain),
            configured: !answer.misconfigured,
            configured_by: answer.configured_by,
            verified: domain.verified,
            domain: domain.name,
            apex: domain.apex,
        })
    }
}

fn is_wildcard(domain: &ProjectDomain) -> bool {
    domain.name.starts_with("*.")
}

/// The preferred records. A registered domain itself cannot have a CNAME, so it has addresses.
fn records(domain: &ProjectDomain, answer: &Answer) -> Vec<NeededRecord> {
    let record = |record_type: &str, name: &str, value: &str| NeededRecord {
        record_type: record_type.to_owned(),
        name: below(name, &domain.apex),
        value: value.trim_end_matches('.').to_owned(),
    };
    let mut records: Vec<NeededRecord> = Vec::new();
    if domain.name == domain.apex {
        let best = answer.addresses.iter().min_by_key(|one| one.rank);
        let best = best.map(|one| one.value.as_slice()).unwrap_or_default();
        records.extend(best.iter().map(|address| record("A", &domain.name, address)));
    } else if !is_wildcard(domain) {
        let best = answer.names.iter().min_by_key(|one| one.rank);
        records.extend(best.map(|one| record("CNAME", &domain.name, &one.value)));
    }
    if let Some(wanted) = domain.verification.first().filter(|_| !domain.verified) {
        records.push(record(&wanted.record_type, &wanted.record_name, &wanted.value));
    }
    records
}

/// A full name as registrars want it: below the registered domain.
fn below(name: &str, apex: &str) -> String {
    match name.strip_suffix(apex) {
        Some("") => "@".to_owned(),
        Some(rest) => rest.trim_end_matches('.').to_owned(),
        None => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use resto_testing::FakeApi;
    use serde_json::{Value, json};

    use super::*;
    use crate::VERCEL;
    use crate::domains::tests::{WWW, www};

    fn config() -> Value {
        json!({
            "configuredBy": null, "acceptedChallenges": [], "misconfigured": true,
            "recommendedIPv4": [{"rank": 2, "value": ["192.0.2.2"]}, {"rank": 1, "value": ["192.0.2.1", "192.0.2.3"]}],
            "recommendedCNAME": [{"rank": 2, "value": "old.example.net"}, {"rank": 1, "value": "abc.vercel-dns.example."}],
        })
    }

    async fn asked(name: &str, domain: Value) -> Value {
        let path = format!("/v9/projects/shop/domains/{name}").replace('*', "%2A");
        let config_path = format!("/v6/domains/{name}/config").replace('*', "%2A");
        let fake = FakeApi::new(&VERCEL).await.on("GET", &path, 200, domain).on(
            "GET",
            &config_path,
            200,
            config(),
        );
        let told = fake
            .run::<GetDomainConfiguration>(json!({"project": "shop", "domain": name}))
            .await
            .unwrap();
        assert_eq!(fake.requests().await[1].query["projectIdOrName"], "shop");
        told
    }

    #[tokio::test]
    async fn names_the_records_that_the_registrar_must_hold() {
        assert_eq!(
            asked("www.example.com", www(false)).await,
            json!({
                "domain": "www.example.com", "apex": "example.com", "configured": false, "verified": false,
                "needs_name_servers": false,
                "records": [
                    {"type": "CNAME", "name": "www", "value": "abc.vercel-dns.example"},
                    {"type": "TXT", "name": "_vercel", "value": "vc-domain-verify=www.example.com,abc"},
                ],
            })
        );
    }

    #[tokio::test]
    async fn a_registered_domain_itself_has_addresses() {
        let mut apex = www(true);
        apex["name"] = "example.com".into();
        let told = asked("example.com", apex).await;
        assert_eq!(
            told["records"],
            json!([{"type": "A", "name": "@", "value": "192.0.2.1"}, {"type": "A", "name": "@", "value": "192.0.2.3"}])
        );
    }

    #[tokio::test]
    async fn a_wildcard_needs_vercels_name_servers() {
        let mut wildcard = www(true);
        wildcard["name"] = "*.example.com".into();
        let told = asked("*.example.com", wildcard).await;
        assert_eq!((&told["needs_name_servers"], &told["records"]), (&json!(true), &json!([])));
    }

    #[tokio::test]
    async fn says_that_the_project_does_not_have_the_domain() {
        let body = json!({"error": {"code": "not_found", "message": "The domain \"www.example.com\" is not assigned to \"shop\"."}});
        let fake = FakeApi::new(&VERCEL).await.on("GET", WWW, 404, body);
        let asked = json!({"project": "shop", "domain": "www.example.com"});
        let error = fake.run::<GetDomainConfiguration>(asked).await.unwrap_err();
        assert!(error.message().contains("is not assigned"), "{error}");
    }
}
